/* keying/contact.c - two hosts that meet: the IKE SAs between them, what waits for one, and what failed last. Hosts of
 * which only a failure is known are bounded: the oldest is forgotten first. */
#include "keying/engine.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pair_of_addr {
	const struct addr *local, *remote;
};

static uint64_t key_of(const struct addr *local, const struct addr *remote)
{
	return table_hash(remote->octets, sizeof remote->octets, table_hash(local->octets, sizeof local->octets, 0));
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

void contact_failed(struct keying *k, const struct addr *local, const struct addr *remote, const char *rule,
		    enum event_id id, const char *fmt, ...)
{
	struct contact *c = contact_get(k, local, remote);
	struct keying_failure f = { .local = *local, .remote = *remote, .at_ms = k->now_ms };
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(f.text, sizeof f.text, fmt, ap);
	va_end(ap);
	(void)snprintf(f.rule, sizeof f.rule, "%s", rule ? rule : "");
	if (!c->failure || strcmp(c->failure->text, f.text) != 0 || k->now_ms - c->told_ms >= EVENT_AGAIN_MS) {
		c->told_ms = k->now_ms;
		todo_event(k, id, local, remote, rule, NULL, 0, "%s", f.text);
	}
	if (!c->failure)
		c->failure = mem_new(1, sizeof *c->failure);
	*c->failure = f;
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

	LIST_FOREACH (sa, &c->ikes, of_contact) {
		if (sa->auth_set != rule->auth || sa->ke_set != rule->key_exchange)
			continue;
		if (ike_usable(sa))
			return sa;
		if (sa->initiator && sa->state < IKE_ESTABLISHED && !sa->replaces)
			making = sa;
	}
	return making;
}
