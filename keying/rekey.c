/* keying/rekey.c - a new IKE SA in place of an old one, which hands its CHILD SAs over (RFC 7296 1.3.2, 2.8, 2.18).
 *
 * Both ends may do it at once (2.8.2). Whoever gets the peer's request while his own is out answers it as usual and
 * then has two new IKE SAs, `replaced_by` (ours) and `rival` (the peer's). The CHILD SAs stay where they are until both
 * are keyed and the nonces tell which stays, or the peer shows it: it deletes its own, or the old one, or speaks of
 * anything else under its own; or refuses ours, because it had finished before it heard of it. The one that goes is
 * deleted by its initiator, the old one by the initiator of the one that stays. */
#include "keying/v1/v1.h"
#include <stdio.h>
#include <string.h>

static struct ike_sa *successor(struct ike_sa *old, bool initiator)
{
	struct ike_sa *new = ike_new(old->k, initiator, &old->local, old->local_port, &old->remote, old->remote_port);

	new->nat = old->nat;
	new->auth_set = old->auth_set;
	new->ke_set = old->ke_set;
	new->credential = old->credential;
	struct peer peer;
	peer_of_kept(old->peer, &peer);
	new->peer = peer_keep(&peer);
	new->fragments = old->fragments;
	new->sent_esp_ms = old->sent_esp_ms;
	ike_name_rule(new, ike_rule_name(old));
	new->replaces = old;
	*(old->replaced_by ? &old->rival : &old->replaced_by) = new;
	return new;
}

/* All that lives under the old one lives under the new one from now on. */
static void take_over(struct ike_sa *new)
{
	struct ike_sa *old = new->replaces;
	struct child *c;
	struct task *t, *next;

	while ((c = LIST_FIRST(&old->children))) {
		LIST_REMOVE(c, entry);
		c->ike = new;
		LIST_INSERT_HEAD(&new->children, c, entry);
	}
	new->first = NULL;
	old->first = NULL;
	for (t = TAILQ_FIRST(&old->tasks); t; t = next) {
		next = TAILQ_NEXT(t, entry);
		if (t->kind != TASK_CREATE_CHILD && t->kind != TASK_DELETE_CHILD)
			continue;
		TAILQ_REMOVE(&old->tasks, t, entry);
		old->task_count--;
		TAILQ_INSERT_TAIL(&new->tasks, t, entry);
		new->task_count++;
	}
	reauth_moved(old, new);
	ike_join(new, old->contact);
	if (old->replaced_by != new) {
		old->rival = old->replaced_by;
		old->replaced_by = new;
	}
	old->childless_ms = new->k->now_ms + CHILDLESS_MS; /* should the peer not delete it */
	ike_arm(old);
}

bool rekey_done(const struct ike_sa *old)
{
	return old->replaced_by && old->replaced_by->state >= IKE_ESTABLISHED;
}

/* ---- both at once ------------------------------------------------------------------------------------------------ */

static void stay(struct ike_sa *new)
{
	take_over(new);
	new->state = IKE_ESTABLISHED;
	ike_established(new);
}

/* Both are keyed: now both ends know the four nonces. */
static void decide(struct ike_sa *old)
{
	struct ike_sa *ours = old->replaced_by, *theirs = old->rival;

	if (!ours || !theirs || ours->state != IKE_NEW_KEYED || theirs->state != IKE_NEW_KEYED)
		return;
	if (twin_stays(&ours->nonce_i, &ours->nonce_r, &theirs->nonce_i, &theirs->nonce_r)) {
		stay(ours);
		ike_lost(theirs);
		old->expire_ms = old->k->now_ms + RIVAL_MS; /* the peer may still need it to hear of its own */
		ike_arm(old);
	} else {
		stay(theirs);
		ike_lost(ours);
	}
}

/* The peer's stays, and ours goes as soon as we know its keys, or that there is none. */
static void theirs_stays(struct ike_sa *old)
{
	struct ike_sa *theirs = old->rival ? old->rival : old->replaced_by;

	if (!theirs || theirs->initiator || theirs->state != IKE_NEW_KEYED)
		return;
	stay(theirs);
	if (old->rival)
		old->rival->loser = true;
}

void rekey_heard(struct ike_sa *new, const struct ike_msg *m)
{
	for (size_t i = 0; i < m->delete_count; i++)
		if (m->deletes[i].protocol == PROTO_IKE)
			return; /* this is the one that goes */
	if (new->replaces && !new->initiator)
		theirs_stays(new->replaces);
}

void rekey_old_deleted(struct ike_sa *old)
{
	theirs_stays(old);
	if (rekey_done(old))
		ike_drop(old);
	else
		ike_down(old, EVENT_MAIN_MODE_DOWN, "the peer deleted it");
}

bool rekey_may_answer(const struct ike_sa *old)
{
	return !old->replaced_by ||
	       (!old->rival && old->replaced_by->initiator && old->replaced_by->state <= IKE_NEW_SENT);
}

/* A Delete that was out when the SA went has to be asked again where the CHILD SA lives now. */
static void ask_again(struct ike_sa *sa)
{
	const struct task *t = sa->request.task;
	struct child *c = sa->request.out && t && t->kind == TASK_DELETE_CHILD ? child_by_pair(sa->k, t->object) : NULL;

	if (c && c->ike != sa)
		exchange_queue(c->ike, TASK_DELETE_CHILD, c->pair);
}

void rekey_unlink(struct ike_sa *sa)
{
	struct ike_sa *new[] = { sa->replaced_by, sa->rival }, *old = sa->replaces;

	ask_again(sa);
	for (size_t i = 0; i < ARRAY_LEN(new); i++) {
		if (new[i] && new[i]->state < IKE_ESTABLISHED)
			ike_drop(new[i]);
		else if (new[i])
			new[i]->replaces = NULL;
	}
	sa->replaces = sa->replaced_by = sa->rival = NULL;
	if (!old)
		return;
	if (old->replaced_by == sa)
		old->replaced_by = old->rival;
	if (old->replaced_by == old->rival || old->rival == sa)
		old->rival = NULL;
}

/* The new one came to nothing: the peer's stays, or the old one goes on and tries again. */
static void come_to_nothing(struct ike_sa *new, uint64_t after_ms)
{
	struct ike_sa *old = new->replaces;

	ike_drop(new);
	if (!old)
		return;
	theirs_stays(old);
	if (old->replaced_by) /* it stays, or is on its way */
		return;
	old->rekey_ms = old->k->now_ms + after_ms;
	exchange_pump(old);
	if (old->contact)
		want_drive_all(old->contact);
	ike_arm(old);
}

void rekey_failed(struct ike_sa *new)
{
	struct ike_sa *old = new->replaces;
	bool answer = new->state == IKE_NEW_ANSWER;

	come_to_nothing(new, 20 * RETRY_TEMPORARY_MS);
	if (answer)
		exchange_reply_notify(old, CREATE_CHILD_SA, N_INVALID_SYNTAX, NULL, 0);
}

/* ---- initiator --------------------------------------------------------------------------------------------------- */

static void ask_begin(struct ike_sa *new, const struct algorithm *group)
{
	struct keying_job *job = job_new(JOB_BEGIN);

	new->group = job->group = group;
	new->state = IKE_NEW_BEGIN;
	new->job = job_ask(new->k, OWNER_IKE, new->number, job);
}

void rekey_start(struct ike_sa *old)
{
	if (old->v1) {
		renew_start(old);
		return;
	}
	if (old->state == IKE_ESTABLISHED && !old->replaced_by)
		ask_begin(successor(old, true), old->suite.group);
}

int rekey_begun(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	const struct keying_result *r = in->result;

	if (!sa->spi_i) {
		if (!r->spi || table_find(&sa->k->spis, r->spi, NULL, NULL))
			return diag_fail(d, ERR_UNEXPECTED, "two SAs drew one SPI");
		sa->spi_i = r->spi;
		ike_set_spi(sa);
		owned_set(&sa->nonce_i, r->nonce, sizeof r->nonce);
	}
	sa->making->private = r->private;
	owned_set(&sa->public, r->public, r->public_len);
	sa->state = IKE_NEW_QUEUED; /* it may be its turn at once */
	exchange_queue(sa->replaces, TASK_REKEY_IKE, sa->number);
	return STEP_STAY;
}

void rekey_put_offer(struct ike_sa *sa, struct ike_writer *w)
{
	struct ike_offer offer;

	proposal_offer_ike(sa->ke_set, sa->spi_i, &offer);
	ike_put_sa(w, &offer);
	ike_put_nonce(w, sa->nonce_i.at, sa->nonce_i.len);
	ike_put_ke(w, sa->group->ikev2, sa->public.at, sa->public.len);
}

static bool other_group(struct ike_sa *sa, const struct ike_notification *n)
{
	struct wire_in in = wire_in(n->data.at, n->data.len);
	uint16_t group = wire_u16(&in);

	for (size_t i = 0; wire_done(&in) && i < sa->ke_set->count; i++) {
		const struct algorithm *g = sa->ke_set->suites[i].group;
		if (g->ikev2 != group || g == sa->group || ++sa->tries > INIT_TRIES_MOST)
			continue;
		ask_begin(sa, g);
		return true;
	}
	return false;
}

void rekey_reply(struct ike_sa *sa, const struct ike_msg *m)
{
	const struct ike_notification *error = ike_find_error(m);
	struct proposal_ike_choice choice;
	char remote[ADDR_TEXT];

	if (error && error->type == N_INVALID_KE_PAYLOAD && other_group(sa, error))
		return;
	if (error && error->type == N_TEMPORARY_FAILURE && !sa->loser) { /* the two ends wait differently long */
		come_to_nothing(sa, sa->replaces->initiator ? 2 * RETRY_TEMPORARY_MS : 6 * RETRY_TEMPORARY_MS);
		return;
	}
	if (error || !m->has_ke || !m->nonce.len || !proposal_accept_ike(&m->offer, sa->ke_set, &choice) ||
	    !choice.spi || choice.suite.group != sa->group || m->ke_group != sa->group->ikev2 ||
	    m->ke.len != sa->group->public_octets) {
		if (sa->loser || sa->replaces->rival) {
			come_to_nothing(sa, 20 * RETRY_TEMPORARY_MS);
			return;
		}
		char words[REFUSAL_TEXT], ours[PROPOSALS_TEXT];
		contact_fault(
			sa->k, &sa->local, &sa->remote, sa->first_rule, EVENT_MAIN_MODE_FAILED,
			error ? fault_of_notify(CREATE_CHILD_SA, error->type)
			      : (struct fault){ .code = FAILURE_NO_PROPOSAL, .exchange = CREATE_CHILD_SA },
			"%s refused to renew main mode, %s; the old one stays until its life is over",
			addr_text(&sa->remote, remote),
			error ? refusal_words(IKE_SA_INIT, error->type, proposal_set_text(sa->ke_set, ours), words)
			      : "its answer is not what we offered");
		come_to_nothing(sa, 20 * RETRY_TEMPORARY_MS);
		return;
	}
	sa->suite = choice.suite;
	sa->spi_r = choice.spi;
	crash_take(sa, m);
	owned_set(&sa->nonce_r, m->nonce.at, m->nonce.len);
	struct keying_job *job = job_new(JOB_DERIVE);
	job->group = sa->group;
	key_move(&job->private, &sa->making->private);
	job->peer_public = job_octets(m->ke);
	sa->state = IKE_NEW_DERIVE;
	sa->job = job_ask(sa->k, OWNER_IKE, sa->number, job);
}

int rekey_derived(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	struct ike_sa *old = sa->replaces;
	int r = ike_key(sa, (struct keying_octets){ in->result->secret, in->result->secret_len }, old, d);

	if (r < 0)
		return r;
	if (sa->loser || old->rival) {
		sa->state = IKE_NEW_KEYED;
		if (sa->loser)
			ike_lost(sa);
		else
			decide(old);
		return STEP_STAY;
	}
	take_over(sa);
	ike_delete(old); /* the initiator of the rekey does (2.8) */
	return 0;
}

/* ---- responder --------------------------------------------------------------------------------------------------- */

void rekey_request(struct ike_sa *old, const struct ike_msg *m)
{
	const struct ike_suite *suites[IKE_PROPOSALS_MOST];
	const struct task *t = old->request.task;
	struct proposal_ike_choice choice;
	uint8_t group[2];
	struct ike_sa *ours = old->replaced_by;
	size_t n = 0;

	if (!rekey_may_answer(old) || old->loser ||
	    (t && (t->kind == TASK_CREATE_CHILD || t->kind == TASK_DELETE_CHILD))) { /* 2.25 */
		exchange_reply_notify(old, CREATE_CHILD_SA, N_TEMPORARY_FAILURE, NULL, 0);
		return;
	}
	for (size_t i = 0; i < old->ke_set->count && n < ARRAY_LEN(suites); i++)
		suites[n++] = &old->ke_set->suites[i];
	if (!m->has_ke || !proposal_choose_ike(&m->offer, suites, n, &choice) || !choice.spi) {
		char remote[ADDR_TEXT], offered[PROPOSALS_TEXT], wanted[PROPOSALS_TEXT];
		contact_fault(
			old->k, &old->local, &old->remote, ike_rule_name(old), EVENT_MAIN_MODE_FAILED,
			(struct fault){ FAILURE_NO_PROPOSAL, SIDE_HERE, CREATE_CHILD_SA, 0, peer_kept_id(old->peer) },
			"%s asked to renew main mode, and we refused: it offers %s, rule '%s' wants %s; the old one "
			"stays until its life is over",
			addr_text(&old->remote, remote), proposal_text(&m->offer, offered), ike_rule_name(old),
			proposal_set_text(old->ke_set, wanted));
		exchange_reply_notify(old, CREATE_CHILD_SA, N_NO_PROPOSAL_CHOSEN, NULL, 0);
		return;
	}
	if (m->ke_group != choice.suite.group->ikev2 || m->ke.len != choice.suite.group->public_octets) {
		struct wire_out out = wire_out(group, sizeof group);
		wire_put_u16(&out, choice.suite.group->ikev2);
		exchange_reply_notify(old, CREATE_CHILD_SA, N_INVALID_KE_PAYLOAD, group, sizeof group);
		return;
	}
	if (ours && ours->state < IKE_NEW_SENT) /* the peer was first */
		ike_drop(ours);
	struct ike_sa *new = successor(old, false);
	new->suite = choice.suite;
	new->spi_i = choice.spi;
	new->tries = choice.number;
	owned_set(&new->nonce_i, m->nonce.at, m->nonce.len);
	new->state = IKE_NEW_ANSWER;
	struct keying_job *job = job_new(JOB_ANSWER);
	job->group = choice.suite.group;
	job->peer_public = job_octets(m->ke);
	new->job = job_ask(new->k, OWNER_IKE, new->number, job);
}

int rekey_answered(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	const struct keying_result *r = in->result;
	struct ike_sa *old = sa->replaces;
	struct ike_offer offer;
	struct ike_writer w;
	size_t sk;
	int e;

	if (!r->spi || table_find(&sa->k->spis, r->spi, NULL, NULL))
		return diag_fail(d, ERR_UNEXPECTED, "two SAs drew one SPI");
	sa->spi_r = r->spi;
	ike_set_spi(sa);
	owned_set(&sa->nonce_r, r->nonce, sizeof r->nonce);
	if ((e = ike_key(sa, (struct keying_octets){ r->secret, r->secret_len }, old, d)) < 0)
		return e;
	proposal_answer_ike(&sa->suite, (uint8_t)sa->tries, sa->spi_r, &offer);
	exchange_begin_message(old, &w, CREATE_CHILD_SA, true, &sk);
	ike_put_sa(&w, &offer);
	ike_put_nonce(&w, sa->nonce_r.at, sa->nonce_r.len);
	ike_put_ke(&w, sa->suite.group->ikev2, r->public, r->public_len);
	crash_put(sa, &w);
	exchange_reply(old, &w, sk);
	if (old->replaced_by != sa) { /* ours is out */
		sa->state = IKE_NEW_KEYED;
		decide(old);
		return STEP_STAY;
	}
	take_over(sa);
	return 0;
}
