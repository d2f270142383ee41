#include "enforce/carry.h"

#include "base/mem.h"
#include "base/table.h"
#include "enforce/counters.h"
#include "enforce/firewall_items.h"
#include "enforce/table.h"
#include "policy/plan.h"
#include "policy/policy.h"

#include <stdlib.h>
#include <string.h>

struct carrying {
	const struct rule *old_rules, *new_rules;
	size_t old_count, new_count, named;
	struct table by_name; /* of the first `named` new rules */
	struct ruleset_count *counts;
	const struct policy *old_policy, *new_policy;
	struct ruleset_count *firewall_counts;
};

static bool is_successor(const void *value, const void *what)
{
	const struct rule *rule = value, *old = what;

	return rule->mode == old->mode && strcmp(rule->name, old->name) == 0;
}

static uint64_t name_hash(const struct rule *rule)
{
	return table_hash(rule->name, strlen(rule->name), rule->mode);
}

static const struct rule *successor(struct carrying *c, uint32_t rule)
{
	const struct rule *old = gate_counted_rule(c->old_rules, c->old_count, rule);

	if (!old)
		return NULL;
	if (rule < c->new_count && is_successor(&c->new_rules[rule], old))
		return &c->new_rules[rule]; /* mostly it is where it was */
	for (; c->named < c->new_count; c->named++) {
		struct rule *new = (struct rule *)&c->new_rules[c->named];

		table_add(&c->by_name, name_hash(new), new);
	}
	return table_find(&c->by_name, name_hash(old), is_successor, old);
}

static bool is_same(const struct firewall_rule *a, const struct firewall_rule *b)
{
	return a && b && a->action == b->action && strcmp(a->name, b->name) == 0;
}

static void carry_firewall_count(struct carrying *c, uint32_t rule, struct ruleset_count n)
{
	const struct firewall_rule *old = firewall_rule_numbered(c->old_policy, rule);
	uint32_t count = (uint32_t)policy_firewall_rule_count(c->new_policy);

	if (is_same(old, firewall_rule_numbered(c->new_policy, rule))) { /* mostly it is where it was */
		c->firewall_counts[rule] = n;
		return;
	}
	for (uint32_t i = 0; i < count; i++)
		if (is_same(old, firewall_rule_numbered(c->new_policy, i))) {
			c->firewall_counts[i] = n;
			return;
		}
}

static void carry_count(void *context, enum gate_count kind, uint32_t rule, struct ruleset_count n)
{
	struct carrying *c = context;
	const struct rule *to;

	if (n.packets == 0)
		return;
	if (gate_counts[kind].firewall)
		carry_firewall_count(c, rule, n);
	else if (!gate_counts[kind].modes)
		c->counts[kind] = n;
	else if (rule == GATE_RULE_MANY)
		c->counts[c->new_count * GATE_COUNTS + kind] = n;
	else if ((to = successor(c, rule)))
		c->counts[(size_t)to->index * GATE_COUNTS + kind] = n;
}

int carry_counts(struct netlink *nft, const struct plan *old, const struct plan *plan, struct ruleset_carry *ret,
		 struct diag *d)
{
	struct carrying c = { .new_policy = plan_policy(plan) };
	int r;

	c.new_count = policy_rules(c.new_policy, &c.new_rules);
	ret->counts = c.counts = mem_new((c.new_count + 1) * GATE_COUNTS, sizeof *ret->counts);
	ret->firewall_counts = c.firewall_counts =
		mem_new(policy_firewall_rule_count(c.new_policy) + 1, sizeof *ret->firewall_counts);
	if (!old)
		return 0; /* whose rules the counters in the kernel are is not known */
	c.old_policy = plan_policy(old);
	c.old_count = policy_rules(c.old_policy, &c.old_rules);
	r = table_counters(nft, carry_count, &c, d);
	table_wipe(&c.by_name);
	return r;
}

void carry_wipe(struct ruleset_carry *c)
{
	free(c->fallback);
	free(c->exempted);
	free(c->counts);
	free(c->firewall_counts);
}
