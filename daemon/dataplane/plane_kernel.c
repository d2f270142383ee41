/* The kernel's plane: of what comes by UDP 4500 it takes ESP itself, so here comes IKE alone. */
#include "daemon/dataplane/plane_kind.h"

#include "base/log.h"
#include "daemon/dataplane/plane_run.h"
#include "daemon/dataplane/plane_tell.h"

#include <unistd.h>

static int make(struct plane_running *r, const struct plane_marks *m, struct sad **ret, struct diag *d)
{
	struct plane_server *s = r->server;

	return xfrm_new(&(struct xfrm_config){ .fds = &s->xfrm,
					       .clear = { m->clear },
					       .own_mark = m->own,
					       .own_mask = m->clear.mask,
					       .plan = s->made.plan,
					       .event = plane_heard,
					       .now_ms = plane_now_ms,
					       .mended = plane_mended,
					       .context = s },
			ret, d);
}

static struct sad *own(struct sad *sad)
{
	return sad;
}

static int no_news(const struct sad *sad)
{
	(void)sad;
	return -1;
}

static void no_esp(void *context, const struct datagram *g)
{
	(void)context;
	(void)g;
}

static void no_too_big(void *context, const struct datagram *g, uint32_t mtu)
{
	(void)context;
	(void)g;
	(void)mtu;
}

static void read_udp(struct plane_running *r, size_t socket)
{
	sockets_readable(
		r->sockets[0], socket,
		&(struct sockets_handlers){ .ike = plane_run_ike, .esp = no_esp, .too_big = no_too_big, .context = r });
}

static void no_tun(struct sad *sad, unsigned worker, int fd)
{
	(void)sad;
	(void)worker;
	(void)close(fd);
}

/* The ruleset of the new plan is in force: it stops what the kernel's policies of the old one would do wrong. */
static void set_plan(struct sad *sad, struct plan *plan)
{
	sad_set_plan(sad, plan);
	if (*xfrm_trouble(sad))
		log_error("the kernel's policies are those of the plan before: %s", xfrm_trouble(sad));
}

const struct plane_kind plane_kernel = {
	.make = make,
	.own = own,
	.fd = xfrm_fd,
	.readable = xfrm_readable,
	.deadline = xfrm_deadline,
	.tick = xfrm_tick,
	.news_fd = no_news,
	.read_udp = read_udp,
	.set_tun = no_tun,
	.set_plan = set_plan,
	.ask_again = xfrm_ask_again,
	.leave = xfrm_remove_policies,
};
