#include "enforce/identity_sets.h"

#include "base/str.h"
#include "enforce/identities.h"
#include "enforce/ruleset.h"
#include "identity/groups.h"

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

bool identity_set_has(const struct membership *is, enum identity_set set, size_t group)
{
	if (set == IDENTITY_PROVEN)
		return true;
	return membership_get(is, group) == MEMBER_YES ||
	       (set == IDENTITY_MAY && membership_get(is, group) != MEMBER_NO);
}

static void add_set(struct ruleset *r, const struct identities *known, enum identity_set set, size_t group, int family)
{
	const char *type = family == 4 ? "ipv4_addr" : "ipv6_addr";
	char name[IDENTITY_SET_NAME], local[ADDR_TEXT], remote[ADDR_TEXT];
	size_t added = 0;

	/* Of no said size: the kernel then takes a table that grows, and not one of that size for each group at once.
	 */
	str_addf(r->out, "\tset %s {\n\t\ttype %s . %s\n", identity_set_name(set, group, family, name), type, type);
	for (size_t i = 0; known && i < known->count; i++) {
		const struct identity_row *row = known->rows[i];

		if (row->local.family == family && identity_set_has(row->is, set, group))
			str_addf(r->out, "%s%s . %s", added++ ? ",\n" : "\t\telements = {\n",
				 addr_text(&row->remote, remote), addr_text(&row->local, local));
	}
	str_add(r->out, added ? "\n\t\t}\n\t}\n" : "\t}\n");
}

void ruleset_identity_sets(struct ruleset *r, const struct ruleset_carry *carry)
{
	const struct identities *known = carry ? carry->identities : NULL;
	const struct plan_group *groups;
	size_t n = plan_groups(r->plan, &groups);

	for (int family = 4; plan_asks_who(r->plan) && family <= 6; family += 2) {
		add_set(r, known, IDENTITY_PROVEN, 0, family);
		for (size_t i = 0; i < n; i++) {
			if (groups[i].sure)
				add_set(r, known, IDENTITY_SURE, i, family);
			if (groups[i].maybe)
				add_set(r, known, IDENTITY_MAY, i, family);
		}
	}
}
