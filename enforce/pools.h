/* enforce/pools.h - rules that do the same with a packet share the chains that do it, so that ten thousand rules make
 * ten thousand elements of a few maps and not ten thousand chains. What is left of a rule's own is its counters, which
 * a map finds: by the other end's address, or by the port. Rules are apart, each with a chain of its own that names it,
 * while there are few that do the same (gate_config's rules_apart). Inside enforce/ only. */
#ifndef ENFORCE_POOLS_H
#define ENFORCE_POOLS_H
#include "enforce/ruleset.h"

enum { POOL_NAME = 48 };
/* Of one list, this many rules can be told apart by the other end's address: each in a set of maps of its own. */
enum { POOL_SLOTS_MOST = 32 };

/* By what a packet's rule is found where it is counted. */
struct pool_key {
	size_t local;  /* by the address of the other end: of these local addresses, */
	uint32_t slot; /* the rule that stands here in the list of that address */
	bool together; /* or not at all: they are too many to be counted apart */
	bool by_port;  /* or by a port of */
	int protocol;
	bool local_port;
	uint32_t number; /* of those by port */
	unsigned kinds;  /* 1 << enum gate_count: of the rules in it */
	struct pool_member *members;
	size_t count, cap;
	uint32_t *pools; /* that have a chain for it */
	size_t pool_count, pool_cap;
};

struct pool_ports {
	uint16_t lo, hi;
	uint32_t rule;
};

void pools_make(struct ruleset *r);
void pools_wipe(struct ruleset *r);

/* From 1; 0: the rule is apart. */
uint32_t pool_of(const struct ruleset *r, const struct rule *rule);
/* Are the rules of pools too many to be counted apart? Then each pool has one chain: pool_slot gives that. */
bool pools_together(const struct ruleset *r);
/* It gets a chain of its own besides. */
void pool_set_apart(struct ruleset *r, const struct rule *rule);

/* The keys, and what lies in them. Each name is that of the chain for rules of this pool. */
const char *pool_slot(struct ruleset *r, uint32_t pool, size_t local, uint32_t slot, char buf[POOL_NAME]);
void pool_slot_add(struct ruleset *r, size_t local, uint32_t slot, const struct addr_range *remote,
		   const struct rule *rule);
/* The same ports of the same rules again: the same chain. They are sorted and disjoint. */
const char *pool_port(struct ruleset *r, uint32_t pool, int protocol, bool local_port, const struct pool_ports *ports,
		      size_t count, char buf[POOL_NAME]);

/* What a rule's chain counts, at the end of a line: by the counter's name, or by a jump to whom the key leads to. */
struct rule_counts {
	const struct rule *rule;
	struct pool_key *key; /* NULL: it is apart */
};
void pool_add_count(struct ruleset *r, const struct rule_counts *c, enum gate_count kind);

/* The chains of all pools and rules that are used, and what finds their counters; then the maps for that, which must
 * stand before them. */
void pools_add_chains(struct ruleset *r);
void pools_add_maps(struct ruleset *r);

/* rule_chain.c: what the mode does. */
void rule_chain_add(struct ruleset *r, const char *name, const struct rule_counts *c);

#endif
