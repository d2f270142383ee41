/* never-matches: rules that win nowhere. Found by compiling, not by comparing rules with each other: for one host or
 * address of each kind the plan is made, and whoever is never the first to match in any list of any plan is named. */
#include "analysis/lint/parts.h"

#include <stdlib.h>

enum { EARLIER_MOST = 256 }; /* entries looked back at, for rules that speak of thousands of ports */

static bool ports_cover(struct port_range a, struct port_range b)
{
	return a.lo <= b.lo && b.hi <= a.hi;
}

/* Does a match whatever b matches? */
static bool covers(const struct plan_entry *a, const struct plan_entry *b)
{
	return (a->protocol == PROTOCOL_ANY || a->protocol == b->protocol) &&
	       ports_cover(a->local_port, b->local_port) && ports_cover(a->remote_port, b->remote_port) &&
	       (a->icmp_type < 0 || a->icmp_type == b->icmp_type) &&
	       (a->icmp_code < 0 || a->icmp_code == b->icmp_code) && (a->initiators & b->initiators) == b->initiators;
}

struct lives {
	bool *alive;                /* by rule index */
	const struct rule **behind; /* the rule that was before it where it was seen */
};

static void walk_list(struct plan_list list, struct lives *lives)
{
	for (size_t i = 0; i < list.count; i++) {
		const struct plan_entry *e = &list.entries[i];
		const struct rule *rule = rule_as_written(e->rule), *by = NULL;

		if (lives->alive[rule->index])
			continue;
		for (size_t k = i > EARLIER_MOST ? i - EARLIER_MOST : 0; k < i && !by; k++)
			if (rule_as_written(list.entries[k].rule) != rule && covers(&list.entries[k], e))
				by = rule_as_written(list.entries[k].rule);
		if (by)
			lives->behind[rule->index] = by;
		else
			lives->alive[rule->index] = true;
	}
}

static bool only_families(const struct end *e, bool v4, bool v6)
{
	for (size_t i = 0; i < e->count; i++) {
		if (!e->items[i].set)
			return false;
		for (size_t k = 0; k < e->items[i].set->count; k++) {
			uint8_t f = e->items[i].set->elements[k].lo.family;

			if ((f == 4 && !v4) || (f == 6 && !v6))
				return false;
		}
	}
	return true;
}

static bool one_address(const struct end *e, struct addr *ret)
{
	const struct address_set *s = e->count == 1 ? e->items[0].set : NULL;

	if (!s || s->count != 1 || !addr_equal(&s->elements[0].lo, &s->elements[0].hi))
		return false;
	*ret = s->elements[0].lo;
	return true;
}

static void say_never(struct lint *l, const struct rule *rule, const struct rule *behind)
{
	struct finding *f;
	struct addr a, b;

	if (lint_known_to_hosts_only(l, &rule->end1) || lint_known_to_hosts_only(l, &rule->end2))
		return;
	f = report_add(l->r, SEVERITY_WARNING, "never-matches", rule->place, "'%s' never matches", rule->name);
	if (behind)
		finding_advise(f,
			       "Wherever it speaks of a packet, '%s' is more specific and wins. Narrow that one,\n"
			       "name smaller ends or ports in this one, or leave this one out.",
			       behind->name);
	else if ((only_families(&rule->end1, true, false) && only_families(&rule->end2, false, true)) ||
		 (only_families(&rule->end1, false, true) && only_families(&rule->end2, true, false)))
		finding_advise(f, "One end has only IPv4 addresses, the other only IPv6 addresses.");
	else if (one_address(&rule->end1, &a) && one_address(&rule->end2, &b) && addr_equal(&a, &b))
		finding_advise(f, "Both ends are the same address; rules speak of traffic between two hosts.");
	else
		finding_advise(f, "No host that runs Cordon, and no other address, has a packet that it speaks of.\n"
				  "Loopback, link-local and multicast addresses are outside every rule.");
}

void lint_conflicts(struct lint *l)
{
	struct lives lives = {
		.alive = mem_new(l->rule_count, sizeof *lives.alive),
		.behind = mem_new(l->rule_count, sizeof *lives.behind),
	};

	for (size_t i = 0; i < l->kind_count; i++) {
		const struct plan *plan = why_plan(l->w, &l->kinds[i]); /* conflicts go to the report */
		size_t n = plan ? plan_lists(plan) : 0;

		for (size_t k = 0; k < n; k++)
			walk_list(plan_list(plan, (uint32_t)k), &lives);
	}
	for (size_t i = 0; i < l->rule_count && !l->bounded && !report_count(l->r, SEVERITY_ERROR); i++)
		if (!lives.alive[i])
			say_never(l, &l->rules[i], lives.behind[i]);
	free(lives.alive);
	free(lives.behind);
}
