/* keying/v1/notice.c - what is told beside main and quick mode: Deletes, refusals, "are you there" (RFC
 * 2408 3.14, 3.15, RFC 2409 5.7, RFC 3706, [MS-IKEE] 3.8). Each message has an ID and an IV of its own and is covered
 * by HASH(1). What comes in clear proves nothing: of a main mode that is being made it is a hint, of one that is up a
 * reason to ask. */
#include "keying/v1/v1.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	NONCE_OCTETS = 32,
	SPIS_MOST = 64,
	DELETE_TRIES = 6, /* [MS-IKEE] 3.8 */
	WINDOWS_XP = 3,   /* 2000 does not know reliable deletes */
};

/* ---- sending ----------------------------------------------------------------------------------------------------- */

static bool begin(struct ike_sa *sa, struct ike_writer *w, uint32_t id, size_t *ret_at)
{
	if (id != sa->v1->answered_id) /* then it is the peer's */
		sa->v1->sent[sa->v1->sent_at++ % V1_IDS_SENT] = id;
	mm_begin(sa, w, V1_INFORMATIONAL, id);
	*ret_at = v1_put_hash_space(w, sa->suite.prf->key);
	return sa->v1->keyed;
}

/* nonce_i: of a reliable Delete that is being answered; empty: HASH(1). */
static bool end(struct ike_sa *sa, struct ike_writer *w, uint32_t id, size_t at, struct keying_octets nonce_i)
{
	const size_t len = sa->suite.prf->key;
	SCOPED(key_wipe) struct key hash = { 0 };
	struct v1_iv iv;
	int r;

	if (w->out.failed)
		return false;
	const struct keying_octets covered = v1_hash_covers(w, at, len);
	if (nonce_i.len)
		r = v1_hash_delete_2(sa->suite.prf, &sa->v1->keys.a, id, nonce_i, covered, &hash, NULL);
	else
		r = v1_hash_quick_1(sa->suite.prf, &sa->v1->keys.a, id, covered, &hash, NULL);
	if (r < 0 || v1_iv_message(&sa->suite, &sa->v1->iv, id, &iv, NULL) < 0)
		return false;
	v1_hash_set(w, at, (struct keying_octets){ hash.octets, hash.len });
	return v1_seal(w, &sa->suite, &sa->v1->keys.cipher, &iv, NULL) == 0 && !w->out.failed;
}

static void send_once(struct ike_sa *sa, const struct ike_writer *w)
{
	struct owned message = { 0 };

	owned_set(&message, w->out.buf, w->out.len);
	todo_send_ike(sa, &message);
	owned_wipe(&message);
}

void notice_send(struct ike_sa *sa, void (*put)(struct ike_sa *sa, struct ike_writer *w, void *context), void *context)
{
	uint32_t id = mm_message_id(sa);
	struct ike_writer w;
	size_t at;

	if (!begin(sa, &w, id, &at))
		return;
	put(sa, &w, context);
	if (end(sa, &w, id, at, (struct keying_octets){ 0 }))
		send_once(sa, &w);
}

struct quick_refusal {
	uint32_t spi;
	uint16_t notify;
};

static void put_refusal(struct ike_sa *sa, struct ike_writer *w, void *context)
{
	const struct quick_refusal *r = context;
	uint8_t spi[4];
	struct wire_out out = wire_out(spi, sizeof spi);

	(void)sa;
	wire_put_u32(&out, r->spi);
	v1_put_notify(w, &(struct v1_notification){ .doi = V1_DOI_IPSEC,
						    .protocol = V1_PROTO_ESP,
						    .type = r->notify,
						    .spi = { spi, r->spi ? sizeof spi : 0 } });
}

void quick_refuse(struct ike_sa *sa, uint32_t spi, uint16_t notify)
{
	notice_send(sa, put_refusal, &(struct quick_refusal){ spi, notify });
}

/* Thirty-two octets that an outsider cannot foresee; the engine has no random source of its own. */
static struct keying_octets nonce_of(const struct ike_sa *sa, uint32_t id, struct key *ret)
{
	const char *whose = sa->initiator ? "nonce of the initiator" : "nonce of the responder";
	struct octets parts[] = { { whose, strlen(whose) }, { &id, sizeof id }, { &sa->number, sizeof sa->number } };

	(void)crypto_prf(sa->suite.prf, sa->v1->keys.d.octets, sa->v1->keys.d.len, parts, ARRAY_LEN(parts), ret, NULL);
	return (struct keying_octets){ ret->octets, ret->len < NONCE_OCTETS ? ret->len : NONCE_OCTETS };
}

/* ---- Deletes, and questions ---------------------------------------------------------------------------------------
 */

static bool answers_deletes(const struct ike_sa *sa)
{
	return (sa->v1->vendors & 1u << V1_VENDOR_CORDON) ||
	       ((sa->v1->vendors & 1u << V1_VENDOR_WINDOWS) && sa->v1->windows_version >= WINDOWS_XP);
}

/* What the peer has, or may have. */
static bool is_known_there(const struct child *c)
{
	return c->chosen && (c->made || !c->initiator);
}

/* All that lives under it, in the message that ends main mode: what does not arrive is told again as a whole. Not to
 * Windows, where each Delete has a message of its own. */
static void put_children(const struct ike_sa *sa, struct ike_writer *w)
{
	static const uint8_t protocols[] = { V1_PROTO_ESP, V1_PROTO_AH };
	const struct child *c;

	for (size_t i = 0; i < ARRAY_LEN(protocols); i++) {
		uint32_t spis[SPIS_MOST];
		size_t n = 0;
		LIST_FOREACH(c, &sa->children, entry)
			if (is_known_there(c) && (uint8_t)c->choice.suite.protocol == protocols[i] && n < SPIS_MOST)
				spis[n++] = c->spi_in;
		if (n)
			v1_put_delete(w, protocols[i], spis, n);
	}
}

/* Of a quick mode, or (c NULL) of main mode. Returns whether an answer is waited for. */
static bool send_delete(struct ike_sa *sa, const struct child *c)
{
	uint32_t id = mm_message_id(sa);
	bool reliable = answers_deletes(sa);
	SCOPED(key_wipe) struct key nonce = { 0 };
	struct ike_writer w;
	size_t at;

	if (!begin(sa, &w, id, &at))
		return false;
	if (reliable)
		v1_put_nonce(&w, nonce_of(sa, id, &nonce));
	if (c) {
		v1_put_delete(&w, (uint8_t)c->choice.suite.protocol, &c->spi_in, 1);
	} else {
		if (reliable && !(sa->v1->vendors & 1u << V1_VENDOR_WINDOWS))
			put_children(sa, &w);
		v1_put_delete_main(&w, sa->spi_i, sa->spi_r);
	}
	if (!end(sa, &w, id, at, (struct keying_octets){ 0 }))
		return false;
	if (!reliable) {
		send_once(sa, &w);
		return false;
	}
	struct request *r = &sa->request;
	owned_set(&r->octets, w.out.buf, w.out.len);
	sa->v1->notice_id = id;
	r->out = true;
	r->tries = 1;
	r->sent_ms = sa->k->now_ms;
	r->resend_ms = sa->k->now_ms + sa->k->config.retransmit_first_ms;
	todo_send_ike(sa, &r->octets);
	return true;
}

static void put_question(struct ike_sa *sa, struct ike_writer *w, void *context)
{
	const struct v1_dpd *dpd = context;
	uint8_t number[4];
	struct wire_out out = wire_out(number, sizeof number);

	wire_put_u32(&out, dpd->number);
	v1_put_notify_main(w, dpd->type, sa->spi_i, sa->spi_r, number, sizeof number);
}

static void ask(struct ike_sa *sa)
{
	notice_send(sa, put_question, &(struct v1_dpd){ V1_N_R_U_THERE, sa->v1->dpd_send });
}

static bool begin_question(struct ike_sa *sa)
{
	struct request *r = &sa->request;

	if (!(sa->v1->vendors & 1u << V1_VENDOR_DPD))
		return false;
	sa->v1->dpd_send++;
	sa->v1->dpd_asked = true;
	r->out = true;
	r->tries = 1;
	r->sent_ms = sa->k->now_ms;
	r->resend_ms = sa->k->now_ms + sa->k->config.retransmit_first_ms;
	ask(sa);
	return true;
}

/* What was waited for has come, or is not waited for any longer. */
static void done(struct ike_sa *sa)
{
	struct task t = sa->request.task ? *sa->request.task : (struct task){ .kind = TASK_LIVENESS };
	struct child *c;

	exchange_done(sa);
	sa->v1->notice_id = 0;
	sa->v1->dpd_asked = false;
	if (t.kind == TASK_DELETE_CHILD && (c = child_by_pair(sa->k, t.object)))
		child_drop(c, "we deleted it");
	else if (t.kind == TASK_DELETE_IKE)
		ike_deleted(sa);
	if (sa->state != IKE_DEAD)
		notice_pump(sa);
}

/* True: something is out and an answer is due. */
static bool begin_task(struct ike_sa *sa, const struct task *t)
{
	struct child *c, *next;

	switch (t->kind) {
	case TASK_DELETE_CHILD:
		c = child_by_pair(sa->k, t->object);
		return c && !sa->gone && send_delete(sa, c);
	case TASK_DELETE_IKE:
		if (!sa->gone)
			renew_rescue(sa);
		sa->state = IKE_DELETING;
		for (c = LIST_FIRST(&sa->children); c; c = next) { /* they do not end with it by themselves */
			next = LIST_NEXT(c, entry);
			child_stop_sending(c);
			if (!sa->gone && is_known_there(c) && !(sa->v1->vendors & 1u << V1_VENDOR_CORDON))
				notice_delete_child(sa, c);
		}
		return !sa->gone && send_delete(sa, NULL);
	case TASK_LIVENESS:
		return !sa->gone && begin_question(sa);
	default:
		return false;
	}
}

void notice_delete_child(struct ike_sa *sa, const struct child *c)
{
	uint32_t id = mm_message_id(sa);
	struct ike_writer w;
	size_t at;

	if (!begin(sa, &w, id, &at))
		return;
	v1_put_delete(&w, (uint8_t)c->choice.suite.protocol, &c->spi_in, 1);
	if (end(sa, &w, id, at, (struct keying_octets){ 0 }))
		send_once(sa, &w);
}

void notice_pump(struct ike_sa *sa)
{
	struct task *t;

	while (!sa->request.out && (sa->state == IKE_ESTABLISHED || sa->state == IKE_DELETING) &&
	       (t = TAILQ_FIRST(&sa->tasks))) {
		TAILQ_REMOVE(&sa->tasks, t, entry);
		sa->task_count--;
		sa->request.task = t;
		if (begin_task(sa, t))
			break;
		struct task was = *t;
		exchange_done(sa);
		struct child *c = was.kind == TASK_DELETE_CHILD ? child_by_pair(sa->k, was.object) : NULL;
		if (c)
			child_drop(c, "we deleted it");
		if (was.kind == TASK_DELETE_IKE) {
			ike_deleted(sa);
			return;
		}
	}
	ike_arm(sa);
}

bool notice_resend(struct ike_sa *sa)
{
	struct request *r = &sa->request;
	unsigned most = sa->v1->dpd_asked ? sa->k->config.retransmit_tries : DELETE_TRIES;

	if (r->tries >= most) {
		if (sa->v1->dpd_asked)
			return false;
		done(sa); /* it has been told often enough */
		return true;
	}
	uint64_t wait_ms = (uint64_t)sa->k->config.retransmit_first_ms << r->tries;
	r->tries++;
	r->resend_ms = sa->k->now_ms + (wait_ms < RESEND_MOST_MS ? wait_ms : RESEND_MOST_MS);
	if (sa->v1->dpd_asked)
		ask(sa); /* the same number in a message of its own: repeated IDs are passed over by others */
	else
		todo_send_ike(sa, &r->octets);
	return true;
}

void notice_farewell(struct ike_sa *sa)
{
	struct child *c;

	if (!sa->v1->keyed || sa->gone)
		return;
	LIST_FOREACH(c, &sa->children, entry)
		if (c->state >= CHILD_R_INBOUND && c->state <= CHILD_DELETING)
			notice_delete_child(sa, c);
	uint32_t id = mm_message_id(sa);
	struct ike_writer w;
	size_t at;
	if (!begin(sa, &w, id, &at))
		return;
	v1_put_delete_main(&w, sa->spi_i, sa->spi_r);
	if (end(sa, &w, id, at, (struct keying_octets){ 0 }))
		send_once(sa, &w);
}

/* ---- what comes in ----------------------------------------------------------------------------------------------- */

uint32_t notice_lifetime(const struct v1_notification *n)
{
	struct wire_in in = wire_in(n->data.at, n->data.len);
	bool seconds = false;
	uint64_t value = 0;

	while (in.left >= 4) { /* attributes (RFC 2408 3.3): life type (1), then duration (2) */
		uint16_t type = wire_u16(&in), word = wire_u16(&in);
		if ((type & 0x7fff) == 1) {
			if (!(type & 0x8000))
				(void)wire_octets(&in, word);
			seconds = (type & 0x8000) && word == 1;
			continue;
		}
		if (type & 0x8000) {
			value = word;
		} else {
			struct wire_in body = wire_sub(&in, word);
			for (value = 0; body.left && value <= UINT32_MAX;)
				value = value << 8 | wire_u8(&body);
		}
		if ((type & 0x7fff) == 2 && seconds)
			return in.failed ? 0 : value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
	}
	return 0;
}

/* The peer's inbound SAs, wherever they live now: they may have moved from one main mode to the next. */
static struct child *of_spi(struct ike_sa *sa, uint8_t protocol, uint32_t spi)
{
	struct ike_sa *other;
	struct child *c;

	if (!sa->contact)
		return NULL;
	LIST_FOREACH(other, &sa->contact->ikes, of_contact)
		if (other->v1 && (other == sa || nat_same_peer(other, sa)) && (c = child_by_spi(other, spi, false)) &&
		    (uint8_t)c->choice.suite.protocol == protocol)
			return c;
	return NULL;
}

static bool names_us(const struct ike_sa *sa, const struct v1_delete *del)
{
	struct wire_in in = wire_in(del->spis, (size_t)del->spi_len * del->count);

	while (del->spi_len == 2 * V1_COOKIE && in.left) {
		uint64_t i = wire_u64(&in), r = wire_u64(&in);
		if (i == sa->spi_i && r == sa->spi_r)
			return true;
	}
	return false;
}

/* Returns whether main mode itself goes. */
static bool take_deletes(struct ike_sa *sa, const struct v1_msg *m)
{
	bool the_end = false;

	for (size_t i = 0; i < m->delete_count; i++) {
		const struct v1_delete *del = &m->deletes[i];
		struct wire_in in = wire_in(del->spis, (size_t)4 * del->count);
		if (del->protocol == V1_PROTO_ISAKMP) {
			the_end |= names_us(sa, del);
			continue;
		}
		while (del->spi_len == 4 && in.left >= 4) {
			struct child *c = of_spi(sa, del->protocol, wire_u32(&in));
			if (c)
				child_drop(c, child_up_for(sa->contact, &c->asked, c) ? NULL : "the peer deleted it");
		}
	}
	return the_end;
}

/* HASH(2), Nr and the Deletes again ([MS-IKEE] 3.8). Kept, should the question come again. */
static void answer_delete(struct ike_sa *sa, const struct v1_msg *m)
{
	SCOPED(key_wipe) struct key nonce = { 0 };
	uint8_t copy[1024];
	struct wire_out spis = wire_out(copy, sizeof copy);
	struct ike_writer w;
	size_t at;

	if (!begin(sa, &w, m->h.id, &at))
		return;
	v1_put_nonce(&w, nonce_of(sa, m->h.id, &nonce));
	for (size_t i = 0; i < m->delete_count; i++) {
		const struct v1_delete *del = &m->deletes[i];
		if (del->protocol == V1_PROTO_ISAKMP) {
			v1_put_delete_main(&w, sa->spi_i, sa->spi_r);
			continue;
		}
		uint32_t list[SPIS_MOST];
		struct wire_in in = wire_in(del->spis, (size_t)4 * del->count);
		size_t n = 0;
		while (in.left >= 4 && n < ARRAY_LEN(list))
			list[n++] = wire_u32(&in);
		v1_put_delete(&w, del->protocol, list, n);
	}
	(void)spis;
	if (!end(sa, &w, m->h.id, at, m->nonce))
		return;
	owned_set(&sa->last_reply, w.out.buf, w.out.len);
	sa->repeats = 0;
	todo_send_ike(sa, &sa->last_reply);
}

/* The quick mode that a refusal is about: by the SPI that we offered, or the only one that waits. */
static struct child *refused_one(struct ike_sa *sa, const struct v1_notification *n)
{
	struct wire_in in = wire_in(n->spi.at, n->spi.len);
	uint32_t spi = n->spi.len == 4 ? wire_u32(&in) : 0;
	struct child *c, *found = NULL;

	LIST_FOREACH(c, &sa->children, entry) {
		if (c->state != CHILD_OFFERED)
			continue;
		if (spi && c->spi_in == spi)
			return c;
		if (found)
			return NULL;
		found = c;
	}
	return spi ? NULL : found;
}

static void refused(struct ike_sa *sa, const struct v1_notification *n)
{
	char remote[ADDR_TEXT], words[MM_REFUSAL], text[PROPOSALS_TEXT], what[SELECTOR_TEXT], ours[384];
	const char *there = addr_text(&sa->remote, remote);

	if (sa->state < IKE_ESTABLISHED) {
		if (sa->initiator)
			ike_fault(sa, mm_fault_of(V1_MAIN, n), "%s refused us in main mode (IKEv1), %s", there,
				  mm_refusal_words(V1_MAIN, n, NULL, words));
		return;
	}
	struct child *c = refused_one(sa, n);
	if (!c) {
		if (n->type == V1_N_AUTHENTICATION_FAILED) /* of our message 6: it does not take our proof */
			ike_fault(sa, mm_fault_of(V1_MAIN, n), "%s refused our proof in main mode (IKEv1), %s", there,
				  mm_refusal_words(V1_MAIN, n, NULL, words));
		return;
	}
	struct fault f = mm_fault_of(V1_QUICK, n);
	(void)snprintf(ours, sizeof ours, "%s (rule '%s')",
		       f.code == FAILURE_SELECTORS ? selector_text(&c->selector, what)
						   : proposal_protection_text(c->rule->protection, text),
		       c->rule->name);
	child_fault(c, f, "%s refused quick mode (IKEv1), %s", there, mm_refusal_words(V1_QUICK, n, ours, words));
}

static void take_dpd(struct ike_sa *sa, const struct v1_notification *n)
{
	struct wire_in in = wire_in(n->data.at, n->data.len);
	uint32_t number = wire_u32(&in);

	if (!wire_done(&in))
		return;
	if (n->type == V1_N_R_U_THERE)
		notice_send(sa, put_question, &(struct v1_dpd){ V1_N_R_U_THERE_ACK, number });
	else if (sa->v1->dpd_asked && number == sa->v1->dpd_send)
		done(sa);
}

static void take_lifetime(struct ike_sa *sa, const struct v1_notification *n)
{
	uint64_t life_ms = notice_lifetime(n) * UINT64_C(1000), at = sa->up_ms + life_ms;

	if (!life_ms || n->protocol != V1_PROTO_ISAKMP || sa->state != IKE_ESTABLISHED || at >= sa->expire_ms)
		return;
	sa->expire_ms = at;
	sa->rekey_ms = sa->up_ms + life_soft_ms(life_ms, sa->initiator, 0);
	ike_arm(sa);
}

/* Each may end the SA. */
static void take_notifies(struct ike_sa *sa, const struct v1_msg *m)
{
	for (size_t i = 0; i < m->notify_count && sa->state != IKE_DEAD; i++) {
		const struct v1_notification *n = &m->notifies[i];
		if (n->type == V1_N_R_U_THERE || n->type == V1_N_R_U_THERE_ACK)
			take_dpd(sa, n);
		else if (n->type == V1_N_RESPONDER_LIFETIME)
			take_lifetime(sa, n);
		else if (n->type == V1_N_INITIAL_CONTACT && sa->state == IKE_ESTABLISHED)
			ike_forget_older(sa);
		else if (n->type < V1_N_ERRORS_END || n->type == V1_N_WINDOWS_STATUS)
			refused(sa, n);
	}
}

static bool seen(struct mm *v1, uint32_t id)
{
	for (size_t i = 0; i < V1_IDS_SEEN; i++)
		if (v1->seen[i] == id)
			return true;
	return false;
}

/* A hash of IKEv1 does not say who made it: what we said must not be taken from whoever throws it back. But the answer
 * to a reliable Delete has its message ID. */
static bool is_own(const struct mm *v1, uint32_t id)
{
	for (size_t i = 0; i < V1_IDS_SENT; i++)
		if (v1->sent[i] == id)
			return id != v1->notice_id;
	return false;
}

static bool is_hash(const struct ike_sa *sa, const struct v1_msg *m, bool *ret_answer)
{
	SCOPED(key_wipe) struct key want = { 0 }, nonce = { 0 };
	int r;

	*ret_answer = sa->v1->notice_id && m->h.id == sa->v1->notice_id;
	if (*ret_answer)
		r = v1_hash_delete_2(sa->suite.prf, &sa->v1->keys.a, m->h.id, nonce_of(sa, m->h.id, &nonce),
				     m->after_hash, &want, NULL);
	else
		r = v1_hash_quick_1(sa->suite.prf, &sa->v1->keys.a, m->h.id, m->after_hash, &want, NULL);
	return r == 0 && m->hash.len == want.len && octets_equal(m->hash.at, want.octets, want.len);
}

void notice_came(struct ike_sa *sa, const struct ike_header *h, const uint8_t *octets, size_t len)
{
	struct keying *k = sa->k;
	struct mm *v1 = sa->v1;
	struct v1_msg *m = mem_new(1, sizeof *m);
	struct wire_in in;
	struct v1_iv iv;
	bool answer = false;

	m->h = *h;
	if (is_own(v1, h->id)) {
		k->dropped[KEYING_DROP_REPEATED]++;
		free(m);
		return;
	}
	if (seen(v1, h->id)) {
		if (h->id == v1->answered_id && mm_may_repeat(sa))
			todo_send_back(sa, &sa->last_reply);
		else
			k->dropped[KEYING_DROP_REPEATED]++;
		free(m);
		return;
	}
	memcpy(k->in, octets, len);
	in = wire_in(k->in + IKE_HEADER, len - IKE_HEADER);
	if (v1_iv_message(&sa->suite, &v1->iv, h->id, &iv, NULL) < 0 ||
	    v1_open(k->in, len, &sa->suite, &v1->keys.cipher, &iv, NULL) < 0 ||
	    v1_decode_payloads(&in, V1_MSG_INFORMATIONAL, m, NULL) < 0 || !is_hash(sa, m, &answer)) {
		k->dropped[KEYING_DROP_BAD_ICV]++;
		free(m);
		return;
	}
	v1->seen[v1->seen_at++ % V1_IDS_SEEN] = h->id;
	if (sa->state >= IKE_ESTABLISHED)
		sa->heard_ms = k->now_ms;
	if (answer) {
		done(sa);
	} else if (sa->state == IKE_ESTABLISHED || sa->state == IKE_DELETING) {
		if (m->nonce.len && m->delete_count) {
			v1->answered_id = h->id;
			answer_delete(sa, m);
		}
		bool the_end = take_deletes(sa, m);
		take_notifies(sa, m);
		if (the_end && sa->state != IKE_DEAD)
			renew_deleted(sa);
	} else {
		take_notifies(sa, m);
	}
	free(m);
}

/* A refusal in the first round trips, or a cookie that Windows wants to see ([MS-IKEE] 3.1.5, 3.9). */
static void clear_while_made(struct ike_sa *sa, const struct v1_msg *m)
{
	const struct v1_notification *n = v1_find_error(m);
	char remote[ADDR_TEXT], words[MM_REFUSAL], offered[PROPOSALS_TEXT], ours[PROPOSALS_TEXT + 160];
	struct diag d = { 0 };

	if (!sa->initiator)
		return;
	if (sa->v1->state == MM_I_SA_SENT && v1_find_notify(m, V1_N_WINDOWS_DOS_COOKIE)) {
		if (mm_step(sa, MEV_COOKIE, m, NULL, &d) < 0)
			ike_fail(sa, "%s", d.text);
		return;
	}
	if (!n || !sa->request.out || (n->type == V1_N_INVALID_COOKIE && sa->making->hint[0]))
		return; /* who has refused us has forgotten us, too */
	(void)snprintf(ours, sizeof ours, "%s (rule '%s')", proposal_set_text(sa->ke_set, offered), ike_rule_name(sa));
	mm_hint(sa, mm_fault_of(V1_MAIN, n), "%s refused main mode by IKEv1, %s", addr_text(&sa->remote, remote),
		mm_refusal_words(V1_MAIN, n, ours, words));
}

void notice_clear(struct ike_sa *sa, const struct ike_header *h, const uint8_t *octets, size_t len)
{
	struct keying *k = sa->k;
	struct v1_msg *m = mem_new(1, sizeof *m);
	struct wire_in in = wire_in(octets + IKE_HEADER, len - IKE_HEADER);

	m->h = *h;
	if (v1_decode_payloads(&in, V1_MSG_INFORMATIONAL, m, NULL) < 0)
		k->dropped[KEYING_DROP_MALFORMED]++;
	else if (sa->state < IKE_ESTABLISHED)
		clear_while_made(sa, m);
	else if (sa->state == IKE_DELETING && v1_find_notify(m, V1_N_INVALID_COOKIE))
		ike_deleted(sa); /* as we want it; true or not, there is nothing to lose */
	else if (sa->state == IKE_ESTABLISHED && v1_find_notify(m, V1_N_INVALID_COOKIE) && !sa->request.out &&
		 k->now_ms - sa->heard_ms >= HINT_EVERY_MS)
		exchange_queue(sa, TASK_LIVENESS, 0); /* has it lost us? Ask it, protected */
	free(m);
}
