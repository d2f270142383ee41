/* dataplane/xfrm/plane.h - the kernel's plane inside: what its files share. requests.c answers sad.h, hear.c what the
 * kernel says by itself, watch.c looks at what it does not say. */
#ifndef DATAPLANE_XFRM_PLANE_H
#define DATAPLANE_XFRM_PLANE_H
#include "base/diag.h"
#include "base/limit.h"
#include "base/table.h"
#include "dataplane/sad_ops.h"
#include "dataplane/xfrm/policies.h"
#include "dataplane/xfrm/states.h"
#include "dataplane/xfrm/unknown.h"
#include "dataplane/xfrm/xfrm.h"

enum {
	WAITS_MOST = 4096,         /* pairs for which the kernel waits for an SA, as far as we remember */
	WAITS_EACH = 256,          /* looked after in one tick */
	WAITS_LOOK = 64,           /* looked at for one that may make room */
	ACQUIRE_S = 1000,          /* ACQUIRE so often in all, */
	ACQUIRE_BURST = 4096,      /* and so many at once */
	WAIT_ASK_MS = 1000,        /* ACQUIRE at most so often for a selector */
	WAIT_MOST_MS = 30000,      /* net.core.xfrm_acq_expires: the kernel asks again then */
	REFUSED_MS = 100,          /* who sends has an error at once (EPERM); long enough for the kernel's timer */
	CROWD_MS = 250,            /* who is served waits so long for others at the same policy */
	MOVED_TOLD_MS = 200,       /* SAD_MOVED is told so often */
	FRONT_POLICIES_MOST = 256, /* of one SA */
	USAGE_CACHED_MS = 1000,
	LOSS_MS = 50, /* from the first loss: what is lost until then is looked for once */
};

/* Masks of bits that nobody sets, for policies in front of the plan's. Who sets them has what the plan alone says. */
#define FRONT_MARK_SA 0x80000000u
#define FRONT_MARK_CLEAR 0x40000000u

/* The kernel waits for an SA. */
struct wait {
	struct larval larval;
	struct sa_selector selector;
	struct plan_packet packet;
	uint32_t index; /* of the policy at which packets wait */
	uint64_t since_ms, asked_ms;
	bool ended;   /* nothing waits in the kernel now */
	bool unasked; /* it came too soon behind the last question */
	bool served;  /* while an SA is installed */
	/* crowd.c */
	bool empty;         /* no packet of it is in the policy's queue, as far as we know */
	bool holds;         /* others, who are served, wait for it a moment */
	uint32_t drops_spi; /* of a state that made its packets give way; 0: none */
	size_t place;
};

struct waits {
	struct table by_selector;
	struct wait **all;
	size_t count, cap;
	size_t hand;                 /* where room is looked for next */
	struct limit_bucket acquire; /* all questions together */
};

struct xfrm_event {
	struct sad_event event;
	struct plan *plan; /* keeps event.entry alive */
	struct diag why;
};

enum { EARS = 4 };

struct xfrm_plane {
	struct sad_head head; /* first: sad.c */
	struct xfrm_config config;
	struct xfrm_fds fds;
	struct plan *plan;
	uint64_t now;
	unsigned depth;
	uint64_t loss_ms; /* when to look at what was not heard; 0: nothing was lost */
	uint64_t listing; /* number of the list that is being read */
	struct asker asker;
	struct policies policies;
	struct states states;
	struct waits waits;
	struct xfrm_event *events;
	size_t event_count, event_cap;
	char trouble[512];
	int poll_fd;
	/* watch.c */
	uint64_t usage_ms;         /* when all counters were read last */
	uint64_t next_poll_ms;     /* of some state */
	uint64_t next_sequence_ms; /* of those without ESN */
	size_t sequence_at;
	uint64_t drops[DROP_COUNT], drops_at_start[DROP_COUNT];
	uint64_t stat_ms, no_states, listen_until_ms;
	bool listening;
	struct unknown unknown;
	struct {
		uint64_t at_ms, not_before_ms; /* when to put policies back; 0: they are all there, as far as we know */
		uint64_t mended_ms, pause_ms;  /* the last time, and how long it is to the next at the least */
		size_t mended, states;         /* policies put back, states removed by others, and not told yet */
		struct limit_bucket said;
		uint64_t say_ms; /* not before */
		bool flushed, failed;
	} mend;
};

static inline struct xfrm_plane *plane_of(struct sad *sad)
{
	return (struct xfrm_plane *)(void *)sad;
}

static inline const struct xfrm_plane *plane_of_const(const struct sad *sad)
{
	return (const struct xfrm_plane *)(const void *)sad;
}

/* Every entry from outside is between these two. */
void xfrm_enter(struct xfrm_plane *x);
void xfrm_leave(struct xfrm_plane *x);
void xfrm_tell(struct xfrm_plane *x, const struct sad_event *e, const struct diag *why);

extern const struct sad_ops xfrm_ops; /* requests.c */
void xfrm_free(struct sad *sad);
/* Both halves of a pair go, with their policies; the number that there were. */
size_t xfrm_remove_pair(struct xfrm_plane *x, uint64_t pair);
void xfrm_expire_pair(struct xfrm_plane *x, struct state *st);
void xfrm_expire_soft(struct xfrm_plane *x, struct state *st);
/* Put the plan's policies in force, and in front of them those of the SAs there are. */
int xfrm_put_plan(struct xfrm_plane *x, struct diag *d);

/* fronts.c */
/* The entry of the plan that an SA is for; again: of a plan that has come since, its rule known by its name. */
const struct plan_entry *fronts_entry_of(const struct plan *plan, const struct sa_spec *spec, bool again);
/* Policies of its own for an SA that the plan's cannot find: a tunnel whose far end the rule does not give, or AH where
 * ESP is preferred. The same ones for both directions of a pair. */
int fronts_add(struct xfrm_plane *x, struct state *st, const struct plan_entry *e, struct diag *d);
void fronts_drop(struct xfrm_plane *x, struct state *st);
/* For so long, for a service between two addresses that was asked about. in NULL: outwards only. */
void fronts_put(struct xfrm_plane *x, const struct sa_selector *selector, const struct policy_does *out,
		const struct policy_does *in, uint64_t ms);

/* remove.c */
/* What waits in the kernel is no more; the next packet is asked about again. */
void larval_end(struct asker *a, const struct larval *l);
int xfrm_remove_states(struct asker *a, struct diag *d); /* all of ours */

/* waits.c */
void waits_heard(struct xfrm_plane *x, const struct message_in *m);
/* An SA has come for them: its packets go now. */
void waits_served(struct xfrm_plane *x, const struct sa_spec *spec);
/* The kernel asks again when the next packet comes; clear: packets of the selector may pass now. */
void waits_released(struct xfrm_plane *x, const struct sa_selector *selector, bool clear);
/* Nothing of others waits where this waits, so it may be thrown away all together. */
bool waits_alone(const struct xfrm_plane *x, const struct sa_selector *selector);
void waits_ask_again(struct xfrm_plane *x);
/* The same, but none is asked about sooner than it would have been. */
void waits_end_all(struct xfrm_plane *x);
void waits_wipe(struct waits *l);
void waits_tick(struct xfrm_plane *x);
uint64_t waits_deadline(const struct xfrm_plane *x);

/* crowd.c */
/* Packets that wait at this policy may go: at once, or when others there have had their moment. */
void crowd_served(struct xfrm_plane *x, uint32_t index);
/* One who was waited for waits no more. */
void crowd_look(struct xfrm_plane *x, uint32_t index);
bool crowd_is_alone(const struct xfrm_plane *x, const struct wait *w); /* at its policy */
void crowd_tick(struct xfrm_plane *x);

/* hear.c */
void hear_one(struct xfrm_plane *x, const struct message_in *m);
void hear_all(struct xfrm_plane *x); /* at most so many; the rest makes the descriptor readable again */

/* loss.c: the kernel said something, and there was no room for it */
void loss_tick(struct xfrm_plane *x);
uint64_t loss_deadline(const struct xfrm_plane *x);

/* mend.c: others have removed what is ours */
void mend_heard_policy(struct xfrm_plane *x, const struct message_in *m);
void mend_heard_state(struct xfrm_plane *x, const struct message_in *m);
void mend_lost_states(struct xfrm_plane *x, size_t count); /* so many were not in the list any more */
void mend_tick(struct xfrm_plane *x);
uint64_t mend_deadline(const struct xfrm_plane *x);

/* watch.c */
void watch_first(struct xfrm_plane *x, struct state *st);            /* begin to look whether something came in */
void watch_sequences(struct xfrm_plane *x, const struct state *st);  /* outbound ones without ESN run out */
bool watch_read(struct xfrm_plane *x, struct state *st);             /* its counters, now; false: it is not there */
void watch_listed(struct xfrm_plane *x, const struct message_in *m); /* the same of a row of a list */
void watch_read_all(struct xfrm_plane *x);                           /* unless that was less than USAGE_CACHED_MS ago */
void watch_drops(struct xfrm_plane *x);
void watch_listen(struct xfrm_plane *x); /* what raw sockets have heard */
void watch_tick(struct xfrm_plane *x);
uint64_t watch_deadline(const struct xfrm_plane *x);

#endif
