/* keying/child.c - a CHILD SA from wish to end: one table of steps (RFC 7296 1.2, 1.3.1, 1.3.3, 2.8, 2.9, 2.17). The
 * inbound half is installed before the peer can send under it, the outbound half after that. */
#include "keying/child.h"
#include "keying/v1/v1.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static child_action key_first;

static const struct child_step_row {
	enum child_state state;
	enum child_event event;
	child_action *act;
	enum child_state next;
} steps[] = {
	/* CREATE_CHILD_SA, its initiator (1.3.1) */
	{ CHILD_IDLE, CEV_START, child_ask_nonce, CHILD_NONCE },
	{ CHILD_NONCE, CEV_JOB, child_keep_nonce, CHILD_SPI },
	{ CHILD_SPI, CEV_SPI, child_queue, CHILD_QUEUED },
	{ CHILD_QUEUED, CEV_TURN, child_go, CHILD_OFFERED },
	{ CHILD_OFFERED, CEV_REPLY, child_read_reply, CHILD_DERIVE },
	{ CHILD_DERIVE, CEV_JOB, child_key, CHILD_INBOUND },
	{ CHILD_INBOUND, CEV_DONE, child_send, CHILD_OUTBOUND },

	/* IKE_AUTH, its initiator: nonces and secret are the IKE SA's */
	{ CHILD_FIRST, CEV_START, child_ask_spi, CHILD_FIRST_SPI },
	{ CHILD_FIRST_SPI, CEV_SPI, child_tell_ike, CHILD_FIRST_OFFERED },
	{ CHILD_FIRST_OFFERED, CEV_PROVEN, key_first, CHILD_INBOUND },

	/* responders */
	{ CHILD_R_IDLE, CEV_REQUEST, child_ask_answer, CHILD_R_NONCE },
	{ CHILD_R_NONCE, CEV_JOB, child_keep_nonce, CHILD_R_SPI },
	{ CHILD_R_FIRST, CEV_START, child_ask_spi, CHILD_R_SPI },
	{ CHILD_R_SPI, CEV_SPI, child_key, CHILD_R_INBOUND },
	{ CHILD_R_INBOUND, CEV_DONE, child_answer, CHILD_SETTLE },
	{ CHILD_SETTLE, CEV_SETTLED, child_send, CHILD_OUTBOUND },

	{ CHILD_OUTBOUND, CEV_DONE, child_up, CHILD_UP },
	{ CHILD_UP, CEV_DONE, child_go, CHILD_UP }, /* began to send later than the others */
};

const size_t child_row_count = ARRAY_LEN(steps);

int child_step(struct child *c, enum child_event ev, const struct ike_msg *m, const struct keying_result *r,
	       struct diag *d)
{
	if (c->v1)
		return quick_step(c, ev, NULL, r, d);
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

/* ---- both -------------------------------------------------------------------------------------------------------- */

static void install(struct child *c, bool inbound)
{
	struct keying *k = c->ike->k;
	bool as_initiator = c->initiator != inbound; /* whose sending direction is it? */
	struct key *encr = as_initiator ? &c->keys->encr_i : &c->keys->encr_r;
	struct key *integ = as_initiator ? &c->keys->integ_i : &c->keys->integ_r;
	uint64_t most = c->rule->protection->lifetime_octets;
	bool udp = encap_is_udp(c);
	struct sa_spec spec = {
		.spi = inbound ? c->spi_in : c->spi_out,
		.inbound = inbound,
		.local = c->ike->local,
		.remote = c->ike->nat.outer,
		.encap_local_port = udp ? IKE_NAT_PORT : 0,
		.encap_remote_port = !udp                 ? 0
				     : c->ike->nat.behind ? c->ike->remote_port
							  : IKE_NAT_PORT,
		.nat = c->ike->nat.behind != 0,
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
	if (inbound)
		member_tell(k, c->ike->peer, &c->ike->remote, &c->selector);
}

static void forget_keys(struct child *c)
{
	if (c->keys)
		child_keys_wipe(c->keys);
	free(c->keys);
	c->keys = NULL;
}

static void take_keys(struct child *c, const struct child_keys *keys, const struct owned *ni, const struct owned *nr)
{
	if (!c->line)
		c->line = line_new(NULL);
	line_drawn(c->line, ni->at, ni->len, nr->at, nr->len);
	forget_keys(c);
	c->keys = mem_copy(keys, sizeof *keys);
	install(c, true);
}

void child_take_keys(struct child *c, const struct child_keys *keys)
{
	take_keys(c, keys, &c->nonce_i, &c->nonce_r);
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
	take_keys(c, &keys, ni, nr);
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

int child_key(struct child *c, const struct child_input *in, struct diag *d)
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
int child_send(struct child *c, const struct child_input *in, struct diag *d)
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

int child_up(struct child *c, const struct child_input *in, struct diag *d)
{
	struct ike_sa *ike = c->ike;
	struct keying *k = ike->k;
	struct child *old = child_by_pair(k, c->replaces);
	uint64_t life = c->rule->protection->lifetime_s * UINT64_C(1000);
	if (c->v1)
		life = quick_life_ms(c, life);
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
	words_copy(todo_last(k)->event.suite, sizeof todo_last(k)->event.suite, suite);
	if (old) {
		old->replaced = true;
		old->soft_ms = UINT64_MAX;
		if (c->initiator)
			old->linger_ms = k->now_ms + LINGER_MS;
		child_arm(old);
	}
	if (c->initiator && !old && (c->replaces || child_has_double(c) || want_is_carried(c)))
		child_acknowledge(c);
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
	if (c->v1 && quick_deadline(c) < at)
		at = quick_deadline(c);
	timer_set(&c->ike->k->timers, &c->timer, at);
}

static void fire(void *owner)
{
	struct child *c = owner;
	uint64_t now = c->ike->k->now_ms;

	if (c->v1 && !quick_due(c))
		return;
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
		if (c->ike->v1)
			renew_start(c->ike);
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
			if (c == old || !selector_same(&c->asked, &old->asked) || child_carrier(c))
				continue;
			if (c->state == CHILD_SETTLE && c->settle_ms > c->ike->k->now_ms + SETTLE_MS)
				child_settle_by(c);
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
		f.exchange = c->v1 ? (uint8_t)V1_QUICK : c->first ? IKE_AUTH : CREATE_CHILD_SA;
	f.peer = peer_kept_id(ike->peer);
	contact_fault(k, &c->ike->local, &c->ike->remote, c->rule->name, EVENT_QUICK_MODE_FAILED, f, "%s", text);
	if (!c->initiator) {
		bool first = c->first, unanswered = c->state <= CHILD_R_INBOUND;
		child_drop(c, NULL);
		if (first && unanswered && ike->state == IKE_R_CHILD) {
			ike->refusal = (struct refusal){ .notify = N_NO_ADDITIONAL_SAS };
			(void)ike_step(ike, EV_CHILD_READY, NULL, NULL, NULL);
		} else if (!first && unanswered && c->v1) {
			quick_refuse(ike, c->spi_out, V1_N_NO_PROPOSAL_CHOSEN);
		} else if (!first && unanswered) {
			exchange_reply_notify(ike, CREATE_CHILD_SA, N_NO_ADDITIONAL_SAS, NULL, 0);
		}
		return;
	}
	struct want *w = !child_is_rekey(c) && ike->contact ? want_find(ike->contact, &c->asked) : NULL;
	if (child_is_rekey(c))
		child_rekey_again(c, 10 * RETRY_TEMPORARY_MS);
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

void child_not_member(struct child *c, const char *why)
{
	c->not_member = true;
	child_fault(c, (struct fault){ .code = FAILURE_NOT_MEMBER }, "we refused quick mode: %s", why);
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
	quick_free(c->v1);
	explicit_bzero(c, sizeof *c);
	free(c);
}
