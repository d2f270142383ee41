/* Two engines that speak IKEv1 and somebody between them, who may have the keys of either. Each input begins with the
 * kind of proof and is then a list of orders: let time pass, send a packet, inject raw datagrams, say something as one
 * of the hosts under its own keys and hashes, or change what the honest messages hold; in any state, since jobs can be
 * slow. Then calm returns and the two must be well again. The high bit of an order says which host speaks. */
#include "tests/fuzz/engine.h"
#include "tests/fuzz/fuzz.h"

#include "base/wire.h"
#include "keying/v1/v1.h"
#include "tests/replay/v1.h"

#include <stdlib.h>
#include <string.h>

enum order {
	PASS,
	PACKET,
	RAW,
	RAW_BACK,
	SEALED,
	SOFT,
	HARD,
	RENEW,
	CHANGE_WIRE,
	CHANGE_INNER,
	SLOW_JOBS,
	FAIL_SAD,
	ORDERS
};
enum { ORDERS_MOST = 32, BODY_MOST = 2048 };

static struct ike_sa *end_of(struct world *w, unsigned host, const struct ike_header *h)
{
	struct ike_sa *sa;

	TAILQ_FOREACH(sa, &w->hosts[host].keying->ikes, entry)
		if (sa->v1 && sa->spi_i == h->spi_i && sa->spi_r == h->spi_r)
			return sa;
	return NULL;
}

/* What the receiver will decrypt with. */
static bool iv_of(const struct ike_sa *to, const struct ike_header *h, struct v1_iv *ret)
{
	const struct child *c;

	*ret = to->v1->iv;
	if (h->exchange == V1_MAIN)
		return true;
	LIST_FOREACH(c, &to->children, entry)
		if (h->exchange == V1_QUICK && c->v1 && c->v1->id == h->id) {
			*ret = c->v1->iv;
			return true;
		}
	return v1_iv_message(&to->suite, &to->v1->iv, h->id, ret, NULL) == 0;
}

/* HASH(1) over what follows it, so that the message gets past it. */
static void say_hash(const struct ike_sa *sa, const struct ike_header *h, uint8_t *at, size_t len)
{
	const size_t n = sa->suite.prf->key;
	SCOPED(key_wipe) struct key hash = { 0 };

	if (h->next == V1_PL_HASH && len >= 4 + n &&
	    v1_hash_quick_1(sa->suite.prf, &sa->v1->keys.a, h->id, (struct keying_octets){ at + 4 + n, len - 4 - n },
			    &hash, NULL) == 0)
		memcpy(at + 4, hash.octets, n);
}

/* Payloads of the input's, behind a HASH that is right. */
static void sealed(struct world *w, unsigned from, struct wire_in *body)
{
	static uint8_t buf[4096];
	struct ike_sa *sa = engine_newest(w, from);
	uint8_t exchange = wire_u8(body), first = wire_u8(body), id = wire_u8(body);
	struct ike_writer out;
	struct v1_iv iv;

	if (!sa || !sa->v1 || !sa->v1->keyed || body->failed || body->left > BODY_MOST)
		return;
	struct ike_header h = { .spi_i = sa->spi_i,
				.spi_r = sa->spi_r,
				.exchange = exchange & 0x80   ? V1_QUICK
					    : exchange & 0x40 ? V1_MAIN
							      : V1_INFORMATIONAL,
				.id = id * 0x01010101u };
	const struct child *c = LIST_FIRST(&sa->children);
	if (exchange & 1 && c && c->v1)
		h.id = c->v1->id;
	v1_write_begin(&out, buf, sizeof buf, &h);
	size_t at = v1_put_hash_space(&out, sa->suite.prf->key);
	buf[out.out.len - sa->suite.prf->key - 4] = first; /* what follows HASH */
	size_t begin = out.out.len;
	wire_put(&out.out, body->at, body->left);
	SCOPED(key_wipe) struct key hash = { 0 };
	if (v1_hash_quick_1(sa->suite.prf, &sa->v1->keys.a, h.id, (struct keying_octets){ buf + begin, body->left },
			    &hash, NULL) < 0)
		return;
	v1_hash_set(&out, at, (struct keying_octets){ hash.octets, hash.len });
	struct ike_sa *other = end_of(w, 1 - from, &h);
	if (!other || !iv_of(other, &h, &iv) || v1_seal(&out, &sa->suite, &sa->v1->keys.cipher, &iv, NULL) < 0)
		return;
	world_inject(w, 1 - from, buf, out.out.len);
}

/* Behind the encryption, where there is one, and with a HASH(1) that is right again. */
static unsigned change_inner(struct world *w, struct datagram *d)
{
	struct wire_in *left = w->context, all = wire_in(d->octets, d->len);
	static uint8_t text[DATAGRAM_MOST];
	struct ike_header h;
	struct v1_iv iv = { 0 }, before;

	if (d->esp || !left->left || v1_decode_header(&all, &h, NULL) < 0)
		return 1;
	uint8_t edits = wire_u8(left);
	struct ike_sa *to = end_of(w, 1 - d->from, &h);
	bool closed = h.flags & V1_FLAG_ENCRYPTED;
	if (edits < 64 || (closed && (!to || !to->v1->keyed || !iv_of(to, &h, &iv))))
		return 1;
	before = iv;
	if (closed && v1_open(d->octets, d->len, &to->suite, &to->v1->keys.cipher, &iv, NULL) < 0)
		return 0;
	size_t len = d->len - IKE_HEADER;
	memcpy(text, d->octets + IKE_HEADER, len);
	for (unsigned i = 0; i < edits % 4u + 1; i++)
		len = engine_edit(left, text, len, sizeof text - 512);
	if (edits & 0x20)
		h.next = wire_u8(left);
	if (closed)
		say_hash(to, &h, text, len);
	struct ike_writer out;
	v1_write_begin(&out, d->octets, sizeof d->octets, &h);
	d->octets[16] = h.next;
	wire_put(&out.out, text, len);
	ike_write_end(&out);
	if (closed && v1_seal(&out, &to->suite, &to->v1->keys.cipher, &before, NULL) < 0)
		return 0;
	d->octets[16] = h.next;
	d->len = out.out.len;
	return 1;
}

static void run(struct world *w, struct wire_in *in)
{
	static struct wire_in changes; /* the wire looks at it */

	for (unsigned n = 0; in->left && n < ORDERS_MOST; n++) {
		uint8_t order = wire_u8(in);
		struct wire_in body = wire_sub(in, wire_u8(in));
		unsigned host = order & 0x80 ? 1 : 0;
		if (in->failed)
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
			sealed(w, host, &body);
			break;
		case SOFT:
			engine_expire(w, host, SAD_EXPIRE_SOFT);
			break;
		case HARD:
			engine_expire(w, host, SAD_EXPIRE_HARD);
			break;
		case RENEW:
			(void)keying_renew(w->hosts[host].keying, (enum keying_renewal)(wire_u8(&body) % 4), NULL,
					   w->now_ms);
			break;
		case CHANGE_WIRE:
		case CHANGE_INNER:
			changes = body;
			w->context = &changes;
			w->wire = (order & 0x7f) % ORDERS == CHANGE_WIRE ? engine_change : change_inner;
			break;
		case SLOW_JOBS:
			w->job_ms = wire_u8(&body);
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
	struct wire_in in = wire_in(octets, len);
	uint8_t kind = wire_u8(&in);
	struct world *w = kind % 3 == 0   ? world_new(v1_policy)
			  : kind % 3 == 1 ? v1_world_signing(9)
					  : v1_world_kerberos();

	w->quick_keys = kind & 0x80;
	run(w, &in);
	engine_calm(w, 70000);
	world_free(w);
	return 0;
}
