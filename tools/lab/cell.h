/* tools/lab/cell.h - a program that starts others, on one of the lab's hosts: with a process namespace of its own, so
 * that all it started ends with it, whatever groups and sessions they made, and it ends with the lab, however that
 * ends. It has its own mounts too: /run/samba is empty and private, /proc shows the cell. */
#ifndef TOOLS_LAB_CELL_H
#define TOOLS_LAB_CELL_H
#include <sys/types.h>

struct diag;

/* space: the network namespace (space.h). The child is a process of ours: waitpid gives the program's status, and
 * SIGKILL ends all of the cell. environment: "NAME=value" strings that are added, up to NULL. */
int cell_spawn(int space, const char *host_name, const char *const argv[], const char *const environment[],
	       const char *log, pid_t *ret, struct diag *d);

#endif
