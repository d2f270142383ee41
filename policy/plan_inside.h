/* policy/plan_inside.h - how a plan lies in memory: flat arrays, searched by number. For this folder only. */
#ifndef POLICY_PLAN_INSIDE_H
#define POLICY_PLAN_INSIDE_H
#include "policy/plan.h"

#include <stdatomic.h>

/* The regions of one local address, as the look-up wants them. Region r is plan->regions[first + r]. */
struct plan_local {
	uint32_t first, count;
	uint32_t *starts4, *ends4; /* IPv4 */
	addr_count *starts6, *ends6;
	uint32_t *buckets;   /* by the top bits of the address: the first region that may hold it; NULL: few regions */
	unsigned shift;      /* of the address, to its bucket */
	addr_count base;     /* the lowest address of any region: buckets count from there */
	size_t bucket_count; /* without the one at the end */
};

struct plan_lists {
	struct plan_entry *entries;
	size_t entry_count, entry_cap;
	uint32_t *firsts; /* of each list, and the end of the last; list 0 is empty */
	size_t count, cap;
};

struct plan {
	atomic_uint references;
	struct policy *policy;
	struct addr *locals; /* sorted */
	struct plan_local *local_regions;
	size_t local_count;
	struct plan_region *regions;
	size_t region_count, region_cap;
	struct plan_lists lists;
};

/* After the regions of a local are complete: make what the look-up uses. */
void plan_local_index(struct plan *p, size_t local);

#endif
