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

static enum member judge(struct judging *j, const struct group *g);

static enum member judge_member(struct judging *j, const struct group_member *m)
{
	const struct group_asker *a = j->asker;

	switch (m->kind) {
	case MEMBER_HOST:
		return host_has(m->host, a->remote) ? MEMBER_YES : MEMBER_NO;
	case MEMBER_CERTIFICATE:
		return a->peer->method == PEER_CERTIFICATE ? group_pattern_fits(m->text, a->peer) : MEMBER_MAYBE;
	case MEMBER_GROUP:
		return m->group ? judge(j, m->group) : MEMBER_NO;
	case MEMBER_SID:
	case MEMBER_DIRECTORY_GROUP:
		break;
	}
	return MEMBER_MAYBE; /* no account is known of anybody yet */
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

struct membership *membership_new(uint32_t count)
{
	struct membership *m = mem_new(1, sizeof *m + 2 * MEMBERSHIP_OCTETS(count));

	m->count = count;
	return m;
}

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

void membership_free(struct membership *m)
{
	free(m);
}

static size_t octets(const struct membership *m)
{
	return sizeof *m + 2 * MEMBERSHIP_OCTETS(m->count);
}

struct membership *membership_copy(const struct membership *m)
{
	return mem_copy(m, octets(m));
}

bool membership_equal(const struct membership *a, const struct membership *b)
{
	return a->count == b->count && memcmp(a->bits, b->bits, 2 * MEMBERSHIP_OCTETS(a->count)) == 0;
}

void membership_put(struct membership *m, size_t group, enum member is)
{
	uint8_t bit = (uint8_t)(1u << group % 8);
	uint8_t *sure = &m->bits[group / 8], *may = sure + MEMBERSHIP_OCTETS(m->count);

	*sure = (uint8_t)(is == MEMBER_YES ? *sure | bit : *sure & ~bit);
	*may = (uint8_t)(is != MEMBER_NO ? *may | bit : *may & ~bit);
}

enum member membership_get(const struct membership *m, size_t group)
{
	unsigned bit = 1u << group % 8;
	const uint8_t *sure = &m->bits[group / 8], *may = sure + MEMBERSHIP_OCTETS(m->count);

	if (*sure & bit)
		return MEMBER_YES;
	return *may & bit ? MEMBER_MAYBE : MEMBER_NO;
}

void membership_meet(struct membership *m, const struct membership *with)
{
	size_t n = MEMBERSHIP_OCTETS(m->count);

	for (size_t i = 0; i < n; i++) {
		m->bits[i] &= with->bits[i];
		m->bits[n + i] |= with->bits[n + i];
	}
	m->learnt_s = with->learnt_s > m->learnt_s ? with->learnt_s : m->learnt_s;
}
