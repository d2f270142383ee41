/* Two policies' groups: which of the one are the same in the other. */
#include "identity/groups.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct comparing {
	const struct group *news, *olds;
	size_t new_count, old_count;
	uint8_t *known; /* by the new policy's order: 0 not yet, 1 the same, 2 not */
};

static const struct group *named(const struct comparing *c, const char *name)
{
	for (size_t i = 0; i < c->old_count; i++)
		if (strcmp(c->olds[i].name, name) == 0)
			return &c->olds[i];
	return NULL;
}

static bool same_hosts(const struct host *a, const struct host *b)
{
	if (!a || !b || a->address_count != b->address_count)
		return a == b;
	for (size_t i = 0; i < a->address_count; i++)
		if (!addr_equal(&a->addresses[i].addr, &b->addresses[i].addr))
			return false;
	return true;
}

static bool same_group(struct comparing *c, const struct group *a);

static bool same_member(struct comparing *c, const struct group_member *a, const struct group_member *b)
{
	if (a->kind != b->kind)
		return false;
	if (a->kind == MEMBER_HOST)
		return same_hosts(a->host, b->host);
	if (a->kind == MEMBER_GROUP)
		return a->group && b->group && strcmp(a->group->name, b->group->name) == 0 && same_group(c, a->group);
	return strcmp(a->text, b->text) == 0;
}

static bool same_group(struct comparing *c, const struct group *a)
{
	uint8_t *known = &c->known[a - c->news];
	const struct group *b;
	bool same;

	if (*known)
		return *known == 1;
	*known = 2;
	b = named(c, a->name);
	same = b && a->count == b->count;
	for (size_t i = 0; same && i < a->count; i++)
		same = same_member(c, &a->members[i], &b->members[i]);
	*known = same ? 1 : 2;
	return same;
}

uint32_t *groups_renumber(const struct plan *new, const struct plan *old)
{
	struct comparing c = { 0 };
	const struct plan_group *groups, *before;
	size_t n = plan_groups(new, &groups), m = plan_groups(old, &before);
	uint32_t *from = mem_new(n + 1, sizeof *from);

	c.new_count = policy_groups(plan_policy(new), &c.news);
	c.old_count = policy_groups(plan_policy(old), &c.olds);
	c.known = mem_new(c.new_count + 1, 1);
	for (size_t i = 0; i < n; i++) {
		const struct group *was = same_group(&c, groups[i].group) ? named(&c, groups[i].group->name) : NULL;

		from[i] = UINT32_MAX;
		for (size_t k = 0; was && k < m; k++)
			if (before[k].group == was)
				from[i] = (uint32_t)k;
	}
	free(c.known);
	return from;
}
