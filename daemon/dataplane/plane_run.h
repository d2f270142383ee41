/* daemon/dataplane/plane_run.h - a plane while it runs: its descriptors, its deadline and UDP 4500 in the loop. */
#ifndef DAEMON_DATAPLANE_PLANE_RUN_H
#define DAEMON_DATAPLANE_PLANE_RUN_H
#include "daemon/dataplane/plane_inside.h"
#include "daemon/dataplane/plane_kind.h"
#include "daemon/process/sockets.h"

struct plane_running {
	const struct plane_kind *kind;
	struct plane_server *server;
	struct sad *sad;
	struct sad *own;                      /* what packets of this thread go to: the same, or one of a crew */
	struct sockets *sockets[SHARES_MOST]; /* of each worker; the others' are their threads' */
	unsigned workers;
	uv_poll_t polls[SOCKETS_COUNT + 2]; /* the last ones: the plane's, and of its other threads */
	uv_timer_t timer;
	uv_prepare_t turn; /* before the loop sleeps: when to wake it */
	unsigned open_handles;
};

/* s->run is it then. It takes over the descriptors that s has. */
int plane_run_start(struct plane_server *s, const struct plane_kind *kind, unsigned workers,
		    const struct plane_marks *marks, struct diag *d);
void plane_run_stop(struct plane_running *r);
/* IKE behind the non-ESP marker goes to the client. context: a struct plane_running, in the loop's thread. */
void plane_run_ike(void *context, const struct datagram *g);

#endif
