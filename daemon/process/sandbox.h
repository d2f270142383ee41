/* daemon/process/sandbox.h - the cage of a child: the first thing that its main enters, before it reads a single octet.
 * Afterwards the process is a user of its own with no capability (but see `netlink`), sees an empty folder as its whole
 * file system, holds only the descriptors that it was given, can't run programs or get at other processes, and may make
 * only the system calls of its row in sandbox_calls.c. A call that is not there ends it by SIGSYS, after it told the
 * parent which.
 *
 * What a library reads of files it must read before: sandbox_enter sees to libc's and libcrypto's own, others to
 * theirs. Threads made later live in the same cage. */
#ifndef DAEMON_PROCESS_SANDBOX_H
#define DAEMON_PROCESS_SANDBOX_H
#include "daemon/process/asks.h"
#include <sys/types.h>

struct diag;

enum { SANDBOX_TEXT = 256, SANDBOX_CALL = 48 };

/* For the parent: makes the empty folder in run_dir that children are locked into, or sees that it is as it should be:
 * root's, nobody may write there, empty. */
int sandbox_folder(const char *run_dir, struct diag *d);

/* keep: the descriptors that stay, beside 0 to 2. channel: one of them, by which the parent is told of a forbidden
 * call. What the system does not offer (no root, no seccomp in the kernel, a build with sanitizers) is said in the log
 * and left out; what it offers and refuses is an error, and then the child must end.
 *
 * netlink: the role keeps CAP_NET_ADMIN, if its row allows it, for what the kernel asks of whoever sends on a netlink
 * socket. It can open no socket, and no system call that takes a name is in its list. */
int sandbox_enter(enum role role, bool netlink, const char *run_dir, int channel, const int *keep, size_t count,
		  struct diag *d);

/* For the parent: what the kernel says of a child that claims to be in its cage. True: all is as it should be; false:
 * `lacks` has in words what is not. Where /proc does not show the child, nothing is said against it. */
bool sandbox_look(pid_t pid, enum role role, bool netlink, char lacks[SANDBOX_TEXT]);

/* "socket", or "number 1234". */
void sandbox_call_name(uint32_t number, char ret[SANDBOX_CALL]);

/* sandbox_calls.c, for sandbox.c: load the role's filter. *ret_off: why there is none, or NULL. */
int sandbox_calls_limit(enum role role, const char **ret_off, struct diag *d);

#endif
