/* enforce/programs.h - programs that firewall rules name, as the kernel can tell them: by the control group (version 2)
 * that a socket was made in, which is what systemd gives each unit. A group that comes, goes or is made again with
 * another number means another ruleset, so its folder is watched. Inside enforce/ only. */
#ifndef ENFORCE_PROGRAMS_H
#define ENFORCE_PROGRAMS_H
#include "base/mem.h"
#include "enforce/ruleset.h"
#include "policy/plan.h"

struct programs {
	int watch;  /* inotify; -1: none */
	bool works; /* this kernel and nft can match */
	bool tried;
	bool able;                    /* at the last look, and there is a hierarchy to look into */
	struct ruleset_program *rows; /* that are there */
	size_t count, cap;
	uint64_t sum; /* of rows and their numbers in the kernel */
	struct arena memory;
};

int programs_open(struct programs *p, struct diag *d);
void programs_close(struct programs *p);
/* Look for those that this plan's rules name; nothing if there are none. Returns whether anything has changed. */
bool programs_find(struct programs *p, const struct plan *plan);
void programs_drain(struct programs *p);
bool programs_has(const struct programs *p, const char *name);

#endif
