/* Two engines and somebody between them. Each input is a list of orders: let time pass, send a packet, inject raw
 * datagrams, or say something as host 0 under its own keys; then calm returns and the two must be well again. */
#include "tests/fuzz/fuzz.h"

#include "base/wire.h"
#include "keying/engine.h"
#include "tests/replay/world.h"

#include <stdlib.h>
#include <string.h>

enum order { PASS, PACKET, RAW, RAW_BACK, SEALED, SEALED_REPLY, SOFT, HARD, CHANGE_WIRE, ORDERS };

static struct ike_sa *newest(struct world *w, unsigned host)
{
	return TAILQ_LAST(&w->hosts[host].keying->ikes, ikes_list);
}

/* Payloads of the input's, sealed and in sequence, so that they get past the check value. */
static void sealed(struct world *w, struct wire_in *body, bool reply)
{
	struct ike_sa *sa = newest(w, 0);
	uint8_t exchange = (uint8_t)(IKE_AUTH + wire_u8(body) % 3), first = wire_u8(body);
	static uint8_t copy[IKE_MESSAGE_MOST];
	struct ike_writer out;
	size_t sk;

	if (!sa || !sa->out.keys || body->failed || body->left > 2048)
		return;
	exchange_begin_message(sa, &out, (enum ike_exchange)exchange, reply, &sk);
	out.out.buf[out.next_at] = first;
	wire_put(&out.out, body->at, body->left);
	if (exchange_end_message(sa, &out, sk, NULL) < 0)
		return;
	memcpy(copy, out.out.buf, out.out.len);
	if (!reply)
		sa->send_id++;
	world_inject(w, 1, copy, out.out.len);
}

static void expire(struct world *w, unsigned host, enum sad_event_kind kind)
{
	struct keying_child_row row;

	if (keying_child_rows(w->hosts[host].keying, &row, 1) == 0)
		return;
	struct sad_event e = { .kind = kind, .pair = row.pair, .spi = row.spi_in };
	world_sad_event(w, host, &e);
}

/* The octets of the next IKE datagrams are changed as the input says. */
static unsigned change(struct world *w, struct datagram *d)
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

static void run(struct world *w, const uint8_t *octets, size_t len)
{
	static struct wire_in changes; /* the wire looks at it */
	struct wire_in in = wire_in(octets, len);

	for (unsigned n = 0; in.left && n < 64; n++) {
		uint8_t order = wire_u8(&in);
		struct wire_in body = wire_sub(&in, wire_u8(&in));
		unsigned host = order & 0x80 ? 1 : 0;
		if (in.failed)
			break;
		switch ((enum order)((order & 0x7f) % ORDERS)) {
		case PASS:
			world_run(w, w->now_ms + wire_u16(&body));
			break;
		case PACKET:
			if (w->hosts[host].held_count < HELD_MOST)
				world_packet(w, host, 6, wire_u8(&body), wire_u8(&body));
			break;
		case RAW:
			world_inject(w, host, body.at, body.left);
			break;
		case RAW_BACK: { /* with an SPI that it knows */
			struct ike_sa *sa = newest(w, host);
			static uint8_t copy[512];
			struct wire_out out = wire_out(copy, sizeof copy);
			wire_put_u64(&out, sa ? sa->spi_i : 1);
			wire_put_u64(&out, sa ? sa->spi_r : 0);
			wire_put(&out, body.at, body.left);
			if (out.len >= IKE_HEADER)
				wire_patch_u32(&out, 24, (uint32_t)out.len);
			world_inject(w, host, copy, out.len);
			break;
		}
		case SEALED:
		case SEALED_REPLY:
			sealed(w, &body, (order & 0x7f) % ORDERS == SEALED_REPLY);
			break;
		case SOFT:
			expire(w, host, SAD_EXPIRE_SOFT);
			break;
		case HARD:
			expire(w, host, SAD_EXPIRE_HARD);
			break;
		case CHANGE_WIRE:
			changes = body;
			w->context = &changes;
			w->wire = change;
			break;
		case ORDERS:
			break;
		}
	}
	w->wire = NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
	struct world *w = world_new(world_policy_mode("require"));

	run(w, octets, len);
	world_run(w, w->now_ms + 250000); /* longer than any patience */
	if (w->hosts[0].held_count < HELD_MOST)
		world_packet(w, 0, 6, 1, 1);
	world_run(w, w->now_ms + 70000);
	if (w->hosts[0].held_count < HELD_MOST)
		world_packet(w, 0, 6, 1, 1);
	world_run(w, w->now_ms + 5000);
	if (world_children(w, 0) < 1 || world_children(w, 1) < 1 || world_ikes(w, 0) > 2 || world_ikes(w, 1) > 2)
		abort();
	world_free(w);
	return 0;
}
