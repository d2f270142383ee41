/* keying/exchange.c - requests and replies under protection (RFC 7296 2.1, 2.2, 2.3): one request of ours is out at a
 * time, the others wait; it is repeated octet for octet until the reply comes. The peer's last request is answered
 * once, and its repetitions get the same octets again. */
#include "keying/engine.h"
#include "keying/v1/v1.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what we ask ------------------------------------------------------------------------------------------------- */

static bool put_create_child(struct ike_sa *sa, const struct task *t, struct ike_writer *w)
{
	struct child *c = child_by_pair(sa->k, t->object);

	if (c && c->state == CHILD_QUEUED && !child_still_wanted(c)) {
		child_drop(c, NULL);
		return false;
	}
	if (!c || c->state != CHILD_QUEUED || child_step(c, CEV_TURN, NULL, NULL, NULL) < 0)
		return false;
	child_put_offer(c, w);
	return true;
}

static void create_child_answered(struct ike_sa *sa, const struct task *t, const struct ike_msg *m)
{
	struct child *c = child_by_pair(sa->k, t->object);

	if (c)
		child_reply(c, m);
}

static bool put_rekey(struct ike_sa *sa, const struct task *t, struct ike_writer *w)
{
	struct ike_sa *new = keying_ike_by_number(sa->k, t->object);

	if (!new || new->state != IKE_NEW_QUEUED)
		return false;
	new->state = IKE_NEW_SENT;
	rekey_put_offer(new, w);
	return true;
}

static void rekey_answered_by(struct ike_sa *sa, const struct task *t, const struct ike_msg *m)
{
	struct ike_sa *new = keying_ike_by_number(sa->k, t->object);

	if (new &&new->state == IKE_NEW_SENT)
		rekey_reply(new, m);
}

static bool put_delete_child(struct ike_sa *sa, const struct task *t, struct ike_writer *w)
{
	const struct child *c = child_by_pair(sa->k, t->object);

	if (!c)
		return false;
	ike_put_delete(w, (uint8_t)c->choice.suite.protocol, &c->spi_in, 1);
	if (c->not_member)
		ike_put_notify(w, N_CORDON_NOT_MEMBER, NULL, 0);
	return true;
}

static void delete_child_answered(struct ike_sa *sa, const struct task *t, const struct ike_msg *m)
{
	struct child *c = child_by_pair(sa->k, t->object);

	(void)m;
	if (c)
		child_drop(c, "we deleted it");
}

static bool put_delete_ike(struct ike_sa *sa, const struct task *t, struct ike_writer *w)
{
	(void)t;
	struct child *c;

	sa->state = IKE_DELETING;
	LIST_FOREACH(c, &sa->children, entry)
		child_stop_sending(c); /* the peer will know it no more */
	ike_put_delete_ike(w);
	return true;
}

static void delete_ike_answered(struct ike_sa *sa, const struct task *t, const struct ike_msg *m)
{
	(void)t;
	(void)m;
	ike_deleted(sa);
}

static bool put_liveness(struct ike_sa *sa, const struct task *t, struct ike_writer *w)
{
	(void)t;
	if (sa->token_due)
		crash_put(sa, w);
	sa->token_due = false;
	return true; /* else an empty request (2.4) */
}

static void alive(struct ike_sa *sa, const struct task *t, const struct ike_msg *m)
{
	(void)sa;
	(void)t;
	(void)m;
}

static bool put_not_proven(struct ike_sa *sa, const struct task *t, struct ike_writer *w)
{
	(void)sa;
	(void)t;
	ike_put_notify(w, N_AUTHENTICATION_FAILED, NULL, 0);
	return true;
}

static void end(struct ike_sa *sa, const struct task *t, const struct ike_msg *m)
{
	(void)t;
	(void)m;
	ike_drop(sa);
}

static const struct task_row {
	enum ike_exchange exchange;
	enum ike_message_kind reply;
	bool first;                                                                 /* goes before all that waits */
	bool (*put)(struct ike_sa *sa, const struct task *t, struct ike_writer *w); /* false: no longer wanted */
	void (*answered)(struct ike_sa *sa, const struct task *t, const struct ike_msg *m);
} tasks[TASK_KINDS] = {
	[TASK_CREATE_CHILD] = { CREATE_CHILD_SA, MSG_CHILD_REPLY, false, put_create_child, create_child_answered },
	[TASK_REKEY_IKE] = { CREATE_CHILD_SA, MSG_CHILD_REPLY, false, put_rekey, rekey_answered_by },
	[TASK_DELETE_CHILD] = { INFORMATIONAL, MSG_INFORMATIONAL, false, put_delete_child, delete_child_answered },
	[TASK_DELETE_IKE] = { INFORMATIONAL, MSG_INFORMATIONAL, true, put_delete_ike, delete_ike_answered },
	[TASK_LIVENESS] = { INFORMATIONAL, MSG_INFORMATIONAL, false, put_liveness, alive },
	[TASK_NOT_PROVEN] = { INFORMATIONAL, MSG_INFORMATIONAL, true, put_not_proven, end },
};

void exchange_begin_message(struct ike_sa *sa, struct ike_writer *w, enum ike_exchange exchange, bool reply,
			    size_t *ret_sk)
{
	const struct ike_header h = {
		.spi_i = sa->spi_i,
		.spi_r = sa->spi_r,
		.exchange = (uint8_t)exchange,
		.flags = (uint8_t)((sa->initiator ? IKE_FLAG_INITIATOR : 0) | (reply ? IKE_FLAG_RESPONSE : 0)),
		.id = reply ? sa->receive_id - 1 : sa->send_id,
	};

	ike_write_begin(w, sa->k->out, sizeof sa->k->out, &h);
	*ret_sk = ike_sk_begin(w, &sa->out);
}

int exchange_end_message(struct ike_sa *sa, struct ike_writer *w, size_t sk, struct diag *d)
{
	return fragment_seal(sa, w, sk, d);
}

static void send_out(struct ike_sa *sa)
{
	sa->request.sent_ms = sa->k->now_ms;
	todo_send_ike(sa, &sa->request.octets);
}

void exchange_send_request(struct ike_sa *sa, struct ike_writer *w, struct task *t)
{
	struct request *r = &sa->request;

	owned_set(&r->octets, w->out.buf, w->out.len);
	r->out = true;
	r->id = sa->send_id++;
	r->tries = 1;
	r->resend_ms = sa->k->now_ms + sa->k->config.retransmit_first_ms;
	r->task = t;
	send_out(sa);
	ike_arm(sa);
}

bool exchange_resend(struct ike_sa *sa)
{
	struct request *r = &sa->request;

	if (sa->v1 && sa->state >= IKE_ESTABLISHED)
		return notice_resend(sa);
	if (r->tries >= sa->k->config.retransmit_tries)
		return false;
	uint64_t wait_ms = (uint64_t)sa->k->config.retransmit_first_ms << r->tries;

	r->resend_ms = sa->k->now_ms + (wait_ms < RESEND_MOST_MS ? wait_ms : RESEND_MOST_MS);
	if (r->tries++ == FRAGMENT_PATIENCE && !sa->v1)
		fragment_recut(sa, &r->octets);
	send_out(sa);
	return true;
}

void exchange_hurry(struct ike_sa *sa)
{
	sa->request.tries = 2;
	sa->request.resend_ms = sa->k->now_ms + sa->k->config.retransmit_first_ms;
	ike_arm(sa);
}

void exchange_done(struct ike_sa *sa)
{
	owned_wipe(&sa->request.octets);
	fragment_forget(sa, true);
	sa->request.out = false;
	free(sa->request.task);
	sa->request.task = NULL;
}

void exchange_clear(struct ike_sa *sa)
{
	struct task *t;

	exchange_done(sa);
	while ((t = TAILQ_FIRST(&sa->tasks))) {
		TAILQ_REMOVE(&sa->tasks, t, entry);
		free(t);
	}
	sa->task_count = 0;
}

bool exchange_queued(const struct ike_sa *sa, enum task_kind kind, uint64_t object)
{
	const struct task *t = sa->request.task;

	if (t && t->kind == kind && t->object == object)
		return true;
	TAILQ_FOREACH(t, &sa->tasks, entry)
		if (t->kind == kind && t->object == object)
			return true;
	return false;
}

/* The peer has, or will have in a moment, a new IKE SA in place of this one, and the CHILD SAs live there. */
static bool is_moving(const struct ike_sa *new)
{
	return new && (new->state == IKE_NEW_SENT || new->state == IKE_NEW_DERIVE || new->state == IKE_NEW_KEYED);
}

/* The first that may be asked now. What is about CHILD SAs waits while they move from one IKE SA to the next: under the
 * old one the peer would look for them in vain, and take a Delete for one of something that it does not have (2.8). */
static struct task *next_task(const struct ike_sa *sa)
{
	bool moving = is_moving(sa->replaced_by) || is_moving(sa->rival);
	struct task *t;

	TAILQ_FOREACH(t, &sa->tasks, entry)
		if (!moving || (t->kind != TASK_CREATE_CHILD && t->kind != TASK_DELETE_CHILD))
			return t;
	return NULL;
}

/* Ask the next thing that is still wanted. */
void exchange_pump(struct ike_sa *sa)
{
	struct task *t;
	struct ike_writer w;
	struct diag d = { 0 };
	size_t sk;

	if (sa->v1) {
		notice_pump(sa);
		return;
	}
	while (!sa->request.out && (sa->state == IKE_ESTABLISHED || sa->state == IKE_DELETING) && (t = next_task(sa))) {
		const struct task_row *row = &tasks[t->kind];
		TAILQ_REMOVE(&sa->tasks, t, entry);
		sa->task_count--;
		exchange_begin_message(sa, &w, row->exchange, false, &sk);
		if (!row->put(sa, t, &w)) {
			free(t);
			continue;
		}
		if (exchange_end_message(sa, &w, sk, &d) < 0) { /* out of memory in the library, or too long */
			free(t);
			ike_down(sa, EVENT_MAIN_MODE_DOWN, "%s", d.text);
			return;
		}
		exchange_send_request(sa, &w, t);
	}
	ike_arm(sa);
}

void exchange_queue(struct ike_sa *sa, enum task_kind kind, uint64_t object)
{
	struct task *t;

	if (sa->state == IKE_DEAD || (sa->task_count >= TASKS_MOST && !tasks[kind].first))
		return; /* what it was for is wanted again later, or expires */
	t = mem_new(1, sizeof *t);
	*t = (struct task){ .kind = kind, .object = object };
	if (tasks[kind].first)
		TAILQ_INSERT_HEAD(&sa->tasks, t, entry);
	else
		TAILQ_INSERT_TAIL(&sa->tasks, t, entry);
	sa->task_count++;
	exchange_pump(sa);
}

/* ---- what we answer ---------------------------------------------------------------------------------------------- */

void exchange_reply(struct ike_sa *sa, struct ike_writer *w, size_t sk)
{
	struct diag d = { 0 };

	sa->answering = false;
	if (exchange_end_message(sa, w, sk, &d) < 0)
		return;
	owned_set(&sa->last_reply, w->out.buf, w->out.len);
	todo_send_ike(sa, &sa->last_reply);
}

void exchange_reply_notify(struct ike_sa *sa, enum ike_exchange exchange, uint16_t notify, const void *data, size_t len)
{
	struct ike_writer w;
	size_t sk;

	exchange_begin_message(sa, &w, exchange, true, &sk);
	ike_put_notify(&w, notify, data, len);
	exchange_reply(sa, &w, sk);
}

/* ---- what comes in ----------------------------------------------------------------------------------------------- */

#define BIT(exchange) (1u << ((exchange)-IKE_SA_INIT))
enum { UNDER_WAY = BIT(CREATE_CHILD_SA) | BIT(INFORMATIONAL) };

/* Which exchanges' requests are taken, and whose replies waited for, in each state of an IKE SA; elsewhere nothing is.
 * While a request is worked on (R_VERIFY ...) the next one is out of the window anyway. */
static const struct {
	uint8_t requests, replies;
	bool refuses; /* the peer is proven: what is out of season is answered, in words, and ends the SA (2.21.3) */
} seasons[IKE_DEAD + 1] = {
	/* in state            requests, replies               RFC 7296 */
	[IKE_I_INIT_SENT] = { 0, BIT(IKE_SA_INIT), false }, /* 1.2 */
	[IKE_I_GSS_ASKED] = { 0, BIT(IKE_AUTH), false },    /* RFC 6467 */
	[IKE_I_GSS_SHOWN] = { 0, BIT(IKE_AUTH), false },
	[IKE_I_AUTH_SENT] = { 0, BIT(IKE_AUTH), false },                      /* 1.2 */
	[IKE_R_INIT_SENT] = { BIT(IKE_AUTH), 0, false },                      /* 1.2 */
	[IKE_R_GSS_NAMED] = { BIT(IKE_AUTH) | BIT(INFORMATIONAL), 0, false }, /* the peer may give up */
	[IKE_R_GSS_SHOWN] = { BIT(IKE_AUTH) | BIT(INFORMATIONAL), 0, false },
	[IKE_NEW_KEYED] = { UNDER_WAY, 0, true },           /* 2.8.2 */
	[IKE_ESTABLISHED] = { UNDER_WAY, UNDER_WAY, true }, /* 1.3, 1.4 */
	[IKE_DELETING] = { UNDER_WAY, UNDER_WAY, false },   /* 1.4.1 */
};

enum season exchange_season(enum ike_state state, uint8_t exchange, bool is_reply)
{
	unsigned taken = is_reply ? seasons[state].replies : seasons[state].requests;

	if (exchange >= IKE_SA_INIT && exchange <= INFORMATIONAL && (taken & BIT(exchange)))
		return SEASON_TAKEN;
	return !is_reply && seasons[state].refuses ? SEASON_REFUSED : SEASON_PASSED_OVER;
}

static enum ike_message_kind kind_of_request(const struct ike_sa *sa, uint8_t exchange)
{
	return exchange == IKE_AUTH          ? gspm_waits(sa) ? MSG_GSPM_REQUEST : MSG_AUTH_REQUEST
	       : exchange == CREATE_CHILD_SA ? MSG_CHILD_REQUEST
					     : MSG_INFORMATIONAL;
}

/* It has proven nothing yet: what it says must not stand in the place of what is known of the peer. */
static void stranger_makes_no_sense(struct ike_sa *sa, int error, const char *why)
{
	contact_fault_stranger(sa->k, &sa->local, &sa->remote, ike_rule_name(sa),
			       (struct fault){ .code = error == -ERR_CRITICAL ? FAILURE_UNSUPPORTED : FAILURE_MALFORMED,
					       .exchange = IKE_AUTH },
			       "we refused the peer's IKE_AUTH: it makes no sense: %s", why);
	ike_drop(sa);
}

/* A request that is authentic and makes no sense: say so, and end the SA (2.21.2, 2.21.3). */
static void malformed(struct ike_sa *sa, const struct ike_msg *m, int error, const char *why)
{
	if (error == -ERR_CRITICAL)
		exchange_reply_notify(sa, (enum ike_exchange)m->h.exchange, N_UNSUPPORTED_CRITICAL_PAYLOAD,
				      &m->critical, 1);
	else
		exchange_reply_notify(sa, (enum ike_exchange)m->h.exchange, N_INVALID_SYNTAX, NULL, 0);
	if (sa->state == IKE_R_INIT_SENT || gspm_waits(sa))
		stranger_makes_no_sense(sa, error, why);
	else if (error != -ERR_CRITICAL) /* an extension that we lack is no reason to part */
		ike_down(sa, EVENT_MAIN_MODE_DOWN, "the peer's %s request makes no sense: %s",
			 ike_exchange_name(m->h.exchange), why);
}

static void request(struct ike_sa *sa, struct ike_msg *m, struct wire_in *in, uint8_t first)
{
	struct diag d = { 0 };
	int r = ike_decode_payloads(in, kind_of_request(sa, m->h.exchange), first, m, &d);

	if (r == 0 && sa->state == IKE_NEW_KEYED)
		rekey_heard(sa, m);
	if (r < 0) {
		malformed(sa, m, r, d.text);
	} else if (m->h.exchange == IKE_AUTH) {
		if (ike_step(sa, EV_AUTH_REQUEST, m, NULL, &d) < 0)
			ike_fail(sa, "%s", d.text);
	} else if (m->h.exchange == INFORMATIONAL) {
		informational_request(sa, m);
	} else if (sa->state == IKE_DELETING || sa->unwanted || !sa->contact ||
		   exchange_queued(sa, TASK_DELETE_IKE, 0)) {
		exchange_reply_notify(sa, CREATE_CHILD_SA, N_TEMPORARY_FAILURE, NULL, 0); /* 2.25.2 */
	} else if (m->offer.count && m->offer.proposals[0].protocol == PROTO_IKE) {
		rekey_request(sa, m);
	} else if (sa->replaced_by) {
		exchange_reply_notify(sa, CREATE_CHILD_SA, N_TEMPORARY_FAILURE, NULL, 0); /* 2.25.2 */
	} else {
		child_request(sa, m);
	}
}

static enum ike_message_kind kind_of_reply(const struct ike_sa *sa)
{
	if (sa->request.task)
		return tasks[sa->request.task->kind].reply;
	if (sa->state == IKE_I_GSS_ASKED || sa->state == IKE_I_GSS_SHOWN)
		return MSG_GSPM_REPLY;
	return gspm_in_use(sa) ? MSG_GSPM_END : MSG_AUTH_REPLY;
}

static enum ike_event event_of_reply(const struct ike_msg *m)
{
	if (m->has_auth)
		return EV_AUTH_REPLY;
	return m->has_gspm && !ike_find_error(m) ? EV_GSPM_REPLY : EV_REFUSED;
}

static void reply(struct ike_sa *sa, struct ike_msg *m, struct wire_in *in, uint8_t first)
{
	struct task *t = sa->request.task;
	struct diag d = { 0 };

	if (ike_decode_payloads(in, kind_of_reply(sa), first, m, &d) < 0) {
		if (sa->state < IKE_ESTABLISHED)
			ike_fault(sa, (struct fault){ .code = m->has_eap ? FAILURE_EAP : FAILURE_MALFORMED },
				  "the peer's reply to IKE_AUTH makes no sense: %s", d.text);
		else
			ike_down(sa, EVENT_MAIN_MODE_DOWN, "the peer's reply makes no sense: %s", d.text);
		return;
	}
	if (!t) {
		if (ike_step(sa, event_of_reply(m), m, NULL, &d) < 0)
			ike_fail(sa, "%s", d.text);
		return;
	}
	sa->request.task = NULL;
	exchange_done(sa);
	tasks[t->kind].answered(sa, t, m);
	free(t);
	if (sa->state != IKE_DEAD)
		exchange_pump(sa);
}

/* The request that was answered last, once more: the same octets, or its first fragment (RFC 7383 2.6.1), cut
 * otherwise (*ret_recut) if it is authentic. */
static bool repeated(struct ike_sa *sa, const struct ike_header *h, const struct ike_envelope *e, const uint8_t *octets,
		     size_t len, const uint8_t digest[DIGEST], bool *ret_recut)
{
	struct keying *k = sa->k;
	struct wire_in content;

	*ret_recut = false;
	if (memcmp(digest, sa->last_digest, DIGEST) == 0)
		return true;
	if (h->id + 1 != sa->receive_id || e->number != 1 || !sa->fragments || sa->answering ||
	    k->now_ms - sa->repeated_ms < REPEAT_MS)
		return false;
	memcpy(k->in, octets, len);
	*ret_recut = true;
	return ike_envelope_open(&sa->in, k->in, len, e, &content, NULL) == 0;
}

static void reply_again(struct ike_sa *sa, bool recut)
{
	struct keying *k = sa->k;

	child_peer_spoke(sa, false);
	if (sa->answering || !sa->last_reply.len || k->now_ms - sa->repeated_ms < REPEAT_MS) {
		k->dropped[KEYING_DROP_REPEATED]++;
		return;
	}
	sa->repeated_ms = k->now_ms;
	if (recut) /* the peer thinks that long packets do not get through */
		fragment_recut(sa, &sa->last_reply);
	todo_send_back(sa, &sa->last_reply);
}

/* Is it the one that is due? Asked before anything is decrypted. Counts why not. */
static bool due(struct ike_sa *sa, const struct ike_header *h, bool is_reply)
{
	struct keying *k = sa->k;

	if (is_reply ? !sa->request.out || h->id != sa->request.id
		     : h->id != sa->receive_id || sa->receive_id == UINT32_MAX || sa->answering) {
		k->dropped[KEYING_DROP_MESSAGE_ID]++;
		return false;
	}
	if (exchange_season(sa->state, h->exchange, is_reply) == SEASON_PASSED_OVER ||
	    (is_reply && sa->request.task && h->exchange != tasks[sa->request.task->kind].exchange)) {
		k->dropped[KEYING_DROP_EXCHANGE]++;
		return false;
	}
	return true;
}

void exchange_message(struct ike_sa *sa, const struct ike_header *h, const uint8_t *octets, size_t len,
		      const uint8_t digest[DIGEST])
{
	struct keying *k = sa->k;
	bool is_reply = h->flags & IKE_FLAG_RESPONSE, from_initiator = h->flags & IKE_FLAG_INITIATOR;
	struct ike_msg m = { .h = *h, .raw = { octets, len } };
	uint8_t first_digest[DIGEST];
	struct ike_envelope e;
	struct wire_in inner;

	if (from_initiator == sa->initiator || !sa->in.keys) {
		k->dropped[KEYING_DROP_DIRECTION]++;
		return;
	}
	if (ike_envelope_find(octets, len, &e, NULL) < 0) {
		k->dropped[KEYING_DROP_MALFORMED]++;
		return;
	}
	bool recut;
	if (!is_reply && repeated(sa, h, &e, octets, len, digest, &recut)) {
		reply_again(sa, recut);
		return;
	}
	if (!due(sa, h, is_reply))
		return;
	if (e.total && !fragment_wanted(sa, is_reply, &e)) {
		k->dropped[KEYING_DROP_FRAGMENT]++;
		return;
	}
	memcpy(k->in, octets, len);
	if (ike_envelope_open(&sa->in, k->in, len, &e, &inner, NULL) < 0) {
		k->dropped[KEYING_DROP_BAD_ICV]++; /* as if it had not come */
		return;
	}
	memcpy(first_digest, digest, DIGEST);
	if (e.total && !fragment_keep(sa, is_reply, &e, inner, digest, &inner, &e.first, first_digest))
		return;
	sa->heard_ms = k->now_ms;
	if (!nat_heard(sa))
		return;
	if (is_reply) {
		reply(sa, &m, &inner, e.first);
		return;
	}
	fragment_forget(sa, false);
	child_peer_spoke(sa, true);
	sa->receive_id++;
	memcpy(sa->last_digest, first_digest, DIGEST);
	sa->answering = true;
	sa->repeated_ms = 0;
	owned_wipe(&sa->last_reply);
	if (exchange_season(sa->state, h->exchange, false) == SEASON_REFUSED) {
		char why[64];
		(void)snprintf(why, sizeof why, "exchange type %u is not for an SA that is up", h->exchange);
		k->dropped[KEYING_DROP_EXCHANGE]++;
		malformed(sa, &m, -ERR_SYNTAX, why);
		return;
	}
	request(sa, &m, &inner, e.first);
}
