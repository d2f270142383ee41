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
#include "identity/peer.h"
#include "policy/plan.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct directory_names;

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
struct membership *membership_copy(const struct membership *m);
bool membership_equal(const struct membership *a, const struct membership *b);
void membership_put(struct membership *m, size_t group, enum member is);
enum member membership_get(const struct membership *m, size_t group);
/* Where both speak under one pair of addresses: sure is who both are sure of, maybe who one may be. Of one count. */
void membership_meet(struct membership *m, const struct membership *with);
SCOPE_FREEP(struct membership, membership)

/* Does a pattern with `*` and `?` fit the peer's certificate? Case does not count. A pattern with a = is about the
 * subject: all of it, part by part, in either order; or one of its parts. One without is about an alternative name.
 * Maybe: the names are longer or more than we keep. */
enum member group_pattern_fits(const char *pattern, const struct peer *peer);

#endif
