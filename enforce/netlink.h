/* enforce/netlink.h - one request socket and its answers, and sockets that listen. */
#ifndef ENFORCE_NETLINK_H
#define ENFORCE_NETLINK_H
#include "base/scope.h"
#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct diag;

enum { NETLINK_MESSAGE_MOST = 8192 };

struct netlink {
	struct mnl_socket *socket;
	uint32_t sequence;
};

int netlink_open(struct netlink *n, int bus, struct diag *d);
void netlink_close(struct netlink *n);

/* A request in `buf`, which has NETLINK_MESSAGE_MOST octets; netlink_ask sends it. */
struct nlmsghdr *netlink_start(struct netlink *n, char *buf, uint16_t type, uint16_t flags);
/* Send, and give each answer to `each` (may be NULL) until the last. Returns 0 or what the kernel says; a dump that was
 * changed while it was read gives -EINTR. Fills no diag: mostly the answer is expected. */
int netlink_ask(struct netlink *n, const struct nlmsghdr *request, mnl_cb_t each, void *context);
/* The same for several messages that are one nftables transaction; ends in the first error that the kernel reports. */
int netlink_ask_batch(struct netlink *n, const void *messages, size_t len, uint32_t last_sequence);

/* The first attribute of this type behind a header of `head` octets, or NULL. */
const struct nlattr *netlink_attribute(const struct nlmsghdr *h, size_t head, uint16_t type);
/* The same as text; "" if it is not there or is none. */
const char *netlink_attribute_text(const struct nlmsghdr *h, size_t head, uint16_t type);

/* A socket that hears these groups and is asked for nothing. */
int netlink_listen(struct netlink *n, int bus, const unsigned *groups, size_t count, struct diag *d);
/* Hear the group no more for a while, or again. */
void netlink_hear(struct netlink *n, unsigned group, bool on);
/* Everything that has come so far. `each` gets the messages; true is returned when some may have been lost. */
bool netlink_drain(struct netlink *n, mnl_cb_t each, void *context);

#endif
