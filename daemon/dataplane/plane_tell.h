/* daemon/dataplane/plane_tell.h - what the data plane's process says of itself: to whoever drives keying, and to the
 * parent. Each client counts its pairs and its requests from 1; those of clients before it must not be taken for its
 * own, so here they have the client's generation in front. */
#ifndef DAEMON_DATAPLANE_PLANE_TELL_H
#define DAEMON_DATAPLANE_PLANE_TELL_H
#include "daemon/dataplane/plane_inside.h"

struct event;
struct sad_event;

/* A number of the client's as it is here, and the other way round; one of another client's stays as it is. */
uint64_t plane_inside(const struct plane_server *s, uint64_t number);
uint64_t plane_outside(const struct plane_server *s, uint64_t number);
bool plane_is_own(const struct plane_server *s, uint64_t number);

/* Callbacks of a plane; their context is the struct plane_server. */
void plane_heard(void *context, const struct sad_event *e);
void plane_mended(void *context, bool good, const char *text);
uint64_t plane_now_ms(void *context);

/* For the log; nobody acts on it, so it is what goes first when the parent is slow. The context: likewise. */
void plane_tell_event(void *context, const struct event *e);
void plane_tell_failure(struct plane_server *s, uint64_t request, const struct diag *why);
/* A message of nothing but its name. */
void plane_say(struct channel *c, enum ask what);

#endif
