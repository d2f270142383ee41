/* daemon/parts/parts.h - the daemon's children: what they may ask of the parent, and who is told when one has come or
 * gone. Each part of the parent that has a child to talk to adds its handlers to the one table in parts.c. */
#ifndef DAEMON_PARTS_PARTS_H
#define DAEMON_PARTS_PARTS_H
#include "daemon/daemon.h"
#include <jansson.h>

/* Starts all children; they are there, but for their deaths, as long as the daemon is. */
int parts_start(struct daemon *d, struct diag *why);
void parts_close(struct daemon *d);
/* Whether the data plane's next process keeps a right (process/sandbox.h). */
bool *parts_netlink(struct daemon *d);
/* NULL: it is away. */
struct channel *parts_channel(const struct daemon *d, enum role role);
/* For status: one row each. */
json_t *parts_json(const struct daemon *d);

#endif
