/* keying/child.c - a CHILD SA from wish to end: one table of steps (RFC 7296 1.2, 1.3.1, 1.3.3, 2.8, 2.9, 2.17). The
 * inbound half is installed before the peer can send under it, the outbound half after that. */
#include "keying/engine.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct child_input {
	const struct ike_msg *msg;
	const struct keying_result *result;
};
typedef int child_action(struct child *c, const struct child_input *in, struct diag *d);
static child_action ask_nonce, keep_nonce, ask_spi, queue, go, read_reply, key, tell_ike, key_first, ask_answer, answer,
	send, up;

static const struct child_step_row {
	enum child_state state;
	enum child_event event;
	child_action *act;
	enum child_state next;
} steps[] = {
	/* CREATE_CHILD_SA, its initiator (1.3.1) */
	{ CHILD_IDLE, CEV_START, ask_nonce, CHILD_NONCE },
	{ CHILD_NONCE, CEV_JOB, keep_nonce, CHILD_SPI },
	{ CHILD_SPI, CEV_SPI, queue, CHILD_QUEUED },
	{ CHILD_QUEUED, CEV_TURN, go, CHILD_OFFERED },
	{ CHILD_OFFERED, CEV_REPLY, read_reply, CHILD_DERIVE },
	{ CHILD_DERIVE, CEV_JOB, key, CHILD_INBOUND },
	{ CHILD_INBOUND, CEV_DONE, send, CHILD_OUTBOUND },

	/* IKE_AUTH, its initiator: nonces and secret are the IKE SA's */
	{ CHILD_FIRST, CEV_START, ask_spi, CHILD_FIRST_SPI },
	{ CHILD_FIRST_SPI, CEV_SPI, tell_ike, CHILD_FIRST_OFFERED },
	{ CHILD_FIRST_OFFERED, CEV_PROVEN, key_first, CHILD_INBOUND },

	/* responders */
	{ CHILD_R_IDLE, CEV_REQUEST, ask_answer, CHILD_R_NONCE },
	{ CHILD_R_NONCE, CEV_JOB, keep_nonce, CHILD_R_SPI },
	{ CHILD_R_FIRST, CEV_START, ask_spi, CHILD_R_SPI },
	{ CHILD_R_SPI, CEV_SPI, key, CHILD_R_INBOUND },
	{ CHILD_R_INBOUND, CEV_DONE, answer, CHILD_SETTLE },
	{ CHILD_SETTLE, CEV_SETTLED, send, CHILD_OUTBOUND },

	{ CHILD_OUTBOUND, CEV_DONE, up, CHILD_UP },
	{ CHILD_UP, CEV_DONE, go, CHILD_UP }, /* began to send later than the others */
};

const size_t child_row_count = ARRAY_LEN(steps);

int child_step(struct child *c, enum child_event ev, const struct ike_msg *m, const struct keying_result *r,
	       struct diag *d)
{
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		const struct child_step_row *s = &steps[i];
		if (s->state != c->state || s->event != ev)
			continue;
		c->ike->k->rows.child |= UINT64_C(1) << i;
		int e = s->act(c, &(struct child_input){ m, r }, d);
		if (e != 0 || c->state != s->state)
			return e < 0 ? e : 0;
		c->state = s->next;
		/* Some steps have nothing to wait for. */
		if (c->state == CHILD_DERIVE && !c->group)
			return child_step(c, CEV_JOB, NULL, NULL, d);
		if (c->state == CHILD_SETTLE && c->settle_ms == UINT64_MAX)
			return child_step(c, CEV_SETTLED, NULL, NULL, d);
		if (c->state == CHILD_OUTBOUND && !c->sends)
			return child_step(c, CEV_DONE, NULL, NULL, d);
		return 0;
	}
	return diag_fail(d, ERR_UNEXPECTED, "event %d of a CHILD SA in state %d", ev, c->state);
}

static void fire(void *owner);

struct child *child_new(struct ike_sa *ike, bool initiator, const struct sa_selector *s, const struct rule *rule)
{
	struct keying *k = ike->k;
	struct child *c = mem_new(1, sizeof *c);

	*c = (struct child){
		.ike = ike,
		.pair = keying_number(k),
		.state = initiator ? CHILD_IDLE : CHILD_R_IDLE,
		.initiator = initiator,
		.selector = *s,
		.asked = *s,
		.rule = rule,
		.soft_ms = UINT64_MAX,
		.hard_ms = UINT64_MAX,
		.settle_ms = UINT64_MAX,
		.linger_ms = UINT64_MAX,
	};
	c->timer.owner = c;
	c->timer.fire = fire;
	LIST_INSERT_HEAD(&ike->children, c, entry);
	table_add(&k->children, c->pair, c);
	ike->childless_ms = UINT64_MAX;
	return c;
}

struct child *child_by_pair(struct keying *k, uint64_t pair)
{
	return table_find(&k->children, pair, NULL, NULL);
}

struct child *child_by_spi(struct ike_sa *ike, uint32_t spi, bool ours)
{
	struct child *c;

	LIST_FOREACH(c, &ike->children, entry)
		if (spi && (ours ? c->spi_in : c->spi_out) == spi)
			return c;
	return NULL;
}

/* ---- initiator --------------------------------------------------------------------------------------------------- */

static void start(struct child *c)
{
	struct diag d = { 0 };

	int r = nat_check_protection(c->ike, c->rule->protection, &d);

	if (r == 0) {
		c->group = nat_first_suite(c->ike, c->rule->protection)->group;
		r = child_step(c, CEV_START, NULL, NULL, &d);
	}
	if (r < 0)
		child_fault(c, (struct fault){ .code = failure_of(r) }, "%s", d.text);
}

/* What the packet that waits is in; with nothing around it, or named in front of the rule's own selectors. */
static struct sa_selector of_packet(const struct child *c)
{
	struct sa_selector s = c->asked;

	s.local = c->packet.local;
	s.remote = c->packet.remote;
	s.local_last = s.remote_last = (struct addr){ 0 };
	s.protocol = c->packet.protocol;
	s.local_port = (struct port_range){ c->packet.local_port, c->packet.local_port };
	if (selector_is_icmp(s.protocol))
		s.remote_port = PORT_ANY;
	else
		s.remote_port = (struct port_range){ c->packet.remote_port, c->packet.remote_port };
	return s;
}

/* Noted when it begins, for the old one may be gone when it is up. */
static void child_replaces(struct child *c, uint64_t pair)
{
	const struct child *old = child_by_pair(c->ike->k, pair);

	c->replaces = pair;
	line_free(c->line);
	c->line = line_new(old ? old->line : NULL);
}

void child_start_like(struct ike_sa *ike, const struct child *like, uint64_t replaces)
{
	struct child *c = child_new(ike, true, &like->asked, like->rule);

	c->selector = like->selector; /* as narrow as it was made, or another rule of the peer's might answer */
	child_replaces(c, replaces);
	start(c);
}

void child_start_for(struct ike_sa *ike, const struct want *w)
{
	struct child *c = child_new(ike, true, &w->selector, w->rule);

	c->packet = w->packet;
	c->names_packet = w->names_packet;
	if (w->packet_only) {
		c->selector = of_packet(c);
		if (c->rule->tunnel) { /* all traffic of the pair: its fragments have no ports */
			c->selector.protocol = PROTOCOL_ANY;
			c->selector.local_port = c->selector.remote_port = PORT_ANY;
		}
	}
	start(c);
}

static int ask_nonce(struct child *c, const struct child_input *in, struct diag *d)
{
	struct keying_job *job = job_new(JOB_BEGIN);

	(void)in;
	(void)d;
	job->group = c->group;
	c->job = job_ask(c->ike->k, OWNER_CHILD, c->pair, job);
	return 0;
}

static int ask_spi(struct child *c, const struct child_input *in, struct diag *d)
{
	uint64_t request = request_ask(c->ike->k, c->pair, WAIT_SPI);
	struct keying_todo *t = todo_add(c->ike->k, KEYING_RESERVE_SPI);

	(void)in;
	(void)d;
	t->selector.local = c->ike->local;
	t->selector.remote = c->ike->remote;
	t->request = request;
	t->pair = c->pair;
	return 0;
}

/* Both roles: our nonce, and our part of a key exchange. */
static int keep_nonce(struct child *c, const struct child_input *in, struct diag *d)
{
	const struct keying_result *r = in->result;
	struct owned *own = c->initiator ? &c->nonce_i : &c->nonce_r;

	if (!own->len) { /* another group keeps it */
		owned_set(own, r->nonce, sizeof r->nonce);
	}
	owned_set(&c->private, r->private.octets, r->private.len);
	owned_set(&c->public, r->public, r->public_len);
	if (!c->initiator && r->secret_len)
		owned_set(&c->secret, r->secret, r->secret_len);
	if (c->spi_in) { /* reserved when it was tried with another group */
		c->state = CHILD_QUEUED;
		exchange_queue(c->ike, TASK_CREATE_CHILD, c->pair);
		return 0;
	}
	return ask_spi(c, in, d);
}

static int queue(struct child *c, const struct child_input *in, struct diag *d)
{
	(void)in;
	(void)d;
	c->state = CHILD_QUEUED; /* it may be its turn at once */
	exchange_queue(c->ike, TASK_CREATE_CHILD, c->pair);
	return 0;
}

static int go(struct child *c, const struct child_input *in, struct diag *d)
{
	(void)c;
	(void)in;
	(void)d;
	return 0;
}

static int tell_ike(struct child *c, const struct child_input *in, struct diag *d)
{
	(void)in;
	c->state = CHILD_FIRST_OFFERED;
	return ike_step(c->ike, EV_CHILD_SPI, NULL, NULL, d);
}

static void put_selectors(const struct child *c, struct ike_writer *w)
{
	struct sa_selector packet = c->names_packet ? of_packet(c) : c->selector;
	const struct ike_ts here[] = { selector_ts(&packet, true), selector_ts(&c->selector, true) };
	const struct ike_ts there[] = { selector_ts(&packet, false), selector_ts(&c->selector, false) };
	size_t from = c->names_packet ? 0 : 1;

	ike_put_ts_list(w, PL_TSI, (c->initiator ? here : there) + from, 2 - from);
	ike_put_ts_list(w, PL_TSR, (c->initiator ? there : here) + from, 2 - from);
}

static bool is_rekey(const struct child *c)
{
	return c->replaces != 0;
}

/* Another one that may carry the same traffic at the peer. */
static bool has_double(const struct child *c)
{
	const struct ike_sa *sa;
	const struct child *other;

	LIST_FOREACH(sa, &c->ike->contact->ikes, of_contact)
		LIST_FOREACH(other, &sa->children, entry)
			if (other != c && other->state >= CHILD_SETTLE && other->state <= CHILD_UP &&
			    selector_same(&other->asked, &c->asked))
				return true;
	return false;
}

/* A renewal whose turn has come: is there still something to renew? The peer may have been quicker, and then there is
 * nothing to do; where the old one has gone and nothing is in its place, a new one is made that renews none. */
bool child_still_wanted(struct child *c)
{
	const struct child *old = child_by_pair(c->ike->k, c->replaces);

	if (!is_rekey(c) || (old && old->state == CHILD_UP && !old->replaced))
		return true;
	if (has_double(c))
		return false;
	child_replaces(c, 0);
	return true;
}

void child_put_offer(struct child *c, struct ike_writer *w)
{
	const struct child *old = child_by_pair(c->ike->k, c->replaces);
	struct ike_offer offer, scratch;

	if (old)
		ike_put_notify_spi(w, N_REKEY_SA, (uint8_t)old->choice.suite.protocol, old->spi_in);
	if (!c->rule->tunnel)
		ike_put_notify(w, N_USE_TRANSPORT_MODE, NULL, 0);
	proposal_offer_child(c->rule->protection, c->spi_in, !c->first, &offer);
	ike_put_sa(w, nat_without_ah(c->ike, &offer, true, &scratch));
	if (!c->first) {
		ike_put_nonce(w, c->nonce_i.at, c->nonce_i.len);
		if (c->group)
			ike_put_ke(w, c->group->ikev2, c->public.at, c->public.len);
	}
	put_selectors(c, w);
}

struct fault child_fault_of(const struct ike_msg *m, const struct diag *d)
{
	const struct ike_notification *error = ike_find_error(m);

	if (error)
		return fault_of_notify(CREATE_CHILD_SA, error->type);
	return (struct fault){ .code = failure_of(d->code), .exchange = CREATE_CHILD_SA };
}

static int refused(const struct child *c, const struct ike_notification *error, struct diag *d)
{
	uint8_t exchange = c->first ? IKE_AUTH : CREATE_CHILD_SA;
	enum failure_code code = fault_of_notify(exchange, error->type).code;
	char remote[ADDR_TEXT], what[SELECTOR_TEXT], text[PROPOSALS_TEXT], words[REFUSAL_TEXT], ours[320];

	(void)snprintf(ours, sizeof ours, "%s (rule '%s')",
		       code == FAILURE_SELECTORS ? selector_text(&c->selector, what)
						 : proposal_protection_text(c->rule->protection, text),
		       c->rule->name);
	return diag_fail(d, failure_error(code), "%s refused quick mode in %s, %s", addr_text(&c->ike->remote, remote),
			 ike_exchange_name(exchange), refusal_words(exchange, error->type, ours, words));
}

/* What the responder made of our offer. Nothing is changed when it is not acceptable. */
int child_answered(struct child *c, const struct ike_msg *m, struct diag *d)
{
	const struct ike_notification *error = ike_find_error(m);
	struct proposal_child_choice choice;
	struct sa_selector s;
	char text[PROPOSALS_TEXT], what[SELECTOR_TEXT];

	c->refused = error ? error->type : 0;
	if (error)
		return refused(c, error, d);
	if (m->has_sa && m->offer.count) { /* from here on the peer has it, whatever we think of it */
		c->made = true;
		c->choice.suite.protocol = (enum ipsec_protocol)m->offer.proposals[0].protocol;
	}
	if (!m->has_sa || !m->has_ts_i || !m->has_ts_r)
		return diag_fail(d,
				 failure_error(ike_find_notify(m, N_REDIRECT) ? FAILURE_REDIRECT : FAILURE_MALFORMED),
				 "the peer's reply says neither yes nor no to quick mode");
	struct ike_offer offer;
	if (!proposal_accept_child(nat_without_ah(c->ike, &m->offer, false, &offer), c->rule->protection, !c->first,
				   &choice))
		return diag_fail(d, ERR_NO_PROPOSAL, "the peer took %s for quick mode, which rule '%s' did not offer",
				 proposal_text(&m->offer, text), c->rule->name);
	struct ike_ts_list mine, theirs;
	nat_substitute(c->ike, &m->ts_i, true, c->rule->tunnel, &mine);
	nat_substitute(c->ike, &m->ts_r, false, c->rule->tunnel, &theirs);
	if (!selector_accept(&c->selector, &mine, &theirs, &s))
		return diag_fail(d, failure_error(FAILURE_SELECTORS),
				 "the peer answered with other traffic selectors than %s",
				 selector_text(&c->selector, what));
	if (!ike_find_notify(m, N_USE_TRANSPORT_MODE) != c->rule->tunnel)
		return diag_fail(d, failure_error(FAILURE_TUNNEL),
				 "the peer insists on %s mode; rule '%s' asks for %s mode",
				 c->rule->tunnel ? "transport" : "tunnel", c->rule->name,
				 c->rule->tunnel ? "tunnel" : "transport");
	c->choice = choice;
	c->chosen = true;
	c->spi_out = choice.spi;
	c->selector = s;
	return 0;
}

static int read_reply(struct child *c, const struct child_input *in, struct diag *d)
{
	const struct ike_msg *m = in->msg;
	int r = child_answered(c, m, d);

	if (r < 0)
		return r;
	if (!m->nonce.len)
		return diag_fail(d, ERR_SYNTAX, "the peer's reply has no nonce");
	owned_set(&c->nonce_r, m->nonce.at, m->nonce.len);
	if (!c->choice.suite.group) {
		c->group = NULL;
		return 0;
	}
	if (c->choice.suite.group != c->group || !m->has_ke || m->ke_group != c->group->ikev2 ||
	    m->ke.len != c->group->public_octets)
		return diag_fail(d, ERR_SYNTAX, "the peer's key exchange is not of the group that it chose");
	struct keying_job *job = job_new(JOB_DERIVE);
	job->group = c->group;
	(void)key_set(&job->private, c->private.at, c->private.len);
	owned_wipe(&c->private);
	job->peer_public = job_octets(m->ke);
	c->job = job_ask(c->ike->k, OWNER_CHILD, c->pair, job);
	return 0;
}

/* A refused rekey: the old SA stays while its life lasts, and it is tried again. */
static void rekey_again(struct child *c, uint64_t after_ms)
{
	struct child *old = child_by_pair(c->ike->k, c->replaces);

	if (!old || old->state != CHILD_UP)
		return;
	old->soft_ms = c->ike->k->now_ms + after_ms;
	child_arm(old);
}

/* The peer computes with another group; the first that it names and we offered is tried once. */
static bool other_group(struct child *c, const struct ike_notification *n)
{
	struct wire_in in = wire_in(n->data.at, n->data.len);
	uint16_t group = wire_u16(&in);

	for (size_t i = 0; wire_done(&in) && c->tries < 2 && i < c->rule->protection->count; i++) {
		const struct algorithm *g = c->rule->protection->suites[i].group;
		if (!g || g->ikev2 != group || g == c->group)
			continue;
		c->tries++;
		c->group = g;
		c->state = CHILD_IDLE;
		return child_step(c, CEV_START, NULL, NULL, NULL) == 0;
	}
	return false;
}

void child_reply(struct child *c, const struct ike_msg *m)
{
	const struct ike_notification *error = ike_find_error(m);
	struct contact *contact = c->ike->contact;
	struct diag d = { 0 };

	if (c->state != CHILD_OFFERED)
		return;
	if (error && error->type == N_INVALID_KE_PAYLOAD && other_group(c, error))
		return;
	if (error && error->type == N_TEMPORARY_FAILURE && contact) {
		struct want *w = want_find(contact, &c->asked);
		rekey_again(c, c->ike->initiator ? RETRY_TEMPORARY_MS : 3 * RETRY_TEMPORARY_MS);
		child_drop(c, NULL);
		if (w)
			want_later(w);
		return;
	}
	if (error && error->type == N_CHILD_SA_NOT_FOUND && is_rekey(c)) { /* 2.25.1: the peer has lost the old one */
		struct child *old = child_by_pair(c->ike->k, c->replaces);
		struct want *w = old && contact ? want_get(contact, &c->asked, c->rule) : NULL;
		child_drop(c, NULL);
		if (old)
			child_drop(old, "the peer does not know it any more");
		if (w)
			want_drive(w);
		return;
	}
	if (child_step(c, CEV_REPLY, m, NULL, &d) < 0)
		child_fault(c, child_fault_of(m, &d), "%s", d.text);
}

/* ---- responder --------------------------------------------------------------------------------------------------- */

static struct child *refuse(struct refusal *ret, uint16_t notify)
{
	*ret = (struct refusal){ .notify = notify };
	return NULL;
}

static bool set_takes(const struct key_exchange_set *set, const struct ike_suite *suite)
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

struct child *child_asked(struct ike_sa *ike, const struct ike_msg *m, const struct child *old,
			  struct refusal *ret_refusal, struct diag *d)
{
	const bool with_group = m->h.exchange == CREATE_CHILD_SA;
	struct ike_offer offer;
	char offered[PROPOSALS_TEXT], wanted[PROPOSALS_TEXT], asked[ASKED_TEXT], rules[ASKED_TEXT];
	struct proposal_child_choice choice;
	struct narrowed n = { 0 };
	const struct plan_entry *e = narrow(ike, m, old, &n) ? n.entry : NULL;
	nat_note_original(ike, m);

	if (!e) {
		(void)diag_fail(d, failure_error(FAILURE_SELECTORS),
				"no rule of this host protects just what it asked for, %s; the rules between us are %s",
				asked_text(m, asked), rules_text(ike->k->plan, &ike->local, &ike->remote, rules));
		return refuse(ret_refusal, N_TS_UNACCEPTABLE);
	}
	if (ike->auth_set && e->rule->auth != ike->auth_set) {
		(void)diag_fail(d, failure_error(FAILURE_WRONG_METHOD),
				"rule '%s' asks for authentication '%s', and the peer proved '%s'", e->rule->name,
				e->rule->auth->name, ike->auth_set->name);
		return refuse(ret_refusal, N_TS_UNACCEPTABLE);
	}
	if (!set_takes(e->rule->key_exchange, &ike->suite)) {
		(void)diag_fail(d, failure_error(FAILURE_NO_PROPOSAL), "main mode is %s, rule '%s' wants %s",
				ike_suite_text(&ike->suite, offered), e->rule->name,
				proposal_set_text(e->rule->key_exchange, wanted));
		return refuse(ret_refusal, N_NO_PROPOSAL_CHOSEN);
	}
	if (e->rule->key_exchange->ppk_required && with_group && !ike->ppk) {
		(void)diag_fail(d, failure_error(FAILURE_PPK),
				"rule '%s' requires a post-quantum pre-shared key, and there is none in this main mode",
				e->rule->name);
		return refuse(ret_refusal, N_NO_PROPOSAL_CHOSEN);
	}
	if (m->asks_address) { /* 3.15.4 */
		(void)diag_fail(d, failure_error(FAILURE_ADDRESS_REQUEST),
				"it asks for an internal address, as remote access clients do; we hand out none");
		return refuse(ret_refusal, N_INTERNAL_ADDRESS_FAILURE);
	}
	/* Asked for transport mode, a tunnel rule is answered without: the peer may take it or leave it (1.3.1). */
	if (!e->rule->tunnel && !ike_find_notify(m, N_USE_TRANSPORT_MODE)) {
		(void)diag_fail(d, failure_error(FAILURE_TUNNEL),
				"it asks for tunnel mode, rule '%s' wants transport mode", e->rule->name);
		return refuse(ret_refusal, N_NO_PROPOSAL_CHOSEN);
	}
	if (nat_check_protection(ike, e->rule->protection, d) < 0)
		return refuse(ret_refusal, N_NO_PROPOSAL_CHOSEN);
	if (!proposal_choose_child(nat_without_ah(ike, &m->offer, false, &offer), e->rule->protection, with_group,
				   &choice)) {
		(void)diag_fail(d, ERR_NO_PROPOSAL, "it offers %s, rule '%s' wants %s",
				proposal_text(&m->offer, offered), e->rule->name,
				proposal_protection_text(e->rule->protection, wanted));
		return refuse(ret_refusal, N_NO_PROPOSAL_CHOSEN);
	}
	const struct algorithm *group = choice.suite.group;
	if (group && (!m->has_ke || m->ke_group != group->ikev2 || m->ke.len != group->public_octets)) {
		*ret_refusal = (struct refusal){ N_INVALID_KE_PAYLOAD, group->ikev2 };
		(void)diag_fail(d, ERR_NO_PROPOSAL, "it computed with another group than %s", group->name);
		return NULL;
	}
	size_t siblings = 0;
	const struct child *sibling;
	LIST_FOREACH(sibling, &ike->children, entry)
		siblings++;
	if (siblings >= CHILDREN_MOST) {
		(void)diag_fail(d, failure_error(FAILURE_BUSY), "it has %zu quick modes already", siblings);
		return refuse(ret_refusal, N_NO_ADDITIONAL_SAS);
	}
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

static void reply_refusal(struct ike_sa *ike, const struct refusal *why)
{
	uint8_t group[2];
	struct wire_out out = wire_out(group, sizeof group);

	wire_put_u16(&out, why->group);
	exchange_reply_notify(ike, CREATE_CHILD_SA, why->notify, group,
			      why->notify == N_INVALID_KE_PAYLOAD ? sizeof group : 0);
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
		reply_refusal(ike, &refusal);
		return;
	}
	child_replaces(c, old ? old->pair : 0);
	if (child_step(c, CEV_REQUEST, m, NULL, &d) < 0)
		child_fail(c, "%s", d.text);
}

static int ask_answer(struct child *c, const struct child_input *in, struct diag *d)
{
	const struct ike_msg *m = in->msg;
	struct keying_job *job = job_new(c->group ? JOB_ANSWER : JOB_BEGIN);

	(void)d;
	owned_set(&c->nonce_i, m->nonce.at, m->nonce.len);
	job->group = c->group;
	if (c->group)
		job->peer_public = job_octets(m->ke);
	c->job = job_ask(c->ike->k, OWNER_CHILD, c->pair, job);
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
	put_selectors(c, w);
}

/* Another one that carries the same traffic, if this one does not. */
static const struct child *carrier(const struct child *c)
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
static void settle_by(struct child *c)
{
	const struct want *w = want_find(c->ike->contact, &c->asked);
	uint64_t now = c->ike->k->now_ms, at = now + (carrier(c) ? SETTLE_CARRIED_MS : SETTLE_MS);

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
			settle_by(c);
	}
}

/* The peer waits for our next request before it sends under this one, and we have none: so an empty one. */
static void acknowledge(const struct child *c)
{
	if (!exchange_queued(c->ike, TASK_LIVENESS, 0))
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
static int answer(struct child *c, const struct child_input *in, struct diag *d)
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
	settle_by(c);
	return 0;
}

/* ---- both -------------------------------------------------------------------------------------------------------- */

static void install(struct child *c, bool inbound)
{
	struct keying *k = c->ike->k;
	bool as_initiator = c->initiator != inbound; /* whose sending direction is it? */
	struct key *encr = as_initiator ? &c->keys->encr_i : &c->keys->encr_r;
	struct key *integ = as_initiator ? &c->keys->integ_i : &c->keys->integ_r;
	uint64_t most = c->rule->protection->lifetime_octets;
	struct sa_spec spec = {
		.spi = inbound ? c->spi_in : c->spi_out,
		.inbound = inbound,
		.local = c->ike->local,
		.remote = c->ike->nat.outer,
		.encap_local_port = c->ike->nat.behind ? IKE_NAT_PORT : 0,
		.encap_remote_port = c->ike->nat.behind ? c->ike->remote_port : 0,
		.tunnel = c->rule->tunnel,
		.suite = c->choice.suite,
		.esn = c->choice.esn,
		.replay_window = REPLAY_WINDOW,
		.selector = c->selector,
		.rule = c->rule,
		.pair = c->pair,
		.soft_octets = most / 100 * (c->initiator ? 85 : 92),
		.hard_octets = most,
	};

	key_move(&spec.encr_key, encr);
	key_move(&spec.integ_key, integ);
	capture_child(k, &spec);
	c->installed = true;
	todo_install(k, &spec, request_ask(k, c->pair, inbound ? WAIT_INBOUND : WAIT_OUTBOUND));
}

static void forget_keys(struct child *c)
{
	if (c->keys)
		child_keys_wipe(c->keys);
	free(c->keys);
	c->keys = NULL;
}

static int key_with(struct child *c, struct keying_octets secret, const struct owned *ni, const struct owned *nr,
		    struct diag *d)
{
	const struct keymat_input in = {
		.secret = secret,
		.nonce_i = owned_octets(ni),
		.nonce_r = owned_octets(nr),
	};
	SCOPED(child_keys_wipe) struct child_keys keys = { 0 };
	int r = keymat_child(c->ike->suite.prf, &c->ike->sk_d, &c->choice.suite, &in, &keys, d);

	if (r < 0)
		return r;
	if (!c->line)
		c->line = line_new(NULL);
	line_drawn(c->line, ni->at, ni->len, nr->at, nr->len);
	forget_keys(c);
	c->keys = mem_copy(&keys, sizeof keys);
	install(c, true);
	return 0;
}

/* The nonces of IKE_AUTH's CHILD SA are the IKE SA's. */
static int key_first(struct child *c, const struct child_input *in, struct diag *d)
{
	(void)in;
	owned_set(&c->nonce_i, c->ike->nonce_i.at, c->ike->nonce_i.len);
	owned_set(&c->nonce_r, c->ike->nonce_r.at, c->ike->nonce_r.len);
	return key_with(c, (struct keying_octets){ 0 }, &c->nonce_i, &c->nonce_r, d);
}

static int key(struct child *c, const struct child_input *in, struct diag *d)
{
	struct keying_octets secret = owned_octets(&c->secret);
	int r;

	if (c->first)
		return key_first(c, in, d);
	if (in->result)
		secret = (struct keying_octets){ in->result->secret, in->result->secret_len };
	r = key_with(c, secret, &c->nonce_i, &c->nonce_r, d);
	owned_wipe(&c->secret);
	return r;
}

/* The loser of two twins receives only; it keeps its keys should it have to carry the traffic after all. */
static int send(struct child *c, const struct child_input *in, struct diag *d)
{
	(void)in;
	(void)d;
	c->settle_ms = UINT64_MAX;
	c->sends = twin_child_sends(c);
	if (c->sends) {
		install(c, false);
		forget_keys(c);
	}
	return 0;
}

static unsigned spread(const struct owned *n)
{
	return (unsigned)(table_hash(n->at, n->len, 2) % 1000);
}

static int up(struct child *c, const struct child_input *in, struct diag *d)
{
	struct ike_sa *ike = c->ike;
	struct keying *k = ike->k;
	struct child *old = child_by_pair(k, c->replaces);
	uint64_t life = c->rule->protection->lifetime_s * UINT64_C(1000);
	char suite[SUITE_TEXT], what[SELECTOR_TEXT];

	(void)in;
	(void)d;
	c->state = CHILD_UP;
	c->up_ms = k->now_ms;
	if (life) {
		c->soft_ms = k->now_ms + life_soft_ms(life, c->initiator, spread(&c->nonce_i));
		c->hard_ms = k->now_ms + life;
	}
	owned_wipe(&c->nonce_i); /* the line has what is needed of them */
	owned_wipe(&c->nonce_r);
	todo_event(k, EVENT_QUICK_MODE_UP, &c->ike->local, &c->ike->remote, c->rule->name, peer_kept_id(ike->peer),
		   c->spi_in, "%s %s by %s%s", selector_text(&c->selector, what),
		   child_suite_encrypts(&c->choice.suite) ? "is encrypted" : "is authenticated",
		   child_suite_text(&c->choice.suite, suite), c->replaces ? " (renewed)" : "");
	if (old) {
		old->replaced = true;
		old->soft_ms = UINT64_MAX;
		if (c->initiator)
			old->linger_ms = k->now_ms + LINGER_MS;
		child_arm(old);
	}
	if (c->initiator && !old && (c->replaces || has_double(c)))
		acknowledge(c);
	twin_child_up(c);
	contact_works(ike->contact);
	want_met(c);
	child_arm(c);
	if (c->doomed)
		child_delete(c);
	return 0;
}

void child_arm(struct child *c)
{
	uint64_t at = c->settle_ms;

	if (c->linger_ms < at)
		at = c->linger_ms;
	if (c->state == CHILD_UP && c->soft_ms < at)
		at = c->soft_ms;
	if (c->hard_ms < at)
		at = c->hard_ms;
	timer_set(&c->ike->k->timers, &c->timer, at);
}

static void fire(void *owner)
{
	struct child *c = owner;
	uint64_t now = c->ike->k->now_ms;

	if (c->settle_ms <= now) {
		c->settle_ms = UINT64_MAX;
		(void)child_step(c, CEV_SETTLED, NULL, NULL, NULL);
	}
	if (c->hard_ms <= now || c->linger_ms <= now) {
		bool over = c->state == CHILD_DELETING; /* the Delete never got its turn */
		c->linger_ms = UINT64_MAX;
		c->hard_ms = over ? UINT64_MAX : now + HALF_OPEN_MS;
		if (over)
			child_drop(c, "its life is over");
		else
			child_delete(c);
	} else if (c->soft_ms <= now) {
		c->soft_ms = UINT64_MAX;
		child_rekey(c);
	}
	if (c->state != CHILD_DEAD)
		child_arm(c);
}

void child_rekey(struct child *c)
{
	const struct child *other;

	if (c->state != CHILD_UP || c->replaced)
		return;
	LIST_FOREACH(other, &c->ike->children, entry)
		if (other->replaces == c->pair)
			return; /* somebody is at it */
	if (!ike_usable(c->ike) || c->ike->replaced_by) {
		c->soft_ms = c->ike->k->now_ms + 2 * RETRY_TEMPORARY_MS;
		child_arm(c);
		return;
	}
	child_start_like(c->ike, c, c->pair);
}

/* ---- end --------------------------------------------------------------------------------------------------------- */

/* The one that had lost is the only one left. */
static void stand_in(struct child *c)
{
	c->sends = true;
	c->replaced = false;
	c->linger_ms = UINT64_MAX;
	install(c, false);
	forget_keys(c);
	child_arm(c);
}

/* It carries nothing more: what waits for a sign of the peer may have to wait less long. */
static void pass_on(const struct child *old)
{
	struct ike_sa *sa;
	struct child *c;

	if (!old->ike->contact)
		return;
	LIST_FOREACH(sa, &old->ike->contact->ikes, of_contact)
		LIST_FOREACH(c, &sa->children, entry) {
			if (c == old || !selector_same(&c->asked, &old->asked) || carrier(c))
				continue;
			if (c->state == CHILD_SETTLE && c->settle_ms > c->ike->k->now_ms + SETTLE_MS)
				settle_by(c);
			else if (c->state == CHILD_UP && c->keys && !c->sends && !c->doomed &&
				 sa->state == IKE_ESTABLISHED)
				stand_in(c);
		}
}

void child_stop_sending(struct child *c)
{
	if (!c->sends)
		return;
	c->sends = false;
	todo_add(c->ike->k, KEYING_STOP_SENDING)->pair = c->pair;
	pass_on(c);
}

void child_drop(struct child *c, const char *why)
{
	struct ike_sa *ike = c->ike;
	struct keying *k = ike->k;
	bool was_up = c->state == CHILD_UP || c->state == CHILD_DELETING;

	if (c->state == CHILD_DEAD)
		return;
	if (why && was_up && !c->replaced)
		todo_event(k, EVENT_QUICK_MODE_DOWN, &c->ike->local, &c->ike->remote, c->rule->name,
			   peer_kept_id(ike->peer), c->spi_in, "quick mode is down: %s", why);
	c->state = CHILD_DEAD;
	if (c->installed && was_up)
		life_fade(k, c->pair);
	else if (c->installed)
		todo_add(k, KEYING_REMOVE)->pair = c->pair;
	else if (c->spi_in)
		todo_add(k, KEYING_RELEASE_SPI)->spi = c->spi_in;
	timer_stop(&k->timers, &c->timer);
	table_remove(&k->children, c->pair, c);
	LIST_REMOVE(c, entry);
	LIST_INSERT_HEAD(&k->dead_children, c, entry);
	if (ike->first == c)
		ike->first = NULL;
	if (was_up)
		pass_on(c);
	if (LIST_EMPTY(&ike->children) && ike->state == IKE_ESTABLISHED) {
		ike->childless_ms = k->now_ms + CHILDLESS_MS;
		ike_arm(ike);
	}
}

static void delete_now(struct child *c)
{
	child_stop_sending(c);
	c->state = CHILD_DELETING;
	c->settle_ms = c->linger_ms = UINT64_MAX;
	c->hard_ms = c->ike->k->now_ms + HALF_OPEN_MS;
	child_arm(c);
	exchange_queue(c->ike, TASK_DELETE_CHILD, c->pair);
}

void child_delete(struct child *c)
{
	if (c->state < CHILD_UP)
		c->doomed = true; /* the peer may have it already: when it is up */
	else if (c->state == CHILD_UP)
		delete_now(c);
}

static void fail(struct child *c, struct fault f, const char *text)
{
	struct ike_sa *ike = c->ike;
	struct keying *k = ike->k;

	if (c->initiator && c->refused == N_SINGLE_PAIR_REQUIRED && want_ask_packet_only(c)) {
		struct want *w = want_find(ike->contact, &c->asked);
		child_drop(c, NULL);
		want_drive(w);
		return;
	}
	if (!f.exchange)
		f.exchange = c->first ? IKE_AUTH : CREATE_CHILD_SA;
	f.peer = peer_kept_id(ike->peer);
	contact_fault(k, &c->ike->local, &c->ike->remote, c->rule->name, EVENT_QUICK_MODE_FAILED, f, "%s", text);
	if (!c->initiator) {
		bool first = c->first, unanswered = c->state <= CHILD_R_INBOUND;
		child_drop(c, NULL);
		if (first && unanswered && ike->state == IKE_R_CHILD) {
			ike->refusal = (struct refusal){ .notify = N_NO_ADDITIONAL_SAS };
			(void)ike_step(ike, EV_CHILD_READY, NULL, NULL, NULL);
		} else if (!first && unanswered) {
			exchange_reply_notify(ike, CREATE_CHILD_SA, N_NO_ADDITIONAL_SAS, NULL, 0);
		}
		return;
	}
	struct want *w = !is_rekey(c) && ike->contact ? want_find(ike->contact, &c->asked) : NULL;
	if (is_rekey(c))
		rekey_again(c, 10 * RETRY_TEMPORARY_MS);
	if (w && !w->failed)
		want_fail(w);
	if (c->made) /* the peer has it: take it back */
		delete_now(c);
	else
		child_drop(c, NULL);
}

void child_fault(struct child *c, struct fault f, const char *fmt, ...)
{
	char text[EVENT_TEXT];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	fail(c, f, text);
}

void child_fail(struct child *c, const char *fmt, ...)
{
	char text[EVENT_TEXT];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	fail(c, (struct fault){ 0 }, text);
}

void child_free(struct child *c)
{
	owned_wipe(&c->private);
	owned_wipe(&c->public);
	owned_wipe(&c->secret);
	owned_wipe(&c->nonce_i);
	owned_wipe(&c->nonce_r);
	line_free(c->line);
	forget_keys(c);
	explicit_bzero(c, sizeof *c);
	free(c);
}
