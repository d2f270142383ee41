#include "keying/fragment.h"

#include "keying/engine.h"

#include <stdlib.h>
#include <string.h>

enum { UDP_HEADER = 8, IPV4_HEADER = 20, IPV6_HEADER = 40, NON_ESP_MARKER = 4, LENGTH_AT = 24 };

struct reassembly {
	struct ike_sa *sa;
	bool reply;
	enum fragment_pool pool;
	TAILQ_ENTRY(reassembly) entry;
	struct timer timer;
	uint8_t first, digest[DIGEST]; /* of fragment 1 */
	uint16_t total, have;
	size_t octets;         /* of content */
	size_t longest;        /* of the datagrams */
	struct owned pieces[]; /* at NULL: has not come */
};

/* ---- sending ----------------------------------------------------------------------------------------------------- */

/* What stands around a datagram in its IP packet. */
static size_t around(const struct ike_sa *sa)
{
	size_t octets = UDP_HEADER;

	octets += sa->remote.family == 4 ? IPV4_HEADER : IPV6_HEADER;
	octets += sa->local_port == IKE_NAT_PORT ? NON_ESP_MARKER : 0;
	return octets;
}

/* How long an IP packet may be. */
static size_t path_octets(const struct ike_sa *sa)
{
	size_t most = sa->k->config.fragment_octets;

	return sa->path_octets && sa->path_octets < most ? sa->path_octets : most;
}

static size_t path_room(const struct ike_sa *sa)
{
	size_t octets = path_octets(sa);

	return octets > around(sa) ? octets - around(sa) : 0;
}

static int put_fragment(struct ike_sa *sa, const uint8_t *header, uint8_t first, uint16_t number, uint16_t total,
			struct octets content, struct wire_out *out, struct diag *d)
{
	struct ike_writer f = { .out = wire_out(out->buf + out->len, out->cap - out->len), .next_at = 16 };
	int r;

	wire_put(&f.out, header, IKE_HEADER);
	size_t at = ike_skf_begin(&f, &sa->out, number, total);
	if (number == 1 && !f.out.failed)
		f.out.buf[at] = first;
	wire_put(&f.out, content.at, content.len);
	if ((r = ike_skf_end(&f, at, &sa->out, d)) < 0)
		return r;
	out->len += f.out.len;
	return 0;
}

int fragment_seal(struct ike_sa *sa, struct ike_writer *w, size_t sk, struct diag *d)
{
	struct keying *k = sa->k;
	size_t room = path_room(sa), each = ike_skf_room(&sa->out, room), text_at = sk + 4 + sa->out.encr->iv;
	int r;

	if (w->out.failed || !sa->fragments || !each || ike_sk_octets(&sa->out, w->out.len - text_at) <= room)
		return ike_sk_end(w, sk, &sa->out, d);
	size_t left = w->out.len - text_at, total = (left + each - 1) / each;
	if (total > FRAGMENTS_MOST)
		return diag_fail(d, ERR_UNSUPPORTED, "a message of %zu octets does not fit %d fragments", left,
				 FRAGMENTS_MOST);
	if (!k->sealed)
		k->sealed = mem_new(1, FRAGMENTS_SEALED_MOST);
	struct wire_out out = wire_out(k->sealed, FRAGMENTS_SEALED_MOST);
	for (size_t n = 1; n <= total; n++) {
		struct octets content = { w->out.buf + text_at + (n - 1) * each, left < each ? left : each };
		if ((r = put_fragment(sa, w->out.buf, w->out.buf[sk], (uint16_t)n, (uint16_t)total, content, &out, d)) <
		    0)
			return r;
		left -= content.len;
	}
	w->out = out;
	return 0;
}

size_t fragment_first(const uint8_t *datagrams, size_t len)
{
	struct wire_in in = wire_in(datagrams, len);

	(void)wire_octets(&in, LENGTH_AT);
	size_t n = wire_u32(&in);
	return in.failed || n < IKE_HEADER || n > len ? 0 : n;
}

/* Open our own datagrams, one behind the other; their content comes to k->in. */
static int reopen(struct ike_sa *sa, const struct owned *message, struct ike_envelope *ret_first, size_t *ret_len,
		  struct diag *d)
{
	struct keying *k = sa->k;
	const uint8_t *at = message->at;
	size_t len = 0;
	int r;

	for (size_t left = message->len, n; (n = fragment_first(at, left)) > 0; at += n, left -= n) {
		struct ike_envelope e;
		struct wire_in content;
		memcpy(k->out, at, n);
		if ((r = ike_envelope_find(k->out, n, &e, d)) < 0 ||
		    (r = ike_envelope_open(&sa->out, k->out, n, &e, &content, d)) < 0)
			return r;
		if (at == message->at)
			*ret_first = e;
		if (content.left > sizeof k->in - len)
			return diag_fail(d, ERR_UNSUPPORTED, "a message of more than %zu octets", sizeof k->in);
		memcpy(k->in + len, content.at, content.left);
		len += content.left;
	}
	*ret_len = len;
	return len ? 0 : diag_fail(d, ERR_UNEXPECTED, "nothing was sent");
}

void fragment_recut(struct ike_sa *sa, struct owned *message)
{
	struct keying *k = sa->k;
	struct wire_in in = wire_in(message->at, fragment_first(message->at, message->len));
	struct ike_envelope e = { 0 };
	struct ike_header h;
	struct ike_writer w;
	size_t len, sk;

	if (!sa->fragments || !sa->out.keys || sa->remote.family != 4 || path_octets(sa) <= FRAGMENT_OCTETS_LEAST ||
	    ike_decode_header(&in, &h, NULL) < 0 || h.length + around(sa) <= FRAGMENT_OCTETS_LEAST ||
	    reopen(sa, message, &e, &len, NULL) < 0)
		return;
	sa->path_octets = FRAGMENT_OCTETS_LEAST;
	ike_write_begin(&w, k->out, sizeof k->out, &h);
	sk = ike_sk_begin(&w, &sa->out);
	wire_put(&w.out, k->in, len);
	k->out[sk] = e.first;
	if (fragment_seal(sa, &w, sk, NULL) == 0)
		owned_set(message, w.out.buf, w.out.len);
}

/* ---- what comes in ----------------------------------------------------------------------------------------------- */

void fragment_pools_init(struct keying *k)
{
	for (size_t i = 0; i < POOLS; i++)
		TAILQ_INIT(&k->pools[i].queue);
}

static size_t cost(const struct reassembly *a)
{
	return sizeof *a + a->total * sizeof a->pieces[0] + a->octets;
}

static void forget(struct reassembly *a)
{
	struct keying *k = a->sa->k;

	k->pools[a->pool].octets -= cost(a);
	TAILQ_REMOVE(&k->pools[a->pool].queue, a, entry);
	timer_stop(&k->timers, &a->timer);
	a->sa->reassembly[a->reply] = NULL;
	for (size_t i = 0; i < a->total; i++)
		owned_wipe(&a->pieces[i]);
	free(a);
}

void fragment_forget(struct ike_sa *sa, bool reply)
{
	if (sa->reassembly[reply])
		forget(sa->reassembly[reply]);
}

/* Its time is over, or others need its room. */
static void lose(void *owner)
{
	struct reassembly *a = owner;

	a->sa->k->dropped[KEYING_DROP_FRAGMENT_LOST] += a->have;
	forget(a);
}

static struct reassembly *begin(struct ike_sa *sa, bool reply, uint16_t total)
{
	struct keying *k = sa->k;
	struct reassembly *a = mem_new(1, sizeof *a + total * sizeof a->pieces[0]);

	a->sa = sa;
	a->reply = reply;
	a->pool = sa->state < IKE_ESTABLISHED && !sa->initiator ? POOL_STRANGERS : POOL_PEERS;
	a->total = total;
	a->timer.owner = a;
	a->timer.fire = lose;
	if (!reply) /* a reply's time is its request's */
		timer_set(&k->timers, &a->timer, k->now_ms + REASSEMBLY_MS);
	TAILQ_INSERT_TAIL(&k->pools[a->pool].queue, a, entry);
	k->pools[a->pool].octets += cost(a);
	sa->reassembly[reply] = a;
	return a;
}

bool fragment_wanted(const struct ike_sa *sa, bool reply, const struct ike_envelope *e)
{
	const struct reassembly *a = sa->reassembly[reply];

	return sa->fragments && e->total <= FRAGMENTS_MOST &&
	       (!a || e->total > a->total || (e->total == a->total && !a->pieces[e->number - 1].at));
}

static void join(const struct reassembly *a, uint8_t *to)
{
	for (size_t i = 0; i < a->total; i++) {
		memcpy(to, a->pieces[i].at, a->pieces[i].len);
		to += a->pieces[i].len;
	}
}

static void make_room(struct reassembly_pool *p)
{
	struct reassembly *a, *next;

	for (a = TAILQ_FIRST(&p->queue); a && p->octets > REASSEMBLY_POOL_MOST; a = next) {
		next = TAILQ_NEXT(a, entry);
		lose(a);
	}
}

bool fragment_keep(struct ike_sa *sa, bool reply, const struct ike_envelope *e, struct wire_in content,
		   const uint8_t *digest, struct wire_in *ret_content, uint8_t *ret_first, uint8_t *ret_digest)
{
	struct keying *k = sa->k;
	struct reassembly *a = sa->reassembly[reply];

	if (a && a->total < e->total) { /* the peer cuts smaller: what was cut otherwise is of no use (2.5.2) */
		forget(a);
		a = NULL;
	}
	if (!content.left || (a && a->octets + content.left > IKE_MESSAGE_MOST)) {
		k->dropped[KEYING_DROP_FRAGMENT]++;
		return false;
	}
	if (!a)
		a = begin(sa, reply, e->total);
	enum fragment_pool pool = a->pool;
	owned_set(&a->pieces[e->number - 1], content.at, content.left);
	a->octets += content.left;
	k->pools[pool].octets += content.left;
	a->longest = e->octets > a->longest ? e->octets : a->longest;
	if (e->number == 1) {
		a->first = e->first;
		memcpy(a->digest, digest, DIGEST);
	}
	if (++a->have < a->total) {
		if (reply)
			exchange_hurry(sa);
		make_room(&k->pools[pool]);
		return false;
	}
	if (a->total > 1 && a->longest + around(sa) < path_octets(sa)) /* it will have its reasons (2.5.1) */
		sa->path_octets = (uint16_t)(a->longest + around(sa) > FRAGMENT_OCTETS_LEAST ? a->longest + around(sa)
											     : FRAGMENT_OCTETS_LEAST);
	join(a, k->in);
	*ret_content = wire_in(k->in, a->octets);
	*ret_first = a->first;
	memcpy(ret_digest, a->digest, DIGEST);
	forget(a);
	return true;
}
