/* daemon/dataplane/plane_inside.h - what the data plane's server holds, for its own files: plane_server.c takes what
 * the parent sends, plane_requests.c what keying asks, plane_tell.c says what happens, plane_run.c has a plane in the
 * loop, and plane_alone.c, plane_crew.c and plane_kernel.c are the planes there are. */
#ifndef DAEMON_DATAPLANE_PLANE_INSIDE_H
#define DAEMON_DATAPLANE_PLANE_INSIDE_H
#include "daemon/dataplane/plane_fds.h"
#include "daemon/messages/plan_work.h"
#include "daemon/process/channel.h"

struct drop_reader;
struct plane_running;

struct plane_server {
	uv_loop_t *loop;
	struct channel *parent, *client; /* client: whoever drives keying; NULL: nobody */
	uint16_t generation;             /* counts the clients */
	struct esp_fds fds[SHARES_MOST]; /* what the plane takes when it begins */
	struct xfrm_fds xfrm;            /* the same for the kernel's */
	int nat[SHARES_MOST][2];         /* UDP 4500 */
	struct plan_made made;
	uint64_t plans, plans_taken; /* that came, and which of them `made` is */
	struct plane_running *run;   /* NULL: there is no plane */
	struct drop_reader *drops;   /* NULL: what the table logs is not read */
	uint64_t looked_ms;
};

/* The server of a handler's context. */
static inline struct plane_server *plane_server_of(void *context)
{
	return *(struct plane_server **)context;
}

#endif
