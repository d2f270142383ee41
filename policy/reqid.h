/* policy/reqid.h - the number by which the kernel knows SAs of a rule, where its own data plane does the work: states
 * and policies of XFRM bear it, and the ruleset asks for it. Made from the rule's name, so that a policy that is read
 * again finds its SAs, as does a daemon after the one that made them. Pure. */
#ifndef POLICY_REQID_H
#define POLICY_REQID_H
#include "policy/policy.h"

/* All that are ours, and no other program's: strongSwan counts from 1, Libreswan from 16384. */
#define REQID_OURS 0xc0000000u
#define REQID_MASK 0xf0000000u
#define REQID_ENCRYPTS 0x08000000u /* whatever is agreed on for the rule, it is encrypted */

/* One of 134 million. Of one policy no two rules have the same (load/reqids.c). */
uint32_t rule_reqid(const struct rule *r);
unsigned rule_variant(const struct rule *r); /* 0: as written; else which of its stand-ins */

static inline bool reqid_is_ours(uint32_t reqid)
{
	return (reqid & REQID_MASK) == REQID_OURS;
}

/* Does the rule protect, and has its protection set nothing but what encrypts? */
bool rule_always_encrypts(const struct rule *r);

/* Would an SA made for the rule `have`, with this suite, do for the rule `want`? It must offer one of the protections
 * that `want` lists, and its peer must have proved itself by the same authentication, to the same machines. The rules
 * may belong to different policies. */
bool rule_satisfies(const struct rule *have, const struct child_suite *suite, const struct rule *want);
/* The same whatever suite of its set it was made with. */
bool rule_always_satisfies(const struct rule *have, const struct rule *want);

#endif
