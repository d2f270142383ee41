/* daemon/tell/drop_event.h - what the table logged of a packet, as an event. The packet is anybody's: it is read
 * through the bounds of ip.h, and what makes no sense is no event. Pure. */
#ifndef DAEMON_TELL_DROP_EVENT_H
#define DAEMON_TELL_DROP_EVENT_H
#include "observe/event.h"
#include "observe/nflog.h"
#include "policy/plan.h"

/* policy may be NULL: then the rule has no name. Its number counts only if the mark beside it is of that rule's name:
 * a packet may have been logged by the table before. Where rules share a chain there is no number, and the plan, if
 * there is one, tells by the packet. */
bool drop_event(const struct nflog_packet *p, const struct policy *policy, const struct plan *plan, struct event *ret);

#endif
