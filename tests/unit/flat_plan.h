/* tests/unit/flat_plan.h - a plan that is one list of entries for every two addresses: linked instead of policy/ where
 * the plan is not what is tested. The first entry that matches wins, as in the real one. And SAs of its rules. */
#ifndef TESTS_UNIT_FLAT_PLAN_H
#define TESTS_UNIT_FLAT_PLAN_H
#include "dataplane/sad.h"
#include "policy/plan.h"

struct plan {
	const struct plan_entry *entries;
	size_t count;
	_Atomic unsigned references; /* whoever made it asks at the end whether it is 1 again */
};

/* Of a protocol to these remote ports; of everything. */
#define FLAT_ENTRY(r, p, lo, hi) \
	{ \
		.rule = (r), .protocol = (p), .local_port = { 0, 65535 }, .remote_port = { (lo), (hi) }, \
		.icmp_type = -1, .icmp_code = -1, .initiators = INITIATOR_EITHER \
	}
/* Not by the other: cppcheck does not follow that. */
#define FLAT_ALL(r) \
	{ \
		.rule = (r), .protocol = PROTOCOL_ANY, .local_port = { 0, 65535 }, .remote_port = { 0, 65535 }, \
		.icmp_type = -1, .icmp_code = -1, .initiators = INITIATOR_EITHER \
	}

/* For all that the two addresses say to each other, in transport mode; its keys are as long as the suite's, and zero.
 * Whose SPI, which pair and which direction is for the caller. */
struct sa_spec flat_spec(const struct addr *local, const struct addr *remote, const struct child_suite *suite,
			 const struct rule *rule);

/* The tunnels of every such plan. */
extern const struct plan_tunnel *flat_tunnels;
extern size_t flat_tunnel_count;

#endif
