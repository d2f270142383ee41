/* keying/member.c - groups of peers: whom a rule with `machines` takes, and who is behind an SA, for the firewall. What
 * a peer has proven decides, and what was known of it then; a later proof is a later SA's. */
#include "keying/engine.h"
#include <stdio.h>

static struct todo_item *last_item(struct keying *k)
{
	return TAILQ_LAST(&k->todos, todo_queue);
}

static size_t put_groups(const struct rule *rule, char *buf, size_t cap)
{
	size_t n = 0;

	*buf = '\0';
	for (size_t i = 0; i < rule->machine_count && n < cap; i++)
		n += (size_t)snprintf(buf + n, cap - n, "%s%s", i ? ", " : "", rule->machines[i]->name);
	return n;
}

bool member_may(const struct keying *k, const struct peer_kept *kept, const struct addr *remote,
		const struct rule *rule, struct diag *d)
{
	struct peer peer;
	char groups[160];

	if (!rule->machine_count)
		return true;
	peer_of_kept(kept, &peer);
	if (groups_admit(rule->machines, rule->machine_count,
			 &(struct group_asker){ plan_policy(k->plan), &peer, remote, k->names }))
		return true;
	(void)put_groups(rule, groups, sizeof groups);
	(void)diag_fail(d, failure_error(FAILURE_NOT_MEMBER),
			"%s is not known to be in a group that rule '%s' admits (machines: %s)", peer.id, rule->name,
			groups);
	return false;
}

/* Of a tunnel between networks nobody knows who the hosts in them are. */
static bool is_one(const struct sa_selector *s, const struct addr *remote)
{
	return !s->local_last.family && !s->remote_last.family && addr_equal(&s->remote, remote);
}

void member_tell(struct keying *k, const struct peer_kept *kept, const struct addr *remote,
		 const struct sa_selector *selector)
{
	struct todo_item *t = last_item(k);
	struct peer peer;

	if (!plan_asks_who(k->plan) || !is_one(selector, remote))
		return;
	peer_of_kept(kept, &peer);
	t->membership = membership_of(k->plan, &peer, remote, k->names);
	t->todo.membership = t->membership;
}

void member_look_at_ticket(struct ike_sa *sa, const char *warning)
{
	const struct group *groups;

	if (!*warning && (peer_kept_learnt_s(sa->peer) || !policy_groups(plan_policy(sa->k->plan), &groups)))
		return;
	todo_event(sa->k, EVENT_GROUPS_UNKNOWN, &sa->local, &sa->remote, ike_rule_name(sa), peer_kept_id(sa->peer), 0,
		   "%s: %s; it is let in nowhere by a group, and counts as a member where one is excepted",
		   peer_kept_id(sa->peer),
		   *warning ? warning : "its Kerberos ticket says nothing of groups (no PAC, or one without them)");
}

static void review(struct child *c)
{
	struct keying *k = c->ike->k;
	struct diag d = { 0 };

	if (!c->ike->peer)
		return;
	if (!member_may(k, c->ike->peer, &c->ike->remote, c->rule, &d)) {
		contact_fault(k, &c->ike->local, &c->ike->remote, c->rule->name, EVENT_QUICK_MODE_FAILED,
			      (struct fault){ .code = FAILURE_NOT_MEMBER, .peer = peer_kept_id(c->ike->peer) },
			      "quick mode ends: %s", d.text);
		c->doomed = c->not_member = true;
	}
	if (!c->installed)
		return;
	todo_add(k, KEYING_MEMBERSHIP)->pair = c->pair;
	member_tell(k, c->ike->peer, &c->ike->remote, &c->selector);
}

const struct membership *member_groups(struct ike_sa *sa)
{
	struct peer peer;

	if (!sa->groups && sa->peer) {
		peer_of_kept(sa->peer, &peer);
		sa->groups = membership_of_all(
			&(struct group_asker){ plan_policy(sa->k->plan), &peer, &sa->remote, sa->k->names });
	}
	return sa->groups;
}

void member_review(struct keying *k)
{
	struct ike_sa *sa;
	struct child *c;

	TAILQ_FOREACH(sa, &k->ikes, entry) {
		membership_free(TAKE(sa->groups));
		LIST_FOREACH(c, &sa->children, entry)
			review(c);
	}
}
