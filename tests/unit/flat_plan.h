/* tests/unit/flat_plan.h - a plan that is one list of entries for every two addresses: linked instead of policy/ where
 * the plan is not what is tested. The first entry that matches wins, as in the real one. */
#ifndef TESTS_UNIT_FLAT_PLAN_H
#define TESTS_UNIT_FLAT_PLAN_H
#include "policy/plan.h"

struct plan {
	const struct plan_entry *entries;
	size_t count;
	_Atomic unsigned references; /* whoever made it asks at the end whether it is 1 again */
};

/* The tunnels of every such plan. */
extern const struct plan_tunnel *flat_tunnels;
extern size_t flat_tunnel_count;

#endif
