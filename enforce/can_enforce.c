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

	if (rule_mode_protects(rule->mode) && rule->auth && only_kerberos(rule->auth))
		what = "Kerberos authentication";
	if (!what)
		return 0;
	return diag_fail(d, ERR_UNSUPPORTED,
			 "rule '%s' asks for %s, which this version checks and explains but cannot enforce. "
			 "Leave the rule out for this host, or wait for a version that can",
			 rule->name, what);
}

int gate_can_enforce(const struct plan *plan, struct diag *d)
{
	const struct rule *rules;
	size_t lists = plan_lists(plan), n = policy_rules(plan_policy(plan), &rules);
	bool *seen = mem_new(n + 1, sizeof *seen);
	int r = 0;

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
