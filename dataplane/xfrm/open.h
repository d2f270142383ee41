/* dataplane/xfrm/open.h - what the kernel's plane works on. Opened by who has the rights (CAP_NET_ADMIN, CAP_NET_RAW)
 * in its own network namespace, and handed to the plane, which keeps CAP_NET_ADMIN: the kernel asks it of whoever
 * sends, too. Also what is done without a plane: does this kernel have IPsec, sockets that IKE uses, and the end of it
 * all. */
#ifndef DATAPLANE_XFRM_OPEN_H
#define DATAPLANE_XFRM_OPEN_H
#include <stdbool.h>
#include <stdint.h>

struct diag;

enum xfrm_fd {
	XFRM_FD_ASK,  /* NETLINK_XFRM: requests and their answers */
	XFRM_FD_HEAR, /* NETLINK_XFRM: acquire, expire and mapping by multicast */
	XFRM_FD_STAT, /* /proc/net/xfrm_stat, to be read again and again; optional */
	XFRM_FD_ESP4, /* raw sockets, deaf until somebody sends to an SPI that is not there; optional */
	XFRM_FD_ESP6,
	XFRM_FD_AH4,
	XFRM_FD_AH6,
	XFRM_FD_COUNT
};

struct xfrm_fds {
	int fd[XFRM_FD_COUNT]; /* -1: there is none */
};

struct xfrm_fds xfrm_fds_none(void);
/* Errors say what is missing. */
int xfrm_fds_open(struct xfrm_fds *ret, struct diag *d);
void xfrm_fds_close(struct xfrm_fds *f); /* for SCOPED */

/* Does the running kernel take an ESP state of both families (IPv6 only where it has that)? A state that nobody can
 * use is made and removed. 0, or the reason. */
int xfrm_probe(struct diag *d);

/* net.core.xfrm_larval_drop = 0: packets wait for their SA instead of being lost. Of the network namespace that the
 * caller is in. */
bool xfrm_packets_wait(void);
int xfrm_hold_packets(struct diag *d);
void xfrm_drop_packets(void);

/* IKE's socket of this family (4 or 6): no policy applies to what it sends and hears. encap: ESP in UDP that comes to
 * it is the kernel's (UDP 4500). */
int xfrm_exempt_socket(int fd, unsigned family, bool encap, struct diag *d);

/* Remove every state and policy of ours: another plane takes over, or protection is switched off. */
int xfrm_remove_all(struct diag *d);

#endif
