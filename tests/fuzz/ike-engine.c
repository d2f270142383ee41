/* Two engines and somebody between them, who may have the keys of either. Each input is a list of orders: let time
 * pass, send a packet, inject raw datagrams, say something as one of the hosts under its own keys, whole or in
 * fragments, or change what the honest messages hold, behind their check values; in any state, since jobs can be slow.
 * Then calm returns and the two must be well again. The high bit of an order says which host speaks. */
#include "tests/fuzz/engine.h"
#include "tests/fuzz/fuzz.h"

#include "base/wire.h"
#include "keying/engine.h"
#include "tests/replay/world.h"

#include <stdlib.h>
#include <string.h>

enum order {
	PASS,
	PACKET,
	RAW,
	RAW_BACK,
	SEALED,
	SEALED_REPLY,
	SOFT,
	HARD,
	CHANGE_WIRE,
	SEALED_FRAGMENT,
	CHANGE_INNER,
	SLOW_JOBS,
	SHORT_PATH,
	FAIL_SAD,
	ORDERS
};
enum { ORDERS_MOST = 32 };

/* The host's end of the IKE SA that a message is about. */
static struct ike_sa *end_of(struct world *w, unsigned host, const struct ike_header *h)
{
	struct ike_sa *sa;

	TAILQ_FOREACH(sa, &w->hosts[host].keying->ikes, entry)
		if (sa->spi_i == h->spi_i && sa->spi_r == h->spi_r)
			return sa;
	return NULL;
}

/* Payloads of the input's, sealed, under the number that the other host waits for, so that they get past the check
 * value and the window. */
static void sealed(struct world *w, unsigned from, struct wire_in *body, bool reply, bool fragment)
{
	struct ike_sa *sa = engine_newest(w, from);
	uint8_t exchange = wire_u8(body), first = wire_u8(body);
	uint8_t number = fragment ? wire_u8(body) : 0, total = fragment ? wire_u8(body) : 0;
	static uint8_t buf[4096];
	struct ike_writer out;

	if (!sa || !sa->out.keys || body->failed || body->left > 2048)
		return;
	struct ike_header h = { .spi_i = sa->spi_i,
				.spi_r = sa->spi_r,
				.exchange = (uint8_t)(exchange & 0x80 ? exchange : IKE_AUTH + exchange % 3),
				.flags = (uint8_t)((sa->initiator ? IKE_FLAG_INITIATOR : 0) |
						   (reply ? IKE_FLAG_RESPONSE : 0)),
				.id = sa->send_id };
	struct ike_sa *other = end_of(w, 1 - from, &h);
	if (other)
		h.id = reply ? other->request.id : other->receive_id;
	ike_write_begin(&out, buf, sizeof buf, &h);
	size_t sk = fragment ? ike_skf_begin(&out, &sa->out, number, total) : ike_sk_begin(&out, &sa->out);
	buf[sk] = first;
	wire_put(&out.out, body->at, body->left);
	if ((fragment ? ike_skf_end(&out, sk, &sa->out, NULL) : ike_sk_end(&out, sk, &sa->out, NULL)) < 0)
		return;
	if (!reply && !fragment && other && other->receive_id == sa->send_id)
		sa->send_id++; /* or the honest half would be out of step for good */
	world_inject(w, 1 - from, buf, out.out.len);
}

static unsigned change_inner(struct world *w, struct datagram *d)
{
	struct wire_in *left = w->context, all = wire_in(d->octets, d->len), content;
	struct ike_envelope e;
	struct ike_header h;
	static uint8_t text[DATAGRAM_MOST];

	if (d->esp || !left->left || ike_decode_header(&all, &h, NULL) < 0 ||
	    ike_envelope_find(d->octets, d->len, &e, NULL) < 0)
		return 1;
	uint8_t edits = wire_u8(left);
	struct ike_sa *from = end_of(w, d->from, &h), *to = end_of(w, 1 - d->from, &h);
	if (edits < 64 || !from || !to || !from->out.keys || !to->in.keys ||
	    ike_envelope_open(&to->in, d->octets, d->len, &e, &content, NULL) < 0)
		return 1; /* this one stays (one that was opened here is closed again below) */
	size_t len = content.left;
	memcpy(text, content.at, len);
	for (unsigned i = 0; i < edits % 4u + 1; i++)
		len = engine_edit(left, text, len, sizeof text - 256);
	if (edits & 0x20)
		e.first = wire_u8(left);
	struct ike_writer out;
	ike_write_begin(&out, d->octets, sizeof d->octets, &h);
	size_t sk = e.total ? ike_skf_begin(&out, &from->out, e.number, e.total) : ike_sk_begin(&out, &from->out);
	d->octets[sk] = e.first;
	wire_put(&out.out, text, len);
	if ((e.total ? ike_skf_end(&out, sk, &from->out, NULL) : ike_sk_end(&out, sk, &from->out, NULL)) < 0)
		return 0;
	d->len = out.out.len;
	return 1;
}

static void run(struct world *w, const uint8_t *octets, size_t len)
{
	static struct wire_in changes; /* the wire looks at it */
	struct wire_in in = wire_in(octets, len);

	for (unsigned n = 0; in.left && n < ORDERS_MOST; n++) {
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
		case RAW_BACK:
			engine_inject_known(w, host, &body);
			break;
		case SEALED:
		case SEALED_REPLY:
			sealed(w, host, &body, (order & 0x7f) % ORDERS == SEALED_REPLY, false);
			break;
		case SEALED_FRAGMENT: {
			bool reply = wire_u8(&body) & 1;
			sealed(w, host, &body, reply, true);
			break;
		}
		case SOFT:
			engine_expire(w, host, SAD_EXPIRE_SOFT);
			break;
		case HARD:
			engine_expire(w, host, SAD_EXPIRE_HARD);
			break;
		case CHANGE_WIRE:
			changes = body;
			w->context = &changes;
			w->wire = engine_change;
			break;
		case CHANGE_INNER:
			changes = body;
			w->context = &changes;
			w->wire = change_inner;
			break;
		case SLOW_JOBS:
			w->job_ms = wire_u8(&body);
			break;
		case SHORT_PATH:
			w->hosts[host].keying->config.fragment_octets = 150u + wire_u8(&body);
			break;
		case FAIL_SAD:
			w->sad_fails = wire_u8(&body) & 1;
			break;
		case ORDERS:
			break;
		}
	}
	w->wire = NULL;
	w->sad_fails = false;
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
	struct world *w = world_new(world_policy_mode("require"));

	run(w, octets, len);
	engine_calm(w, 5000);
	world_free(w);
	return 0;
}
