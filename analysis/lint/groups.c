/* foreign-group: a group of the directory of another domain than the policy's. */
#include "analysis/lint/parts.h"

#include <strings.h>

/* The first realm of the policy; NULL: it has none. *ret_found: one of them is this. */
static const char *realm_is(const struct lint *l, const char *domain, bool *ret_found)
{
	const struct auth_set *sets;
	size_t n = policy_auth_sets(l->p, &sets);
	const char *first = NULL;

	*ret_found = false;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < sets[i].count; k++) {
			const char *realm = sets[i].methods[k].realm;

			if (sets[i].methods[k].kind != AUTH_KERBEROS || !realm)
				continue;
			first = first ? first : realm;
			*ret_found |= strcasecmp(realm, domain) == 0;
		}
	return first;
}

static void look_at(struct lint *l, const struct group *g, const struct group_member *m)
{
	const char *at = m->kind == MEMBER_DIRECTORY_GROUP ? strrchr(m->text, '@') : NULL, *realm;
	struct finding *f;
	bool found;

	if (!at || !(realm = realm_is(l, at + 1, &found)) || found)
		return;
	f = report_add(l->r, SEVERITY_WARNING, "foreign-group", m->place,
		       "'%s' of group '%s' is not of the domain %s: it is not looked up", m->text, g->name, realm);
	finding_advise(f,
		       "Hosts ask the directory of their own domain only, so nobody is ever known to be in it. Write\n"
		       "the group's SID: a ticket names it, whatever domain it is of.");
}

void lint_groups(struct lint *l)
{
	const struct group *groups;
	size_t n = policy_groups(l->p, &groups);

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < groups[i].count; k++)
			look_at(l, &groups[i], &groups[i].members[k]);
}
