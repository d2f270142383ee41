#include "observe/event_wire.h"

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

static void put_address(struct wire_out *out, const struct addr *a)
{
	wire_put_u8(out, a->family);
	if (a->family)
		wire_put(out, a->octets, addr_octets(a));
}

static void put_text(struct wire_out *out, const char *text, size_t cap)
{
	size_t n = strnlen(text, cap - 1);

	wire_put_u16(out, (uint16_t)n);
	wire_put(out, text, n);
}

void event_encode(struct wire_out *out, const struct event *e)
{
	wire_put_u16(out, (uint16_t)e->id);
	wire_put_u64(out, e->time_ms);
	put_address(out, &e->local);
	put_address(out, &e->remote);
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
		put_text(out, (const char *)e + texts[i].offset, texts[i].cap);
}

static struct addr get_address(struct wire_in *in)
{
	struct addr a = { .family = wire_u8(in) };

	if (a.family == 4 || a.family == 6)
		wire_copy(in, a.octets, addr_octets(&a));
	else if (a.family)
		in->failed = true;
	return in->failed ? (struct addr){ 0 } : a;
}

static void get_text(struct wire_in *in, char *to, size_t cap)
{
	size_t n = wire_u16(in);
	const uint8_t *p = n < cap ? wire_octets(in, n) : NULL;

	if (!p || memchr(p, 0, n)) {
		in->failed = true;
		return;
	}
	memcpy(to, p, n);
	to[n] = '\0';
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
	e.local = get_address(in);
	e.remote = get_address(in);
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
		get_text(in, (char *)&e + texts[i].offset, texts[i].cap);
	if (!wire_done(in))
		return diag_fail(d, ERR_SYNTAX, "this is not an event");
	*ret = e;
	return 0;
}
