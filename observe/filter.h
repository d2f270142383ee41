/* observe/filter.h - which events somebody wants to see. cordond asks it before it sends, so that what nobody wants
 * costs nothing. Pure. */
#ifndef OBSERVE_FILTER_H
#define OBSERVE_FILTER_H
#include "observe/event.h"

struct diag;

enum { FILTER_PEERS_MOST = 32, FILTER_TEXT = 256 };

/* Empty parts let everything through; those that are given must all hold. */
struct filter {
	bool some_categories, some_events;
	bool categories[CATEGORY_COUNT], events[EVENT_COUNT];
	bool some_peers; /* then the remote address is in one of these, or the peer's identity has that text in it */
	struct addr_range peers[FILTER_PEERS_MOST];
	size_t peer_count;
	char identity[EVENT_NAME];
	char rule[EVENT_NAME];
	enum event_severity least;
	uint64_t since_ms;
};

/* Lists with commas: "main-mode,quick-mode"; "main-mode-up,fallback". -ERR_SYNTAX with what there is. */
int filter_add_categories(struct filter *f, const char *list, struct diag *d);
int filter_add_events(struct filter *f, const char *list, struct diag *d);
int filter_set_severity(struct filter *f, const char *name, struct diag *d);
/* An address or a network; false: it is neither, so whoever knows names adds what it stands for, or it is an identity.
 */
bool filter_add_address(struct filter *f, const char *text);
void filter_add_range(struct filter *f, const struct addr_range *r); /* too many: the first ones count */
void filter_set_identity(struct filter *f, const char *text);

bool filter_has(const struct filter *f, const struct event *e);

#endif
