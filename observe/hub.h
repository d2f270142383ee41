/* observe/hub.h - the desk at which events come in, and from which they go to the ring, the journal, the file and
 * whoever follows. It asks the audit settings first and bounds how often each kind of event is told, so that 100,000 a
 * second cost little; nothing here waits; what is left out anywhere is counted, and told by an event of its own. */
#ifndef OBSERVE_HUB_H
#define OBSERVE_HUB_H
#include "observe/audit.h"
#include "observe/event.h"
#include "observe/file_sink.h"

struct hub;
struct journal;

/* Of one kind of event: each kind has its own, so that a flood of one hides no other. */
enum { HUB_PER_S = 200, HUB_BURST = 8192 };

struct hub_config {
	struct audit audit;
	size_t kept;             /* of the ring */
	struct journal *journal; /* taken over; NULL: none */
	struct file_sink *file;  /* likewise */
	/* For a log that is no journal: false if it could not take the line now. NULL: none. */
	bool (*say)(const struct event *e);
	/* It was told; those who follow may want it. */
	void (*told)(void *context, const struct event *e, uint64_t number);
	/* Something was left out: call hub_tick in a second. */
	void (*wants_tick)(void *context);
	uint64_t (*now_ms)(void); /* a clock that only goes forward; NULL: the system's */
	void *context;
};

struct hub *hub_new(const struct hub_config *c);
void hub_free(struct hub *h);
struct observer hub_observer(struct hub *h);
struct audit *hub_audit(struct hub *h); /* may be changed */
const struct event_ring *hub_ring(const struct hub *h);

/* Taken over; there was none before. */
void hub_set_file(struct hub *h, struct file_sink *file);

/* Tell what was left out since the last call. */
void hub_tick(struct hub *h);
/* A follower was too slow for so many. */
void hub_left_out(struct hub *h, uint64_t count);

/* Since the start. */
struct hub_counts {
	uint64_t told, limited, journal, file, log;
};
void hub_counts(const struct hub *h, struct hub_counts *ret);

#endif
