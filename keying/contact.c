/* keying/contact.c - two hosts that meet: the IKE SAs between them, what waits for one, and what failed last. Hosts of
 * which only a failure is known are bounded: the oldest is forgotten first. */
#include "keying/engine.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STRANGERS_TOLD = 10, STRANGERS_TOLD_MS = 1000 }; /* so many in so long */

struct pair_of_addr {
	const struct addr *local, *remote;
};

static uint64_t key_of(const struct addr *local, const struct addr *remote)
{
	return table_hash_secret(remote->octets, sizeof remote->octets,
				 table_hash_secret(local->octets, sizeof local->octets, 0));
}

static bool same(const void *value, const void *what)
{
	const struct contact *c = value;
	const struct pair_of_addr *p = what;

	return addr_equal(&c->local, p->local) && addr_equal(&c->remote, p->remote);
}

struct contact *contact_find(struct keying *k, const struct addr *local, const struct addr *remote)
{
	return table_find(&k->contacts, key_of(local, remote), same, &(struct pair_of_addr){ local, remote });
}

struct contact *contact_get(struct keying *k, const struct addr *local, const struct addr *remote)
{
	struct contact *c = contact_find(k, local, remote);

	if (c)
		return c;
	c = mem_new(1, sizeof *c);
	*c = (struct contact){ .k = k, .local = *local, .remote = *remote, .idle = true };
	table_add(&k->contacts, key_of(local, remote), c);
	if (k->idle_count >= STRANGERS_MOST)
		contact_free(TAILQ_FIRST(&k->idle));
	TAILQ_INSERT_TAIL(&k->idle, c, entry);
	k->idle_count++;
	return c;
}

void contact_review(struct contact *c)
{
	struct keying *k = c->k;
	bool idle = LIST_EMPTY(&c->ikes) && LIST_EMPTY(&c->wants);

	if (idle && !c->failure) {
		contact_free(c);
		return;
	}
	if (idle == c->idle)
		return;
	c->idle = idle;
	if (idle) {
		TAILQ_REMOVE(&k->busy, c, entry);
		if (k->idle_count >= STRANGERS_MOST)
			contact_free(TAILQ_FIRST(&k->idle));
		TAILQ_INSERT_TAIL(&k->idle, c, entry);
		k->idle_count++;
	} else {
		TAILQ_REMOVE(&k->idle, c, entry);
		k->idle_count--;
		TAILQ_INSERT_TAIL(&k->busy, c, entry);
	}
}

void contact_free(struct contact *c)
{
	struct keying *k = c->k;

	table_remove(&k->contacts, key_of(&c->local, &c->remote), c);
	if (c->idle) {
		TAILQ_REMOVE(&k->idle, c, entry);
		k->idle_count--;
	} else {
		TAILQ_REMOVE(&k->busy, c, entry);
	}
	free(c->failure);
	free(c);
}

/* Whoever has proven nothing, not even an address, must not fill the log, nor push out of it what matters. */
static bool may_tell_of_stranger(struct keying *k)
{
	if (k->now_ms - k->strangers_ms >= STRANGERS_TOLD_MS) {
		k->strangers_ms = k->now_ms;
		k->strangers_told = 0;
	}
	if (k->strangers_told == STRANGERS_TOLD)
		return false;
	k->strangers_told++;
	return true;
}

/* What is known keeps its place: a forger could say anything in a peer's name. */
static bool keeps(const struct failure_record *r, bool stranger, uint64_t now_ms)
{
	return stranger && r->last.at_ms && !r->last.stranger && now_ms - r->last.at_ms < BACKOFF_MOST_MS;
}

static void tell(struct keying *k, struct contact *c, enum event_id id, const struct fault *fault)
{
	struct keying_failure *f = &c->failure->last;

	todo_event(k, id, &f->local, &f->remote, f->rule, f->peer, 0, "%s", f->text);
	struct event *e = &todo_last(k)->event;
	e->failure = fault->code;
	e->by = fault->by;
	words_copy(e->step, sizeof e->step, f->step ? f->step : "");
	e->left_out = f->left_out;
	f->left_out = 0;
	if (f->stranger && k->strangers_left_out) {
		size_t len = strlen(e->text);
		(void)snprintf(e->text + len, sizeof e->text - len, " (%u more of other hosts were not told)",
			       k->strangers_left_out);
		k->strangers_left_out = 0;
	}
}

static void failed(struct keying *k, const struct addr *local, const struct addr *remote, const char *rule,
		   enum event_id id, bool stranger, struct fault fault, const char *fmt, va_list ap)
{
	struct contact *c = contact_find(k, local, remote);

	if (fault.code == FAILURE_NONE)
		fault.code = FAILURE_INTERNAL;
	if (stranger && !c && !may_tell_of_stranger(k)) { /* nor fill our memory */
		k->strangers_left_out++;
		return;
	}
	bool known = c != NULL;
	if (!c)
		c = contact_get(k, local, remote);
	if (!c->failure)
		c->failure = mem_new(1, sizeof *c->failure);
	struct failure_record *r = c->failure;
	r->last.times++;
	r->last.left_out++;
	if (keeps(r, stranger, k->now_ms))
		return;
	struct keying_failure f = { .local = *local,
				    .remote = *remote,
				    .at_ms = k->now_ms,
				    .code = fault.code,
				    .by = fault.by,
				    .step = fault.exchange ? ike_exchange_name(fault.exchange) : NULL,
				    .notify = fault.notify ? ike_notify_name(fault.notify) : NULL,
				    .times = r->last.times,
				    .left_out = r->last.left_out,
				    .stranger = stranger };

	(void)vsnprintf(f.text, sizeof f.text, fmt, ap);
	words_copy(f.rule, sizeof f.rule, rule ? rule : "");
	words_copy(f.peer, sizeof f.peer, fault.peer ? fault.peer : "");
	r->last = f;
	if (!failure_may_be_told(r, stranger, k->now_ms) || (stranger && known && !may_tell_of_stranger(k)))
		return;
	r->last.left_out--; /* this one is told */
	tell(k, c, id, &fault);
}

void contact_fault(struct keying *k, const struct addr *local, const struct addr *remote, const char *rule,
		   enum event_id id, struct fault f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	failed(k, local, remote, rule, id, false, f, fmt, ap);
	va_end(ap);
}

void contact_fault_stranger(struct keying *k, const struct addr *local, const struct addr *remote, const char *rule,
			    struct fault f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	failed(k, local, remote, rule, EVENT_MAIN_MODE_FAILED, true, f, fmt, ap);
	va_end(ap);
}

void contact_failed(struct keying *k, const struct addr *local, const struct addr *remote, const char *rule,
		    enum event_id id, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	failed(k, local, remote, rule, id, false, (struct fault){ 0 }, fmt, ap);
	va_end(ap);
}

void contact_refused(struct keying *k, const struct addr *local, const struct addr *remote, const char *rule,
		     const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	failed(k, local, remote, rule, EVENT_MAIN_MODE_FAILED, true, (struct fault){ 0 }, fmt, ap);
	va_end(ap);
}

void contact_works(struct contact *c)
{
	free(c->failure);
	c->failure = NULL;
	if (!c->fell_back)
		return;
	c->fell_back = false;
	struct keying_todo *t = todo_add(c->k, KEYING_FALLBACK);
	t->selector.local = c->local;
	t->selector.remote = c->remote;
	t->seconds = 0;
}

struct ike_sa *contact_ike(struct contact *c, const struct rule *rule)
{
	struct ike_sa *sa, *making = NULL;

	if (nat_ambiguous(c))
		return NULL;
	LIST_FOREACH(sa, &c->ikes, of_contact) {
		if (sa->auth_set != rule->auth || sa->ke_set != rule->key_exchange)
			continue;
		if (ike_usable(sa))
			return sa;
		if (sa->initiator && sa->state < IKE_ESTABLISHED && !sa->replaces)
			making = sa;
	}
	return making;
}
