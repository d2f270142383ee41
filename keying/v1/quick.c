/* keying/v1/quick.c - a quick mode of IKEv1 from wish to end: one table of steps (RFC 2409 5.5), and its messages. Once
 * keys are there it is a CHILD SA like any other (child.c): the inbound half is installed before the peer can send
 * under it, the outbound half after that. */
#include "keying/v1/v1.h"
#include <stdlib.h>
#include <string.h>

static quick_action ask_nonce, keep_nonce, send_under, up, later;

static const struct quick_row {
	enum child_state state;
	enum child_event event;
	quick_action *act;
	enum child_state next;
} steps[] = {
	/* in state         on           do                then */
	{ CHILD_IDLE, CEV_START, ask_nonce, CHILD_NONCE },
	{ CHILD_NONCE, CEV_JOB, keep_nonce, CHILD_SPI },
	{ CHILD_SPI, CEV_SPI, quick_offer, CHILD_OFFERED },
	{ CHILD_OFFERED, CEV_REPLY, quick_take, CHILD_DERIVE },
	{ CHILD_DERIVE, CEV_JOB, quick_key, CHILD_INBOUND },
	{ CHILD_INBOUND, CEV_DONE, quick_end, CHILD_CONNECT },
	{ CHILD_CONNECT, CEV_SETTLED, send_under, CHILD_OUTBOUND },

	{ CHILD_R_IDLE, CEV_REQUEST, quick_ask_answer, CHILD_R_NONCE },
	{ CHILD_R_NONCE, CEV_JOB, keep_nonce, CHILD_R_SPI },
	{ CHILD_R_SPI, CEV_SPI, quick_key, CHILD_R_INBOUND },
	{ CHILD_R_INBOUND, CEV_DONE, quick_answer, CHILD_SETTLE },
	{ CHILD_SETTLE, CEV_SETTLED, send_under, CHILD_OUTBOUND },

	{ CHILD_OUTBOUND, CEV_DONE, up, CHILD_UP },
	{ CHILD_UP, CEV_DONE, later, CHILD_UP }, /* began to send later than the others */
};

const size_t quick_row_count = ARRAY_LEN(steps);

int quick_step(struct child *c, enum child_event ev, const struct v1_msg *m, const struct keying_result *r,
	       struct diag *d)
{
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		const struct quick_row *s = &steps[i];
		if (s->state != c->state || s->event != ev)
			continue;
		c->ike->k->rows.quick |= UINT64_C(1) << i;
		int e = s->act(c, &(struct quick_input){ m, r }, d);
		if (e != 0 || c->state != s->state)
			return e < 0 ? e : 0;
		c->state = s->next;
		/* Some steps have nothing to wait for. */
		if (c->state == CHILD_DERIVE && !c->group)
			return quick_step(c, CEV_JOB, NULL, NULL, d);
		if (c->state == CHILD_CONNECT && c->settle_ms == UINT64_MAX)
			return quick_step(c, CEV_SETTLED, NULL, NULL, d);
		if (c->state == CHILD_OUTBOUND && !c->sends)
			return quick_step(c, CEV_DONE, NULL, NULL, d);
		return 0;
	}
	return diag_fail(d, ERR_UNEXPECTED, "event %d of a quick mode in state %d", ev, c->state);
}

static int ask_nonce(struct child *c, const struct quick_input *in, struct diag *d)
{
	return child_ask_nonce(c, &(struct child_input){ .result = in->result }, d);
}

static int keep_nonce(struct child *c, const struct quick_input *in, struct diag *d)
{
	return child_keep_nonce(c, &(struct child_input){ .result = in->result }, d);
}

static int send_under(struct child *c, const struct quick_input *in, struct diag *d)
{
	c->v1->waits = false;
	c->v1->resend_ms = UINT64_MAX;
	if (!c->initiator && c->v1->commit)
		quick_connected(c);
	return child_send(c, &(struct child_input){ .result = in->result }, d);
}

static int up(struct child *c, const struct quick_input *in, struct diag *d)
{
	c->v1->forget_ms = c->ike->k->now_ms + V1_QUICK_KEEP_MS;
	return child_up(c, &(struct child_input){ .result = in->result }, d);
}

static int later(struct child *c, const struct quick_input *in, struct diag *d)
{
	return child_go(c, &(struct child_input){ .result = in->result }, d);
}

/* ---- birth and death --------------------------------------------------------------------------------------------- */

struct quick *quick_new(struct child *c)
{
	c->v1 = mem_new(1, sizeof *c->v1);
	*c->v1 = (struct quick){ .under = c->ike->number, .resend_ms = UINT64_MAX, .forget_ms = UINT64_MAX };
	return c->v1;
}

static void forget(struct quick *q)
{
	owned_wipe(&q->sent);
	owned_wipe(&q->asked);
	owned_wipe(&q->chosen_raw);
	q->forget_ms = q->resend_ms = UINT64_MAX;
	q->waits = false;
}

void quick_free(struct quick *q)
{
	if (!q)
		return;
	forget(q);
	explicit_bzero(q, sizeof *q);
	free(q);
}

/* The shorter of the two ends' wishes. */
uint64_t quick_life_ms(const struct child *c, uint64_t ours_ms)
{
	uint64_t theirs_ms = c->v1->life_s * UINT64_C(1000);

	return theirs_ms && (!ours_ms || theirs_ms < ours_ms) ? theirs_ms : ours_ms;
}

/* ---- selectors --------------------------------------------------------------------------------------------------- */

/* An ID payload names one port or all, so of ranges we can only speak in part. */
static bool port_of(struct port_range r, uint16_t *ret)
{
	*ret = port_given(r) ? r.lo : 0;
	return !port_given(r) || (r.lo == r.hi && r.lo != 0);
}

static bool put_one(const struct child *c, struct ike_writer *w, bool local)
{
	const struct sa_selector *s = &c->selector;
	const struct addr_range range = local ? sa_selector_locals(s) : sa_selector_remotes(s);
	uint8_t body[64];
	uint16_t port = 0;

	if (selector_is_icmp(s->protocol) ? port_given(s->local_port)
					  : !port_of(local ? s->local_port : s->remote_port, &port))
		return false;
	size_t len = v1_id_body_range(&range, (uint8_t)(s->protocol == PROTOCOL_ANY ? 0 : s->protocol), port, body,
				      sizeof body);
	v1_put_id(w, (struct keying_octets){ body, len });
	return len != 0;
}

bool quick_put_selectors(const struct child *c, struct ike_writer *w)
{
	return put_one(c, w, c->initiator) && put_one(c, w, !c->initiator);
}

void quick_selector_ts(const struct v1_id *id, struct ike_ts *ret)
{
	*ret = (struct ike_ts){ .protocol = id->protocol,
				.port_lo = id->port,
				.port_hi = id->port ? id->port : 65535,
				.range = id->range };
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

int quick_send(struct child *c, struct ike_writer *w, bool waits, struct diag *d)
{
	struct ike_sa *sa = c->ike;
	struct quick *q = c->v1;
	struct v1_iv iv = q->iv;
	int r = v1_seal(w, &sa->suite, &sa->v1->keys.cipher, &iv, d);

	if (r < 0)
		return r;
	if (w->out.failed)
		return diag_fail(d, ERR_UNSUPPORTED, "a message of quick mode does not fit %d octets",
				 IKE_MESSAGE_MOST);
	q->iv = iv;
	owned_set(&q->sent, w->out.buf, w->out.len);
	q->waits = waits;
	q->tries = 1;
	q->repeats = 0;
	q->resend_ms = waits ? sa->k->now_ms + sa->k->config.retransmit_first_ms : UINT64_MAX;
	todo_send_ike(sa, &q->sent);
	child_arm(c);
	return 0;
}

uint64_t quick_deadline(const struct child *c)
{
	return c->v1->resend_ms < c->v1->forget_ms ? c->v1->resend_ms : c->v1->forget_ms;
}

static void unanswered(struct child *c)
{
	struct ike_sa *sa = c->ike;
	char remote[ADDR_TEXT];
	uint64_t began = sa->k->now_ms - (uint64_t)RESEND_MOST_MS * 4;

	if (!c->initiator) { /* it has lost interest, or never heard of our answer: it asks again if it wants */
		if (ike_usable(sa) || renew_successor(sa)) /* or it has it, and its third message was lost */
			notice_delete_child(ike_usable(sa) ? sa : renew_successor(sa), c);
		child_drop(c, NULL);
		return;
	}
	if (sa->heard_ms < began) { /* nor to anything else */
		ike_down(sa, EVENT_PEER_UNREACHABLE, "%s no longer answers", addr_text(&sa->remote, remote));
		return;
	}
	child_fault(c, (struct fault){ .code = FAILURE_NO_ANSWER, .by = SIDE_NOBODY, .exchange = V1_QUICK },
		    "no answer from %s to quick mode by IKEv1, though main mode is up: it may have no rule for that "
		    "traffic and say nothing of it",
		    addr_text(&sa->remote, remote));
}

bool quick_due(struct child *c)
{
	struct keying *k = c->ike->k;
	struct quick *q = c->v1;

	if (q->forget_ms <= k->now_ms)
		forget(q);
	if (q->resend_ms > k->now_ms)
		return true;
	if (q->tries >= k->config.retransmit_tries) {
		unanswered(c);
		return false;
	}
	uint64_t wait_ms = (uint64_t)k->config.retransmit_first_ms << q->tries;
	q->tries++;
	q->resend_ms = k->now_ms + (wait_ms < RESEND_MOST_MS ? wait_ms : RESEND_MOST_MS);
	todo_send_ike(c->ike, &q->sent);
	return true;
}

/* ---- what comes in ----------------------------------------------------------------------------------------------- */

static struct child *of_id(const struct ike_sa *sa, uint32_t id)
{
	struct child *c;

	LIST_FOREACH(c, &sa->children, entry)
		if (c->v1 && c->v1->id == id)
			return c;
	return NULL;
}

/* One that was negotiated here and lives under the next main mode by now: what still comes for it is repeated. */
static struct child *moved_away(const struct ike_sa *sa, uint32_t id)
{
	struct ike_sa *other;
	struct child *c;

	if (!sa->contact)
		return NULL;
	LIST_FOREACH(other, &sa->contact->ikes, of_contact)
		LIST_FOREACH(c, &other->children, entry)
			if (c->v1 && c->v1->id == id && c->v1->under == sa->number)
				return c;
	return NULL;
}

/* Decrypt and take apart; nothing is changed. */
static int open_message(struct ike_sa *sa, const uint8_t *octets, size_t len, enum v1_message_kind kind,
			struct v1_iv *iv, struct v1_msg *m)
{
	struct keying *k = sa->k;
	struct wire_in in;

	memcpy(k->in, octets, len);
	if (v1_open(k->in, len, &sa->suite, &sa->v1->keys.cipher, iv, NULL) < 0)
		return -ERR_SYNTAX;
	in = wire_in(k->in + IKE_HEADER, len - IKE_HEADER);
	return v1_decode_payloads(&in, kind, m, NULL);
}

static bool is_hash(const struct v1_msg *m, int r, const struct key *want)
{
	return r == 0 && want->len && m->hash.len == want->len && octets_equal(m->hash.at, want->octets, want->len);
}

static bool is_hash_1(const struct ike_sa *sa, const struct v1_msg *m)
{
	SCOPED(key_wipe) struct key want = { 0 };

	return is_hash(m, v1_hash_quick_1(sa->suite.prf, &sa->v1->keys.a, m->h.id, m->after_hash, &want, NULL), &want);
}

static bool is_hash_2(const struct child *c, const struct v1_msg *m)
{
	SCOPED(key_wipe) struct key want = { 0 };

	return is_hash(m,
		       v1_hash_quick_2(c->ike->suite.prf, &c->ike->v1->keys.a, m->h.id, owned_octets(&c->nonce_i),
				       m->after_hash, &want, NULL),
		       &want);
}

static bool is_hash_3(const struct child *c, const struct v1_msg *m)
{
	SCOPED(key_wipe) struct key want = { 0 };

	return is_hash(m,
		       v1_hash_quick_3(c->ike->suite.prf, &c->ike->v1->keys.a, m->h.id, owned_octets(&c->nonce_i),
				       owned_octets(&c->nonce_r), &want, NULL),
		       &want);
}

/* It answers what we have just said, so it is no repetition of an old message. */
static void heard_fresh(struct ike_sa *sa)
{
	sa->heard_ms = sa->k->now_ms;
	(void)nat_heard(sa);
}

/* Of the peer's message IDs as many are remembered; then main mode is made anew, with other keys. */
static bool is_new(struct ike_sa *sa, uint32_t id)
{
	struct mm *v1 = sa->v1;

	for (size_t i = 0; i < v1->quick_count; i++)
		if (v1->quick_ids[i] == id)
			return false;
	if (v1->quick_count == V1_QUICKS_MOST)
		return false;
	v1->quick_ids[v1->quick_count++] = id;
	if (v1->quick_count == V1_QUICKS_MOST / 4 * 3 && sa->rekey_ms > sa->k->now_ms) {
		sa->rekey_ms = sa->k->now_ms;
		ike_arm(sa);
	}
	return true;
}

static void request(struct ike_sa *sa, const struct ike_header *h, const uint8_t *octets, size_t len,
		    const uint8_t *digest, struct v1_msg *m)
{
	struct keying *k = sa->k;
	struct v1_iv iv;
	struct diag d = { 0 };
	uint16_t notify = 0;

	if (sa->state != IKE_ESTABLISHED || !sa->contact || sa->gone ||
	    v1_iv_message(&sa->suite, &sa->v1->iv, h->id, &iv, NULL) < 0) {
		k->dropped[KEYING_DROP_EXCHANGE]++;
		return;
	}
	if (open_message(sa, octets, len, V1_MSG_QUICK_SA, &iv, m) < 0 || !is_hash_1(sa, m)) {
		k->dropped[KEYING_DROP_BAD_ICV]++;
		return;
	}
	if (!is_new(sa, h->id)) {
		k->dropped[KEYING_DROP_REPEATED]++;
		return;
	}
	struct child *c = sa->unwanted ? NULL : quick_asked(sa, m, &notify, &d);
	if (!c) {
		if (!sa->unwanted)
			contact_fault(
				k, &sa->local, &sa->remote, "", EVENT_QUICK_MODE_FAILED,
				(struct fault){ failure_of(d.code), SIDE_HERE, V1_QUICK, 0, peer_kept_id(sa->peer) },
				"%s asked for a quick mode by IKEv1, and we refused: %s", peer_kept_id(sa->peer),
				d.text);
		quick_refuse(sa, m->offer.count ? m->offer.proposals[0].spi : 0,
			     notify ? notify : V1_N_NO_PROPOSAL_CHOSEN);
		return;
	}
	c->v1->iv = iv;
	memcpy(c->v1->last_digest, digest, DIGEST);
	if (quick_step(c, CEV_REQUEST, m, NULL, &d) < 0)
		child_fail(c, "%s", d.text);
}

static void again(struct child *c)
{
	struct keying *k = c->ike->k;
	struct quick *q = c->v1;

	if (!q->sent.len || q->repeats >= V1_REPEATS_MOST || k->now_ms - q->repeated_ms < REPEAT_MS) {
		k->dropped[KEYING_DROP_REPEATED]++;
		return;
	}
	q->repeats++;
	q->repeated_ms = k->now_ms;
	todo_send_back(c->ike, &q->sent);
}

/* Does it wait for CONNECTED, or would have, or need not? All the same: a failing one is passed over ([MS-IKEE] 3.7).
 */
static bool is_connected(const struct child *c, const struct v1_msg *m)
{
	return c->initiator && v1_find_notify(m, V1_N_CONNECTED);
}

void quick_came(struct ike_sa *sa, const struct ike_header *h, const uint8_t *octets, size_t len, const uint8_t *digest)
{
	struct keying *k = sa->k;
	struct child *c = of_id(sa, h->id), *moved = c ? NULL : moved_away(sa, h->id);
	struct v1_msg *m;
	struct diag d = { 0 };

	if (moved && memcmp(moved->v1->last_digest, digest, DIGEST) != 0) {
		k->dropped[KEYING_DROP_REPEATED]++;
		return;
	}
	if (moved) {
		again(moved);
		return;
	}
	if (c && memcmp(c->v1->last_digest, digest, DIGEST) == 0) {
		again(c);
		return;
	}
	m = mem_new(1, sizeof *m);
	m->h = *h;
	if (!c) {
		request(sa, h, octets, len, digest, m);
		free(m);
		return;
	}
	bool answer = c->initiator && c->state == CHILD_OFFERED, third = !c->initiator && c->state == CHILD_SETTLE;
	bool fourth = c->initiator && c->state >= CHILD_CONNECT && c->state <= CHILD_UP;
	struct v1_iv iv = c->v1->iv;
	if (!answer && !third && !fourth) {
		k->dropped[KEYING_DROP_EXCHANGE]++;
	} else if (open_message(sa, octets, len, answer ? V1_MSG_QUICK_SA : V1_MSG_QUICK_END, &iv, m) < 0 ||
		   (answer && !is_hash_2(c, m)) || (third && !is_hash_3(c, m)) || (fourth && !is_connected(c, m))) {
		k->dropped[KEYING_DROP_BAD_ICV]++;
	} else {
		heard_fresh(sa);
		c->v1->iv = iv;
		memcpy(c->v1->last_digest, digest, DIGEST);
		if (answer) {
			int r = quick_step(c, CEV_REPLY, m, NULL, &d);
			if (r < 0)
				child_fault(c, (struct fault){ .code = failure_of(r), .exchange = V1_QUICK }, "%s",
					    d.text);
		} else if (third || c->state == CHILD_CONNECT) {
			(void)quick_step(c, CEV_SETTLED, NULL, NULL, NULL);
		}
	}
	free(m);
}
