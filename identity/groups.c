#include "identity/groups.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* Groups in groups may name one many times: each is judged once. The loader refuses circles; one that came here all the
 * same would find itself open, and be judged by its other members. */
enum judged { OPEN = 3, NEW = 4 };

struct judging {
	const struct group_asker *asker;
	const struct group *groups;
	uint8_t *known; /* by the policy's order: enum member, or enum judged */
};

static bool host_has(const struct host *h, const struct addr *a)
{
	for (size_t i = 0; h && i < h->address_count; i++)
		if (addr_equal(&h->addresses[i].addr, a))
			return true;
	return false;
}

/* Of who has no account, or whose account nobody could ask about, everything may be. */
static enum member account_has(const struct peer *p, const struct sid *sid)
{
	if (sid_is_own(sid)) /* each machine gives these itself, so no list has them */
		return MEMBER_MAYBE;
	if (sid_list_has(&p->sids, sid))
		return MEMBER_YES;
	return p->learnt_s && !p->sids.cut ? MEMBER_NO : MEMBER_MAYBE;
}

static enum member judge(struct judging *j, const struct group *g);

static enum member judge_member(struct judging *j, const struct group_member *m)
{
	const struct group_asker *a = j->asker;
	const struct directory_name *name;
	struct sid sid;

	switch (m->kind) {
	case MEMBER_HOST:
		return host_has(m->host, a->remote) ? MEMBER_YES : MEMBER_NO;
	case MEMBER_CERTIFICATE:
		return a->peer->method == PEER_CERTIFICATE ? group_pattern_fits(m->text, a->peer) : MEMBER_MAYBE;
	case MEMBER_GROUP:
		return m->group ? judge(j, m->group) : MEMBER_NO;
	case MEMBER_SID:
		return sid_parse(m->text, strlen(m->text), &sid, NULL) == 0 ? account_has(a->peer, &sid) : MEMBER_MAYBE;
	case MEMBER_DIRECTORY_GROUP:
		name = directory_names_find(a->names, m->text);
		return name && name->state == DIRECTORY_FOUND ? account_has(a->peer, &name->sid) : MEMBER_MAYBE;
	}
	return MEMBER_NO;
}

static enum member judge(struct judging *j, const struct group *g)
{
	uint8_t *known = &j->known[g - j->groups];
	enum member best = MEMBER_NO;

	if (*known != NEW)
		return *known == OPEN ? MEMBER_NO : (enum member) * known;
	*known = OPEN;
	for (size_t i = 0; i < g->count && best != MEMBER_YES; i++) {
		enum member is = judge_member(j, &g->members[i]);

		best = is > best ? is : best;
	}
	*known = (uint8_t)best;
	return best;
}

static void judging_begin(struct judging *j, const struct group_asker *a)
{
	size_t n = policy_groups(a->policy, &j->groups);

	j->asker = a;
	j->known = mem_new(n + 1, 1);
	memset(j->known, NEW, n + 1);
}

static enum member judge_proven(struct judging *j, const struct group *g)
{
	return j->asker->peer->method == PEER_UNPROVEN ? MEMBER_NO : judge(j, g);
}

enum member group_has(const struct group *g, const struct group_asker *a)
{
	struct judging j;
	enum member is;

	judging_begin(&j, a);
	is = judge_proven(&j, g);
	free(j.known);
	return is;
}

bool groups_admit(const struct group *const *groups, size_t count, const struct group_asker *a)
{
	struct judging j;
	bool in = count == 0;

	judging_begin(&j, a);
	for (size_t i = 0; i < count && !in; i++)
		in = judge_proven(&j, groups[i]) == MEMBER_YES;
	free(j.known);
	return in;
}

/* ---- of all groups that are asked about ---------------------------------------------------------------------------
 */

struct membership *membership_of(const struct plan *plan, const struct peer *peer, const struct addr *remote,
				 const struct directory_names *names)
{
	const struct group_asker asker = { plan_policy(plan), peer, remote, names };
	const struct plan_group *groups;
	size_t n = plan_groups(plan, &groups);
	struct membership *m = membership_new((uint32_t)n);
	struct judging j;

	judging_begin(&j, &asker);
	for (size_t i = 0; i < n; i++)
		membership_put(m, i, judge_proven(&j, groups[i].group));
	free(j.known);
	return m;
}

struct membership *membership_of_all(const struct group_asker *a)
{
	const struct group *groups;
	size_t n = policy_groups(a->policy, &groups);
	struct membership *m = membership_new((uint32_t)n);
	struct judging j;

	judging_begin(&j, a);
	for (size_t i = 0; i < n; i++)
		membership_put(m, i, judge_proven(&j, &groups[i]));
	free(j.known);
	return m;
}
