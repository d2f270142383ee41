#include "tests/fuzz/engine.h"

#include "base/wire.h"

#include <stdlib.h>
#include <string.h>

struct ike_sa *engine_newest(struct world *w, unsigned host)
{
	return TAILQ_LAST(&w->hosts[host].keying->ikes, ikes_list);
}

void engine_expire(struct world *w, unsigned host, enum sad_event_kind kind)
{
	struct keying_child_row row;

	if (keying_child_rows(w->hosts[host].keying, &row, 1) == 0)
		return;
	struct sad_event e = { .kind = kind, .pair = row.pair, .spi = row.spi_in };
	world_sad_event(w, host, &e);
}

void engine_inject_known(struct world *w, unsigned host, const struct wire_in *body)
{
	static uint8_t copy[512];
	const struct ike_sa *sa = engine_newest(w, host);
	struct wire_out out = wire_out(copy, sizeof copy);

	wire_put_u64(&out, sa ? sa->spi_i : 1);
	wire_put_u64(&out, sa ? sa->spi_r : 0);
	wire_put(&out, body->at, body->left);
	if (out.len >= IKE_HEADER)
		wire_patch_u32(&out, 24, (uint32_t)out.len);
	world_inject(w, host, copy, out.len);
}

unsigned engine_change(struct world *w, struct datagram *d)
{
	struct wire_in *left = w->context;
	uint8_t what = wire_u8(left), at = wire_u8(left);

	if (d->esp || left->failed)
		return 1;
	if (what < 64)
		return what % 3;
	if (what < 128)
		d->due_ms += (uint64_t)at * 8;
	else if (d->len)
		d->octets[(size_t)at * 2 % d->len] ^= (uint8_t)(what - 127);
	return 1;
}

size_t engine_edit(struct wire_in *left, uint8_t *at, size_t len, size_t cap)
{
	uint8_t how = wire_u8(left);
	size_t place = len ? wire_u16(left) % len : 0, n = wire_u8(left);

	if (left->failed)
		return len;
	n = n < len - place ? n : len - place;
	switch (how % 5) {
	case 0: /* an octet */
		if (len)
			at[place] = (uint8_t)n;
		return len;
	case 1: /* left out */
		memmove(at + place, at + place + n, len - place - n);
		return len - n;
	case 2: /* twice */
		if (len + n > cap)
			return len;
		memmove(at + place + n, at + place, len - place);
		return len + n;
	case 3: /* octets of the input's in place */
		for (size_t i = 0; i < n && left->left; i++)
			at[place + i] = wire_u8(left);
		return len;
	default: /* cut off */
		return place;
	}
}

void engine_calm(struct world *w, uint64_t last_ms)
{
	world_run(w, w->now_ms + 250000); /* longer than any patience */
	for (unsigned i = 0; i < 2; i++) {
		if (w->hosts[0].held_count < HELD_MOST)
			world_packet(w, 0, 6, 1, 1);
		world_run(w, w->now_ms + (i ? last_ms : 70000));
	}
	if (world_children(w, 0) < 1 || world_children(w, 1) < 1 || world_ikes(w, 0) > 2 || world_ikes(w, 1) > 2)
		abort();
}
