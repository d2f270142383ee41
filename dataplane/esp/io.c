/* The plane's descriptors: the TUN, raw sockets of each family for ESP and AH, and one epoll descriptor over them, so
 * that the caller polls a single one (and does not take a pending ICMP error for a broken descriptor, as libuv would).
 */
#include "dataplane/esp/io.h"

#include "base/mem.h"
#include "dataplane/esp/esp.h"
#include "dataplane/esp/raw.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static void io_close(void *context)
{
	struct esp_io *io = context;

	if (io->epoll >= 0)
		(void)close(io->epoll);
	esp_fds_close(&io->fds);
	explicit_bzero(io, sizeof *io);
	free(io);
}

static uint32_t io_path_mtu(void *context, const struct addr *local, const struct addr *remote)
{
	struct esp_io *io = context;

	return netlink_route_mtu(&io->asker, local, remote, io->own_mark);
}

static int watch_one(struct esp_io *io, int fd, struct diag *d)
{
	struct epoll_event e = { .events = EPOLLIN, .data.fd = fd };

	if (fd >= 0 && epoll_ctl(io->epoll, EPOLL_CTL_ADD, fd, &e) < 0)
		return diag_errno(d, errno, "epoll_ctl");
	return 0;
}

/* Every IPv6 packet passes its filter, so it is not bound before it is of use. */
void io_hear_too_big6(struct esp_io *io)
{
	io->hears_too_big6 = true;
	if (io->fds.fd[ESP_FD_TOO_BIG6] >= 0 && raw_bind_too_big6(io->fds.fd[ESP_FD_TOO_BIG6]) == 0)
		(void)watch_one(io, io->fds.fd[ESP_FD_TOO_BIG6], NULL);
}

/* ---- the caller's calls ---- */

static enum esp_fd which(const struct esp_io *io, int fd)
{
	enum esp_fd i = 0;

	while (i < ESP_FD_COUNT && io->fds.fd[i] != fd)
		i++;
	return i;
}

/* The device is gone. Its keeper makes another; until then everything protected stops at the unreachable route. */
static void lose_tun(struct esp_io *io)
{
	/* Or it would be readable for ever: its keeper holds it, too. */
	(void)epoll_ctl(io->epoll, EPOLL_CTL_DEL, io->fds.fd[ESP_FD_TUN], NULL);
	(void)close(io->fds.fd[ESP_FD_TUN]);
	io->fds.fd[ESP_FD_TUN] = -1;
}

static void read_one(struct esp_io *io, const struct epoll_event *e)
{
	int fd = e->data.fd;
	enum esp_fd i = which(io, fd);

	if (i == ESP_FD_TUN && (e->events & (EPOLLERR | EPOLLHUP))) {
		lose_tun(io);
		return;
	}
	if (i < ESP_FD_COUNT && e->events & EPOLLERR)
		io_read_errors(io, fd);
	if (!(e->events & EPOLLIN))
		return;
	if (i == ESP_FD_TUN)
		io_read_tun(io);
	else if (i == ESP_FD_RAW4 || i == ESP_FD_AH4)
		io_read_raw4(io, fd);
	else if (i == ESP_FD_TOO_BIG6)
		io_read_too_big6(io);
	else if (i == ESP_FD_RAW6 || i == ESP_FD_AH6)
		io_read_raw6(io, fd, i == ESP_FD_AH6 ? IP_AH : IP_ESP);
}

int esp_set_tun(struct sad *s, int fd, struct diag *d)
{
	struct esp_io *io = s->config.io;

	if (io->fds.fd[ESP_FD_TUN] >= 0)
		lose_tun(io);
	io->fds.fd[ESP_FD_TUN] = fd;
	return watch_one(io, fd, d);
}

void esp_readable(struct sad *s)
{
	struct esp_io *io = s->config.io;
	struct epoll_event ready[8];
	int n = epoll_wait(io->epoll, ready, ARRAY_LEN(ready), 0);

	plane_enter(s);
	for (int i = 0; i < n; i++)
		read_one(io, &ready[i]);
	plane_leave(s);
}

int esp_fd(const struct sad *s)
{
	return ((const struct esp_io *)s->config.io)->epoll;
}

uint64_t esp_deadline(const struct sad *s)
{
	return plane_deadline(s);
}

void esp_tick(struct sad *s)
{
	plane_enter(s);
	plane_tick(s);
	plane_leave(s);
}

void esp_ask_again(struct sad *s)
{
	plane_enter(s);
	held_forget_asked(&s->held);
	plane_ask_again(s);
	plane_leave(s);
}

/* ---- making it ---- */

static int watch_all(struct esp_io *io, struct diag *d)
{
	static const enum esp_fd receiving[] = { ESP_FD_TUN, ESP_FD_RAW4, ESP_FD_RAW6, ESP_FD_AH4, ESP_FD_AH6 };
	int r;

	io->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (io->epoll < 0)
		return diag_errno(d, errno, "epoll_create1");
	for (size_t i = 0; i < ARRAY_LEN(receiving); i++)
		if ((r = watch_one(io, io->fds.fd[receiving[i]], d)) < 0)
			return r;
	return 0;
}

/* Both have one port. */
static void use_nat(struct esp_io *io, const int fd[2])
{
	for (size_t i = 0; i < 2; i++) {
		struct sockaddr_storage here;
		socklen_t len = sizeof here;
		struct addr any;

		io->nat.fd[i] = -1;
		if (fd[i] >= 0 && getsockname(fd[i], (struct sockaddr *)&here, &len) == 0 &&
		    addr_from_sockaddr(&here, &any, &io->nat.port))
			io->nat.fd[i] = fd[i];
	}
}

int esp_new(const struct esp_config *c, struct sad **ret, struct diag *d)
{
	struct esp_io *io = mem_new(1, sizeof *io);
	struct plane_config plane = {
		.plan = c->plan,
		.share = c->share,
		.pass = c->pass,
		.is_behind = c->is_behind,
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
	use_nat(io, c->nat);
	io->fds = *c->fds;
	*c->fds = esp_fds_none();
	io->asker.fd = io->fds.fd[ESP_FD_ROUTE];
	if ((r = watch_all(io, d)) < 0 || (r = plane_new(&plane, &io->sad, d)) < 0) {
		io_close(io);
		return r;
	}
	*ret = io->sad;
	return 0;
}
