#include "observe/event_json.h"

#include <stdio.h>

/* What comes from a peer may hold any octets; text that is not UTF-8 becomes hexadecimal rather than nothing. */
static json_t *words(const char *text)
{
	json_t *j = json_string(text);
	char hex[2 * EVENT_TEXT + 1] = "";
	size_t n = 0;

	if (j)
		return j;
	for (const char *p = text; *p && n + 3 <= sizeof hex; p++)
		n += (size_t)snprintf(hex + n, sizeof hex - n, "%02x", (unsigned char)*p);
	return json_string(hex);
}

static void put(json_t *o, const char *name, json_t *value)
{
	(void)json_object_set_new(o, name, value);
}

static void put_words(json_t *o, const char *name, const char *text)
{
	if (*text)
		put(o, name, words(text));
}

static void put_number(json_t *o, const char *name, uint64_t n)
{
	if (n)
		put(o, name, json_integer((json_int_t)n));
}

static void put_address(json_t *o, const char *name, const struct addr *a)
{
	char buf[ADDR_TEXT];

	if (a->family)
		put(o, name, json_string(addr_text(a, buf)));
}

static void put_failure(json_t *o, const struct event *e)
{
	if (!e->failure)
		return;
	put(o, "code", json_string(failure_name(e->failure)));
	put(o, "refused_by", json_string(failure_side_name(e->by)));
	put(o, "step", e->step[0] ? words(e->step) : json_null());
}

static void put_fields(json_t *o, const struct event *e, unsigned has)
{
	if (has & FIELD_LOCAL)
		put_address(o, "local", &e->local);
	if (has & FIELD_REMOTE)
		put_address(o, "remote", &e->remote);
	if (has & FIELD_PORTS) {
		put_number(o, "protocol", e->protocol);
		put_number(o, "local_port", e->local_port);
		put_number(o, "remote_port", e->remote_port);
	}
	if (has & FIELD_DIRECTION)
		put_words(o, "direction", event_direction_name(e->direction));
	if (has & FIELD_RULE)
		put_words(o, "rule", e->rule);
	if (has & FIELD_PEER)
		put_words(o, "peer", e->peer);
	if (has & FIELD_METHOD)
		put_words(o, "method", e->method);
	if (has & FIELD_SUITE)
		put_words(o, "suite", e->suite);
	if (has & FIELD_SPI)
		put_number(o, "spi", e->spi);
	if (has & FIELD_REASON)
		put_words(o, "reason", e->reason);
	if (has & FIELD_COUNTS) {
		put_number(o, "packets", e->packets);
		put_number(o, "octets", e->octets);
	}
	if (has & FIELD_USER)
		put_words(o, "user", e->user);
	if (has & FIELD_FAILURE)
		put_failure(o, e);
	if (has & FIELD_LEFT_OUT && (e->failure || !(has & FIELD_FAILURE)))
		put(o, "left_out", json_integer(e->left_out));
}

json_t *event_json(const struct event *e, uint64_t number)
{
	const struct event_row *row = &event_rows[e->id];
	unsigned windows = event_windows(e);
	json_t *o = json_object();

	put(o, "number", json_integer((json_int_t)number));
	put(o, "time_ms", json_integer((json_int_t)e->time_ms));
	put(o, "event", json_string(row->name));
	put(o, "category", json_string(event_category_name(row->category)));
	put(o, "severity", json_string(event_severity_name(row->severity)));
	put(o, "result", json_string(event_result_name(row->result)));
	put(o, "windows", windows ? json_integer(windows) : json_null());
	put_fields(o, e, row->fields);
	put(o, "text", words(e->text));
	return o;
}
