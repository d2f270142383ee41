/* enforce/carry.h - what goes over from a table into the one that replaces it: counters go to the rule of the same name
 * and mode, or of the same name and action in the firewall. Inside enforce/ only. */
#ifndef ENFORCE_CARRY_H
#define ENFORCE_CARRY_H
#include "enforce/netlink.h"
#include "enforce/ruleset.h"

/* The counts of `plan`, from the table in force, which is old's; old NULL: none is known. */
int carry_counts(struct netlink *nft, const struct plan *old, const struct plan *plan, struct ruleset_carry *ret,
		 struct diag *d);
void carry_wipe(struct ruleset_carry *c);

#endif
