/* tools/lab/space.h - network namespaces held by descriptors. None has a name, so none is left when its holder ends,
 * however it ends: not after a kill -9 either. Called by the lab's one thread, which is always back in its own
 * namespace when a function returns. */
#ifndef TOOLS_LAB_SPACE_H
#define TOOLS_LAB_SPACE_H
#include <stdbool.h>
#include <sys/types.h>

struct diag;

/* A new namespace with lo up and IPv6 that does not wait for duplicate addresses. Close the descriptor to let it go. */
int space_new(int *ret_fd, struct diag *d);
/* The calling thread enters it; space_leave comes back. */
int space_enter(int fd, struct diag *d);
void space_leave(void);
/* A close-on-exec socket that belongs to the namespace. Negative errno value on failure. */
int space_socket(int fd, int domain, int type, int protocol);
/* Write `value` to /proc/sys/net/NAME of the namespace. */
int space_sysctl(int fd, const char *name, const char *value, struct diag *d);
/* Does one of the signals wait that end a lab? They are blocked while it lives (twin.h). */
bool space_stop_asked(void);
/* Run a program there, with `input` as its standard input; what it complains of goes into the diag.
 * -EINTR: we are asked to stop, and it has been ended. */
int space_run(int fd, const char *const argv[], const char *input, struct diag *d);

/* Start a program that lives there: its output is appended to `log`, it has a process group of its own and dies with
 * the lab. */
int space_spawn(int fd, const char *host_name, const char *const argv[], const char *log, pid_t *ret, struct diag *d);

#endif
