#include "daemon/process/child.h"

#include "base/diag.h"
#include "base/log.h"
#include "base/table.h"
#include "daemon/process/sandbox.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* One for the process: main's. */
static struct {
	const struct child_program *program;
	uv_loop_t loop;
	struct channel *parent, *peers[ROLE_COUNT];
	ask_handler *handlers[ASK_COUNT]; /* the program's, and our own */
} child;

/* The parent ends it, and what comes in its place is heard again. */
static void accuse(enum role role, const char *why)
{
	struct wire_out *out = channel_begin(child.parent, ASK_ACCUSE);

	wire_put_u8(out, (uint8_t)role);
	wire_put(out, why, strnlen(why, ASK_WHY_MOST));
	channel_end(child.parent);
}

static int ping(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	(void)context;
	(void)body;
	(void)fds;
	(void)channel_begin(c, ASK_PONG);
	channel_end(c);
	return 0;
}

static void peer_gone(struct channel *c, const char *why)
{
	enum role role = channel_peer(c);

	if (why) {
		log_error("the process %s %s: no more is heard of it", role_name(role), why);
		accuse(role, why);
	}
	if (child.peers[role] != c)
		return;
	child.peers[role] = NULL;
	if (child.program->went)
		child.program->went(child.program->context, role);
}

int child_peer(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	uint8_t role = wire_u8(body);
	struct diag d = { 0 };
	struct channel *before;
	int fd = fds[0];

	(void)context;
	(void)c;
	if (!wire_done(body) || role >= ROLE_COUNT || role == ROLE_PARENT || role == child.program->role)
		return -EPROTO;
	if ((before = child.peers[role])) {
		child.peers[role] = NULL;
		channel_close(before);
		if (child.program->went)
			child.program->went(child.program->context, (enum role)role);
	}
	fds[0] = -1;
	if (channel_new(&(struct channel_config){ .loop = &child.loop,
						  .fd = fd,
						  .self = child.program->role,
						  .peer = (enum role)role,
						  .handlers = child.handlers,
						  .context = child.program->context,
						  .gone = peer_gone },
			&child.peers[role], &d) < 0) {
		log_error("%s", d.text);
		return 0;
	}
	channel_set_state(child.peers[role], CHANNEL_READY);
	if (child.program->came)
		child.program->came(child.program->context, child.peers[role]);
	return 0;
}

/* Without a parent nobody tells us anything, and nobody would end us. */
static void parent_gone(struct channel *c, const char *why)
{
	(void)c;
	if (why)
		log_error("cordond %s", why);
	if (child.program->end)
		child.program->end(child.program->context);
	_exit(why ? EXIT_FAILURE : EXIT_SUCCESS);
}

static int begin(const char *run_dir, bool netlink, struct diag *d)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	int type = 0, r;
	socklen_t len = sizeof type;

	if (getsockopt(CHILD_CHANNEL_FD, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_SEQPACKET)
		return diag_fail(d, EINVAL, "is a part of cordond, which starts it: systemctl start cordon");
	/* Ctrl-C on a terminal and a service manager's SIGTERM reach all of us; the parent decides. */
	(void)sigaction(SIGTERM, &ignore, NULL);
	(void)sigaction(SIGINT, &ignore, NULL);
	(void)sigaction(SIGPIPE, &ignore, NULL);
	(void)sigaction(SIGHUP, &ignore, NULL);
	if ((r = table_seed(d)) < 0)
		return r;
	if ((child.program->prepare && (r = child.program->prepare(child.program->context, d)) < 0) ||
	    (r = sandbox_enter(child.program->role, netlink, run_dir, CHILD_CHANNEL_FD, &(int){ CHILD_CHANNEL_FD }, 1,
			       d)) < 0)
		return r;
	if ((r = uv_loop_init(&child.loop)) < 0)
		return diag_fail(d, r, "start the event loop: %s", uv_strerror(r));
	if ((r = channel_new(&(struct channel_config){ .loop = &child.loop,
						       .fd = CHILD_CHANNEL_FD,
						       .self = child.program->role,
						       .peer = ROLE_PARENT,
						       .handlers = child.handlers,
						       .context = child.program->context,
						       .gone = parent_gone },
			     &child.parent, d)) < 0)
		return r;
	if ((r = child.program->begin(child.program->context, &child.loop, child.parent, d)) < 0)
		return r;
	channel_set_state(child.parent, CHANNEL_READY);
	(void)channel_begin(child.parent, ASK_READY);
	channel_end(child.parent);
	return 0;
}

int child_run(const struct child_program *program, int argc, char **argv)
{
	struct diag d = { 0 };

	log_start(program->name);
	child.program = program;
	memcpy(child.handlers, program->handlers, sizeof child.handlers);
	child.handlers[ASK_PEER] = child_peer;
	child.handlers[ASK_PING] = ping;
	if (begin(argc >= 2 ? argv[1] : "", argc == 3 && strcmp(argv[2], CHILD_NETLINK) == 0, &d) < 0) {
		log_error("%s", d.text);
		return EXIT_FAILURE;
	}
	(void)uv_run(&child.loop, UV_RUN_DEFAULT);
	return EXIT_SUCCESS;
}
