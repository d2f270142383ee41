/* daemon/tell/flows.h - keeps the flow ledger (observe/flow.h) fed: with the use of SAs every half minute and whenever
 * somebody looks, and with what events say. */
#ifndef DAEMON_TELL_FLOWS_H
#define DAEMON_TELL_FLOWS_H
#include "daemon/daemon.h"
#include <jansson.h>

enum { FLOWS_LOOK_MS = 30000, FLOWS_RECENT_MS = 3600000 };

void flows_start(struct daemon *d); /* before the first event */
void flows_open(struct daemon *d);
void flows_close(struct daemon *d);
void flows_free(struct daemon *d);

/* The use of SAs, as it was looked up. */
void flows_take(struct daemon *d, const struct engine_view *v);
/* What an event says of flows. Returns it, or *filled: the same with the identity that its peer has proven. */
const struct event *flows_event(struct daemon *d, const struct event *e, struct event *filled);

/* The rows of `cordon show flows`, and for status {"exempt", "clear", "blocked", "forgotten"} of the last hour. */
void flows_rows(const struct daemon *d, json_t *rows);
json_t *flows_json(const struct daemon *d);

#endif
