/* dataplane/esp/crew_inside.h - between the files of the crew: its threads (crew.c), and what it is asked
 * (crew_requests.c). */
#ifndef DATAPLANE_ESP_CREW_INSIDE_H
#define DATAPLANE_ESP_CREW_INSIDE_H
#include "base/limit.h"
#include "dataplane/esp/crew.h"
#include "dataplane/esp/mailbox.h"
#include "dataplane/sad_ops.h"
#include <stdatomic.h>

struct crew;

/* Written by the caller's thread before the member's begins; after that its own, but for the box. */
struct member {
	struct crew *crew;
	unsigned index;
	struct sad *sad;
	int polled[2];
	struct mailbox box;
	pthread_t thread;
	bool runs, stops;
	bool at_packets; /* of letters: between plane_enter and plane_leave */
	uint64_t plans;  /* that it was given */
};

struct crew {
	struct sad_head head; /* first: sad.c */
	struct esp_config all;
	void (*datagrams)(void *context, struct sad *crew, unsigned member, unsigned which, struct sad *own);
	void *datagrams_context;
	unsigned count;
	pthread_mutex_t too_big_lock;
	struct limit_bucket too_big;
	struct limit drops_told; /* the caller's thread's, as each member has one for itself */
	_Atomic uint64_t plans;  /* that all were given, or are being given */
	struct member members[SHARES_MOST];
};

extern const struct sad_ops crew_ops;
void crew_free(struct sad *s);
/* All but one of them. */
void crew_forget_pair(struct crew *c, const struct member *but, uint64_t pair);
/* Before it does anything but packets of letters. */
void crew_rest(struct member *m);
/* Its thread ends when it has read this. */
void crew_stop(struct member *m);

#endif
