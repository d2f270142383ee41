#include "observe/event_wire.h"

#include "base/addr_wire.h"
#include "base/diag.h"
#include "base/scope.h"

#include <assert.h>
#include <string.h>

/* The texts, in the order in which they follow each other. */
#define TEXT(member) \
	{ \
		offsetof(struct event, member), sizeof((struct event *)NULL)->member \
	}
static const struct {
	size_t offset, cap;
} texts[] = { TEXT(rule), TEXT(peer), TEXT(text), TEXT(step), TEXT(reason), TEXT(suite), TEXT(method), TEXT(user) };

enum { FIXED_MOST = 4 * 1 + 2 * 17 + 3 * 8 + 4 * 4 + 2 * 2 };
_Static_assert(FIXED_MOST + 2 * ARRAY_LEN(texts) + 2 * EVENT_NAME + EVENT_TEXT + EVENT_STEP + 4 * EVENT_WORD <=
		       EVENT_WIRE_MOST,
	       "the longest event fits");

void event_encode(struct wire_out *out, const struct event *e)
{
	wire_put_u16(out, (uint16_t)e->id);
	wire_put_u64(out, e->time_ms);
	addr_encode(out, &e->local);
	addr_encode(out, &e->remote);
	wire_put_u32(out, e->spi);
	wire_put_u8(out, (uint8_t)e->failure);
	wire_put_u8(out, (uint8_t)e->by);
	wire_put_u32(out, e->left_out);
	wire_put_u8(out, (uint8_t)e->direction);
	wire_put_u8(out, e->protocol);
	wire_put_u16(out, e->local_port);
	wire_put_u16(out, e->remote_port);
	wire_put_u64(out, e->packets);
	wire_put_u64(out, e->octets);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		wire_put_text(out, (const char *)e + texts[i].offset, texts[i].cap);
}

/* A number of an enum that has `count` of them. */
static unsigned below(struct wire_in *in, unsigned n, unsigned count)
{
	if (n < count)
		return n;
	in->failed = true;
	return 0;
}

int event_decode(struct wire_in *in, struct event *ret, struct diag *d)
{
	struct event e = { 0 };

	e.id = (enum event_id)below(in, wire_u16(in), EVENT_COUNT);
	e.time_ms = wire_u64(in);
	e.local = addr_decode(in);
	e.remote = addr_decode(in);
	e.spi = wire_u32(in);
	e.failure = (enum failure_code)below(in, wire_u8(in), FAILURE_COUNT);
	e.by = (enum failure_side)below(in, wire_u8(in), SIDE_NOBODY + 1);
	e.left_out = wire_u32(in);
	e.direction = (enum event_direction)below(in, wire_u8(in), EVENT_DIRECTIONS);
	e.protocol = wire_u8(in);
	e.local_port = wire_u16(in);
	e.remote_port = wire_u16(in);
	e.packets = wire_u64(in);
	e.octets = wire_u64(in);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		wire_text(in, (char *)&e + texts[i].offset, texts[i].cap);
	if (!wire_done(in))
		return diag_fail(d, ERR_SYNTAX, "this is not an event");
	*ret = e;
	return 0;
}
