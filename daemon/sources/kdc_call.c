#include "daemon/sources/kdc_call.h"

#include "base/mem.h"
#include "daemon/messages/kdc_wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PORT = 88, HEAD = 4 };

struct kdc_call {
	uv_poll_t poll;
	uv_timer_t ends;
	unsigned handles;
	int fd;
	bool stream, connected, dead;
	uint8_t *request, *answer; /* each with its length before it, as TCP has it (RFC 4120 7.2.2) */
	size_t request_len, sent, got;
	kdc_call_done *done;
	void *context;
	char why[KDC_WORDS];
};

static void closed(uv_handle_t *h)
{
	struct kdc_call *c = h->data;

	if (--c->handles)
		return;
	if (c->fd >= 0)
		(void)close(c->fd);
	free(c->request);
	free(c->answer);
	free(c);
}

void kdc_call_close(struct kdc_call *c)
{
	if (!c || c->dead)
		return;
	c->dead = true;
	if (c->handles == 2)
		uv_close((uv_handle_t *)&c->poll, closed);
	uv_close((uv_handle_t *)&c->ends, closed);
}

static void over(struct kdc_call *c, const struct octets *answer, const char *why)
{
	if (c->dead)
		return;
	c->done(c->context, answer, why);
	kdc_call_close(c);
}

static void over_errno(struct kdc_call *c, int error)
{
	over(c, NULL, error == ECONNREFUSED ? "nobody listens there" : strerror(error));
}

/* ---- octets ------------------------------------------------------------------------------------------------------ */

static void listen_to(struct kdc_call *c);

static bool send_more(struct kdc_call *c)
{
	size_t from = c->stream ? 0 : HEAD;
	ssize_t n;

	do {
		n = send(c->fd, c->request + from + c->sent, c->request_len - from - c->sent, MSG_NOSIGNAL);
		if (n > 0)
			c->sent += (size_t)n;
	} while ((n > 0 && c->sent < c->request_len - from) || (n < 0 && errno == EINTR));
	if (n < 0 && errno != EAGAIN) {
		over_errno(c, errno);
		return false;
	}
	return true;
}

/* Of a stream's answer, once its length is there; 0: that is to come. */
static size_t announced(const struct kdc_call *c)
{
	const uint8_t *a = c->answer;

	if (!c->stream || c->got < HEAD)
		return 0;
	return (size_t)a[0] << 24 | (size_t)a[1] << 16 | (size_t)a[2] << 8 | a[3];
}

static bool is_whole(const struct kdc_call *c)
{
	return c->stream ? c->got >= HEAD && c->got - HEAD == announced(c) : c->got > 0;
}

static void receive_more(struct kdc_call *c)
{
	size_t room = HEAD + KDC_OCTETS_MOST;
	ssize_t n;

	if (c->stream)
		room = c->got < HEAD ? HEAD : HEAD + announced(c);
	do {
		n = recv(c->fd, c->answer + c->got, room - c->got, 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n < 0) {
		over_errno(c, errno);
		return;
	}
	c->got += (size_t)n;
	if (n == 0) {
		over(c, NULL, "it closed the connection without an answer");
	} else if (c->stream && (announced(c) > KDC_OCTETS_MOST || (c->got >= HEAD && announced(c) == 0))) {
		over(c, NULL, "its answer has a length that no answer has");
	} else if (is_whole(c)) {
		size_t head = c->stream ? HEAD : 0;

		over(c, &(struct octets){ c->answer + head, c->got - head }, NULL);
	}
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

static void ready(uv_poll_t *p, int status, int events)
{
	struct kdc_call *c = p->data;
	int error = 0;
	socklen_t len = sizeof error;

	if (c->dead)
		return;
	if (status < 0 || (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error)) {
		over_errno(c, error ? error : EIO);
		return;
	}
	if (events & UV_WRITABLE && !send_more(c))
		return;
	if (events & UV_READABLE)
		receive_more(c);
	if (!c->dead)
		listen_to(c);
}

static void listen_to(struct kdc_call *c)
{
	bool more = c->sent < c->request_len - (c->stream ? 0 : HEAD);

	(void)uv_poll_start(&c->poll, UV_READABLE | (more ? UV_WRITABLE : 0), ready);
}

static void late(uv_timer_t *t)
{
	struct kdc_call *c = t->data;

	over(c, NULL, c->why[0] ? c->why : "no answer");
}

struct kdc_call *kdc_call_new(uv_loop_t *loop, const struct addr *to, bool stream, const struct octets *request,
			      unsigned ms, kdc_call_done *done, void *context)
{
	struct kdc_call *c = mem_new(1, sizeof *c);
	struct sockaddr_storage at;
	size_t len = addr_to_sockaddr(to, PORT, &at);

	c->stream = stream;
	c->done = done;
	c->context = context;
	c->request_len = HEAD + request->len;
	c->request = mem_new(c->request_len, 1);
	c->answer = mem_new(HEAD + KDC_OCTETS_MOST, 1);
	for (unsigned i = 0; i < HEAD; i++)
		c->request[i] = (uint8_t)(request->len >> (8 * (HEAD - 1 - i)));
	memcpy(c->request + HEAD, request->at, request->len);
	c->poll.data = c->ends.data = c;
	(void)uv_timer_init(loop, &c->ends);
	c->handles = 1;
	c->fd = socket(to->family == 4 ? AF_INET : AF_INET6,
		       (stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || (connect(c->fd, (struct sockaddr *)&at, (socklen_t)len) < 0 && errno != EINPROGRESS)) {
		(void)snprintf(c->why, sizeof c->why, "%s", strerror(errno));
		ms = 0; /* told on the loop's next turn */
	} else if (uv_poll_init(loop, &c->poll, c->fd) == 0) {
		c->handles = 2;
		listen_to(c);
	}
	(void)uv_timer_start(&c->ends, late, ms, 0);
	return c;
}
