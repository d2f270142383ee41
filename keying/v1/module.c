/* keying/v1/module.c - IKEv2 or IKEv1, where a rule names both. Who can drop packets can have two hosts fall back, but
 * never under what the rule allows, and not where they have met by IKEv2. */
#include "keying/v1/module.h"
#include <stdlib.h>

enum { SETS = 1024, WAYS = 4 };

/* Peers that have proven themselves by IKEv2: of too many, whoever would be forgotten first is. */
struct module_met {
	struct {
		struct addr local, remote;
		uint64_t until_ms;
	} at[SETS][WAYS];
};

static size_t set_of(const struct addr *local, const struct addr *remote)
{
	return table_hash_secret(remote->octets, sizeof remote->octets,
				 table_hash_secret(local->octets, sizeof local->octets, 3)) %
	       SETS;
}

static bool met(const struct keying *k, const struct addr *local, const struct addr *remote)
{
	size_t set = set_of(local, remote);

	for (size_t i = 0; k->met && i < WAYS; i++)
		if (k->met->at[set][i].until_ms > k->now_ms && addr_equal(&k->met->at[set][i].local, local) &&
		    addr_equal(&k->met->at[set][i].remote, remote))
			return true;
	return false;
}

void module_proven(const struct ike_sa *sa)
{
	struct keying *k = sa->k;
	size_t set = set_of(&sa->local, &sa->remote), at = 0;

	if (sa->v1)
		return;
	if (!k->met)
		k->met = mem_new(1, sizeof *k->met);
	for (size_t i = 1; i < WAYS; i++)
		if (k->met->at[set][i].until_ms < k->met->at[set][at].until_ms)
			at = i;
	for (size_t i = 0; i < WAYS; i++)
		if (addr_equal(&k->met->at[set][i].local, &sa->local) &&
		    addr_equal(&k->met->at[set][i].remote, &sa->remote))
			at = i;
	k->met->at[set][at].local = sa->local;
	k->met->at[set][at].remote = sa->remote;
	k->met->at[set][at].until_ms = k->now_ms + MODULE_MET_MS;
}

void module_forget(struct keying *k)
{
	free(k->met);
	k->met = NULL;
}

bool module_takes_v1(const struct keying *k, const struct rule *rule, const struct addr *local,
		     const struct addr *remote)
{
	return mm_can(rule) && (rule->modules == MODULE_IKEV1 || !met(k, local, remote));
}

unsigned module_first(const struct contact *c, const struct rule *rule)
{
	if (!(rule->modules & MODULE_IKEV2))
		return MODULE_IKEV1;
	return c->without_v2_ms > c->k->now_ms && module_takes_v1(c->k, rule, &c->local, &c->remote) ? MODULE_IKEV1
												     : MODULE_IKEV2;
}

void module_begun(struct ike_sa *sa, const struct rule *rule)
{
	if (sa->state == IKE_DEAD || !module_takes_v1(sa->k, rule, &sa->local, &sa->remote))
		return;
	sa->give_up_ms = sa->k->now_ms + MODULE_PATIENCE_MS;
	ike_arm(sa);
}

bool module_fall_back(struct ike_sa *sa)
{
	struct contact *c = sa->contact;
	const struct rule *rule = sa->first ? sa->first->rule : NULL;
	char remote[ADDR_TEXT];

	if (sa->v1 || sa->state != IKE_I_INIT_SENT || !c || !rule ||
	    !module_takes_v1(sa->k, rule, &sa->local, &sa->remote))
		return false;
	c->without_v2_ms = sa->k->now_ms + MODULE_WITHOUT_MS;
	todo_event(sa->k, EVENT_OLDER_PROTOCOL, &sa->local, &sa->remote, rule->name, NULL, 0,
		   "%s %s; rule '%s' allows IKEv1, which is tried now", addr_text(&sa->remote, remote),
		   sa->making->hint[0] ? "refuses IKEv2" : "does not answer by IKEv2", rule->name);
	struct keying *k = sa->k;
	struct addr local = sa->local, other = sa->remote;
	ike_drop(sa); /* what waits for it goes on waiting */
	if ((c = contact_find(k, &local, &other)))
		want_drive_all(c);
	return true;
}

void module_silent(const struct ike_sa *sa)
{
	if (sa->contact)
		sa->contact->without_v2_ms = 0;
}
