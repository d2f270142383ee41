/* enforce/guard_rules.h - the guard's chains and rules as netlink messages: nft, the program, cannot fill a table that
 * belongs to another socket. Inside enforce/ only. */
#ifndef ENFORCE_GUARD_RULES_H
#define ENFORCE_GUARD_RULES_H
#include "enforce/gate.h"
#include "enforce/netlink.h"

#define GUARD_COUNTER "guarded"

/* One transaction under way. */
struct guard_batch {
	char *octets;
	struct mnl_nlmsg_batch *batch;
	struct netlink *owner;
	uint32_t last; /* sequence number of the last message */
	bool failed;   /* it does not fit, or memory is out */
};
struct nlmsghdr *guard_message(struct guard_batch *b, uint16_t type, uint16_t flags);
void guard_message_done(struct guard_batch *b);

enum { GUARD_FAMILIES = 2 };
struct guard_family {
	uint8_t family, octets; /* 4 or 6, and of an address */
	uint8_t nfproto;
	uint8_t source, target; /* where the addresses are in the header */
	const char *set;
};
extern const struct guard_family guard_families[GUARD_FAMILIES];

void guard_rules(struct guard_batch *b, const struct gate_config *c, const char *table);

#endif
