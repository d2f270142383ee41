/* policy/plan_inside.h - how a plan lies in memory: flat arrays, searched by number. For this folder only. */
#ifndef POLICY_PLAN_INSIDE_H
#define POLICY_PLAN_INSIDE_H
#include "policy/plan.h"

#include <stdatomic.h>

/* A region as the look-up wants it, list and all, so that it costs one cache line. */
struct plan_slot4 {
	uint32_t lo, hi;
	uint32_t first, count; /* its entries in the lists */
};
struct plan_slot6 {
	addr_count lo, hi;
	uint32_t first, count;
};

/* The regions of one local address, which are plan->regions[first .. first + count). */
struct plan_local {
	uint32_t first, count;
	struct plan_slot4 *slots4; /* of an IPv4 address */
	struct plan_slot6 *slots6; /* of an IPv6 address */
	uint32_t *buckets;         /* by the address: the first region that may hold it; NULL: few regions */
	unsigned shift;            /* of the address less base, to its bucket */
	addr_count base;           /* the lowest address of any region */
	size_t bucket_count;       /* without the one at the end */
};

/* What of an entry decides whether a packet matches, close together: a look-up reads nothing else. */
struct plan_match {
	int16_t protocol;
	uint8_t initiators;
	bool protects;
	struct port_range local_port, remote_port;
	int16_t icmp_type, icmp_code;
};

struct plan_lists {
	struct plan_entry *entries;
	struct plan_match *matches; /* of each entry */
	struct plan_long *longs;    /* for lists that are long; sorted by where they begin */
	size_t long_count;
	size_t entry_count, entry_cap;
	uint32_t *firsts; /* of each list, and the end of the last; list 0 is empty */
	size_t count, cap;
};

struct plan {
	atomic_uint references;
	struct policy *policy;
	struct addr *locals; /* sorted */
	struct plan_local *local_regions;
	size_t local_count;
	struct plan_region *regions;
	size_t region_count, region_cap;
	struct addr_range *behind; /* their regions follow those of the locals */
	size_t behind_count, behind_cap;
	struct plan_tunnel *tunnels;
	size_t tunnel_count, tunnel_cap;
	struct plan_lists lists;
	bool *firewalls; /* by the policy's order: it rules this host */
	bool asks_who;
	struct plan_group *groups;
	size_t group_count;
	struct {
		struct addr_range *elements;
		size_t count;
	} keywords[KEYWORDS]; /* as this host resolved them */
	struct plan_interface *interfaces;
	size_t interface_count;
};

/* When all regions and lists are there: make what the look-up uses. */
void plan_index(struct plan *p);

#endif
