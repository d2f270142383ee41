/* tests/unit/plan_double.h - a plan written by hand, behind the functions of policy/plan.h that enforce/ calls. Linked
 * instead of policy/, so that a test of the ruleset fails for the ruleset's reasons only. */
#ifndef TESTS_UNIT_PLAN_DOUBLE_H
#define TESTS_UNIT_PLAN_DOUBLE_H
#include "policy/plan.h"

struct policy {
	const struct rule *rules;
	size_t rule_count;
	const struct address_set *const *sets;
	size_t set_count;
	unsigned exemptions;
	const struct firewall *firewalls;
	size_t firewall_count;
};

struct plan {
	struct policy policy;
	const struct addr *locals;
	size_t local_count;
	const struct plan_region *const *regions; /* by local address */
	const size_t *region_counts;
	const struct plan_list *lists;
	size_t list_count;
	bool ruled; /* by all firewall sections */
	const struct plan_interface *interfaces;
	size_t interface_count;
	const struct plan_group *groups;
	size_t group_count;
	bool asks_who;
};

#endif
