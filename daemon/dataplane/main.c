/* The program `cordond-dataplane`: packets under SAs, in a process of its own. It has the keys of SAs, and neither a
 * right nor any other key. */
#include "daemon/dataplane/plane_server.h"
#include "daemon/process/child.h"

#include "base/crypto.h"
#include "base/diag.h"
#include "base/log.h"

#include <malloc.h>
#include <sys/prctl.h>

enum { TIMER_SLACK_NS = 1000 };

static struct plane_server *server;

static int begin(void *context, uv_loop_t *loop, struct channel *parent, struct diag *d)
{
	(void)context;
	(void)d;
	server = plane_server_new(loop, parent);
	return 0;
}

/* Which AES-GCM there is, and whether it is right, is found out before the cage is closed. The heap that the C library
 * gives each thread opens a file of the kernel's when it shrinks, as that of the thread does which has made a large
 * plan: one heap is for all, and packets take nothing from it. The wait for more packets (gather.h) is of microseconds,
 * which the kernel's slack would double. */
static int prepare(void *context, struct diag *d)
{
	const char *by = crypto_gcm(d);

	(void)context;
#ifdef M_ARENA_MAX
	(void)mallopt(M_ARENA_MAX, 1);
#endif
	(void)prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS, 0, 0, 0);
	if (by)
		log_info("AES-GCM by %s", by);
	else
		log_info("AES-GCM by libcrypto: %s", d->text);
	return 0;
}

static void went(void *context, enum role peer)
{
	(void)context;
	if (peer == ROLE_KEYING)
		plane_server_went(server);
}

/* SAs go with us, also those that are the kernel's. */
static void end(void *context)
{
	(void)context;
	plane_server_end(server);
}

static ask_handler *const handlers[ASK_COUNT] = {
	[ASK_PEER] = child_peer,
	[ASK_PLANE_FD] = plane_on_fd,
	[ASK_PLANE_PLAN] = plane_on_plan,
	[ASK_PLANE_BEGIN] = plane_on_begin,
	[ASK_PLANE_END] = plane_on_end,
	[ASK_SAD_HELLO] = plane_on_hello,
	[ASK_SAD_RESERVE] = plane_on_reserve,
	[ASK_SAD_RELEASE] = plane_on_release,
	[ASK_SAD_INSTALL] = plane_on_install,
	[ASK_SAD_REMOVE] = plane_on_remove,
	[ASK_SAD_STOP] = plane_on_stop,
	[ASK_SAD_MOVE] = plane_on_move,
	[ASK_SAD_HELD] = plane_on_held,
	[ASK_SAD_LOOK] = plane_on_look,
	[ASK_IKE_SEND] = plane_on_ike,
	[ASK_IKE_KEEP_ALIVE] = plane_on_keep_alive,
};

int main(int argc, char **argv)
{
	static const struct child_program program = { .role = ROLE_DATAPLANE,
						      .name = "cordond-dataplane",
						      .handlers = handlers,
						      .context = &server,
						      .prepare = prepare,
						      .begin = begin,
						      .went = went,
						      .end = end };

	return child_run(&program, argc, argv);
}
