/* daemon/parts/ready.h - when the daemon does what it promises: its children are there, keying has the plan, and the
 * data plane answers it. Only then it says so, since what is sent before would wait, or be lost. */
#ifndef DAEMON_PARTS_READY_H
#define DAEMON_PARTS_READY_H
#include "daemon/daemon.h"

/* They have got on with nothing for so long, or it has taken that long in all: then it is said all the same, and what
 * is missing is told by status. A large policy takes as long as the machine needs. */
enum { READY_MS = 10000, READY_MOST_MS = 600000 };

/* `ready` runs once, from the loop; not after ready_close. */
void ready_wait(struct daemon *d, void (*ready)(struct daemon *d));
void ready_close(struct daemon *d);

#endif
