/* keying/v1/v1.c - what comes in by IKEv1: whom it concerns, and what of it is passed over. */
#include "keying/v1/module.h"
#include "keying/v1/pieces.h"
#include <stdlib.h>
#include <string.h>

enum { AUTHIP_FIRST = 243, AUTHIP_LAST = 246 };

static struct ike_sa *find(struct keying *k, const struct ike_header *h)
{
	struct ike_sa *sa = table_find(&k->spis, h->spi_i, NULL, NULL);

	if (sa && sa->v1 && sa->initiator && sa->spi_i == h->spi_i && (!sa->spi_r || sa->spi_r == h->spi_r))
		return sa;
	sa = h->spi_r ? table_find(&k->spis, h->spi_r, NULL, NULL) : NULL;
	return sa && sa->v1 && !sa->initiator && sa->spi_i == h->spi_i && sa->spi_r == h->spi_r ? sa : NULL;
}

static bool have_rule(struct keying *k, const struct addr *local, const struct addr *remote)
{
	struct selector_walk w = { .plan = k->plan, .local = local, .remote = remote };
	struct candidate c;

	while (selector_next(&w, &c))
		if (module_takes_v1(k, c.entry->rule, local, remote))
			return true;
	return false;
}

/* Somebody speaks of a main mode that we do not have: a hint, not too often, and never as an answer to a hint. */
static void unknown_cookie(struct keying *k, const struct ike_header *h, const struct addr *local)
{
	const struct ike_header reply = { .spi_i = h->spi_i, .spi_r = h->spi_r, .exchange = V1_INFORMATIONAL };
	struct ike_writer w;

	k->dropped[KEYING_DROP_UNKNOWN_SPI]++;
	if (h->exchange == V1_INFORMATIONAL && !(h->flags & V1_FLAG_ENCRYPTED))
		return;
	if (!keying_may_hint(k))
		return;
	v1_write_begin(&w, k->out, sizeof k->out, &reply);
	v1_put_notify_main(&w, V1_N_INVALID_COOKIE, h->spi_i, h->spi_r, NULL, 0);
	ike_write_end(&w);
	if (!w.out.failed)
		todo_send(k, local, k->from.local_port, &k->from.remote, k->from.remote_port, w.out.buf, w.out.len);
}

/* ---- main mode --------------------------------------------------------------------------------------------------- */

/* What each state waits for. */
static bool expected(enum mm_state s, enum mm_event *ev, enum v1_message_kind *kind, bool *sealed)
{
	static const struct {
		enum mm_state state;
		enum mm_event event;
		enum v1_message_kind kind;
		bool sealed;
	} rows[] = {
		{ MM_I_SA_SENT, MEV_SA, V1_MSG_MAIN_SA, false }, { MM_I_KE_SENT, MEV_KE, V1_MSG_MAIN_KE, false },
		{ MM_I_ID_SENT, MEV_ID, V1_MSG_MAIN_ID, true },  { MM_R_SA_SENT, MEV_KE, V1_MSG_MAIN_KE, false },
		{ MM_R_KE_SENT, MEV_ID, V1_MSG_MAIN_ID, true },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].state != s)
			continue;
		*ev = rows[i].event;
		*kind = rows[i].kind;
		*sealed = rows[i].sealed;
		return true;
	}
	return false;
}

/* What should be the peer's proof cannot be read: of pre-shared keys, mostly another one. Nothing is changed by it; the
 * peer is told, in clear, for it has no keys that we could both read. */
static void unreadable(struct ike_sa *sa)
{
	struct keying *k = sa->k;
	char remote[ADDR_TEXT];

	k->dropped[KEYING_DROP_BAD_ICV]++;
	if (sa->initiator || sa->v1->method != V1_METHOD_PSK || sa->repeats >= V1_REPEATS_MOST ||
	    k->now_ms - sa->repeated_ms < REPEAT_MS)
		return;
	sa->repeats++;
	sa->repeated_ms = k->now_ms;
	contact_fault_stranger(k, &sa->local, &sa->remote, ike_rule_name(sa),
			       (struct fault){ .code = FAILURE_WRONG_KEY, .exchange = V1_MAIN },
			       "the proof of %s in main mode (IKEv1) cannot be read: its pre-shared key is not ours "
			       "(authentication '%s')",
			       addr_text(&sa->remote, remote), sa->auth_set->name);
	main_refuse(sa, V1_N_PAYLOAD_MALFORMED);
}

static void step(struct ike_sa *sa, enum mm_event ev, const struct v1_msg *m, const uint8_t *digest, struct v1_iv iv,
		 bool sealed)
{
	struct v1_iv before = sa->v1->iv;
	struct diag d = { 0 };

	if (sealed)
		sa->v1->iv = iv;
	enum mm_state was = sa->v1->state;
	uint8_t digest_before[DIGEST];
	memcpy(digest_before, sa->last_digest, DIGEST);
	memcpy(sa->last_digest, digest, DIGEST);
	int r = mm_step(sa, ev, m, NULL, &d);
	if (sa->state == IKE_DEAD)
		return;
	if (r == 0 && (sa->v1->state != was || ev == MEV_ID))
		return;
	memcpy(sa->last_digest, digest_before, DIGEST); /* passed over */
	if (sealed)
		sa->v1->iv = before;
	if (r == 0)
		return;
	mm_fail(sa, r, d.text);
}

static void main_came(struct ike_sa *sa, const struct ike_header *h, const uint8_t *octets, size_t len,
		      const uint8_t *digest)
{
	struct keying *k = sa->k;
	enum v1_message_kind kind;
	enum mm_event ev;
	struct v1_iv iv = sa->v1->iv;
	bool sealed;

	if (memcmp(digest, sa->last_digest, DIGEST) == 0) {
		if (!sa->initiator && mm_may_repeat(sa))
			todo_send_back(sa, &sa->last_reply);
		else
			k->dropped[KEYING_DROP_REPEATED]++;
		return;
	}
	if (sa->state >= IKE_ESTABLISHED || sa->receive_id == UINT32_MAX ||
	    !expected(sa->v1->state, &ev, &kind, &sealed) || !(h->flags & V1_FLAG_ENCRYPTED) == sealed) {
		k->dropped[KEYING_DROP_EXCHANGE]++;
		return;
	}
	struct v1_msg *m = mem_new(1, sizeof *m);
	memmove(k->in, octets, len); /* it is there already if it came in pieces */
	struct wire_in in = wire_in(k->in + IKE_HEADER, len - IKE_HEADER);
	m->h = *h;
	m->raw = (struct keying_octets){ octets, len };
	if (sealed && (v1_open(k->in, len, &sa->suite, &sa->v1->keys.cipher, &iv, NULL) < 0 ||
		       v1_decode_payloads(&in, kind, m, NULL) < 0))
		unreadable(sa);
	else if (!sealed && v1_decode_payloads(&in, kind, m, NULL) < 0)
		k->dropped[KEYING_DROP_MALFORMED]++;
	else if (!sealed || nat_heard(sa)) /* from message 5 on another port may be used (RFC 3947 4) */
		step(sa, ev, m, digest, iv, sealed);
	free(m);
}

/* ---- the way in -------------------------------------------------------------------------------------------------- */

static void known(struct ike_sa *sa, const struct ike_header *h, const struct addr *local, const uint8_t *octets,
		  size_t len);

/* What came in pieces: a message of the same IKE SA, and not a piece itself. */
static void whole_came(struct ike_sa *sa, const struct addr *local, struct keying_octets whole)
{
	struct wire_in in = wire_in(whole.at, whole.len);
	struct ike_header h;

	if (v1_decode_header(&in, &h, NULL) < 0 || h.spi_i != sa->spi_i || h.spi_r != sa->spi_r ||
	    h.next == V1_PL_FRAGMENT) {
		sa->k->dropped[KEYING_DROP_FRAGMENT]++;
		return;
	}
	known(sa, &h, local, whole.at, whole.len);
}

static void known(struct ike_sa *sa, const struct ike_header *h, const struct addr *local, const uint8_t *octets,
		  size_t len)
{
	struct keying *k = sa->k;
	struct octets all = { octets, len };
	struct keying_octets whole;
	uint8_t digest[DIGEST_MAX];
	size_t digest_len;

	if (!nat_may_come(sa, local, &k->from.remote)) {
		k->dropped[KEYING_DROP_ADDRESS]++;
		return;
	}
	if (h->next == V1_PL_FRAGMENT) {
		if (pieces_take(sa, h, octets, len, &whole))
			whole_came(sa, local, whole);
		return;
	}
	if (crypto_digest("SHA256", &all, 1, digest, &digest_len, NULL) < 0)
		return;
	bool sealed = h->flags & V1_FLAG_ENCRYPTED;
	if (h->exchange == V1_MAIN)
		main_came(sa, h, octets, len, digest);
	else if (h->exchange == V1_INFORMATIONAL && sealed && sa->v1->keyed)
		notice_came(sa, h, octets, len);
	else if (h->exchange == V1_INFORMATIONAL && !sealed)
		notice_clear(sa, h, octets, len);
	else if (h->exchange == V1_QUICK && sealed && h->id && sa->v1->state == MM_UP)
		quick_came(sa, h, octets, len, digest);
	else
		k->dropped[KEYING_DROP_EXCHANGE]++;
}

bool v1_message(struct keying *k, const struct addr *local, const uint8_t *octets, size_t len)
{
	struct wire_in in = wire_in(octets, len);
	struct ike_header h;

	if (v1_decode_header(&in, &h, NULL) < 0) {
		k->dropped[KEYING_DROP_MALFORMED]++;
		return true;
	}
	struct ike_sa *sa = find(k, &h);
	if (sa) {
		known(sa, &h, local, octets, len);
		return true;
	}
	if (k->closing || !have_rule(k, local, &k->from.remote))
		return k->closing;
	if (h.exchange >= AUTHIP_FIRST && h.exchange <= AUTHIP_LAST) /* Windows asks by IKEv1 as well */
		k->dropped[KEYING_DROP_EXCHANGE]++;
	else if (h.exchange == V1_AGGRESSIVE)
		k->dropped[KEYING_DROP_AGGRESSIVE]++;
	else if (h.spi_r)
		unknown_cookie(k, &h, local);
	else if (h.exchange == V1_MAIN && h.spi_i && !h.id && !(h.flags & V1_FLAG_ENCRYPTED))
		(void)main_request(k, &h, &k->from, local, octets, len);
	else
		k->dropped[KEYING_DROP_EXCHANGE]++;
	return true;
}
