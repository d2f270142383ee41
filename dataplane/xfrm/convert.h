/* dataplane/xfrm/convert.h - our addresses, selectors and numbers in the kernel's form, and back. Pure. */
#ifndef DATAPLANE_XFRM_CONVERT_H
#define DATAPLANE_XFRM_CONVERT_H
#include "base/addr.h"
#include "dataplane/sad.h"
#include <linux/xfrm.h>
#include <stdbool.h>
#include <stdint.h>

/* AF_INET, AF_INET6 or 0 (AF_UNSPEC), and 4, 6 or 0. */
uint16_t convert_family(unsigned family);
unsigned convert_family_back(unsigned kernel);
xfrm_address_t convert_addr(const struct addr *a);
/* family as the kernel has it; an unknown one: no address. */
struct addr convert_addr_back(const xfrm_address_t *a, unsigned kernel_family);

/* Ports under a mask: all that agree with value in the mask's bits. */
struct port_block {
	uint16_t value, mask;
};
enum { PORT_BLOCKS_MOST = 30 };
/* The fewest blocks that are exactly the range; returns how many. */
unsigned convert_ports(struct port_range r, struct port_block ret[PORT_BLOCKS_MOST]);
/* The smallest block that has all of it. */
struct port_block convert_ports_around(struct port_range r);

struct prefix {
	struct addr addr;
	unsigned bits;
};
/* The first, largest prefix at the range's start, which then begins behind it; false: that was the last. */
bool convert_prefix_next(struct addr_range *r, struct prefix *ret);
/* The smallest prefix that has all of the range. */
struct prefix convert_prefix_around(const struct addr_range *r);

/* One side's addresses and ports of a selector, seen from here: the kernel names source and destination. */
struct convert_ends {
	struct prefix local, remote;
	struct port_block local_port, remote_port; /* ICMP: type, and code */
	int16_t protocol;
};
bool convert_has_types(int protocol); /* is it ICMP of either family? */
/* Of ICMP, whose type and code stand in one number as policy/plan.h and RFC 7296 have it; of all else nothing changes.
 * types: both ends of the range; a range of several types becomes all types, one of codes all codes. */
void convert_icmp(struct convert_ends *e, struct port_range types);
/* inbound: of what comes from remote. */
struct xfrm_selector convert_selector(const struct convert_ends *e, bool inbound);
/* The flow of a packet that goes out, as the kernel tells it with an acquire; false: not of one family. */
bool convert_flow_back(const struct xfrm_selector *s, struct plan_packet *ret);

#endif
