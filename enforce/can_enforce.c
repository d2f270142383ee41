/* What the language can say and this gate, or the parts behind it, cannot do yet. To enforce it half would be to
 * promise what is not kept, so the plan is refused whole, before anything is changed. */
#include "enforce/gate.h"

#include "base/diag.h"
#include "base/mem.h"
#include "base/scope.h"

#include <stdlib.h>

static bool only_kerberos(const struct auth_set *a)
{
	for (size_t i = 0; i < a->count; i++)
		if (a->methods[i].kind != AUTH_KERBEROS)
			return false;
	return a->count > 0;
}

static int check_rule(const struct rule *rule, struct diag *d)
{
	const char *what = NULL;

	if (rule->machine_count > 0)
		what = "authorised machines (machines:)";
	else if (rule->second_auth)
		what = "a second authentication";
	else if (rule_mode_protects(rule->mode) && rule->auth && only_kerberos(rule->auth))
		what = "Kerberos authentication";
	if (!what)
		return 0;
	return diag_fail(d, ERR_UNSUPPORTED,
			 "rule '%s' asks for %s, which this version checks and explains but cannot enforce. "
			 "Leave the rule out for this host, or wait for a version that can",
			 rule->name, what);
}

static bool end_names(const struct end *e, const struct addr *a)
{
	for (size_t i = 0; i < e->count; i++) {
		const struct address_set *set = e->items[i].set;

		if (!set) {
			if (e->items[i].keyword == KEYWORD_ANY || e->items[i].keyword == KEYWORD_SELF)
				return true;
			continue;
		}
		for (size_t k = 0; k < set->count; k++)
			if (addr_range_has(&set->elements[k], a))
				return true;
	}
	return false;
}

static int check_firewalls(const struct plan *plan, struct diag *d)
{
	const struct firewall *sections;
	const struct addr *locals;
	size_t n = policy_firewalls(plan_policy(plan), &sections), m = plan_locals(plan, &locals);

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < m; k++)
			if (end_names(&sections[i].hosts, &locals[k]))
				return diag_fail(
					d, ERR_UNSUPPORTED,
					"the policy's firewall section rules this host, and this version checks "
					"and explains firewall rules but cannot enforce them. Take this host out "
					"of the section's hosts, or wait for a version that can");
	return 0;
}

int gate_can_enforce(const struct plan *plan, struct diag *d)
{
	const struct rule *rules;
	size_t lists = plan_lists(plan), n = policy_rules(plan_policy(plan), &rules);
	bool *seen = mem_new(n + 1, sizeof *seen);
	int r = check_firewalls(plan, d);

	for (uint32_t i = 0; r == 0 && i < lists; i++) {
		struct plan_list l = plan_list(plan, i);

		for (size_t k = 0; r == 0 && k < l.count; k++) {
			const struct rule *rule = rule_as_written(l.entries[k].rule);

			if (!seen[rule->index])
				r = check_rule(rule, d);
			seen[rule->index] = true;
		}
	}
	free(seen);
	return r;
}
