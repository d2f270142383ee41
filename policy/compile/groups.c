/* Whom this host's firewall asks about: the groups that the rules of its sections name. */
#include "policy/compile/compile.h"

#include "base/diag.h"

#include <stdlib.h>

static bool set_has_own(const struct compiler *c, const struct address_set *s)
{
	for (size_t e = 0; e < s->count; e++)
		for (size_t i = 0; i < c->plan->local_count; i++)
			if (addr_range_has(&s->elements[e], &c->plan->locals[i]))
				return true;
	return false;
}

static bool names_host(const struct compiler *c, const struct end *hosts)
{
	if (!hosts->count)
		return true;
	for (size_t i = 0; i < hosts->count; i++) {
		const struct end_item *item = &hosts->items[i];

		if (!item->set && item->keyword == KEYWORD_ANY)
			return c->plan->local_count > 0;
		if (set_has_own(c, compiler_item_set(c, item)))
			return true;
	}
	return false;
}

static void want(struct plan_group *wants, const struct policy *p, const struct group *const *groups, size_t n,
		 bool sure)
{
	for (size_t i = 0; i < n; i++) {
		struct plan_group *g = &wants[groups[i] - p->groups];

		g->group = groups[i];
		if (sure)
			g->sure = true;
		else
			g->maybe = true;
	}
}

static void want_section(struct compiler *c, struct plan_group *wants, const struct firewall *f)
{
	for (size_t k = 0; k < f->count; k++) {
		const struct firewall_rule *r = &f->rules[k];
		bool lets_in = r->action != FIREWALL_BLOCK;

		want(wants, c->p, r->machines_allow, r->allow_count, lets_in);
		want(wants, c->p, r->machines_except, r->except_count, !lets_in);
		c->plan->asks_who |= r->secure != SECURE_NOT_ASKED || r->allow_count || r->except_count;
	}
}

int compiler_find_groups(struct compiler *c, struct diag *d)
{
	struct plan *plan = c->plan;
	const struct firewall *sections;
	size_t n = policy_firewalls(c->p, &sections);
	struct plan_group *wants = mem_new(c->p->group_count + 1, sizeof *wants);
	size_t count = 0;

	plan->firewalls = mem_new(n + 1, sizeof *plan->firewalls);
	for (size_t i = 0; i < n; i++)
		if ((plan->firewalls[i] = names_host(c, &sections[i].hosts)))
			want_section(c, wants, &sections[i]);
	for (size_t i = 0; i < c->p->group_count; i++)
		if (wants[i].group)
			wants[count++] = wants[i];
	plan->groups = wants;
	plan->group_count = count;
	return count <= PLAN_GROUPS_MOST
		       ? 0
		       : diag_fail(d, ERR_POLICY,
				   "this host's firewall rules name %zu groups of machines; %d are possible", count,
				   PLAN_GROUPS_MOST);
}

bool plan_firewall_rules(const struct plan *p, const struct firewall *f)
{
	const struct firewall *sections;
	size_t n = policy_firewalls(p->policy, &sections), at = (size_t)(f - sections);

	return at < n && p->firewalls[at];
}

bool plan_asks_who(const struct plan *p)
{
	return p->asks_who;
}

size_t plan_groups(const struct plan *p, const struct plan_group **ret)
{
	*ret = p->groups;
	return p->group_count;
}

static int compare_place(const void *key, const void *row)
{
	const struct group *g = key, *of = ((const struct plan_group *)row)->group;

	return (g > of) - (g < of);
}

size_t plan_group_number(const struct plan *p, const struct group *g)
{
	const struct plan_group *found =
		p->group_count ? bsearch(g, p->groups, p->group_count, sizeof *p->groups, compare_place) : NULL;

	return found ? (size_t)(found - p->groups) : p->group_count;
}
