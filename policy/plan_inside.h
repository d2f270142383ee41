/* policy/plan_inside.h - how a plan is laid out; for plan*.c alone. */
#ifndef POLICY_PLAN_INSIDE_H
#define POLICY_PLAN_INSIDE_H
#include "base/mem.h"
#include "policy/plan.h"

/* One local address and its regions, sorted; those of IPv4 come first. The keys are the regions' first addresses once
 * more, packed for the search. */
struct plan_local {
	struct addr addr;
	struct plan_region *regions;
	size_t count, v4_count;
	uint32_t *v4_keys;
	addr_count *v6_keys;
	uint32_t *v4_index; /* NULL for few regions: for each /16 the first region that begins at or behind it */
};

struct plan {
	unsigned references;
	const struct policy *policy;
	struct addr *addresses; /* of the locals, sorted as they are */
	struct plan_local *locals;
	size_t local_count;
	struct plan_list *lists;
	size_t list_count, list_cap;
	struct arena entries;
};

/* ---- plan_list.c: the order of the entries that two addresses meet ---- */

/* Sort by rank, drop repetitions, report conflicts of equal rank, and cut behind an entry that matches everything
 * (unless `contests`). Returns how many are left; *ret_conflict says that one was an error. */
struct conflict_seen;
struct conflict_seen *conflict_seen_new(void);
void conflict_seen_free(struct conflict_seen *s);
size_t plan_list_settle(struct plan_entry *entries, size_t n, const struct policy *p, bool contests,
			struct conflict_seen *seen, struct report *r, bool *ret_conflict);
/* Less than 0: a wins over b. */
int plan_entry_rank(const struct plan_entry *a, const struct plan_entry *b);

#endif
