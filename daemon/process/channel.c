#include "daemon/process/channel.h"

#include "base/diag.h"
#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	FRAME_HEADER = 8,
	BATCH = ASK_BODY_MOST + FRAME_HEADER,
	AT_ONCE = 32, /* datagrams; then the loop sees to the others */
	SOCKET_BUFFER = 1 << 20,
};

/* A datagram that the socket had no room for. */
struct waiting {
	STAILQ_ENTRY(waiting) next;
	int fds[ASK_FDS_MOST];
	size_t fd_count, len;
	uint8_t octets[];
};

struct channel {
	struct channel_config config;
	enum channel_state state;
	uv_poll_t poll;
	uv_prepare_t turn; /* before the loop sleeps */
	unsigned open_handles;
	bool closing, dispatching;
	const char *why; /* it ended, if it was not we who closed it */
	struct wire_out out;
	size_t frame; /* where the one that is being written begins */
	enum ask writing;
	STAILQ_HEAD(, waiting) queue;
	size_t queued, queued_fds;
	struct limit_bucket bucket;
	uint8_t batch[BATCH], in[BATCH];
};

enum role channel_peer(const struct channel *c)
{
	return c->config.peer;
}

void *channel_owner(const struct channel *c)
{
	return c->config.owner;
}

void *channel_context(const struct channel *c)
{
	return c->config.context;
}

size_t channel_backlog(const struct channel *c)
{
	return c->queued + c->out.len;
}

void channel_set_state(struct channel *c, enum channel_state state)
{
	c->state = state;
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void waiting_free(struct waiting *w)
{
	for (size_t i = 0; i < w->fd_count; i++)
		(void)close(w->fds[i]);
	explicit_bzero(w->octets, w->len);
	free(w);
}

static void handle_closed(uv_handle_t *h)
{
	struct channel *c = h->data;

	if (--c->open_handles)
		return;
	if (c->config.gone)
		c->config.gone(c, c->why);
	while (!STAILQ_EMPTY(&c->queue)) {
		struct waiting *w = STAILQ_FIRST(&c->queue);

		STAILQ_REMOVE_HEAD(&c->queue, next);
		waiting_free(w);
	}
	explicit_bzero(c->batch, sizeof c->batch);
	(void)close(c->config.fd);
	free(c);
}

static void close_handles(struct channel *c)
{
	c->closing = true;
	uv_close((uv_handle_t *)&c->poll, handle_closed);
	uv_close((uv_handle_t *)&c->turn, handle_closed);
}

/* The owner is told when nothing of ours is on the stack. */
static void end(struct channel *c, const char *why)
{
	if (c->closing)
		return;
	c->why = why;
	close_handles(c);
}

void channel_close(struct channel *c)
{
	if (!c)
		return;
	channel_flush(c); /* which may find that the other end is gone */
	c->config.gone = NULL;
	if (!c->closing)
		close_handles(c);
}

/* ---- sending ----------------------------------------------------------------------------------------------------- */

union descriptors {
	struct cmsghdr align;
	char space[CMSG_SPACE(sizeof(int) * ASK_FDS_MOST)];
};

static ssize_t send_datagram(int fd, const uint8_t *octets, size_t len, const int *fds, size_t fd_count)
{
	struct iovec part = { (void *)(uintptr_t)octets, len };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };
	union descriptors d = { 0 };

	if (fd_count) {
		m.msg_control = &d;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		struct cmsghdr *h = CMSG_FIRSTHDR(&m);

		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		memcpy(CMSG_DATA(h), fds, sizeof(int) * fd_count);
	}
	return sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void ready(uv_poll_t *p, int status, int events);

static void watch(struct channel *c)
{
	(void)uv_poll_start(&c->poll, UV_READABLE | (STAILQ_EMPTY(&c->queue) ? 0 : UV_WRITABLE), ready);
}

static void enqueue(struct channel *c, const uint8_t *octets, size_t len, const int *fds, size_t fd_count)
{
	struct waiting *w = mem_new(1, sizeof *w + len);

	memcpy(w->octets, octets, len);
	w->len = len;
	for (size_t i = 0; i < fd_count; i++) {
		int fd = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);

		if (fd >= 0)
			w->fds[w->fd_count++] = fd;
	}
	STAILQ_INSERT_TAIL(&c->queue, w, next);
	c->queued += len;
	c->queued_fds += w->fd_count;
	watch(c);
}

static void put(struct channel *c, const int *fds, size_t fd_count)
{
	ssize_t sent = -1;

	if (STAILQ_EMPTY(&c->queue)) {
		sent = send_datagram(c->config.fd, c->batch, c->out.len, fds, fd_count);
		if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOBUFS && errno != EINTR &&
		    errno != ETOOMANYREFS) {
			explicit_bzero(c->batch, c->out.len);
			c->out.len = 0;
			end(c, NULL);
			return;
		}
	}
	if (sent < 0)
		enqueue(c, c->batch, c->out.len, fds, fd_count);
	explicit_bzero(c->batch, c->out.len);
	c->out.len = 0;
	if (c->queued > CHANNEL_QUEUE_MOST || c->queued_fds > CHANNEL_QUEUE_FDS_MOST)
		end(c, "does not read what it is sent");
}

void channel_send_now(int fd, enum ask a, const void *body, size_t len)
{
	uint8_t frame[FRAME_HEADER + 64];
	struct wire_out out = wire_out(frame, sizeof frame);

	wire_put_u16(&out, (uint16_t)a);
	wire_put_u16(&out, 0);
	wire_put_u32(&out, (uint32_t)len);
	wire_put(&out, body, len);
	if (!out.failed)
		(void)send_datagram(fd, frame, out.len, NULL, 0);
}

void channel_flush(struct channel *c)
{
	if (c->out.len && !c->closing)
		put(c, NULL, 0);
}

static void drain(struct channel *c)
{
	while (!STAILQ_EMPTY(&c->queue)) {
		struct waiting *w = STAILQ_FIRST(&c->queue);

		if (send_datagram(c->config.fd, w->octets, w->len, w->fds, w->fd_count) < 0) {
			if (errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOBUFS && errno != EINTR &&
			    errno != ETOOMANYREFS)
				end(c, NULL);
			return;
		}
		STAILQ_REMOVE_HEAD(&c->queue, next);
		c->queued -= w->len;
		c->queued_fds -= w->fd_count;
		waiting_free(w);
	}
	watch(c);
}

struct wire_out *channel_begin(struct channel *c, enum ask a)
{
	assert(a < ASK_COUNT && asks[a].from & ROLE_BIT(c->config.self) && asks[a].to & ROLE_BIT(c->config.peer));
	if (c->out.len + FRAME_HEADER + asks[a].most > c->out.cap)
		channel_flush(c);
	if (c->closing)
		c->out.len = 0;
	c->writing = a;
	c->frame = c->out.len;
	wire_put_u16(&c->out, (uint16_t)a);
	wire_put_u16(&c->out, 0);
	wire_put_u32(&c->out, 0);
	return &c->out;
}

static void finish(struct channel *c)
{
	size_t len = c->out.len - c->frame - FRAME_HEADER;

	assert(!c->out.failed && len >= asks[c->writing].least && len <= asks[c->writing].most);
	wire_patch_u32(&c->out, c->frame + 4, (uint32_t)len);
	if (c->closing) {
		explicit_bzero(c->batch, c->out.len);
		c->out.len = 0;
	}
}

void channel_end(struct channel *c)
{
	assert(asks[c->writing].fds == 0);
	finish(c);
}

/* Alone in its datagram: what was written before goes first. */
void channel_end_fds(struct channel *c, const int *fds, size_t count)
{
	size_t len = c->out.len - c->frame;
	uint8_t *alone;

	assert(asks[c->writing].fds == count && count <= ASK_FDS_MOST);
	finish(c);
	if (c->closing)
		return;
	alone = mem_copy(c->batch + c->frame, len);
	explicit_bzero(c->batch + c->frame, len);
	c->out.len = c->frame;
	channel_flush(c);
	if (!c->closing) {
		memcpy(c->batch, alone, len);
		c->out.len = len;
		put(c, fds, count);
	}
	explicit_bzero(alone, len);
	free(alone);
}

static void turn_ends(uv_prepare_t *p)
{
	channel_flush(p->data);
}

/* ---- receiving --------------------------------------------------------------------------------------------------- */

static void take_fds(struct msghdr *m, int fds[ASK_FDS_MOST], size_t *count)
{
	for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
		size_t n = h->cmsg_len >= CMSG_LEN(0) ? (h->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;
		const unsigned char *at = CMSG_DATA(h);

		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, at + i * sizeof fd, sizeof fd);
			if (*count < ASK_FDS_MOST)
				fds[(*count)++] = fd;
			else
				(void)close(fd);
		}
	}
}

/* The first fault of a frame, or NULL. */
static const char *fault(const struct channel *c, uint16_t number, uint16_t zero, size_t len, size_t fd_count,
			 bool alone)
{
	const struct ask_row *row = number < ASK_COUNT ? &asks[number] : NULL;

	if (!row || zero)
		return "asked what nobody may ask";
	if (!(row->from & ROLE_BIT(c->config.peer)) || !(row->to & ROLE_BIT(c->config.self)) ||
	    !c->config.handlers[number])
		return "asked what it may not ask";
	if (len < row->least || len > row->most)
		return "asked with a message of another size";
	if (fd_count != row->fds || (fd_count && !alone))
		return "asked with descriptors that do not belong to it";
	if (!(row->states & c->state))
		return "asked what is not its turn";
	return NULL;
}

static const char *dispatch(struct channel *c, size_t len, int *fds, size_t fd_count)
{
	struct wire_in in = wire_in(c->in, len);

	while (in.left) {
		uint16_t number = wire_u16(&in), zero = wire_u16(&in);
		uint32_t body_len = wire_u32(&in);
		struct wire_in body = wire_sub(&in, body_len);
		const char *why;

		if (body.failed)
			return "sent a message that is cut off";
		if (c->config.rate.per_s && !limit_bucket_take(&c->bucket, &c->config.rate, uv_now(c->config.loop)))
			return "sends more than anybody needs to";
		if ((why = fault(c, number, zero, body_len, fd_count, body.at == c->in + FRAME_HEADER && !in.left)))
			return why;
		if (c->config.handlers[number](c->config.context, c, &body, fds) < 0)
			return "sent a message that means nothing";
		if (c->closing)
			return NULL;
	}
	return len ? NULL : "sent an empty message";
}

/* false: nothing more for now. */
static bool receive(struct channel *c)
{
	union descriptors d;
	struct iovec part = { c->in, sizeof c->in };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &d, .msg_controllen = sizeof d };
	ssize_t len = recvmsg(c->config.fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	int fds[ASK_FDS_MOST];
	size_t fd_count = 0;
	const char *why;

	if (len < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return false;
	if (len <= 0) {
		end(c, NULL);
		return false;
	}
	take_fds(&m, fds, &fd_count);
	if (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
		why = "sent more than a message may hold";
	else {
		c->dispatching = true;
		why = dispatch(c, (size_t)len, fds, fd_count);
		c->dispatching = false;
	}
	for (size_t i = 0; i < fd_count; i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
	explicit_bzero(c->in, (size_t)len);
	if (why)
		end(c, why);
	return !c->closing;
}

static void ready(uv_poll_t *p, int status, int events)
{
	struct channel *c = p->data;

	if (status < 0) {
		end(c, NULL);
		return;
	}
	if (events & UV_WRITABLE)
		drain(c);
	for (int n = 0; n < AT_ONCE && !c->closing && receive(c); n++)
		;
}

void channel_hear_last(struct channel *c)
{
	while (!c->closing && receive(c))
		;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

int channel_wait(struct channel *c, const bool *until, unsigned ms)
{
	uint64_t end_ms = now_ms() + ms, now;

	assert(!c->dispatching);
	channel_flush(c);
	while (!*until) {
		struct pollfd p = { .fd = c->config.fd,
				    .events = (short)(POLLIN | (STAILQ_EMPTY(&c->queue) ? 0 : POLLOUT)) };

		if (c->closing)
			return -EPIPE;
		if ((now = now_ms()) >= end_ms)
			return -ETIMEDOUT;
		if (poll(&p, 1, (int)(end_ms - now)) <= 0)
			continue;
		if (p.revents & POLLOUT)
			drain(c);
		if (!c->closing && p.revents & ~POLLOUT)
			(void)receive(c);
	}
	return 0;
}

void channel_drain(struct channel *c, unsigned ms)
{
	uint64_t end_ms = now_ms() + ms, now;

	channel_flush(c);
	while (!c->closing && !STAILQ_EMPTY(&c->queue) && (now = now_ms()) < end_ms) {
		struct pollfd p = { .fd = c->config.fd, .events = POLLOUT };

		if (poll(&p, 1, (int)(end_ms - now)) > 0)
			drain(c);
	}
}

/* ---- the beginning ----------------------------------------------------------------------------------------------- */

int channel_new(const struct channel_config *config, struct channel **ret, struct diag *d)
{
	struct channel *c = mem_new(1, sizeof *c);
	int r;

	c->config = *config;
	c->state = CHANNEL_NEW;
	c->out = wire_out(c->batch, sizeof c->batch);
	STAILQ_INIT(&c->queue);
	c->poll.data = c->turn.data = c;
	if ((r = uv_poll_init(config->loop, &c->poll, config->fd)) < 0) {
		(void)close(config->fd);
		free(c);
		return diag_fail(d, r, "watch a channel: %s", uv_strerror(r));
	}
	(void)uv_prepare_init(config->loop, &c->turn);
	(void)uv_prepare_start(&c->turn, turn_ends);
	uv_unref((uv_handle_t *)&c->turn);
	c->open_handles = 2;
	watch(c);
	*ret = c;
	return 0;
}

int channel_pair(int ret[2], struct diag *d)
{
	int size = SOCKET_BUFFER;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ret) < 0)
		return diag_errno(d, errno, "make a channel");
	for (size_t i = 0; i < 2; i++)
		if (setsockopt(ret[i], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0)
			(void)setsockopt(ret[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	return 0;
}
