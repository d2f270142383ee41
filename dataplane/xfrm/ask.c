#include "dataplane/xfrm/ask.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

enum { ANSWER_MOST = 32768, LIST_ROUNDS = 1 << 20 };

static int send_all(const struct asker *a, const void *octets, size_t len)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct iovec v = { .iov_base = (void *)(uintptr_t)octets, .iov_len = len };
	struct msghdr m = { .msg_name = &kernel, .msg_namelen = sizeof kernel, .msg_iov = &v, .msg_iovlen = 1 };
	ssize_t n;

	do
		n = sendmsg(a->fd, &m, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* One datagram from the kernel, and from nobody else; 0: there is none. */
static ssize_t receive(const struct asker *a, void *octets, size_t cap)
{
	struct sockaddr_nl from = { 0 };
	struct iovec v = { .iov_base = octets, .iov_len = cap };
	struct msghdr m = { .msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &v, .msg_iovlen = 1 };
	ssize_t n;

	do
		n = recvmsg(a->fd, &m, MSG_DONTWAIT);
	while (n == 0 || (n < 0 && errno == EINTR) || (n > 0 && from.nl_pid != 0));
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	return m.msg_flags & MSG_TRUNC ? -EMSGSIZE : n;
}

static uint32_t next_number(struct asker *a)
{
	a->seq = ASK_OURS | ((a->seq + 1) & ASK_NUMBERS);
	return a->seq;
}

/* Answers to what was asked before and not read (ENOBUFS) are passed over by their number. */
static uint32_t number(struct asker *a, void *message)
{
	uint32_t seq = next_number(a);

	memcpy((uint8_t *)message + offsetof(struct nlmsghdr, nlmsg_seq), &seq, sizeof seq);
	return seq;
}

int ask_one(struct asker *a, void *message, size_t len, struct message_in *ret)
{
	uint8_t answer[ANSWER_MOST];
	struct message_in m;
	uint32_t seq;
	ssize_t n;
	int r;

	if (len == 0)
		return -EMSGSIZE;
	seq = number(a, message);
	if ((r = send_all(a, message, len)) < 0)
		return r;
	while ((n = receive(a, answer, sizeof answer)) > 0) {
		const uint8_t *at = answer;
		size_t left = (size_t)n;

		while (message_next(&at, &left, &m)) {
			if (m.seq != seq)
				continue;
			if (m.kind == MESSAGE_DONE)
				return m.error;
			if (ret)
				*ret = m;
		}
	}
	return n < 0 ? (int)n : -EPROTO;
}

int ask_list(struct asker *a, void *message, size_t len, void (*each)(void *context, const struct message_in *m),
	     void *context)
{
	uint8_t answer[ANSWER_MOST];
	struct message_in m;
	bool interrupted = false;
	uint32_t seq;
	ssize_t n;
	int r;

	if (len == 0)
		return -EMSGSIZE;
	seq = number(a, message);
	if ((r = send_all(a, message, len)) < 0)
		return r;
	for (unsigned i = 0; i < LIST_ROUNDS && (n = receive(a, answer, sizeof answer)) != 0; i++) {
		const uint8_t *at = answer;
		size_t left = (size_t)n;

		if (n < 0)
			return (int)n;
		while (message_next(&at, &left, &m)) {
			if (m.seq != seq)
				continue;
			interrupted = interrupted || m.interrupted;
			if (m.kind == MESSAGE_DONE && m.error)
				return m.error;
			if (m.kind == MESSAGE_END)
				return m.error ? m.error : interrupted ? -EINTR : 0;
			each(context, &m);
		}
	}
	return -EPROTO;
}

void ask_begin(struct ask_batch *b, struct asker *a)
{
	b->asker = a;
	b->len = 0;
	b->count = 0;
}

bool ask_has_room(const struct ask_batch *b)
{
	return b->count < ASK_MANY && sizeof b->octets - b->len >= 512;
}

void ask_add(struct ask_batch *b, const void *message, size_t len)
{
	uint8_t *to = b->octets + b->len;
	uint32_t seq;

	if (len > sizeof b->octets - b->len)
		len = 0; /* not reached with what has_room promises: it then has no answer, and fails */
	memcpy(to, message, len);
	if (b->count == 0 && (b->asker->seq & ASK_NUMBERS) > ASK_NUMBERS - ASK_MANY)
		b->asker->seq = ASK_OURS; /* the numbers of a batch are in a row */
	seq = next_number(b->asker);
	if (b->count++ == 0)
		b->first = seq;
	if (len == 0)
		return;
	memcpy(to + offsetof(struct nlmsghdr, nlmsg_seq), &seq, sizeof seq);
	b->len += (len + 3) & ~(size_t)3;
}

void ask_send(struct ask_batch *b, int errors[ASK_MANY])
{
	uint8_t answer[ANSWER_MOST];
	struct message_in m;
	unsigned count = b->count, answered = 0;
	ssize_t n = 0;
	int r;

	b->count = 0;
	if (count == 0)
		return;
	r = send_all(b->asker, b->octets, b->len);
	b->len = 0;
	for (unsigned i = 0; i < count; i++)
		errors[i] = r < 0 ? r : -EPROTO;
	while (r == 0 && answered < count && (n = receive(b->asker, answer, sizeof answer)) > 0) {
		const uint8_t *at = answer;
		size_t left = (size_t)n;

		while (message_next(&at, &left, &m))
			if (m.kind == MESSAGE_DONE && m.seq - b->first < count) {
				errors[m.seq - b->first] = m.error;
				answered++;
			}
	}
}
