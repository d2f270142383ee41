#include "enforce/netlink.h"

#include "base/diag.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { ANSWER_MOST = 65536, LISTEN_BUFFER = 4 << 20 };

int netlink_open(struct netlink *n, int bus, struct diag *d)
{
	n->socket = mnl_socket_open2(bus, SOCK_CLOEXEC);
	if (!n->socket)
		return diag_errno(d, errno, "open a netlink socket");
	if (mnl_socket_bind(n->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		int e = errno;

		netlink_close(n);
		return diag_errno(d, e, "bind a netlink socket");
	}
	n->sequence = (uint32_t)time(NULL);
	return 0;
}

void netlink_close(struct netlink *n)
{
	if (n->socket)
		mnl_socket_close(n->socket);
	n->socket = NULL;
}

struct nlmsghdr *netlink_start(struct netlink *n, char *buf, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);

	h->nlmsg_type = type;
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	h->nlmsg_seq = ++n->sequence;
	return h;
}

int netlink_ask(struct netlink *n, const struct nlmsghdr *request, mnl_cb_t each, void *context)
{
	static _Thread_local char answer[ANSWER_MOST];
	unsigned port = mnl_socket_get_portid(n->socket);
	bool interrupted = false;

	if (mnl_socket_sendto(n->socket, request, request->nlmsg_len) < 0)
		return -errno;
	for (;;) {
		ssize_t len = mnl_socket_recvfrom(n->socket, answer, sizeof answer);
		int r;

		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0)
			return -errno;
		r = mnl_cb_run(answer, (size_t)len, request->nlmsg_seq, port, each, context);
		if (r < 0 && errno == EINTR)
			interrupted = true; /* read the rest away first */
		else if (r < 0 && errno == ESRCH && ((struct nlmsghdr *)answer)->nlmsg_seq != request->nlmsg_seq)
			continue; /* the tail of an earlier dump */
		else if (r < 0)
			return -errno;
		else if (r == 0)
			return interrupted ? -EINTR : 0;
		if (interrupted && !(request->nlmsg_flags & NLM_F_DUMP))
			return -EINTR;
	}
}

int netlink_ask_batch(struct netlink *n, const void *messages, size_t len, uint32_t last_sequence)
{
	static _Thread_local char answer[ANSWER_MOST];
	int failed = 0;

	if (mnl_socket_sendto(n->socket, messages, len) < 0)
		return -errno;
	for (;;) {
		ssize_t got = mnl_socket_recvfrom(n->socket, answer, sizeof answer);
		const struct nlmsghdr *h = (const struct nlmsghdr *)answer;
		int left = (int)got;

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		for (; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
			const struct nlmsgerr *e = mnl_nlmsg_get_payload(h);

			if (h->nlmsg_type != NLMSG_ERROR || mnl_nlmsg_get_payload_len(h) < sizeof *e)
				continue;
			if (e->error && !failed)
				failed = e->error;
			if (h->nlmsg_seq == last_sequence)
				return failed;
		}
	}
}

const struct nlattr *netlink_attribute(const struct nlmsghdr *h, size_t head, uint16_t type)
{
	const char *end = mnl_nlmsg_get_payload_tail(h);

	if (mnl_nlmsg_get_payload_len(h) < head)
		return NULL;
	for (const struct nlattr *a = mnl_nlmsg_get_payload_offset(h, head);
	     mnl_attr_ok(a, (int)(end - (const char *)a)); a = mnl_attr_next(a))
		if (mnl_attr_get_type(a) == type)
			return a;
	return NULL;
}

const char *netlink_attribute_text(const struct nlmsghdr *h, size_t head, uint16_t type)
{
	const struct nlattr *a = netlink_attribute(h, head, type);

	return a && mnl_attr_validate(a, MNL_TYPE_NUL_STRING) == 0 ? mnl_attr_get_str(a) : "";
}

int netlink_listen(struct netlink *n, int bus, const unsigned *groups, size_t count, struct diag *d)
{
	int size = LISTEN_BUFFER, r;

	n->socket = mnl_socket_open2(bus, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!n->socket)
		return diag_errno(d, errno, "open a netlink socket");
	if (mnl_socket_bind(n->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		r = diag_errno(d, errno, "bind a netlink socket");
		goto fail;
	}
	/* a big change by somebody else should not overrun us; if it does we look for ourselves */
	setsockopt(mnl_socket_get_fd(n->socket), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
	for (size_t i = 0; i < count; i++) {
		if (mnl_socket_setsockopt(n->socket, NETLINK_ADD_MEMBERSHIP, (void *)(uintptr_t)&groups[i],
					  sizeof groups[i]) < 0) {
			r = diag_errno(d, errno, "listen to netlink group %u", groups[i]);
			goto fail;
		}
	}
	return 0;
fail:
	netlink_close(n);
	return r;
}

void netlink_hear(struct netlink *n, unsigned group, bool on)
{
	(void)mnl_socket_setsockopt(n->socket, on ? NETLINK_ADD_MEMBERSHIP : NETLINK_DROP_MEMBERSHIP, &group,
				    sizeof group);
}

bool netlink_drain(struct netlink *n, mnl_cb_t each, void *context)
{
	static _Thread_local char heard[ANSWER_MOST];
	bool lost = false;

	for (;;) {
		ssize_t len = mnl_socket_recvfrom(n->socket, heard, sizeof heard);
		const struct nlmsghdr *h = (const struct nlmsghdr *)heard;
		int left = (int)len;

		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0 && errno == ENOBUFS) {
			lost = true;
			continue;
		}
		if (len < 0)
			return lost;
		for (; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left))
			each(h, context);
	}
}
