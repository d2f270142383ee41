/* daemon/answers.h - answers that wait for the data plane. Who is told that a policy is in force may send at once; and
 * until the data plane has begun, what the kernel's plane is to protect does not wait, but is refused. */
#ifndef DAEMON_ANSWERS_H
#define DAEMON_ANSWERS_H
#include "daemon/daemon.h"

/* By then it is said all the same: the rules are in force, and status tells what does not work. */
enum { ANSWERS_MOST_MS = 10000 };

/* Once the data plane works, or at once if it does or none is wanted. Takes `value` over. */
void answers_when_works(struct daemon *d, struct control_call *call, json_t *value);
void answers_gone(struct daemon *d, const struct control_call *call); /* whose connection it was */
void answers_close(struct daemon *d);                                 /* those that wait still go now */

#endif
