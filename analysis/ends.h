/* analysis/ends.h - what an end of a rule contains, seen from outside any host: keywords stand for the policy's hosts
 * with that role. Pure look-ups in a loaded policy. */
#ifndef ANALYSIS_ENDS_H
#define ANALYSIS_ENDS_H
#include "policy/policy.h"

/* The role behind a keyword such as dns-servers, 0 if it has none (any, self, local-subnet, default-gateway). */
unsigned ends_keyword_role(enum keyword k);

/* An address, and who has it. */
struct ends_who {
	const struct host *host; /* NULL: not among the policy's hosts */
	struct addr addr;
	int prefix; /* of its network, -1: not known */
};
struct ends_who ends_who(const struct policy *p, const struct addr *a);

/* Is `who` in this end, from the point of view of `owner`, the host that enforces the rule? On success *ret (if not
 * NULL) is the smallest element that holds it. */
bool end_has(const struct policy *p, const struct end *e, const struct ends_who *who, const struct ends_who *owner,
	     struct addr_range *ret);

/* Does the host belong to the group: by its own claim, by name, by another group, or by a pattern that a certificate
 * of CN=<its name> would match? */
bool group_has(const struct group *g, const struct host *h);

/* The same of a host that has proven itself by this method (NULL: it has not). What the method says nothing of cannot
 * be known, so the host may be in the group: an account's groups are told by a ticket, and by a certificate only if it
 * is mapped to an account; a certificate's names by a certificate. */
enum belongs { BELONGS_NO, BELONGS_MAYBE, BELONGS_YES };
enum belongs group_belongs(const struct group *g, const struct host *h, const struct auth_method *proof);
/* To the one of them that it belongs to most surely; BELONGS_NO of none. */
enum belongs groups_belong(const struct group *const *groups, size_t n, const struct host *h,
			   const struct auth_method *proof);
/* The groups that a host has proven itself to be in, as its peer knows it at this moment, and those of which that peer
 * cannot tell; of the other groups it is no member. Names of groups of the policy. */
struct known_groups {
	const char *const *in, *const *may;
	size_t in_count, may_count;
};
enum belongs groups_known(const struct group *const *groups, size_t n, const struct known_groups *k);
/* Can it ever be learnt by that method who is such a member? */
bool member_told_by(const struct group_member *m, const struct auth_method *proof);

#endif
