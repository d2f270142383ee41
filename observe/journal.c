#include "observe/journal.h"

#include "base/mem.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void put_text(struct wire_out *out, const char *text)
{
	wire_put(out, text, strlen(text));
}

/* FIELD=value, or FIELD, a line's end, the length (64 bits, little-endian), the value. */
static void put_field(struct wire_out *out, const char *name, const char *value)
{
	size_t n = strlen(value);
	bool plain = true;

	if (n == 0)
		return;
	for (size_t i = 0; i < n; i++)
		plain &= (unsigned char)value[i] >= 0x20 && value[i] != 0x7f;
	put_text(out, name);
	if (plain) {
		wire_put_u8(out, '=');
	} else {
		wire_put_u8(out, '\n');
		for (unsigned i = 0; i < 8; i++)
			wire_put_u8(out, (uint8_t)((uint64_t)n >> 8 * i));
	}
	wire_put(out, value, n);
	wire_put_u8(out, '\n');
}

static void put_number(struct wire_out *out, const char *name, uint64_t n)
{
	char text[24];

	if (!n)
		return;
	(void)snprintf(text, sizeof text, "%llu", (unsigned long long)n);
	put_field(out, name, text);
}

static void put_address(struct wire_out *out, const char *name, const struct addr *a)
{
	char text[ADDR_TEXT];

	if (a->family)
		put_field(out, name, addr_text(a, text));
}

/* As the line in the log is without fields: the name, with whom, the rule, the sentence. */
static void put_message(struct wire_out *out, const struct event *e)
{
	char remote[ADDR_TEXT] = "", text[EVENT_TEXT + EVENT_NAME + ADDR_TEXT + EVENT_WORD];

	if (e->remote.family)
		(void)addr_text(&e->remote, remote);
	(void)snprintf(text, sizeof text, "%s%s%s%s%s%s: %s", event_name(e->id), *remote ? " " : "", remote,
		       e->rule[0] ? " '" : "", e->rule, e->rule[0] ? "'" : "", e->text);
	put_field(out, "MESSAGE", text);
}

static void put_fields(struct wire_out *out, const struct event *e, unsigned has)
{
	if (has & FIELD_LOCAL)
		put_address(out, "CORDON_LOCAL", &e->local);
	if (has & FIELD_REMOTE)
		put_address(out, "CORDON_REMOTE", &e->remote);
	if (has & FIELD_PORTS) {
		put_number(out, "CORDON_PROTOCOL", e->protocol);
		put_number(out, "CORDON_LOCAL_PORT", e->local_port);
		put_number(out, "CORDON_REMOTE_PORT", e->remote_port);
	}
	if (has & FIELD_DIRECTION)
		put_field(out, "CORDON_DIRECTION", event_direction_name(e->direction));
	if (has & FIELD_RULE)
		put_field(out, "CORDON_RULE", e->rule);
	if (has & FIELD_PEER)
		put_field(out, "CORDON_PEER", e->peer);
	if (has & FIELD_METHOD)
		put_field(out, "CORDON_METHOD", e->method);
	if (has & FIELD_SUITE)
		put_field(out, "CORDON_SUITE", e->suite);
	if (has & FIELD_SPI)
		put_number(out, "CORDON_SPI", e->spi);
	if (has & FIELD_REASON)
		put_field(out, "CORDON_REASON", e->reason);
	if (has & FIELD_COUNTS) {
		put_number(out, "CORDON_PACKETS", e->packets);
		put_number(out, "CORDON_OCTETS", e->octets);
	}
	if (has & FIELD_USER)
		put_field(out, "CORDON_USER", e->user);
	if (has & FIELD_FAILURE && e->failure) {
		put_field(out, "CORDON_CODE", failure_name(e->failure));
		put_field(out, "CORDON_REFUSED_BY", failure_side_name(e->by));
		put_field(out, "CORDON_STEP", e->step);
	}
	if (has & FIELD_LEFT_OUT)
		put_number(out, "CORDON_LEFT_OUT", e->left_out);
}

void journal_encode(struct wire_out *out, const struct event *e, uint64_t number)
{
	static const char *const priorities[] = { [EVENT_INFO] = "6", [EVENT_WARNING] = "4", [EVENT_ERROR] = "3" };
	const struct event_row *r = &event_rows[e->id];

	put_message(out, e);
	put_field(out, "PRIORITY", priorities[r->severity]);
	put_field(out, "SYSLOG_IDENTIFIER", "cordond");
	put_field(out, "CORDON_EVENT", r->name);
	put_number(out, "CORDON_NUMBER", number);
	put_field(out, "CORDON_CATEGORY", event_category_name(r->category));
	put_field(out, "CORDON_RESULT", event_result_name(r->result));
	put_number(out, "CORDON_WINDOWS", event_windows(e));
	put_fields(out, e, r->fields);
}

struct journal {
	int fd;
	struct sockaddr_un to;
};

struct journal *journal_new(const char *path)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct journal *j;

	if (fd < 0 || strlen(path) >= sizeof j->to.sun_path) {
		if (fd >= 0)
			(void)close(fd);
		return NULL;
	}
	j = mem_new(1, sizeof *j);
	j->fd = fd;
	j->to.sun_family = AF_UNIX;
	(void)snprintf(j->to.sun_path, sizeof j->to.sun_path, "%s", path);
	return j;
}

void journal_free(struct journal *j)
{
	if (!j)
		return;
	(void)close(j->fd);
	free(j);
}

/* By its address each time: the journal may have been started again. */
bool journal_tell(struct journal *j, const struct event *e, uint64_t number)
{
	uint8_t buf[JOURNAL_MESSAGE_MOST];
	struct wire_out out = wire_out(buf, sizeof buf);

	journal_encode(&out, e, number);
	return !out.failed && sendto(j->fd, buf, out.len, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)&j->to,
				     sizeof j->to) == (ssize_t)out.len;
}
