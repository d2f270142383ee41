/* policy/conflict.h - rules that contradict each other: same packet, same rank, different effect. For this folder. */
#ifndef POLICY_CONFLICT_H
#define POLICY_CONFLICT_H
#include "policy/plan.h"

/* Two entries met between these two addresses: an error, or a warning in an imported policy. */
void conflict_report(const struct policy *p, struct report *r, const struct plan_entry *a, const struct plan_entry *b,
		     const struct addr *one, const struct addr *other);

/* Look through the whole network, not only the named hosts. Bounded: a policy too tangled for it is still checked on
 * every host, for its own addresses, when its plan is compiled. */
void conflict_search(const struct policy *p, struct report *r);

#endif
