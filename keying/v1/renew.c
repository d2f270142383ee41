/* keying/v1/renew.c - main modes of IKEv1 that follow each other. There is no rekey: a new one is made from scratch and
 * proves anew who the peer is; quick modes do not end with the main mode that made them and are carried over. */
#include "keying/v1/v1.h"

enum { RENEW_AGAIN_MS = 30000 };

static bool same_peer(const struct ike_sa *a, const struct ike_sa *b)
{
	return a->auth_set == b->auth_set && a->ke_set == b->ke_set && nat_same_peer(a, b);
}

struct ike_sa *renew_successor(const struct ike_sa *old)
{
	struct ike_sa *sa;

	if (!old->contact)
		return NULL;
	LIST_FOREACH(sa, &old->contact->ikes, of_contact)
		if (sa != old && sa->v1 && same_peer(sa, old) && ike_usable(sa) &&
		    (old->gone || old->loser || reauth_newer(sa, old)))
			return sa;
	return NULL;
}

static bool under_way(const struct ike_sa *old)
{
	const struct ike_sa *sa;

	LIST_FOREACH(sa, &old->contact->ikes, of_contact)
		if (sa != old && sa->initiator && sa->state < IKE_ESTABLISHED && sa->auth_set == old->auth_set &&
		    sa->ke_set == old->ke_set)
			return true;
	return false;
}

static const struct rule *rule_of(const struct ike_sa *old)
{
	const struct child *c;
	const struct rule *rule = NULL;

	LIST_FOREACH(c, &old->children, entry)
		if (c->state == CHILD_UP && !c->doomed && c->rule->auth == old->auth_set &&
		    c->rule->key_exchange == old->ke_set)
			rule = c->rule;
	return rule;
}

void renew_start(struct ike_sa *old)
{
	const struct rule *rule = rule_of(old);

	old->rekey_ms = old->gone ? UINT64_MAX : old->k->now_ms + RENEW_AGAIN_MS; /* should it come to nothing */
	old->reauth_ms = old->proven_until_ms == UINT64_MAX ? UINT64_MAX : old->k->now_ms + RENEW_AGAIN_MS;
	if (!rule || !old->contact || old->state != IKE_ESTABLISHED || under_way(old))
		return;
	if (renew_successor(old)) {
		if (old->gone)
			renew_rescue(old);
		return;
	}
	struct ike_sa *new = mm_initiate(old->contact, rule);
	if (new)
		new->reauthenticates = old->number;
}

void renew_move(struct ike_sa *from, struct ike_sa *to, bool fresh_too)
{
	struct child *c, *next;

	for (c = LIST_FIRST(&from->children); c; c = next) {
		next = LIST_NEXT(c, entry);
		if (c->state != CHILD_UP || (!fresh_too && c->up_ms + RIVAL_MS > from->k->now_ms))
			continue;
		LIST_REMOVE(c, entry);
		c->ike = to;
		LIST_INSERT_HEAD(&to->children, c, entry);
		to->childless_ms = UINT64_MAX;
	}
}

void renew_up(struct ike_sa *new)
{
	struct ike_sa *old, *next;

	for (old = LIST_FIRST(&new->contact->ikes); old; old = next) {
		next = LIST_NEXT(old, of_contact);
		if (old == new || !old->v1 || !old->gone || !same_peer(old, new))
			continue;
		renew_move(old, new, true);
		if (LIST_EMPTY(&old->children))
			ike_drop(old);
	}
}

void renew_rescue(struct ike_sa *old)
{
	struct ike_sa *to = renew_successor(old);

	if (to)
		renew_move(old, to, true);
}

/* Its quick modes live on ([MS-IKEE] 3.8): under the next one if there is one, else by themselves until their lives are
 * over, or another main mode takes them. */
void renew_deleted(struct ike_sa *sa)
{
	sa->loser = true;
	renew_rescue(sa);
	if (sa->state == IKE_DELETING) {
		ike_deleted(sa);
	} else if (LIST_EMPTY(&sa->children)) {
		if (renew_successor(sa) || !sa->up_ms)
			ike_drop(sa);
		else
			ike_down(sa, EVENT_MAIN_MODE_DOWN, "the peer deleted it");
	} else {
		sa->gone = true;
		sa->expire_ms = sa->rekey_ms = sa->check_ms = UINT64_MAX;
		exchange_clear(sa);
		ike_arm(sa);
	}
}
