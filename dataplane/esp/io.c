/* The plane's descriptors: the TUN, raw sockets of each family for ESP and AH, news of network devices, and one epoll
 * descriptor over them, so that the caller polls a single one (and does not take a pending ICMP error for a broken
 * descriptor, as libuv would). */
#include "dataplane/esp/io.h"

#include "base/mem.h"
#include "dataplane/esp/esp.h"
#include "dataplane/esp/netlink.h"
#include "dataplane/esp/tun.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static void io_close(void *context)
{
	struct esp_io *io = context;
	int *const fds[] = {
		&io->epoll, &io->tun, &io->raw4, &io->raw6, &io->ah4, &io->ah6, &io->too_big6, &io->links
	};

	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		if (*fds[i] >= 0)
			(void)close(*fds[i]);
	netlink_asker_close(&io->asker);
	explicit_bzero(io, sizeof *io);
	free(io);
}

static uint32_t io_path_mtu(void *context, const struct addr *local, const struct addr *remote)
{
	struct esp_io *io = context;

	return netlink_route_mtu(&io->asker, local, remote, io->own_mark);
}

/* ---- the TUN stays, whatever others do to it ---- */

static int watch_one(struct esp_io *io, int fd, struct diag *d)
{
	struct epoll_event e = { .events = EPOLLIN, .data.fd = fd };

	if (fd >= 0 && epoll_ctl(io->epoll, EPOLL_CTL_ADD, fd, &e) < 0)
		return diag_errno(d, errno, "epoll_ctl");
	return 0;
}

void io_hear_too_big6(struct esp_io *io)
{
	if (raw_open_too_big6(&io->too_big6, NULL) < 0 || watch_one(io, io->too_big6, NULL) < 0) {
		if (io->too_big6 >= 0)
			(void)close(io->too_big6);
		io->too_big6 = IO_WITHOUT;
	}
}

/* Somebody deleted the device or took it down. Meanwhile everything protected stops at the unreachable route; the
 * routes through the device are enforce's to restore, which watches them. */
static void repair(struct esp_io *io)
{
	unsigned index = if_nametoindex(io->tun_name);

	if (io->tun >= 0 && index) {
		io->repair = netlink_link_up(index, TUN_MTU, TUN_QUEUE, NULL) < 0;
		return;
	}
	if (io->tun >= 0)
		(void)close(io->tun);
	io->tun = tun_open(io->tun_name, NULL);
	io->repair = io->tun < 0 || watch_one(io, io->tun, NULL) < 0;
}

static void read_links(struct esp_io *io)
{
	netlink_watch_drain(io->links);
	if (!netlink_link_is_up(io->tun_name))
		io->repair = true;
}

/* ---- the caller's calls ---- */

static void read_one(struct esp_io *io, const struct epoll_event *e)
{
	int fd = e->data.fd;

	if (fd == io->tun && (e->events & (EPOLLERR | EPOLLHUP))) {
		(void)close(io->tun); /* or it would be readable for ever */
		io->tun = -1;
		io->repair = true;
		return;
	}
	if (e->events & EPOLLERR && fd != io->links)
		io_read_errors(io, fd);
	if (!(e->events & EPOLLIN))
		return;
	if (fd == io->tun)
		io_read_tun(io);
	else if (fd == io->raw4 || fd == io->ah4)
		io_read_raw4(io, fd);
	else if (fd == io->too_big6)
		io_read_too_big6(io);
	else if (fd == io->raw6 || fd == io->ah6)
		io_read_raw6(io, fd, fd == io->ah6 ? IP_AH : IP_ESP);
	else
		read_links(io);
}

void esp_readable(struct sad *s)
{
	struct esp_io *io = s->config.io;
	struct epoll_event ready[8];
	int n = epoll_wait(io->epoll, ready, ARRAY_LEN(ready), 0);

	plane_enter(s);
	for (int i = 0; i < n; i++)
		read_one(io, &ready[i]);
	if (io->repair)
		repair(io);
	plane_leave(s);
}

int esp_fd(const struct sad *s)
{
	return ((const struct esp_io *)s->config.io)->epoll;
}

uint64_t esp_deadline(const struct sad *s)
{
	const struct esp_io *io = s->config.io;

	return io->repair ? s->ticked_ms + PLANE_TICK_MS : plane_deadline(s);
}

void esp_tick(struct sad *s)
{
	struct esp_io *io = s->config.io;

	plane_enter(s);
	plane_tick(s);
	if (io->repair)
		repair(io);
	plane_leave(s);
}

/* ---- making it ---- */

static int open_all(struct esp_io *io, struct diag *d)
{
	int r;

	if ((r = raw_open(AF_INET, IP_ESP, io->own_mark, &io->raw4, d)) < 0 ||
	    (r = raw_open(AF_INET, IP_AH, io->own_mark, &io->ah4, d)) < 0)
		return r;
	if (((r = raw_open(AF_INET6, IP_ESP, io->own_mark, &io->raw6, d)) < 0 ||
	     (r = raw_open(AF_INET6, IP_AH, io->own_mark, &io->ah6, d)) < 0) &&
	    r != -EAFNOSUPPORT)
		return r;
	if ((r = io->tun = tun_open(io->tun_name, d)) < 0 || (r = io->links = netlink_watch_links(d)) < 0)
		return r;
	io->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (io->epoll < 0)
		return diag_errno(d, errno, "epoll_create1");
	const int fds[] = { io->tun, io->raw4, io->raw6, io->ah4, io->ah6, io->links };
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		if ((r = watch_one(io, fds[i], d)) < 0)
			return r;
	return 0;
}

int esp_new(const struct esp_config *c, struct sad **ret, struct diag *d)
{
	struct esp_io *io = mem_new(1, sizeof *io);
	struct plane_config plane = {
		.plan = c->plan,
		.event = c->event,
		.now_ms = c->now_ms,
		.context = c->context,
		.flush = io_flush,
		.path_mtu = io_path_mtu,
		.close = io_close,
		.io = io,
	};
	int r;

	io->own_mark = c->own_mark;
	io->epoll = io->tun = io->raw4 = io->raw6 = io->ah4 = io->ah6 = io->too_big6 = io->links = io->asker.device =
		-1;
	(void)snprintf(io->tun_name, sizeof io->tun_name, "%s", c->tun);
	if (strcmp(io->tun_name, c->tun) != 0)
		r = diag_fail(d, EINVAL, "'%s' is too long a name for a device", c->tun);
	else if ((r = open_all(io, d)) == 0)
		r = plane_new(&plane, &io->sad, d);
	if (r < 0) {
		io_close(io);
		return r;
	}
	*ret = io->sad;
	return 0;
}
