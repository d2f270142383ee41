#include "analysis/tunnel.h"

#include "base/mem.h"

#include <stdlib.h>

/* Who stands for a side where the tunnel begins. */
struct stand {
	struct ends_who who;
	struct plan_entry entry; /* rule NULL: it has none for this */
	bool there;              /* anybody does */
};

static void add_gateway(struct addr **list, size_t *count, size_t *cap, const struct addr *a)
{
	for (size_t i = 0; i < *count; i++)
		if (addr_equal(&(*list)[i], a))
			return;
	if (!a->family)
		return;
	*list = mem_grow(*list, *count, cap, sizeof **list);
	(*list)[(*count)++] = *a;
}

struct addr *tunnel_gateways(const struct policy *p, size_t *ret_count)
{
	const struct rule *rules;
	size_t n = policy_rules(p, &rules), cap = 0;
	struct addr *list = NULL;

	*ret_count = 0;
	for (size_t i = 0; i < n; i++) {
		if (!rules[i].tunnel)
			continue;
		add_gateway(&list, ret_count, &cap, &rules[i].tunnel1);
		add_gateway(&list, ret_count, &cap, &rules[i].tunnel2);
	}
	return list;
}

static bool same_machine(const struct ends_who *a, const struct ends_who *b)
{
	return a->host ? a->host == b->host : addr_equal(&a->addr, &b->addr);
}

static bool runs_ipsec(const struct ends_who *who)
{
	return !who->host || who->host->agent != AGENT_NONE;
}

/* What wins at `who` for the packet as seen from that side of it. */
static const struct plan_entry *wins_at(struct why *w, const struct ends_who *who, const struct why_point *k,
					unsigned side)
{
	struct plan_packet packet = why_packet(k, side);
	const struct plan *plan = runs_ipsec(who) ? why_plan(w, who) : NULL;

	return plan ? plan_lookup(plan, &packet) : NULL;
}

static struct stand stand_for(struct why *w, const struct addr *gateways, size_t count, const struct why_point *k,
			      unsigned side, const struct why_side *own)
{
	const struct ends_who *self = side ? &k->to : &k->from;

	if (own->entry.rule && own->entry.rule->tunnel)
		return (struct stand){ .who = *self, .entry = own->entry, .there = true };
	for (size_t i = 0; i < count; i++) {
		struct ends_who who = ends_who(why_policy(w), &gateways[i]);
		const struct plan_entry *e;

		if (same_machine(&who, self) || !(e = wins_at(w, &who, k, side)))
			continue;
		return (struct stand){ .who = who, .entry = *e, .there = true };
	}
	return (struct stand){ 0 };
}

/* The other end of the tunnel that begins here. */
static struct stand far_end(struct why *w, const struct why_point *k, unsigned side, const struct stand *s)
{
	const struct rule *r = s->entry.rule;
	const struct addr *end = s->entry.local_is_end1 ? &r->tunnel2 : &r->tunnel1;
	const struct ends_who *other = side ? &k->from : &k->to;
	struct stand far = { .who = end->family ? ends_who(why_policy(w), end) : *other, .there = true };
	const struct plan_entry *e = wins_at(w, &far.who, k, !side);

	if (e)
		far.entry = *e;
	return far;
}

static enum stance stance_of(const struct stand *s)
{
	return s->entry.rule ? (enum stance)s->entry.rule->mode : STANCE_NONE;
}

static struct why_tunnel leg(const struct why *w, const struct stand *opens, const struct stand *accepts)
{
	const struct rule *a = opens->entry.rule, *b = accepts->entry.rule;
	struct why_tunnel t = { .rule = a && a->tunnel   ? a
					: b && b->tunnel ? b
					: a              ? a
							 : b,
				.ends = { opens->who, accepts->who } };

	t.negotiation = negotiate(
		(const struct negotiate_end[2]){
			{ opens->who.host, a && a == t.rule && a->tunnel ? a : NULL },
			{ accepts->who.host, b && b == t.rule && b->tunnel ? b : NULL },
		},
		policy_nat_traversal(why_policy(w)));
	t.meeting = outcome_meet(stance_of(opens), stance_of(accepts), &t.negotiation);
	return t;
}

static bool weaker(const struct why_tunnel *a, const struct why_tunnel *b)
{
	if ((a->meeting.verdict == OUTCOME_BLOCKED) != (b->meeting.verdict == OUTCOME_BLOCKED))
		return a->meeting.verdict == OUTCOME_BLOCKED;
	return a->meeting.verdict < b->meeting.verdict;
}

bool tunnel_judge(struct why *w, const struct addr *gateways, size_t count, const struct why_point *k,
		  const struct why_side own[2], struct why_tunnel *ret)
{
	struct stand stands[2];
	bool any = false;

	for (unsigned side = 0; side < 2; side++) {
		stands[side] = stand_for(w, gateways, count, k, side, &own[side]);
		any |= stands[side].there && stands[side].entry.rule->tunnel;
	}
	if (!any)
		return false;
	*ret = (struct why_tunnel){ 0 };
	/* One tunnel joins both; or each side has its own, to a hub between them. */
	for (unsigned side = 0; side < 2; side++) {
		struct why_tunnel t;
		struct stand far;

		if (!stands[side].there || !stands[side].entry.rule->tunnel)
			continue;
		far = far_end(w, k, side, &stands[side]);
		if (stands[!side].there && !stands[!side].entry.rule->tunnel)
			far = stands[!side]; /* it exempts or blocks there what this side would protect */
		t = side ? leg(w, &far, &stands[side]) : leg(w, &stands[side], &far);
		if (!ret->rule || weaker(&t, ret))
			*ret = t;
		if (stands[!side].there && same_machine(&far.who, &stands[!side].who))
			break;
	}
	for (unsigned side = 0; side < 2; side++)
		ret->behind[side] = !same_machine(&ret->ends[side], side ? &k->to : &k->from);
	return true;
}
