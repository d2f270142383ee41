/* daemon/dataplane/drop_reader.h - reads what the table logs, and tells some of it: not too often for one peer and
 * rule, nor in all, and with the count of what was left out. Part of the data plane's process, since it looks at
 * packets. */
#ifndef DAEMON_DATAPLANE_DROP_READER_H
#define DAEMON_DATAPLANE_DROP_READER_H
#include "observe/event.h"
#include "policy/plan.h"
#include <uv.h>

struct drop_reader;

enum { DROPS_EACH_S = 1, DROPS_EACH_BURST = 5, DROPS_ALL_S = 50, DROPS_ALL_BURST = 200 };

/* fd: of daemon/parts/log_relay.h, taken over. tell: an event to be told. NULL: it cannot be read. */
struct drop_reader *drop_reader_new(uv_loop_t *loop, int fd, void (*tell)(void *context, const struct event *e),
				    void *context);
void drop_reader_close(struct drop_reader *r); /* or NULL; memory goes with the loop's next turn */
/* From now on; must live until the next call. NULL: rules have no names. */
void drop_reader_set_plan(struct drop_reader *r, const struct policy *policy, const struct plan *plan);

#endif
