/* keying/child_answer.c - who is asked for a CHILD SA: what of it is taken (RFC 7296 2.9), the refusals (2.25), and
 * when the peer is known to have our reply, so that we may send. */
#include "keying/child.h"

static struct child *refuse(struct refusal *ret, uint16_t notify)
{
	*ret = (struct refusal){ .notify = notify };
	return NULL;
}

bool child_set_takes(const struct key_exchange_set *set, const struct ike_suite *suite)
{
	for (size_t i = 0; i < set->count; i++)
		if (ike_suite_equal(&set->suites[i], suite))
			return true;
	return false;
}

/* Which rule, and how much of it. */
static bool narrow(const struct ike_sa *ike, const struct ike_msg *m, const struct child *old, struct narrowed *ret)
{
	struct ike_ts_list mine, theirs;
	struct asked a = { .plan = ike->k->plan,
			   .tunnel = !ike_find_notify(m, N_USE_TRANSPORT_MODE),
			   .local = &ike->local,
			   .remote = &ike->remote,
			   .mine = &mine,
			   .theirs = &theirs };

	if (!m->has_ts_i || !m->has_ts_r)
		return false;
	nat_substitute(ike, &m->ts_r, true, a.tunnel, &mine);
	nat_substitute(ike, &m->ts_i, false, a.tunnel, &theirs);
	if (old) {
		a.rule = old->rule;
		a.least = &old->selector;
		if (selector_narrow(&a, ret))
			return true;
		a.rule = NULL;
		a.least = NULL;
	}
	return selector_narrow(&a, ret);
}

/* May the rule be negotiated under this main mode? 0, or the notification that says no. */
static uint16_t check_rule(const struct ike_sa *ike, const struct plan_entry *e, bool with_group, struct diag *d)
{
	const struct rule *rule = e->rule;
	char offered[PROPOSALS_TEXT], wanted[PROPOSALS_TEXT];

	if (!(rule->modules & MODULE_IKEV2)) {
		(void)diag_fail(d, failure_error(FAILURE_UNSUPPORTED),
				"rule '%s' is negotiated by IKEv1 alone (modules)", rule->name);
		return N_TS_UNACCEPTABLE;
	}
	if (rule->second_auth) {
		(void)diag_fail(d, failure_error(FAILURE_MULTIPLE_AUTH),
				"rule '%s' asks for a second authentication, and neither IKEv2 nor IKEv1 has one",
				rule->name);
		return N_TS_UNACCEPTABLE;
	}
	if (ike->auth_set && rule->auth != ike->auth_set) {
		(void)diag_fail(d, failure_error(FAILURE_WRONG_METHOD),
				"rule '%s' asks for authentication '%s', and the peer proved '%s'", rule->name,
				rule->auth->name, ike->auth_set->name);
		return N_TS_UNACCEPTABLE;
	}
	if (ike->peer && !member_may(ike->k, ike->peer, &ike->remote, rule, d))
		return N_TS_UNACCEPTABLE;
	if (!child_set_takes(rule->key_exchange, &ike->suite)) {
		(void)diag_fail(d, failure_error(FAILURE_NO_PROPOSAL), "main mode is %s, rule '%s' wants %s",
				ike_suite_text(&ike->suite, offered), rule->name,
				proposal_set_text(rule->key_exchange, wanted));
		return N_NO_PROPOSAL_CHOSEN;
	}
	if (rule->key_exchange->ppk_required && with_group && !ike->ppk) {
		(void)diag_fail(d, failure_error(FAILURE_PPK),
				"rule '%s' requires a post-quantum pre-shared key, and there is none in this main mode",
				rule->name);
		return N_NO_PROPOSAL_CHOSEN;
	}
	return 0;
}

/* What is asked for as the rule has it: mode and proposal. 0, or the notification that says no. */
static uint16_t choose(const struct ike_sa *ike, const struct ike_msg *m, const struct rule *rule, bool with_group,
		       struct proposal_child_choice *ret, struct diag *d)
{
	char offered[PROPOSALS_TEXT], wanted[PROPOSALS_TEXT];
	struct ike_offer offer;

	if (m->asks_address) { /* 3.15.4 */
		(void)diag_fail(d, failure_error(FAILURE_ADDRESS_REQUEST),
				"it asks for an internal address, as remote access clients do; we hand out none");
		return N_INTERNAL_ADDRESS_FAILURE;
	}
	/* Asked for transport mode, a tunnel rule is answered without: the peer may take it or leave it (1.3.1). */
	if (!rule->tunnel && !ike_find_notify(m, N_USE_TRANSPORT_MODE)) {
		(void)diag_fail(d, failure_error(FAILURE_TUNNEL),
				"it asks for tunnel mode, rule '%s' wants transport mode", rule->name);
		return N_NO_PROPOSAL_CHOSEN;
	}
	if (nat_check_protection(ike, rule->protection, d) < 0)
		return N_NO_PROPOSAL_CHOSEN;
	if (!proposal_choose_child(nat_without_ah(ike, &m->offer, false, &offer), rule->protection, with_group, ret)) {
		(void)diag_fail(d, ERR_NO_PROPOSAL, "it offers %s, rule '%s' wants %s",
				proposal_text(&m->offer, offered), rule->name,
				proposal_protection_text(rule->protection, wanted));
		return N_NO_PROPOSAL_CHOSEN;
	}
	return 0;
}

bool child_has_room(const struct ike_sa *ike, struct diag *d)
{
	const struct child *c;
	size_t count = 0;

	LIST_FOREACH(c, &ike->children, entry)
		count++;
	if (count >= CHILDREN_MOST)
		(void)diag_fail(d, failure_error(FAILURE_BUSY), "it has %zu quick modes already", count);
	return count < CHILDREN_MOST;
}

struct child *child_asked(struct ike_sa *ike, const struct ike_msg *m, const struct child *old,
			  struct refusal *ret_refusal, struct diag *d)
{
	const bool with_group = m->h.exchange == CREATE_CHILD_SA;
	char asked[ASKED_TEXT], rules[ASKED_TEXT];
	struct proposal_child_choice choice;
	struct narrowed n = { 0 };
	const struct plan_entry *e = narrow(ike, m, old, &n) ? n.entry : NULL;
	uint16_t no;

	nat_note_original(ike, m);
	if (!e) {
		(void)diag_fail(d, failure_error(FAILURE_SELECTORS),
				"no rule of this host protects just what it asked for, %s; the rules between us are %s",
				asked_text(m, asked), rules_text(ike->k->plan, &ike->local, &ike->remote, rules));
		return refuse(ret_refusal, N_TS_UNACCEPTABLE);
	}
	if ((no = check_rule(ike, e, with_group, d)) || (no = choose(ike, m, e->rule, with_group, &choice, d)))
		return refuse(ret_refusal, no);
	const struct algorithm *group = choice.suite.group;
	if (group && (!m->has_ke || m->ke_group != group->ikev2 || m->ke.len != group->public_octets)) {
		*ret_refusal = (struct refusal){ N_INVALID_KE_PAYLOAD, group->ikev2, false };
		(void)diag_fail(d, ERR_NO_PROPOSAL, "it computed with another group than %s", group->name);
		return NULL;
	}
	if (!child_has_room(ike, d))
		return refuse(ret_refusal, N_NO_ADDITIONAL_SAS);
	if (ike->state == IKE_ESTABLISHED && nat_shared(ike, &n.selector, d))
		return refuse(ret_refusal, N_TS_UNACCEPTABLE);
	struct child *c = child_new(ike, false, &n.whole, e->rule);
	c->selector = n.selector;
	c->more_possible = n.more;
	c->choice = choice;
	c->chosen = true;
	c->spi_out = choice.spi;
	c->group = group;
	return c;
}

void child_put_refusal(const struct refusal *why, struct ike_writer *w)
{
	uint8_t group[2];
	struct wire_out out = wire_out(group, sizeof group);

	wire_put_u16(&out, why->group);
	ike_put_notify(w, why->notify ? why->notify : N_NO_PROPOSAL_CHOSEN, group,
		       why->notify == N_INVALID_KE_PAYLOAD ? sizeof group : 0);
	if (why->not_member)
		ike_put_notify(w, N_CORDON_NOT_MEMBER, NULL, 0);
}

static void reply_refusal(struct ike_sa *ike, const struct refusal *why)
{
	struct ike_writer w;
	size_t sk;

	exchange_begin_message(ike, &w, CREATE_CHILD_SA, true, &sk);
	child_put_refusal(why, &w);
	exchange_reply(ike, &w, sk);
}

void child_request(struct ike_sa *ike, const struct ike_msg *m)
{
	const struct ike_notification *rekey = ike_find_notify(m, N_REKEY_SA);
	struct child *old = rekey ? child_by_spi(ike, (uint32_t)rekey->spi, false) : NULL;
	struct refusal refusal = { 0 };
	struct diag d = { 0 };
	struct ike_writer w;
	size_t sk;

	if (rekey && !old) { /* 2.25.1 */
		exchange_begin_message(ike, &w, CREATE_CHILD_SA, true, &sk);
		ike_put_notify_spi(&w, N_CHILD_SA_NOT_FOUND, rekey->protocol, (uint32_t)rekey->spi);
		exchange_reply(ike, &w, sk);
		return;
	}
	if (old && old->state != CHILD_OUTBOUND && old->state != CHILD_UP) {
		exchange_reply_notify(ike, CREATE_CHILD_SA, N_TEMPORARY_FAILURE, NULL, 0);
		return;
	}
	struct child *c = child_asked(ike, m, old, &refusal, &d);
	if (!c) {
		if (refusal.notify != N_INVALID_KE_PAYLOAD) /* that one is no failure: it tries again */
			contact_fault(ike->k, &ike->local, &ike->remote, old ? old->rule->name : "",
				      EVENT_QUICK_MODE_FAILED,
				      (struct fault){ failure_of(d.code), SIDE_HERE, CREATE_CHILD_SA, 0,
						      peer_kept_id(ike->peer) },
				      "%s asked for a quick mode, and we refused: %s", peer_kept_id(ike->peer), d.text);
		refusal.not_member = failure_of(d.code) == FAILURE_NOT_MEMBER;
		reply_refusal(ike, &refusal);
		return;
	}
	child_replaces(c, old ? old->pair : 0);
	if (child_step(c, CEV_REQUEST, m, NULL, &d) < 0)
		child_fail(c, "%s", d.text);
}

void child_ask_exchange(struct child *c, struct keying_octets nonce, struct keying_octets ke)
{
	struct keying_job *job = job_new(c->group ? JOB_ANSWER : JOB_BEGIN);

	owned_set(&c->nonce_i, nonce.at, nonce.len);
	job->group = c->group;
	if (c->group)
		job->peer_public = job_octets(ke);
	c->job = job_ask(c->ike->k, OWNER_CHILD, c->pair, job);
}

int child_ask_answer(struct child *c, const struct child_input *in, struct diag *d)
{
	const struct ike_msg *m = in->msg;

	(void)d;
	child_ask_exchange(c, m->nonce, m->ke);
	return 0;
}

void child_put_answer(struct child *c, struct ike_writer *w)
{
	struct ike_offer offer;

	if (!c->rule->tunnel)
		ike_put_notify(w, N_USE_TRANSPORT_MODE, NULL, 0);
	if (c->more_possible)
		ike_put_notify(w, N_ADDITIONAL_TS_POSSIBLE, NULL, 0);
	proposal_answer_child(&c->choice, c->spi_in, &offer);
	ike_put_sa(w, &offer);
	if (!c->first) {
		ike_put_nonce(w, c->nonce_r.at, c->nonce_r.len);
		if (c->group)
			ike_put_ke(w, c->group->ikev2, c->public.at, c->public.len);
	}
	child_put_selectors(c, w);
}

/* Another one that carries the same traffic, if this one does not. */
const struct child *child_carrier(const struct child *c)
{
	const struct ike_sa *sa;
	const struct child *other;

	LIST_FOREACH(sa, &c->ike->contact->ikes, of_contact)
		LIST_FOREACH(other, &sa->children, entry)
			if (other != c && other->sends && other->state == CHILD_UP &&
			    selector_same(&other->asked, &c->asked))
				return other;
	return NULL;
}

/* How long to wait for a sign that the peer has our reply. With nothing else to carry the traffic a peer that is
 * silent is given the time to repeat its request; a mode that would go in clear meanwhile waits less long. */
void child_settle_by(struct child *c)
{
	const struct want *w = want_find(c->ike->contact, &c->asked);
	if (c->v1) /* it waits for message 3, and asks for it */
		return;
	uint64_t now = c->ike->k->now_ms, at = now + (child_carrier(c) ? SETTLE_CARRIED_MS : SETTLE_MS);

	if (w && w->rule->mode != MODE_REQUIRE && w->release_ms != UINT64_MAX && w->release_ms - 1 < at)
		at = w->release_ms - 1 > now ? w->release_ms - 1 : now;
	c->settle_ms = at;
	child_arm(c);
}

void child_settled(struct child *c)
{
	if (c->state == CHILD_SETTLE)
		(void)child_step(c, CEV_SETTLED, NULL, NULL, NULL);
}

/* With one request out at a time, who asks anew has read our last reply; who asks the same again has not. */
void child_peer_spoke(struct ike_sa *ike, bool anew)
{
	struct child *c, *next;

	for (c = LIST_FIRST(&ike->children); c; c = next) {
		next = LIST_NEXT(c, entry);
		if (c->state != CHILD_SETTLE)
			continue;
		if (anew)
			child_settled(c);
		else
			child_settle_by(c);
	}
}

/* The peer waits for our next request before it sends under this one, and we have none: so an empty one. */
void child_acknowledge(const struct child *c)
{
	if (!c->v1 && !exchange_queued(c->ike, TASK_LIVENESS, 0)) /* IKEv1 has message 3 for that */
		exchange_queue(c->ike, TASK_LIVENESS, 0);
}

bool child_replaced_early(const struct child *old)
{
	const struct child *c;

	LIST_FOREACH(c, &old->ike->children, entry)
		if (c->initiator && c->replaces == old->pair && c->state == CHILD_UP)
			return true;
	return false;
}

/* The inbound half is there: the reply can go. The outbound half waits until the peer shows that it has the reply, by
 * a packet under the new SA or by its next request: what came earlier would be lost. */
int child_answer(struct child *c, const struct child_input *in, struct diag *d)
{
	struct ike_sa *ike = c->ike;
	struct ike_writer w;
	size_t sk;
	int r = 0;

	(void)in;
	if (c->first) {
		r = ike_step(ike, EV_CHILD_READY, NULL, NULL, d);
	} else {
		exchange_begin_message(ike, &w, CREATE_CHILD_SA, true, &sk);
		child_put_answer(c, &w);
		exchange_reply(ike, &w, sk);
	}
	if (r < 0 || c->state == CHILD_DEAD)
		return r;
	child_settle_by(c);
	return 0;
}
