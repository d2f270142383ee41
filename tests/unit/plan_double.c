#include "tests/unit/plan_double.h"

const char *rule_mode_name(enum rule_mode m)
{
	static const char *const names[] = { "require", "require-inbound", "request", "exempt", "block" };

	return names[m];
}

const struct policy *plan_policy(const struct plan *p)
{
	return &p->policy;
}

size_t policy_rules(const struct policy *p, const struct rule **ret)
{
	*ret = p->rules;
	return p->rule_count;
}

size_t policy_firewalls(const struct policy *p, const struct firewall **ret)
{
	*ret = p->firewalls;
	return p->firewall_count;
}

size_t policy_firewall_rule_count(const struct policy *p)
{
	size_t count = 0;

	for (size_t i = 0; i < p->firewall_count; i++)
		count += p->firewalls[i].count;
	return count;
}

size_t policy_address_sets(const struct policy *p, const struct address_set *const **ret)
{
	*ret = p->sets;
	return p->set_count;
}

unsigned policy_exemptions(const struct policy *p)
{
	return p->exemptions;
}

size_t plan_locals(const struct plan *p, const struct addr **ret)
{
	*ret = p->locals;
	return p->local_count;
}

size_t plan_regions(const struct plan *p, size_t local, const struct plan_region **ret)
{
	*ret = p->regions[local];
	return p->region_counts[local];
}

struct plan_list plan_meet(const struct plan *p, const struct addr *local, const struct addr *remote)
{
	for (size_t i = 0; i < p->local_count; i++)
		for (size_t k = 0; addr_equal(&p->locals[i], local) && k < p->region_counts[i]; k++)
			if (addr_compare(&p->regions[i][k].remote.lo, remote) <= 0 &&
			    addr_compare(remote, &p->regions[i][k].remote.hi) <= 0)
				return p->lists[p->regions[i][k].list];
	return (struct plan_list){ 0 };
}

size_t plan_behind(const struct plan *p, const struct addr_range **ret)
{
	(void)p;
	*ret = NULL;
	return 0;
}

size_t plan_tunnels(const struct plan *p, const struct plan_tunnel **ret)
{
	(void)p;
	*ret = NULL;
	return 0;
}

size_t plan_lists(const struct plan *p)
{
	return p->list_count;
}

size_t policy_groups(const struct policy *p, const struct group **ret)
{
	(void)p;
	*ret = NULL;
	return 0;
}

size_t plan_groups(const struct plan *p, const struct plan_group **ret)
{
	*ret = p->groups;
	return p->group_count;
}

bool plan_asks_who(const struct plan *p)
{
	return p->asks_who;
}

struct plan_list plan_list(const struct plan *p, uint32_t list)
{
	return p->lists[list];
}
struct plan *plan_ref(const struct plan *p)
{
	return (struct plan *)(uintptr_t)p;
}

void plan_free(struct plan *p)
{
	(void)p;
}

size_t plan_group_number(const struct plan *p, const struct group *g)
{
	for (size_t i = 0; i < p->group_count; i++)
		if (p->groups[i].group == g)
			return i;
	return p->group_count;
}

bool plan_firewall_rules(const struct plan *p, const struct firewall *f)
{
	(void)f;
	return p->ruled;
}

size_t plan_item(const struct plan *p, const struct end_item *item, const struct addr_range **ret)
{
	(void)p;
	*ret = item->set ? item->set->elements : NULL;
	return item->set ? item->set->count : 0;
}

size_t plan_interfaces(const struct plan *p, const struct plan_interface **ret)
{
	*ret = p->interfaces;
	return p->interface_count;
}
