/* policy/plan_long.h - look-up in a list that is too long to walk: hundreds of services between the same two networks.
 * Entries with a single port are found by it; the others are walked. For plan.c. */
#ifndef POLICY_PLAN_LONG_H
#define POLICY_PLAN_LONG_H
#include "policy/plan_inside.h"

enum { PLAN_LONG_FROM = 24 };

/* Make what the look-up needs for each list of the plan that is that long. */
void plan_long_make(struct plan_lists *l);
void plan_long_wipe(struct plan_lists *l);

bool plan_match_packet(const struct plan_match *m, const struct plan_packet *k);

/* The first match among the entries first .. first + count, which are one list; protecting: among those that protect.
 * SIZE_MAX: none. */
size_t plan_long_find(const struct plan_lists *l, size_t first, size_t count, const struct plan_packet *k,
		      bool protecting);

#endif
