/* dataplane/xfrm/unknown.h - who sends to SPIs that are not there is told of not too often, whatever addresses he
 * writes into his packets: so many rows, one of them for each remote end, and each told of once in so long. */
#ifndef DATAPLANE_XFRM_UNKNOWN_H
#define DATAPLANE_XFRM_UNKNOWN_H
#include "base/addr.h"
#include <stdbool.h>
#include <stdint.h>

enum { UNKNOWN_ROWS = 64, UNKNOWN_MS = 1000 };

struct unknown {
	uint64_t told_ms[UNKNOWN_ROWS]; /* 0: never */
};

/* May it be told now? Then it counts as told. */
bool unknown_take(struct unknown *u, const struct addr *remote, uint64_t now_ms);

#endif
