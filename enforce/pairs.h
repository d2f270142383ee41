/* enforce/pairs.h - pairs of addresses, ours and a peer's, found by what they are: as many as the kernel's sets take.
 * Inside enforce/ only. */
#ifndef ENFORCE_PAIRS_H
#define ENFORCE_PAIRS_H
#include "base/table.h"
#include "enforce/ruleset.h"

struct pair_list {
	struct ruleset_pair *pairs; /* in no order */
	size_t count, cap;
	struct table places; /* in pairs, from 1, by addresses */
};

bool pairs_has(const struct pair_list *s, const struct addr *local, const struct addr *remote);
/* Enter one that is there, or remove one that is not: nothing changes. */
void pairs_enter(struct pair_list *s, const struct addr *local, const struct addr *remote);
void pairs_leave(struct pair_list *s, const struct addr *local, const struct addr *remote);
void pairs_wipe(struct pair_list *s);

#endif
