/* daemon/messages/plan_work.h - a plan is made in a thread, so that a process that has packets to carry meanwhile goes
 * on carrying them; and is freed in one, for the same reason. On the loop's thread. */
#ifndef DAEMON_MESSAGES_PLAN_WORK_H
#define DAEMON_MESSAGES_PLAN_WORK_H
#include "daemon/messages/plan_wire.h"
#include <uv.h>

/* made: the callee's from now on; NULL: it could not be made, and `why` says why. */
typedef void plan_work_done(void *context, struct plan_made *made, const struct diag *why);

/* fd is taken over. 0, or negative where there can be no thread: nothing will be told then. */
int plan_work_start(uv_loop_t *loop, int fd, plan_work_done *done, void *context, struct diag *d);
/* Takes it over. The thread is the last that has it, if the plan and the policy have no other reference. */
void plan_work_wipe(uv_loop_t *loop, struct plan_made *made);

#endif
