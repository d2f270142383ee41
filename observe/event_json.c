#include "observe/event_json.h"

#include <stdio.h>

const char *event_severity_name(enum event_severity s)
{
	static const char *const names[] = {
		[EVENT_INFO] = "info", [EVENT_WARNING] = "warning", [EVENT_ERROR] = "error"
	};

	return names[s];
}

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

json_t *event_json(const struct event *e, uint64_t number)
{
	json_t *o = json_object();
	char buf[ADDR_TEXT];

	(void)json_object_set_new(o, "number", json_integer((json_int_t)number));
	(void)json_object_set_new(o, "time_ms", json_integer((json_int_t)e->time_ms));
	(void)json_object_set_new(o, "event", json_string(event_name(e->id)));
	(void)json_object_set_new(o, "category", json_string(event_category(e->id)));
	(void)json_object_set_new(o, "severity", json_string(event_severity_name(event_severity(e->id))));
	if (e->local.family)
		(void)json_object_set_new(o, "local", json_string(addr_text(&e->local, buf)));
	if (e->remote.family)
		(void)json_object_set_new(o, "remote", json_string(addr_text(&e->remote, buf)));
	if (e->rule[0])
		(void)json_object_set_new(o, "rule", words(e->rule));
	if (e->peer[0])
		(void)json_object_set_new(o, "peer", words(e->peer));
	if (e->spi)
		(void)json_object_set_new(o, "spi", json_integer((json_int_t)e->spi));
	if (e->failure) {
		(void)json_object_set_new(o, "code", json_string(failure_name(e->failure)));
		(void)json_object_set_new(o, "refused_by", json_string(failure_side_name(e->by)));
		(void)json_object_set_new(o, "step", e->step[0] ? words(e->step) : json_null());
		(void)json_object_set_new(o, "left_out", json_integer(e->left_out));
	}
	(void)json_object_set_new(o, "text", words(e->text));
	return o;
}
