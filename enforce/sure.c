#include "enforce/sure.h"

#include "base/mem.h"
#include "base/scope.h"
#include "base/str.h"
#include "base/table.h"

#include <stdlib.h>

bool sure_by_plan(const struct plan *p, const struct addr *local, const struct addr *remote)
{
	const struct rule *rule = ruleset_only_rule(plan_meet(p, local, remote));

	return rule && rule_mode_protects(rule->mode) && !rule->exempt_protected;
}

static uint64_t pair_hash(const struct ruleset_pair *p)
{
	return table_hash_secret(&p->remote, sizeof p->remote, table_hash_secret(&p->local, sizeof p->local, 0));
}

static bool is_pair(const void *value, const void *what)
{
	const struct ruleset_pair *a = value, *b = what;

	return addr_equal(&a->remote, &b->remote) && addr_equal(&a->local, &b->local);
}

void sure_add_sets(struct ruleset *r, const struct ruleset_carry *carry)
{
	size_t most = carry ? carry->secured_count : 0, count = 0;
	struct ruleset_pair *pairs = mem_new(most + 1, sizeof *pairs);
	struct table fallen = { 0 };

	for (size_t i = 0; carry && i < carry->fallback_count; i++)
		table_add(&fallen, pair_hash(&carry->fallback[i]), &carry->fallback[i]);
	for (size_t i = 0; i < most; i++) {
		const struct ruleset_pair *p = &carry->secured[i];

		if (sure_by_plan(r->plan, &p->local, &p->remote) && !table_find(&fallen, pair_hash(p), is_pair, p))
			pairs[count++] = *p;
	}
	for (int family = 4; family <= 6; family += 2)
		ruleset_add_pair_set(r, "sure", "", family, pairs, count);
	table_wipe(&fallen);
	free(pairs);
}

/* The same tuples as in `judge`, of what leaves; with no connection there is no short way. */
void sure_add_rules(struct ruleset *r, const char *then)
{
	static const struct {
		const char *direction, *tuple;
	} rows[] = { { "original", "reply" }, { "reply", "original" } };
	static const char *const families[] = { "ip", "ip6" };

	for (size_t f = 0; f < ARRAY_LEN(families); f++)
		for (size_t i = 0; i < ARRAY_LEN(rows); i++)
			str_addf(r->out, "\t\tct direction %s ct %s %s daddr . ct %s %s saddr @sure_%s %s\n",
				 rows[i].direction, rows[i].tuple, families[f], rows[i].tuple, families[f], families[f],
				 then);
}
