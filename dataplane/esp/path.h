/* dataplane/esp/path.h - how large a packet may be on the way to a peer. The route's device says (asked again now and
 * then), and ICMP errors for our ESP may lower it for ten minutes: only if they quote an SA of ours (the caller sees to
 * that), and never below a sane limit, for they are not authenticated (RFC 4301 8.2). Pure. */
#ifndef DATAPLANE_ESP_PATH_H
#define DATAPLANE_ESP_PATH_H
#include "base/addr.h"
#include <stddef.h>
#include <stdint.h>

enum {
	PATH_SETS = 8192, /* of 10,000 peers at work at once one in a hundred has to share its row */
	PATH_WAYS = 4,
	PATH_ROWS = PATH_SETS * PATH_WAYS,
	PATH_ASK_MS = 30000,
	PATH_LOWERED_MS = 600000,
	PATH_LEAST4 = 576,
	PATH_LEAST6 = 1280,
	PATH_DEFAULT = 1500,
};

/* The route's MTU; 0: not known. */
typedef uint32_t path_ask(void *context, const struct addr *local, const struct addr *remote);

struct path {
	struct addr local, remote;
	uint32_t route, lowered;
	uint64_t asked_ms, lowered_ms;
};

/* A few rows for each hash. A peer takes the place of whoever asked longest ago, who only asks, or learns, again. */
struct paths {
	struct path rows[PATH_ROWS];
	path_ask *ask;
	void *context;
};

size_t path_mtu(struct paths *p, const struct addr *local, const struct addr *remote, uint64_t now_ms);
void path_lower(struct paths *p, const struct addr *local, const struct addr *remote, uint32_t mtu, uint64_t now_ms);
/* The kernel refused a size that we thought right: ask the route again. */
void path_doubt(struct paths *p, const struct addr *local, const struct addr *remote);

#endif
