/* enforce/guard.h - the second barrier: a small table that belongs to our netlink socket, so that nobody else can take
 * it away: `nft flush ruleset` passes it over (Linux 5.12 and later). It drops packets between us and those whom a rule
 * protects or blocks, unless our table has seen them: there is nothing to drop while that one is in force, and what
 * would get through while it is gone is stopped. It goes when the socket goes. Inside enforce/ only. */
#ifndef ENFORCE_GUARD_H
#define ENFORCE_GUARD_H
#include "enforce/gate.h"
#include "enforce/netlink.h"
#include "enforce/ruleset.h"

#define TABLE_GUARD "cordon_guard"

struct guard {
	struct netlink owner;
	const struct gate_config *config;
	bool works; /* this kernel knows tables with an owner */
	bool in_force;
	uint64_t ranges; /* hash of those that it was made for */
};

int guard_open(struct guard *g, const struct gate_config *c, struct diag *d);
void guard_close(struct guard *g); /* and with it the table */
/* Make it for this plan, once the plan's own table is in force; nothing where the kernel knows no owners. */
int guard_set(struct guard *g, const struct plan *plan, struct diag *d);
int guard_remove(struct guard *g, struct diag *d);
struct ruleset_count guard_count(struct guard *g); /* what it has dropped */

#endif
