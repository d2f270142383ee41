/* dataplane/esp/share.h - which of several planes, side by side in one process, has a packet. Everything between two
 * addresses is one plane's, so that the numbers of an SA are used by one thread in their order, and none looks at what
 * is another's. The kernel deals packets out by the same arithmetic: the TUN's queues, and the sockets of each plane.
 */
#ifndef DATAPLANE_ESP_SHARE_H
#define DATAPLANE_ESP_SHARE_H
#include "base/addr.h"
#include <stdint.h>

struct diag;

enum { SHARES_MOST = 16 };

/* One of `count` planes; count 0 or 1: it is alone. */
struct share {
	unsigned index, count;
};

/* What this host sends between two addresses; of a tunnel, between its ends. */
unsigned share_of_addresses(const struct addr *local, const struct addr *remote, unsigned count);
/* What comes under an SPI of ours, which is chosen by it. */
unsigned share_of_spi(uint32_t spi, unsigned count);

/* Have the kernel do so. The TUN's queues are numbered as they were opened, and so are the sockets of the group that
 * shares a UDP port: what is not ESP goes to the first. A raw socket leaves the others' packets to them. */
int share_steer_tun(int fd, struct diag *d);
int share_steer_udp(int fd, unsigned count, struct diag *d);
int share_filter_raw(int fd, int family, uint8_t protocol, const struct share *s, struct diag *d);

#endif
