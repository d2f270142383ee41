/* keying/child_offer.c - who begins a CHILD SA: what it is for, the offer (RFC 7296 1.3.1, 1.3.3, 2.8, 2.9), and what
 * the reply makes of it. */
#include "keying/child.h"
#include "keying/v1/v1.h"
#include <stdio.h>

static void start(struct child *c)
{
	struct diag d = { 0 };

	if (!member_may(c->ike->k, c->ike->peer, &c->ike->remote, c->rule, &d)) {
		child_not_member(c, d.text);
		return;
	}
	if (c->ike->v1) {
		quick_start(c);
		return;
	}
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
void child_replaces(struct child *c, uint64_t pair)
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

int child_ask_nonce(struct child *c, const struct child_input *in, struct diag *d)
{
	struct keying_job *job = job_new(JOB_BEGIN);

	(void)in;
	(void)d;
	job->group = c->group;
	c->job = job_ask(c->ike->k, OWNER_CHILD, c->pair, job);
	return 0;
}

int child_ask_spi(struct child *c, const struct child_input *in, struct diag *d)
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
int child_keep_nonce(struct child *c, const struct child_input *in, struct diag *d)
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
	return child_ask_spi(c, in, d);
}

int child_queue(struct child *c, const struct child_input *in, struct diag *d)
{
	(void)in;
	(void)d;
	c->state = CHILD_QUEUED; /* it may be its turn at once */
	exchange_queue(c->ike, TASK_CREATE_CHILD, c->pair);
	return 0;
}

int child_go(struct child *c, const struct child_input *in, struct diag *d)
{
	(void)c;
	(void)in;
	(void)d;
	return 0;
}

int child_tell_ike(struct child *c, const struct child_input *in, struct diag *d)
{
	(void)in;
	c->state = CHILD_FIRST_OFFERED;
	return ike_step(c->ike, EV_CHILD_SPI, NULL, NULL, d);
}

void child_put_selectors(const struct child *c, struct ike_writer *w)
{
	struct sa_selector packet = c->names_packet ? of_packet(c) : c->selector;
	const struct ike_ts here[] = { selector_ts(&packet, true), selector_ts(&c->selector, true) };
	const struct ike_ts there[] = { selector_ts(&packet, false), selector_ts(&c->selector, false) };
	size_t from = c->names_packet ? 0 : 1;

	ike_put_ts_list(w, PL_TSI, (c->initiator ? here : there) + from, 2 - from);
	ike_put_ts_list(w, PL_TSR, (c->initiator ? there : here) + from, 2 - from);
}

bool child_is_rekey(const struct child *c)
{
	return c->replaces != 0;
}

/* Another one that may carry the same traffic at the peer. */
bool child_has_double(const struct child *c)
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

	if (!child_is_rekey(c) || (old && old->state == CHILD_UP && !old->replaced))
		return true;
	if (child_has_double(c))
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
	child_put_selectors(c, w);
}

/* A Cordon says why it calls the traffic unacceptable. */
static bool refuses_member(const struct ike_msg *m, const struct ike_notification *error)
{
	return error->type == N_TS_UNACCEPTABLE && ike_find_notify(m, N_CORDON_NOT_MEMBER);
}

struct fault child_fault_of(const struct ike_msg *m, const struct diag *d)
{
	const struct ike_notification *error = ike_find_error(m);

	if (error && refuses_member(m, error))
		return (struct fault){ FAILURE_NOT_MEMBER, SIDE_PEER, CREATE_CHILD_SA, error->type, NULL };
	if (error)
		return fault_of_notify(CREATE_CHILD_SA, error->type);
	return (struct fault){ .code = failure_of(d->code), .exchange = CREATE_CHILD_SA };
}

static int refused_member(const struct child *c, struct diag *d)
{
	char remote[ADDR_TEXT];

	return diag_fail(
		d, failure_error(FAILURE_NOT_MEMBER),
		"%s refused quick mode: this host is not known there to be in a group that its rule admits. Its "
		"`machines` and `groups` say who is, and its own log which rule (ours is '%s')",
		addr_text(&c->ike->remote, remote), c->rule->name);
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
	if (error && refuses_member(m, error))
		return refused_member(c, d);
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

int child_read_reply(struct child *c, const struct child_input *in, struct diag *d)
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
void child_rekey_again(struct child *c, uint64_t after_ms)
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
		child_rekey_again(c, c->ike->initiator ? RETRY_TEMPORARY_MS : 3 * RETRY_TEMPORARY_MS);
		child_drop(c, NULL);
		if (w)
			want_later(w);
		return;
	}
	if (error && error->type == N_CHILD_SA_NOT_FOUND &&
	    child_is_rekey(c)) { /* 2.25.1: the peer has lost the old one */
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
