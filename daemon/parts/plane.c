#include "daemon/parts/plane.h"

#include "base/diag.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/dataplane/plane_fds.h"
#include "daemon/parts/log_relay.h"
#include "daemon/parts/packets_wait.h"
#include "daemon/process/children.h"
#include "daemon/process/sockets.h"
#include "dataplane/esp/keeper.h"
#include "dataplane/xfrm/open.h"
#include "enforce/log_group.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LOG_AGAIN_MS = 5000, WORKERS_AUTO_MOST = 4 };

struct plane {
	uv_loop_t *loop;
	const struct gate_config *gate;
	const struct sockets *sockets;
	struct channel *child; /* NULL: it is away */
	struct children *const *children;
	bool *netlink;
	enum gate_plane kind;            /* which one flows, if begun */
	unsigned workers, wanted;        /* of the userspace plane; wanted: as the host's page said, 0: any */
	struct diag alone;               /* why there is one, where there should be more; else empty */
	struct esp_fds fds[SHARES_MOST]; /* without the TUN, which is its keeper's */
	int nat[SHARES_MOST][2];         /* UDP 4500, but for the first's */
	struct tun_keeper *keeper;       /* NULL: the userspace plane is not open */
	struct xfrm_fds xfrm;
	bool xfrm_open;
	const char *state_dir;
	struct plan_file *plan;
	struct log_relay *log; /* what the table drops; NULL: somebody else reads that */
	uv_poll_t *news;       /* of devices; there while the keeper is */
	uv_timer_t again, log_timer;
	unsigned open_handles;
	bool begun, log_said;
	bool works; /* the child has answered that it has begun */
};

/* ---- telling the child ------------------------------------------------------------------------------------------- */

static void pass(struct plane *p, uint8_t which, int fd)
{
	if (fd < 0)
		return;
	wire_put_u8(channel_begin(p->child, ASK_PLANE_FD), which);
	channel_end_fds(p->child, &fd, 1);
}

/* Never the log's own socket, by which netfilter takes orders from whoever has the kernel's plane. */
static void pass_log(struct plane *p)
{
	struct diag d = { 0 };
	int fd;

	if (!p->log)
		return;
	if ((fd = log_relay_reader(p->log, &d)) < 0) {
		log_warning("dropped packets are counted, but events do not tell of them: %s", d.text);
		return;
	}
	pass(p, PLANE_FD_LOG, fd);
	(void)close(fd);
}

static void pass_plan(struct plane *p)
{
	int fd = plan_file_fd(p->plan);

	(void)channel_begin(p->child, ASK_PLANE_PLAN);
	channel_end_fds(p->child, &fd, 1);
	children_gave_work(p->child);
}

static bool by_kernel(const struct plane *p)
{
	return p->kind == GATE_PLANE_KERNEL;
}

/* Without XFRM in the kernel nobody has left anything there. */
static void sweep(void)
{
	struct diag none = { 0 };

	(void)xfrm_remove_all(&none);
}

static void pass_tun(struct plane *p)
{
	for (unsigned n = 0; n < p->workers; n++)
		pass(p, (uint8_t)(n * PLANE_FD_EACH + ESP_FD_TUN), tun_keeper_tun(p->keeper, n));
}

static void pass_worker(struct plane *p, unsigned n)
{
	const uint8_t base = (uint8_t)(n * PLANE_FD_EACH);

	for (size_t i = 0; i < ESP_FD_COUNT; i++)
		if (i != ESP_FD_TUN)
			pass(p, (uint8_t)(base + i), p->fds[n].fd[i]);
	for (size_t i = 0; i < 2 && n > 0; i++)
		pass(p, (uint8_t)(base + PLANE_FD_NAT4 + i), p->nat[n][i]);
}

static void pass_all(struct plane *p)
{
	struct wire_out *out;

	p->works = false;
	if (!by_kernel(p))
		sweep(); /* the one that it follows may have been the kernel's */
	for (unsigned n = 0; n < p->workers && !by_kernel(p); n++)
		pass_worker(p, n);
	if (!by_kernel(p))
		pass_tun(p);
	for (size_t i = 0; i < XFRM_FD_COUNT && by_kernel(p); i++)
		pass(p, (uint8_t)(PLANE_FD_XFRM + i), p->xfrm.fd[i]);
	pass(p, PLANE_FD_NAT4, sockets_fd(p->sockets, SOCKETS_NAT4));
	pass(p, PLANE_FD_NAT6, sockets_fd(p->sockets, SOCKETS_NAT6));
	pass_log(p);
	pass_plan(p);
	out = channel_begin(p->child, ASK_PLANE_BEGIN);
	wire_put_u8(out, (uint8_t)p->kind);
	wire_put_u32(out, p->gate->mark_own);
	wire_put_u32(out, p->gate->mark_clear);
	wire_put_u32(out, p->gate->mark_mask);
	wire_put_u8(out, (uint8_t)p->workers);
	channel_end(p->child);
}

/* The child must have the right that this plane needs, and not have it otherwise. Another one comes. */
static bool suits(struct plane *p)
{
	if (children_netlink(*p->children, ROLE_DATAPLANE) == by_kernel(p))
		return true;
	p->child = NULL;
	p->works = false;
	children_end(*p->children, ROLE_DATAPLANE, "makes room for the other data plane");
	return false;
}

unsigned plane_workers(const struct plane *p, const char **ret_why)
{
	*ret_why = *p->alone.text ? p->alone.text : NULL;
	return p->keeper ? p->workers : 0;
}

bool plane_workers_wait(const struct plane *p, unsigned workers)
{
	return p->keeper && p->wanted != workers;
}

void plane_came(struct plane *p, struct channel *c)
{
	p->child = c;
	if (p->begun && suits(p))
		pass_all(p);
}

void plane_went(struct plane *p)
{
	p->child = NULL;
	p->works = false;
	if (!p->begun && by_kernel(p))
		sweep(); /* it may have died between beginning and ending */
}

void plane_begun(struct plane *p)
{
	p->works = p->child;
}

bool plane_works(const struct plane *p)
{
	return !p->begun || p->works;
}

void plane_set_plan(struct plane *p, struct plan_file *plan)
{
	struct plan_file *before = p->plan;

	p->plan = plan_file_ref(plan);
	plan_file_free(before);
	if (p->begun && p->child)
		pass_plan(p);
}

static enum gate_plane other_than(enum gate_plane kind)
{
	return kind == GATE_PLANE_TUN ? GATE_PLANE_KERNEL : GATE_PLANE_TUN;
}

void plane_begin(struct plane *p, enum gate_plane kind)
{
	bool changes = p->begun && p->kind != kind;

	if (p->begun && !changes)
		return;
	p->begun = true;
	p->kind = kind;
	*p->netlink = by_kernel(p);
	plane_shut(p, other_than(kind));
	if (p->child && suits(p))
		pass_all(p);
}

/* ---- the device stays -------------------------------------------------------------------------------------------- */

static void look_again(uv_timer_t *t);

static void look_after(struct plane *p)
{
	bool made = false;

	if (tun_keeper_check(p->keeper, &made))
		(void)uv_timer_stop(&p->again);
	else
		(void)uv_timer_start(&p->again, look_again, TUN_KEEPER_AGAIN_MS, 0);
	if (made && p->begun && p->child)
		pass_tun(p);
}

static void look_again(uv_timer_t *t)
{
	struct plane *p = t->data;

	if (p->keeper)
		look_after(p);
}

static void device_news(uv_poll_t *poll, int status, int events)
{
	struct plane *p = poll->data;

	(void)status;
	(void)events;
	if (p->keeper)
		look_after(p);
}

static void poll_closed(uv_handle_t *h)
{
	free(h);
}

static void close_poll(struct plane *p)
{
	if (p->news)
		uv_close((uv_handle_t *)p->news, poll_closed);
	p->news = NULL;
	(void)uv_timer_stop(&p->again);
}

static int watch_devices(struct plane *p, struct diag *d)
{
	uv_poll_t *poll = mem_new(1, sizeof *poll);
	int r = uv_poll_init(p->loop, poll, tun_keeper_news(p->keeper));

	if (r < 0) {
		free(poll);
		return diag_fail(d, r, "watch the network devices: %s", uv_strerror(r));
	}
	poll->data = p;
	(void)uv_poll_start(poll, UV_READABLE, device_news);
	p->news = poll;
	return 0;
}

/* ---- from beginning to end --------------------------------------------------------------------------------------- */

static void set_encapsulation(const struct plane *p, int value)
{
	static const size_t nat[] = { SOCKETS_NAT4, SOCKETS_NAT6 };

	for (size_t i = 0; i < ARRAY_LEN(nat); i++)
		if (sockets_fd(p->sockets, nat[i]) >= 0)
			(void)setsockopt(sockets_fd(p->sockets, nat[i]), IPPROTO_UDP, UDP_ENCAP, &value, sizeof value);
}

static void close_workers(struct plane *p)
{
	tun_keeper_free(TAKE(p->keeper));
	sockets_close_beside(p->sockets, SOCKETS_NAT4);
	sockets_close_beside(p->sockets, SOCKETS_NAT6);
	for (unsigned n = 0; n < SHARES_MOST; n++) {
		esp_fds_close(&p->fds[n]);
		for (size_t i = 0; i < 2; i++) {
			if (p->nat[n][i] >= 0)
				(void)close(p->nat[n][i]);
			p->nat[n][i] = -1;
		}
	}
}

void plane_shut(struct plane *p, enum gate_plane kind)
{
	if (kind == GATE_PLANE_TUN) {
		close_poll(p);
		close_workers(p);
		return;
	}
	if (p->xfrm_open)
		set_encapsulation(p, 0); /* ESP in UDP is for the process again */
	packets_wait_end(p->state_dir);  /* also for one that was killed */
	p->xfrm_open = false;
	xfrm_fds_close(&p->xfrm);
}

static void log_again(uv_timer_t *t);

/* Without it drops are counted and not told. Whoever has the group may be one of ours that is about to end. It stays
 * open from then on. */
static void open_log(struct plane *p, bool first)
{
	struct diag d = { 0 };
	int fd;

	if (p->log)
		return;
	fd = log_group_open(p->gate->nflog_group, &d);
	if (fd >= 0 && log_relay_new(p->loop, fd, &p->log, &d) == 0) {
		if (p->begun && p->child)
			pass_log(p);
		return;
	}
	if (!first && !p->log_said) {
		log_warning("dropped packets are counted, but events do not tell of them: %s", d.text);
		p->log_said = true;
	}
	(void)uv_timer_start(&p->log_timer, log_again, LOG_AGAIN_MS, 0);
}

static void log_again(uv_timer_t *t)
{
	open_log(t->data, false);
}

static int exempt_sockets(const struct plane *p, struct diag *d)
{
	static const struct {
		size_t socket;
		unsigned family;
		bool encap;
	} rows[] = { { SOCKETS_IKE4, 4, false },
		     { SOCKETS_IKE6, 6, false },
		     { SOCKETS_NAT4, 4, true },
		     { SOCKETS_NAT6, 6, true } };
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(rows) && r == 0; i++)
		if (sockets_fd(p->sockets, rows[i].socket) >= 0)
			r = xfrm_exempt_socket(sockets_fd(p->sockets, rows[i].socket), rows[i].family, rows[i].encap,
					       d);
	return r;
}

static int open_kernel(struct plane *p, struct diag *d)
{
	int r;

	if (p->xfrm_open)
		return 0;
	if ((r = xfrm_fds_open(&p->xfrm, d)) < 0)
		return r;
	p->xfrm_open = true;
	if ((r = packets_wait_begin(p->state_dir, d)) < 0 || (r = exempt_sockets(p, d)) < 0) {
		plane_shut(p, GATE_PLANE_KERNEL);
		return r;
	}
	open_log(p, true);
	return 0;
}

/* Half of the processors: the other half sends and receives what the plane protects. A thread more than there is work
 * for costs little, one of 16 that are idle a few megabytes. */
static unsigned workers_of(unsigned wanted)
{
	cpu_set_t ours;
	int n = sched_getaffinity(0, sizeof ours, &ours) == 0 ? CPU_COUNT(&ours) : 1;

	if (wanted)
		return wanted;
	return n < 4 ? 1 : n >= 2 * WORKERS_AUTO_MOST ? WORKERS_AUTO_MOST : (unsigned)n / 2;
}

/* Port 4500 for each, if it is ours. */
static int share_port(struct plane *p, struct diag *d)
{
	static const size_t nat[] = { SOCKETS_NAT4, SOCKETS_NAT6 };
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(nat) && r == 0; i++) {
		for (unsigned n = 1; n < p->workers && r == 0; n++)
			r = sockets_open_beside(p->sockets, nat[i], p->gate->mark_own, &p->nat[n][i], d);
		if (r == 0 && p->workers > 1 && sockets_fd(p->sockets, nat[i]) >= 0)
			r = share_steer_udp(sockets_fd(p->sockets, nat[i]), p->workers, d);
	}
	return r;
}

static int open_workers(struct plane *p, unsigned workers, struct diag *d)
{
	int r = tun_keeper_new(p->gate->tun, workers, &p->keeper, d);

	p->workers = workers;
	for (unsigned n = 0; n < workers && r == 0; n++)
		if ((r = esp_fds_open(p->gate->mark_own, &p->fds[n], d)) == 0)
			r = esp_fds_share(&p->fds[n], &(struct share){ n, workers }, d);
	if (r == 0)
		r = share_port(p, d);
	if (r < 0)
		close_workers(p);
	return r;
}

/* What the kernel lacks for several it need not lack for one. */
static int open_userspace(struct plane *p, unsigned workers, struct diag *d)
{
	int r = workers > 1 ? open_workers(p, workers, &p->alone) : 0;

	if (workers <= 1 || r < 0)
		r = open_workers(p, 1, d);
	if (r == 0 && *p->alone.text)
		log_warning("one worker, not %u: %s", workers, p->alone.text);
	return r == 0 ? watch_devices(p, d) : diag_wrap(d, r, "data plane");
}

int plane_open(struct plane *p, enum gate_plane kind, unsigned workers, struct diag *d)
{
	int r;

	if (kind == GATE_PLANE_KERNEL)
		return open_kernel(p, d);
	if (p->keeper)
		return 0;
	p->alone = (struct diag){ 0 };
	p->wanted = workers;
	r = open_userspace(p, workers_of(workers), d);
	if (r < 0)
		plane_shut(p, GATE_PLANE_TUN);
	else
		open_log(p, true);
	return r;
}

static void shut_all(struct plane *p)
{
	plane_shut(p, GATE_PLANE_TUN);
	plane_shut(p, GATE_PLANE_KERNEL);
}

void plane_end(struct plane *p)
{
	if (p->begun && p->child) {
		(void)channel_begin(p->child, ASK_PLANE_END);
		channel_end(p->child);
	}
	if (p->begun && by_kernel(p))
		sweep();
	p->begun = false;
	shut_all(p);
}

struct plane *plane_new(uv_loop_t *loop, const struct gate_config *gate, const struct sockets *sockets,
			struct children *const *children, const char *state_dir, bool *netlink)
{
	struct plane *p = mem_new(1, sizeof *p);

	p->loop = loop;
	p->gate = gate;
	p->sockets = sockets;
	for (unsigned n = 0; n < SHARES_MOST; n++) {
		p->fds[n] = esp_fds_none();
		p->nat[n][0] = p->nat[n][1] = -1;
	}
	p->workers = 1;
	p->xfrm = xfrm_fds_none();
	p->children = children;
	p->state_dir = state_dir;
	p->netlink = netlink;
	(void)uv_timer_init(loop, &p->again);
	(void)uv_timer_init(loop, &p->log_timer);
	p->again.data = p->log_timer.data = p;
	p->open_handles = 2;
	return p;
}

static void closed(uv_handle_t *h)
{
	struct plane *p = h->data;

	if (--p->open_handles == 0)
		free(p);
}

void plane_close(struct plane *p)
{
	if (!p)
		return;
	shut_all(p);
	plan_file_free(p->plan);
	log_relay_close(p->log);
	uv_close((uv_handle_t *)&p->again, closed);
	uv_close((uv_handle_t *)&p->log_timer, closed);
}
