/* identity/groups.h - is a peer in a group of the policy? Asked of what it has proven, and of nothing else: the subject
 * and names of its certificate, the SIDs of its account, and the address that it has proven itself from. Pure.
 *
 * Not everything can be known: the directory has not said what SID a name has, or which groups an account is in; not
 * all SIDs of a ticket fitted; the peer has proven itself in a way that says nothing of such a member (a pre-shared key
 * has no account, a ticket no subject). Then the peer may be a member. Who lets in counts those only who are sure to be
 * members, who keeps out all who may be: so what is not known never opens anything. */
#ifndef IDENTITY_GROUPS_H
#define IDENTITY_GROUPS_H
#include "base/scope.h"
#include "identity/directory.h"
#include "identity/peer.h"
#include "policy/plan.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum member { MEMBER_NO, MEMBER_MAYBE, MEMBER_YES };

/* Who asks to be let in, and what is known. */
struct group_asker {
	const struct policy *policy;         /* whose groups are asked about */
	const struct peer *peer;             /* nobody is in a group who is PEER_UNPROVEN */
	const struct addr *remote;           /* where it has proven itself from, as the policy knows it */
	const struct directory_names *names; /* SIDs of names, as last learnt; NULL: none is known */
};
enum member group_has(const struct group *g, const struct group_asker *a);
/* Is it in one of them, for sure? True of an empty list: no group is asked for. */
bool groups_admit(const struct group *const *groups, size_t count, const struct group_asker *a);

/* Of each group that the new plan asks about, which it is of those of the old one (plan_groups): of the same name, and
 * with the same members all the way down. UINT32_MAX: none. free() it. */
uint32_t *groups_renumber(const struct plan *new, const struct plan *old);

/* Which of the groups that a host's firewall asks about (plan_groups) a peer is in, a bit each. */
struct membership {
	uint64_t learnt_s; /* when that was learnt, Unix time; 0: it is the certificate's or the address's */
	uint32_t count;    /* of groups */
	uint8_t bits[];    /* those that it is sure to be in, MEMBERSHIP_OCTETS(count); then those that it may be in */
};
#define MEMBERSHIP_OCTETS(count) (((size_t)(count) + 7) / 8)

struct membership *membership_new(uint32_t count); /* in none */
void membership_free(struct membership *m);
struct membership *membership_of(const struct plan *plan, const struct peer *peer, const struct addr *remote,
				 const struct directory_names *names);
/* The same of all groups of the policy, in its order (policy_groups). */
struct membership *membership_of_all(const struct group_asker *a);
struct membership *membership_copy(const struct membership *m);
bool membership_equal(const struct membership *a, const struct membership *b);
void membership_put(struct membership *m, size_t group, enum member is);
static inline enum member membership_get(const struct membership *m, size_t group)
{
	unsigned bit = 1u << group % 8;
	const uint8_t *sure = &m->bits[group / 8], *may = sure + MEMBERSHIP_OCTETS(m->count);

	if (*sure & bit)
		return MEMBER_YES;
	return *may & bit ? MEMBER_MAYBE : MEMBER_NO;
}
/* Where both speak under one pair of addresses: sure is who both are sure of, maybe who one may be. Of one count. */
void membership_meet(struct membership *m, const struct membership *with);
SCOPE_FREEP(struct membership, membership)
/* For another plan, with `count` groups: from[i] is the old number of what is number i there; UINT32_MAX: it was not
 * asked about, or is not the same group any more: then nobody is sure to be in it, and everybody may be. */
struct membership *membership_renumbered(const struct membership *m, const uint32_t *from, uint32_t count);

/* Does a pattern with `*` and `?` fit the peer's certificate? Case does not count. A pattern with a = is about the
 * subject: all of it, part by part, in either order; or one of its parts. One without is about an alternative name.
 * Maybe: the names are longer or more than we keep. */
enum member group_pattern_fits(const char *pattern, const struct peer *peer);

#endif
