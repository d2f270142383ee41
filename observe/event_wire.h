/* observe/event_wire.h - an event as octets, for the way from one process to another. The reader trusts nobody: every
 * number is one of its enum, every text fits and has no end within, and nothing is left over. It does not ask whether
 * the sender may tell of such an event: that is event_may_tell's. */
#ifndef OBSERVE_EVENT_WIRE_H
#define OBSERVE_EVENT_WIRE_H
#include "base/wire.h"
#include "observe/event.h"

struct diag;

/* No event is longer. */
enum { EVENT_WIRE_MOST = 2048 };

void event_encode(struct wire_out *out, const struct event *e);
/* The whole of *in is one event; *ret is written only then. */
int event_decode(struct wire_in *in, struct event *ret, struct diag *d);

#endif
