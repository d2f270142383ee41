/* daemon/process/children.h - the parent's children: started, watched, started again when they die, joined with each
 * other. What they are for is others' business: they are told when a child has come and when it has gone. */
#ifndef DAEMON_PROCESS_CHILDREN_H
#define DAEMON_PROCESS_CHILDREN_H
#include "daemon/process/channel.h"
#include "daemon/process/sandbox.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct children;
struct diag;
struct observer;

/* Who may send how much: more than a thousand set-ups a second need, less than what keeps the parent from its work. */
#define CHILD_RATE ((struct limit_rate){ .per_s = 50000, .burst = 100000 })

/* What the parent is to one child. */
struct child_part {
	enum role role;
	bool netlink;                 /* the next one that is started keeps a right (sandbox.h) */
	ask_handler *const *handlers; /* what the child may ask of us; at ASK_READY stands children_ready */
	void *context;
	/* It is in its cage and listens: tell it all that it needs. Its old channel, if there was one, is gone. */
	void (*came)(void *context, struct channel *c);
	void (*went)(void *context); /* NULL: nothing to do */
};

struct children_config {
	uv_loop_t *loop;
	const struct observer *observer;
	const char *run_dir;            /* where the empty folder is that they are locked into */
	const struct child_part *parts; /* kept: the caller's, for as long as there are children */
	size_t part_count;
};

enum {
	CHILD_READY_MS = 10000,  /* who is not ready by then is killed */
	CHILD_HEAR_MS = 500,     /* more, for what it has said meanwhile */
	CHILD_BACK_OFF_MS = 100, /* before the first restart; then doubled */
	CHILD_BACK_OFF_MOST = 10000,
	CHILD_STEADY_MS = 30000,  /* who has lived so long begins anew */
	CHILD_LOST_MS = 1000,     /* whose channel has ended, and who has not, is killed */
	CHILD_PING_MS = 2000,     /* each is asked whether it does its work */
	CHILD_SILENT_MOST = 8,    /* who leaves so many without an answer is killed */
	CHILD_WORK_MOST = 300,    /* unless it was given work and still does it; that many pings long */
	CHILD_WORK_LEAST_MS = 10, /* of its processor's time from one ping to the next */
	CHILD_STOP_MS = 3000,     /* who has not ended by then is killed */
	CHILD_END_TEXT = 160,
};

ask_handler children_ready;

/* Starts all. A program that is not there is an error in words. */
int children_new(const struct children_config *config, struct children **ret, struct diag *d);
/* Their channels close, upon which they end by themselves; memory goes when they have. */
void children_close(struct children *c);

/* NULL: it is away, or not ready yet. */
struct channel *children_channel(const struct children *c, enum role role);
/* The same, but one that has been started is waited for. */
struct channel *children_wait(struct children *c, enum role role, unsigned ms);
/* End it: it does not do what it should. It is started again. */
void children_end(struct children *c, enum role role, const char *why);

/* What was just written to this child's channel may take it long. It answers nothing until it has done it, and is not
 * taken for hanging as long as it gets on. */
void children_gave_work(struct channel *channel);
/* Of their processor's time: do they get on? */
uint64_t children_cpu_ms(const struct children *c);

struct child_row {
	enum role role;
	pid_t pid; /* 0: away */
	bool ready;
	unsigned restarts;
	uint64_t since_ms;          /* Unix time: it is ready, or away, since then */
	uint64_t next_ms;           /* away: when it is started again */
	bool again;                 /* it ends again and again (deaths.h) */
	uint64_t well_ms;           /* then: when it counts as well if it goes on; 0: it is away */
	char lacks[SANDBOX_TEXT];   /* what its cage lacks; empty: nothing */
	char ended[CHILD_END_TEXT]; /* how it ended last; empty: it never did */
};
/* Was the one that runs started with that right? */
bool children_netlink(const struct children *c, enum role role);
size_t children_rows(const struct children *c, struct child_row *rows, size_t cap); /* number there are */

#endif
