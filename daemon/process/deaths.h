/* daemon/process/deaths.h - does a child end again and again? One that is started again works as before, so a death is
 * told, and no more; who dies often will do so once more. For children.c. No clock: times are the caller's. */
#ifndef DAEMON_PROCESS_DEATHS_H
#define DAEMON_PROCESS_DEATHS_H
#include <stdbool.h>
#include <stdint.h>

enum {
	DEATHS_MANY = 3,
	DEATHS_WITHIN_MS = 10 * 60 * 1000, /* so many */
	DEATHS_WELL_MS = 2 * 60 * 1000,    /* who has worked so long since is well */
};

struct deaths {
	uint64_t at_ms[DEATHS_MANY]; /* the newest first; 0: none */
};

void deaths_add(struct deaths *d, uint64_t now_ms);
/* ready, since_ms: it works (or is away) since then. *ret_well_ms: when it will be well if it goes on, 0 while it is
 * away. */
bool deaths_again(const struct deaths *d, bool ready, uint64_t since_ms, uint64_t now_ms, uint64_t *ret_well_ms);

#endif
