/* daemon/daemon.h - the one process: what it holds, and who may change it. Private to daemon/. */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H
#include "base/report.h"
#include "control/server.h"
#include "daemon/parts/engine.h"
#include "daemon/host/host.h"
#include "daemon/options.h"
#include "daemon/parts/plane.h"
#include "daemon/parts/plane_choice.h"
#include "daemon/process/children.h"
#include "daemon/force/state.h"
#include "enforce/gate.h"
#include "identity/lineage.h"
#include "observe/hub.h"
#include "policy/host_config.h"
#include "policy/plan.h"
#include <uv.h>

struct diag;

enum { EVENTS_KEPT = 4096, FOLLOWERS_MOST = 16, PARTS_MOST = 4, PAGE_DIGEST = 32 };

struct daemon {
	struct options options;
	const char *name;                          /* of this host, as page or system have it */
	struct host_config *config, *config_first; /* as it is now, and as it was at the start */
	uint8_t page_digest[PAGE_DIGEST];          /* of the file that it was read from; all 0: there is none */
	const char *source;                        /* the policy's file source */
	bool source_named;                         /* by an option or the page: then it must be there */
	int export_fd;

	uv_loop_t loop;
	uv_signal_t signals[3];
	uv_poll_t gate_poll, host_poll;
	uv_timer_t probation, settle, watchdog; /* a policy to be confirmed; addresses that change; a sign of life */
	char status_said[160];                  /* service.c */
	uv_timer_t exempt_timer;
	struct exemptions *exemptions; /* exempt.h */
	int host_fd;
	bool stopping;

	/* Held also while nothing is protected: whoever has UDP port 500 is this machine's only IKE daemon. */
	struct sockets *sockets;
	uv_timer_t ready; /* ready.c */
	void (*when_ready)(struct daemon *d);
	uint64_t waits_since_ms, progress_ms, worked_ms;
	struct child_part parts[PARTS_MOST]; /* parts.h */
	struct children *children;
	struct plane *plane;          /* the data plane as its process has it */
	struct plane_choice plane_is; /* which one, and why */
	struct keys_filling *filling; /* keys/: gives the key holder what the proofs need */
	struct gate_config gate_config;
	struct gate *gate;
	struct state *state;
	uint8_t crash_secret[KEYING_CRASH_SECRET];
	struct host_facts *facts;
	struct lineage *lineage;         /* which own certificates followed which */
	struct credentials *credentials; /* credentials.h; NULL: not running */
	struct lists *lists;             /* lists.h */
	struct directory *directory;     /* directory.h; NULL: not running */
	struct host_homes homes;         /* as that has learnt them */
	struct watch *zones;             /* zone_watch.h; NULL: not running */
	struct keys_ticket *ticket;      /* ticket.h; NULL: nothing was told */

	/* In force; NULL while there is no policy. engine is NULL also while protection is disabled. */
	struct report *report; /* has the text that the policy's places speak of */
	struct policy *policy;
	struct plan *plan;
	struct plan_file *plan_file; /* what it was made from */
	uint64_t plans;              /* made so far; also those that came to nothing */
	struct engine *engine;

	struct gate_other *others_told; /* tell/firewall.h */
	size_t others_told_count;

	struct hub *hub; /* follow.h */
	struct observer observer, to_hub;
	uv_timer_t tick;
	struct flow_ledger *flows; /* flows.h */
	uv_timer_t flows_timer;
	bool flows_looking;
	bool tick_wanted;
	struct control_server *control;
	struct follower *followers[FOLLOWERS_MOST];
	struct look *looks;     /* requests.c: what is waited for */
	struct answer *answers; /* answers.h: what waits for the data plane */
	uv_timer_t answers_timer;
	uint64_t started_ms; /* Unix time */
};

uint64_t unix_now_ms(void);

/* events.c */
/* In a moment: addresses or what is known of them may be others. */
void daemon_look_at_addresses(struct daemon *d);
void daemon_event(struct daemon *d, enum event_id id, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* by: who asked for it. */
void daemon_event_by(struct daemon *d, enum event_id id, const char *by, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* requests.c */
extern const struct control_handlers daemon_handlers; /* without context */

/* loop.c: everything that wakes the daemon but packets. */
int daemon_loop_start(struct daemon *d, struct diag *why);
void daemon_stop(struct daemon *d);
/* While something is waited for that keeps the loop from its work: we live, and hear who wants us to end. */
void daemon_working(void);

#endif
