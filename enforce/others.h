/* enforce/others.h - tables of other programs with a chain at the input hook that may drop. Nothing here can take back
 * such a drop, so an authenticated bypass is only as good as they let it be. Inside enforce/ only. */
#ifndef ENFORCE_OTHERS_H
#define ENFORCE_OTHERS_H
#include "enforce/gate.h"
#include "enforce/netlink.h"
#include "enforce/ruleset.h"

int others_find(struct netlink *nft, struct gate_other **ret, size_t *ret_count, struct diag *d);

#endif
