/* daemon/process/child.h - the frame of a child's main(): its channel with the parent, the loop, the other children's
 * channels as the parent joins them, the end when the parent is gone. */
#ifndef DAEMON_PROCESS_CHILD_H
#define DAEMON_PROCESS_CHILD_H
#include "daemon/process/channel.h"

enum { CHILD_CHANNEL_FD = 3 };
#define CHILD_NETLINK "netlink" /* the argument behind the folder: it keeps a right (sandbox.h) */

struct child_program {
	enum role role;
	const char *name;             /* for the log: "cordond-keying" */
	ask_handler *const *handlers; /* what others may ask of it; at ASK_PEER stands child_peer. One table for all
					 channels: who may ask what is in asks.c */
	void *context;
	/* Before the cage is closed: what libraries must read from files. NULL: nothing. */
	int (*prepare)(void *context, struct diag *d);
	/* In the cage, before anything is heard: *parent is there for as long as the process is. Negative: it cannot
	 * work. */
	int (*begin)(void *context, uv_loop_t *loop, struct channel *parent, struct diag *d);
	/* A channel with another child; one that there was with that role is closed already, and its peer dead. */
	void (*came)(void *context, struct channel *peer);
	void (*went)(void *context, enum role peer); /* the peer is dead, or misbehaved */
	void (*end)(void *context);                  /* the parent is gone or wants us to end; NULL: nothing to do */
};
ask_handler child_peer;

/* The process's whole life; returns its exit code. argv: as children.c starts it. */
int child_run(const struct child_program *program, int argc, char **argv);

#endif
