#include "enforce/identity_sets.h"

#include <stdio.h>
#include <string.h>

const char *identity_set_name(enum identity_set set, size_t group, int family, char buf[IDENTITY_SET_NAME])
{
	const char *version = family == 6 ? "ip6" : "ip";

	if (set == IDENTITY_PROVEN)
		(void)snprintf(buf, IDENTITY_SET_NAME, "member_proven_%s", version);
	else
		(void)snprintf(buf, IDENTITY_SET_NAME, "member_%s_%zu_%s", set == IDENTITY_SURE ? "sure" : "may", group,
			       version);
	return buf;
}

enum identity_set identity_set_for(enum firewall_action action, bool except)
{
	return (action == FIREWALL_BLOCK) == except ? IDENTITY_SURE : IDENTITY_MAY;
}

bool identity_set_exists(const struct plan *plan, enum identity_set set, size_t group)
{
	const struct plan_group *groups;
	size_t n = plan_groups(plan, &groups);

	if (set == IDENTITY_PROVEN)
		return plan_asks_who(plan);
	return group < n && (set == IDENTITY_SURE ? groups[group].sure : groups[group].maybe);
}

bool identity_set_named(const char *name)
{
	return strncmp(name, "member_", 7) == 0;
}
