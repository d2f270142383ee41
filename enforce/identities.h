/* enforce/identities.h - who is behind which pair of addresses: the gate's own list, from which each table gets its
 * sets (identity_sets.h), and what of it changes in the table in force. Inside enforce/ only. */
#ifndef ENFORCE_IDENTITIES_H
#define ENFORCE_IDENTITIES_H
#include "base/table.h"
#include "enforce/gate.h"
#include "enforce/netlink.h"

struct identity_row {
	struct addr local, remote;
	struct membership *is; /* of the plan in force */
	size_t at;
};
struct identities {
	struct identity_row **rows;
	size_t count, cap;
	struct table by; /* by both addresses */
};
void identities_wipe(struct identities *i);

/* From the kernel's point of view: first what shuts, then what opens. `plan` is the one in force, NULL: none is, and
 * only the list changes. The list has what the kernel has, also when it refuses (-errno with words). -ENOSPC: those for
 * whom there was no room were left out; all else is in force, who has gone above all. */
int identities_change(struct identities *i, struct netlink *nft, const struct plan *plan,
		      const struct gate_identity *changes, size_t count, struct diag *d);
/* As the list will be under another plan: for its table. identities_wipe it. */
void identities_renumbered(const struct identities *i, const struct plan *new, const struct plan *old,
			   struct identities *ret);

/* A number made of all elements that the sets in the kernel should have, and of those that they have. */
uint64_t identities_sum(const struct identities *i, const struct plan *plan);
int identities_sum_in_force(struct netlink *nft, const struct plan *plan, uint64_t *ret, struct diag *d);

#endif
