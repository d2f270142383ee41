/* dataplane/esp/netlink.h - what the plane asks of the kernel's routing socket: its device, and the way to a peer. */
#ifndef DATAPLANE_ESP_NETLINK_H
#define DATAPLANE_ESP_NETLINK_H
#include "base/addr.h"
#include <stdbool.h>
#include <stdint.h>

struct diag;

/* A socket for questions that every new peer brings. Its owner may have handed it on, and needs no right. */
int netlink_asker_open(struct diag *d);

struct netlink_asker {
	int fd; /* of netlink_asker_open; the caller's */
	uint32_t sequence;
	struct { /* the device that was asked for last */
		uint32_t index, mtu;
		uint64_t at_s;
	} device;
};

/* Set a device's MTU and queue length, keep IPv6 from giving it an address of its own, and bring it up. */
int netlink_link_up(unsigned index, uint32_t mtu, uint32_t queue, struct diag *d);

/* A descriptor that is readable when some device came, went or changed; the news itself is not of use, so drain it and
 * look. Negative: an error. */
int netlink_watch_links(struct diag *d);
void netlink_watch_drain(int fd);
bool netlink_link_is_up(const char *name);

/* The MTU of the route that a packet with this mark takes: the device's, or less where the route says so. What ICMP
 * errors made the kernel believe is left out: they are not checked there. 0: there is no route. */
uint32_t netlink_route_mtu(struct netlink_asker *a, const struct addr *local, const struct addr *remote, uint32_t mark);

#endif
