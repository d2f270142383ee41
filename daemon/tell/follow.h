/* daemon/tell/follow.h - the events for those who ask: what has happened, what happens from now on, and which
 * categories are told at all. */
#ifndef DAEMON_TELL_FOLLOW_H
#define DAEMON_TELL_FOLLOW_H
#include "daemon/daemon.h"
#include <jansson.h>

/* The hub without a file, before anything else can happen; then the settings of page and state folder. */
void follow_start(struct daemon *d);
void follow_open(struct daemon *d);
void follow_close(struct daemon *d); /* before the loop's end */
void follow_free(struct daemon *d);  /* what is queued for the file is written */

void follow_events(struct daemon *d, struct control_call *call, const json_t *request);
void follow_audit(struct daemon *d, struct control_call *call, const json_t *request);
void follow_gone(struct daemon *d, const struct control_call *call);
/* For status. */
json_t *follow_counts(const struct daemon *d);

#endif
