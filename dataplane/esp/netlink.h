/* dataplane/esp/netlink.h - the two things that the plane asks of the kernel's routing socket. */
#ifndef DATAPLANE_ESP_NETLINK_H
#define DATAPLANE_ESP_NETLINK_H
#include "base/addr.h"
#include <stdint.h>

struct diag;

/* Set a device's MTU and queue length, keep IPv6 from giving it an address of its own, and bring it up. */
int netlink_link_up(unsigned index, uint32_t mtu, uint32_t queue, struct diag *d);

/* The MTU of the route that a packet with this mark takes: the device's, or less where the route says so. What ICMP
 * errors made the kernel believe is left out: they are not checked there. 0: there is no route. */
uint32_t netlink_route_mtu(const struct addr *local, const struct addr *remote, uint32_t mark);

#endif
