/* daemon/parts/log_relay.h - what netfilter logs goes to the data plane's process by way of the parent, which does not
 * look at it. The socket of the log is one of nfnetlink: whoever has it and the capability NET_ADMIN, as that process
 * does with the kernel's plane, could write to netfilter's rules by it. */
#ifndef DAEMON_PARTS_LOG_RELAY_H
#define DAEMON_PARTS_LOG_RELAY_H
#include <uv.h>

struct log_relay;
struct diag;

/* fd: of enforce/log_group.h, taken over, also on failure. */
int log_relay_new(uv_loop_t *loop, int fd, struct log_relay **ret, struct diag *d);
/* A descriptor for one that reads, from now on instead of the one before: a datagram for each, and nothing can be sent
 * back by it. The caller's. While nobody reads, or slowly, what comes is lost. */
int log_relay_reader(struct log_relay *r, struct diag *d);
void log_relay_close(struct log_relay *r); /* or NULL; memory goes with the loop's next turn */

#endif
