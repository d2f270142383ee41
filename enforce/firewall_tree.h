/* enforce/firewall_tree.h - from many firewall rules to few look-ups. A packet is a point with four sides (two
 * addresses, two ports with their protocol), what a rule speaks of is a box of such points. The tree cuts boxes along
 * one side into intervals in which the same rules can match, and so on until few are left: each cut becomes one map of
 * the kernel. So a packet costs as many look-ups as there are cuts above it, however many rules there are. All rules of
 * a tree do the same (block, say), so the order between them decides nothing but whose counter moves. Pure. Inside
 * enforce/ only. */
#ifndef ENFORCE_FIREWALL_TREE_H
#define ENFORCE_FIREWALL_TREE_H
#include "policy/policy.h"
#include <stddef.h>
#include <stdint.h>

struct firewall_span {
	addr_count lo, hi;
};

/* Addresses of one family: sorted, disjoint. */
struct firewall_end {
	struct firewall_span *spans;
	uint32_t count;
	uint32_t number; /* of its set, where it has one */
	bool any;
};

enum firewall_side { SIDE_LOCAL, SIDE_REMOTE, SIDES };

/* A rule's service between its two ends. */
struct firewall_item {
	uint32_t rule;
	int16_t protocol; /* PROTOCOL_ANY: then no ports */
	int16_t icmp_type, icmp_code;
	struct port_range ports[SIDES];
	const struct firewall_end *ends[SIDES];
};

enum firewall_cut {
	CUT_REMOTE = 1,
	CUT_LOCAL_PORT = 2, /* of a protocol; so the protocol is decided as well */
	CUT_REMOTE_PORT = 4,
	CUT_LOCAL = 8,
};

enum firewall_node_kind {
	NODE_NONE,  /* nothing can match */
	NODE_LEAF,  /* try these items, in this order */
	NODE_MAP,   /* look up where the cut's value lies */
	NODE_BUNCH, /* ask several trees in turn */
};

struct firewall_branch {
	struct firewall_span span; /* ports: protocol << 16 | port, or the port alone where the protocol is decided */
	uint32_t node;
};

struct firewall_node {
	enum firewall_node_kind kind;
	enum firewall_cut cut; /* of a map */
	unsigned decided;      /* cuts above */
	size_t first, count;   /* of a leaf: in leaves; of a map: in branches; of a bunch: in bunches */
};

struct firewall_tree {
	const struct firewall_item *items;
	struct firewall_node *nodes;
	size_t node_count, node_cap;
	struct firewall_branch *branches;
	size_t branch_count, branch_cap;
	uint32_t *leaves; /* items */
	size_t leaf_count, leaf_cap;
	uint32_t *bunches; /* nodes */
	size_t bunch_count, bunch_cap;
	addr_count address_most; /* of the family */
	unsigned splits;         /* while it is built: that we are in */
};

static inline bool firewall_protocol_decided(unsigned decided)
{
	return decided & (CUT_LOCAL_PORT | CUT_REMOTE_PORT);
}

/* Returns the root's number. A node comes behind all that it leads to. */
uint32_t firewall_tree_build(struct firewall_tree *t, const struct firewall_item *items, size_t count, uint8_t family);
void firewall_tree_wipe(struct firewall_tree *t);

#endif
