/* keying/want.c - packets that wait for a CHILD SA: how long they are held, when a request mode goes on in clear, and
 * when a failed negotiation is tried again. */
#include "keying/engine.h"
#include <stdlib.h>

static bool may_fall_back(const struct want *w)
{
	return w->rule->mode != MODE_REQUIRE;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void arm(struct want *w)
{
	struct keying *k = w->contact->k;
	uint64_t at = w->release_ms;

	if (w->later)
		at = least(at, w->retry_ms);
	if (w->failed)
		at = least(at, w->retry_ms + FORGET_MS);
	timer_set(&k->timers, &w->timer, at);
}

/* Let go of what is held: in clear if the rule's mode allows, else dropped. */
static void release(struct want *w)
{
	struct contact *c = w->contact;
	bool clear = may_fall_back(w);

	w->release_ms = UINT64_MAX;
	if (clear) {
		struct keying_todo *t = todo_add(c->k, KEYING_FALLBACK);
		t->selector.local = c->local;
		t->selector.remote = c->remote;
		t->seconds = c->k->config.fallback_s;
		if (!c->fell_back)
			todo_event(
				c->k, EVENT_FALLBACK, &c->local, &c->remote, w->rule->name, NULL, 0,
				"rule '%s' only requests protection, and none is there yet: its traffic goes in clear "
				"meanwhile. It is tried again.",
				w->rule->name);
		c->fell_back = w->fell_back = true;
	}
	struct keying_todo *t = todo_add(c->k, KEYING_RELEASE_HELD);
	t->selector = w->selector;
	t->clear = clear;
}

static void fire(void *owner)
{
	struct want *w = owner;
	struct keying *k = w->contact->k;

	if (w->release_ms <= k->now_ms)
		release(w);
	if (w->failed && w->retry_ms + FORGET_MS <= k->now_ms) {
		want_free(w);
		return;
	}
	bool again = w->later && w->retry_ms <= k->now_ms;
	if (again)
		w->later = false;
	arm(w);
	if (again)
		want_drive(w); /* may end it */
}

struct want *want_find(struct contact *c, const struct sa_selector *s)
{
	struct want *w;

	LIST_FOREACH(w, &c->wants, entry)
		if (selector_same(&w->selector, s))
			return w;
	return NULL;
}

struct want *want_get(struct contact *c, const struct sa_selector *s, const struct rule *rule)
{
	struct want *w = want_find(c, s);

	if (w) {
		w->rule = rule;
		return w;
	}
	if (c->k->want_count >= WANTS_MOST)
		return NULL;
	c->k->want_count++;
	w = mem_new(1, sizeof *w);
	*w = (struct want){ .contact = c, .selector = *s, .rule = rule, .release_ms = UINT64_MAX };
	w->timer.owner = w;
	w->timer.fire = fire;
	LIST_INSERT_HEAD(&c->wants, w, entry);
	contact_review(c);
	return w;
}

void want_free(struct want *w)
{
	struct contact *c = w->contact;

	c->k->want_count--;
	timer_stop(&c->k->timers, &w->timer);
	LIST_REMOVE(w, entry);
	free(w);
	contact_review(c);
}

/* Would a CHILD SA carry what waits? A narrower one carries what is in it. */
static bool carries(const struct child *child, const struct want *w)
{
	return selector_same(&child->asked, &w->selector) &&
	       (selector_same(&child->selector, &child->asked) ||
		(w->packet.local.family && selector_holds(&child->selector, &w->packet)));
}

/* Has the peer begun one itself, so that we are about to send under it? */
static bool is_answered(const struct contact *c, const struct want *w)
{
	const struct ike_sa *sa;
	const struct child *child;

	LIST_FOREACH(sa, &c->ikes, of_contact)
		LIST_FOREACH(child, &sa->children, entry)
			if (!child->initiator && child->state >= CHILD_R_INBOUND && child->state <= CHILD_UP &&
			    carries(child, w))
				return true;
	return false;
}

void want_acquire(struct contact *c, const struct sa_selector *s, const struct rule *rule, const struct sad_event *e)
{
	struct keying *k = c->k;
	struct want *w = want_get(c, s, rule);

	if (!w) {
		struct keying_todo *t = todo_add(k, KEYING_RELEASE_HELD);
		t->selector = *s;
		contact_fault(k, &c->local, &c->remote, rule->name, EVENT_QUICK_MODE_FAILED,
			      (struct fault){ .code = FAILURE_BUSY },
			      "%d negotiations are waiting already; this one has to wait", WANTS_MOST);
		return;
	}
	w->packet = e->packet;
	w->carried = e->carried;
	bool answered = is_answered(c, w);
	if (w->failed && k->now_ms < w->retry_ms && !answered) { /* no storm: it failed a moment ago */
		release(w);
		return;
	}
	w->failed = false;
	if (w->fell_back && !answered) { /* what answers a secured packet must not go in clear */
		release(w);
	} else if (w->release_ms == UINT64_MAX) {
		w->release_ms = k->now_ms + (may_fall_back(w) ? rule->fallback_after_ms : k->config.hold_ms);
		if (w->release_ms == k->now_ms)
			release(w);
	}
	if (!w->later)
		want_drive(w);
	w = want_find(c, s); /* it may have failed or succeeded at once */
	if (w)
		arm(w);
}

/* Is a CHILD SA on its way for it? Then its outcome is waited for. */
static bool in_progress(const struct contact *c, const struct want *w)
{
	const struct ike_sa *sa;
	const struct child *child;

	LIST_FOREACH(sa, &c->ikes, of_contact)
		LIST_FOREACH(child, &sa->children, entry) {
			if (child->state >= CHILD_UP)
				continue;
			if (child->initiator ? selector_same(&child->asked, &w->selector)
					     : child->state >= CHILD_R_INBOUND && carries(child, w))
				return true;
		}
	return false;
}

/* The CHILD SA of this want that is up: one that carries what waits, else any that is narrower. */
static const struct child *one_up(const struct want *w)
{
	const struct child *narrower = NULL, *child;
	const struct ike_sa *sa;

	LIST_FOREACH(sa, &w->contact->ikes, of_contact)
		LIST_FOREACH(child, &sa->children, entry) {
			if (child->state != CHILD_UP || child->replaced || !child->sends ||
			    !selector_same(&child->asked, &w->selector))
				continue;
			if (carries(child, w))
				return child;
			if (child->initiator)
				narrower = child;
		}
	return narrower;
}

/* There is one already. Either the packet came before the news of it, or the peer has narrowed what we asked for and
 * the packet is outside. Asking again would bring the same, unless the packet is named; and if that brings none that
 * carries it, the peer has no rule for it. */
static bool is_there(struct want *w)
{
	struct contact *c = w->contact;
	const struct child *child = one_up(w);
	char asked[SELECTOR_TEXT], got[SELECTOR_TEXT];

	if (!child)
		return false;
	if (carries(child, w)) {
		want_free(w);
		return true;
	}
	if (!w->packet.local.family) { /* wanted for no packet: what there is must do */
		want_free(w);
		return true;
	}
	if (!w->names_packet) {
		w->names_packet = true;
		return false;
	}
	contact_fault(c->k, &c->local, &c->remote, w->rule->name, EVENT_QUICK_MODE_FAILED,
		      (struct fault){ .code = FAILURE_SELECTORS, .by = SIDE_PEER },
		      "rule '%s' protects %s here, but the peer's rule only %s: make the two policies the same",
		      w->rule->name, selector_text(&child->asked, asked), selector_text(&child->selector, got));
	want_fail(w);
	return true;
}

bool want_ask_packet_only(const struct child *refused)
{
	struct contact *c = refused->ike->contact;
	struct want *w = c && !refused->replaces ? want_find(c, &refused->asked) : NULL;

	if (!w || !w->packet.local.family || w->packet_only)
		return false;
	w->packet_only = true;
	return true;
}

/* A fresh packet is a reason to ask again before the next repetition is due. */
static void nudge(struct ike_sa *sa)
{
	struct keying *k = sa->k;

	if (sa->state != IKE_I_INIT_SENT ||
	    k->now_ms - sa->request.sent_ms < 2 * (uint64_t)k->config.retransmit_first_ms)
		return;
	sa->request.resend_ms = k->now_ms;
	ike_arm(sa);
}

void want_drive(struct want *w)
{
	struct contact *c = w->contact;
	struct ike_sa *sa = contact_ike(c, w->rule);

	if (sa)
		nudge(sa);
	if (w->failed || w->later || c->k->closing || in_progress(c, w) || is_there(w))
		return;
	if (!sa) {
		if (!init_initiate(c, w))
			want_fail(w);
		return;
	}
	if (!ike_usable(sa))
		return;      /* on its way */
	if (sa->replaced_by) /* the old one may not begin anything new (RFC 7296 2.8) */
		want_later(w);
	else
		child_start_for(sa, w);
}

void want_drive_all(struct contact *c)
{
	struct want *w, *next;

	for (w = LIST_FIRST(&c->wants); w; w = next) {
		next = LIST_NEXT(w, entry);
		want_drive(w);
	}
}

void want_fail(struct want *w)
{
	struct keying *k = w->contact->k;
	uint64_t wait = BACKOFF_FIRST_MS;

	for (unsigned i = 0; i < w->failures && wait < BACKOFF_MOST_MS; i++)
		wait *= 2;
	w->failures++;
	w->failed = true;
	w->later = false;
	w->retry_ms = k->now_ms + least(wait, BACKOFF_MOST_MS);
	release(w);
	arm(w);
}

void want_fail_all(struct keying *k, const struct ike_sa *of)
{
	struct contact *c = contact_find(k, &of->local, &of->remote);
	struct want *w, *next;

	for (w = c ? LIST_FIRST(&c->wants) : NULL; w; w = next) {
		next = LIST_NEXT(w, entry);
		if (w->failed || w->rule->auth != of->auth_set || w->rule->key_exchange != of->ke_set)
			continue;
		if (contact_ike(c, w->rule)) /* another one can carry it */
			want_drive(w);
		else
			want_fail(w);
	}
}

void want_later(struct want *w)
{
	w->later = true;
	w->retry_ms = w->contact->k->now_ms + RETRY_TEMPORARY_MS;
	arm(w);
}

bool want_is_carried(const struct child *c)
{
	const struct want *w = want_find(c->ike->contact, &c->asked);

	return w && w->carried;
}

void want_met(struct child *up)
{
	struct want *w = want_find(up->ike->contact, &up->asked);

	if (!w)
		return;
	if (!w->packet.local.family || carries(up, w)) {
		want_free(w);
	} else if (!w->failed) { /* what waits is outside: it gets its own, or the reason why not */
		up->doomed |= up->names_packet;
		want_drive(w);
	}
}
