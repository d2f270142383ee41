/* tests/guest/xfrm_pair/hosts.h - two hosts in one process: two network namespaces joined by a veth pair, w0 and w1,
 * and a kernel plane in each. */
#ifndef TESTS_GUEST_XFRM_PAIR_HOSTS_H
#define TESTS_GUEST_XFRM_PAIR_HOSTS_H
#include "base/diag.h"
#include "base/report.h"
#include "dataplane/xfrm/xfrm.h"
#include "tests/guest/xfrm_pair/check.h"

enum { EVENTS_MOST = 256, PORT = 5000, TAKES_MS = 4000, IDLE_MS = 150, MORE_ADDRESSES = 3 };

struct side {
	int ns;
	unsigned number;
	struct addr v4, v6;
	struct report *report;
	struct policy *policy;
	struct plan *plan;
	struct sad *sad;
	struct sad_event events[EVENTS_MOST];
	size_t event_count;
	uint64_t request, pair;
	unsigned mended, not_mended;
};

extern struct side sides[2];
/* The other host has these, too: peers that are waited for at one policy of the plan. */
extern const char *const more_addresses[MORE_ADDRESSES];
/* A policy of one rule: all is protected. And one that says nothing of the two. */
extern const char require_all[], say_nothing[];

void network_up(void);
void enter(const struct side *s); /* its namespace */
struct addr address(const char *text);

/* The plane of one host, or of both, in force with these rules. */
void side_up(struct side *s, const char *rules);
void side_down(struct side *s); /* and nothing is left of it in the kernel */
void both_up(const char *rules);
void both_down(void);
/* These rules in place of those in force. */
void side_plan(struct side *s, const char *rules);
/* A plan that no plane has yet; and its end. */
void plan_make(struct side *s, const char *rules);
void plan_forget(struct side *s);

/* What the planes do of themselves, for so long at the most. */
void turn(int most_ms);
void hear(void *context, const struct sad_event *e); /* context: a struct side */
/* How many of this kind there have been; *ret is the last one. */
size_t count_events(const struct side *s, enum sad_event_kind kind, struct sad_event *ret);
bool wait_event(struct side *s, enum sad_event_kind kind, struct sad_event *ret, int ms);

#endif
