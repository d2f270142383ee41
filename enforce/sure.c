#include "enforce/sure.h"

#include "base/scope.h"
#include "base/str.h"
#include "enforce/pairs.h"
#include "enforce/shows.h"
#include "policy/reqid.h"

static const struct rule *only_rule(const struct plan *p, const struct addr *local, const struct addr *remote)
{
	const struct rule *rule = ruleset_only_rule(plan_meet(p, local, remote));

	return rule && rule_mode_protects(rule->mode) ? rule : NULL;
}

bool sure_by_plan(const struct plan *p, const struct addr *local, const struct addr *remote)
{
	const struct rule *rule = only_rule(p, local, remote);

	return rule && !rule->exempt_protected;
}

const struct rule *sure_under(const struct gate_config *c, const struct plan *p, const struct addr *local,
			      const struct addr *remote)
{
	return shows_own_device(c) ? NULL : only_rule(p, local, remote);
}

static void add_set_in(struct ruleset *r, int family, const struct ruleset_carry *carry)
{
	const char *name = family == 4 ? "ip" : "ip6";
	size_t added = 0;
	char local[ADDR_TEXT], remote[ADDR_TEXT];

	str_addf(r->out, "\tset sure_in_%s {\n\t\ttypeof %s daddr . %s saddr . ipsec in reqid\n\t\tsize %d\n", name,
		 name, name, RULESET_PAIRS_MOST);
	for (size_t i = 0; carry && i < carry->secured_count; i++) {
		const struct ruleset_pair *p = &carry->secured[i];
		const struct rule *rule =
			p->local.family == family ? sure_under(r->config, r->plan, &p->local, &p->remote) : NULL;

		if (rule)
			str_addf(r->out, "%s%s . %s . %u", added++ ? ",\n" : "\t\telements = {\n",
				 addr_text(&p->local, local), addr_text(&p->remote, remote), rule_reqid(rule));
	}
	str_add(r->out, added ? "\n\t\t}\n\t}\n" : "\t}\n");
}

void sure_add_sets(struct ruleset *r, const struct ruleset_carry *carry)
{
	struct pair_list fallen = { 0 }, sure = { 0 };

	for (size_t i = 0; carry && i < carry->fallback_count; i++)
		pairs_enter(&fallen, &carry->fallback[i].local, &carry->fallback[i].remote);
	for (size_t i = 0; carry && i < carry->secured_count; i++) {
		const struct ruleset_pair *p = &carry->secured[i];

		if (sure_by_plan(r->plan, &p->local, &p->remote) && !pairs_has(&fallen, &p->local, &p->remote))
			pairs_enter(&sure, &p->local, &p->remote);
	}
	for (int family = 4; family <= 6; family += 2)
		ruleset_add_pair_set(r, "sure", "", family, sure.pairs, sure.count);
	pairs_wipe(&fallen);
	pairs_wipe(&sure);
	for (int family = 4; family <= 6 && !shows_own_device(r->config); family += 2)
		add_set_in(r, family, carry);
}

/* The same tuples as in `judge`; with no connection there is no short way. */
static void add_rules(struct ruleset *r, bool arriving, const char *then)
{
	static const char *const families[] = { "ip", "ip6" }, *const tuples[] = { "original", "reply" };

	for (size_t f = 0; f < ARRAY_LEN(families); f++)
		for (size_t i = 0; i < ARRAY_LEN(tuples); i++) {
			const char *tuple = tuples[arriving ? i : 1 - i], *family = families[f];

			str_addf(r->out, "\t\tct direction %s ct %s %s daddr . ct %s %s saddr%s @sure_%s%s %s\n",
				 tuples[i], tuple, family, tuple, family, arriving ? " . ipsec in reqid" : "",
				 arriving ? "in_" : "", family, then);
		}
}

void sure_add_rules(struct ruleset *r, const char *then)
{
	add_rules(r, false, then);
}

void sure_add_rules_in(struct ruleset *r, const char *then)
{
	add_rules(r, true, then);
}
