/* tools/lab/lab.h - a virtual twin of a policy's network: a namespace and a cordond for each of its hosts, real traffic
 * for each of its tests, and what was seen on the wire. For `cordon lab`. Everything goes when it ends, also when it is
 * interrupted or killed. Root only. All return one of command.h's exit statuses and have said what was wrong. */
#ifndef TOOLS_LAB_LAB_H
#define TOOLS_LAB_LAB_H
#include "tools/lab/wire.h"
#include <stdbool.h>

struct lab_options {
	const char *scenario; /* a policy file, or a folder with policy.yaml */
	const char *keep;     /* captures, keys and logs stay in this folder; NULL: nowhere */
	struct wire_faults wire;
	bool json, colour;
};

/* Up, test, report, down. 0: every test agrees and nothing leaked. */
int lab_run(const struct lab_options *o);
/* The twin stays up in the background until lab_down. */
int lab_up(const struct lab_options *o);
/* Replaces the process by a command on one of its hosts. */
int lab_exec(const char *host, char **argv);
int lab_down(void);

#endif
