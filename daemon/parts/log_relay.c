#include "daemon/parts/log_relay.h"

#include "base/diag.h"
#include "base/mem.h"
#include "observe/nflog.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { AT_ONCE = 16, ROOM = 256 * 1024 };

struct log_relay {
	uv_poll_t poll;
	int fd, reader; /* -1: nobody reads */
	uint8_t datagram[NFLOG_DATAGRAM_MOST];
};

static void forget_reader(struct log_relay *r)
{
	if (r->reader >= 0)
		(void)close(r->reader);
	r->reader = -1;
}

/* A few at a time, as whoever reads them does. */
static void readable(uv_poll_t *poll, int status, int events)
{
	struct log_relay *r = poll->data;

	(void)events;
	/* What did not fit the socket is an error of it, which recv takes away, and for which libuv stops to look. */
	if (status != 0)
		(void)uv_poll_start(poll, UV_READABLE, readable);
	for (int i = 0; i < AT_ONCE; i++) {
		ssize_t n = recv(r->fd, r->datagram, sizeof r->datagram, MSG_DONTWAIT);

		if (n < 0 && errno == ENOBUFS)
			continue;
		if (n <= 0)
			return;
		if (r->reader >= 0 && send(r->reader, r->datagram, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
		    errno != EAGAIN && errno != ENOBUFS && errno != ENOMEM)
			forget_reader(r);
	}
}

int log_relay_new(uv_loop_t *loop, int fd, struct log_relay **ret, struct diag *d)
{
	struct log_relay *r = mem_new(1, sizeof *r);
	int e;

	r->fd = fd;
	r->reader = -1;
	r->poll.data = r;
	if ((e = uv_poll_init(loop, &r->poll, fd)) < 0) {
		(void)close(fd);
		free(r);
		return diag_fail(d, -e, "read what netfilter logs: %s", uv_strerror(e));
	}
	(void)uv_poll_start(&r->poll, UV_READABLE, readable);
	*ret = r;
	return 0;
}

int log_relay_reader(struct log_relay *r, struct diag *d)
{
	const int room = ROOM;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
		return diag_errno(d, errno, "make a way for what netfilter logs");
	(void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
	(void)shutdown(pair[0], SHUT_RD);
	forget_reader(r);
	r->reader = pair[0];
	return pair[1];
}

static void closed(uv_handle_t *h)
{
	struct log_relay *r = h->data;

	(void)close(r->fd);
	forget_reader(r);
	free(r);
}

void log_relay_close(struct log_relay *r)
{
	if (r)
		uv_close((uv_handle_t *)&r->poll, closed);
}
