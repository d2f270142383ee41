#include "dataplane/xfrm/ears.h"

#include "base/scope.h"
#include "base/wire.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

enum { LISTEN_MOST = 256, HEAD_MOST = 128 };

static const struct {
	enum xfrm_fd fd;
	uint8_t family, protocol;
} ears[] = {
	{ XFRM_FD_ESP4, 4, IPPROTO_ESP },
	{ XFRM_FD_ESP6, 6, IPPROTO_ESP },
	{ XFRM_FD_AH4, 4, IPPROTO_AH },
	{ XFRM_FD_AH6, 6, IPPROTO_AH },
};

void ears_open(const struct xfrm_fds *f, bool listen)
{
	for (size_t i = 0; i < ARRAY_LEN(ears); i++) {
		struct sockaddr_in v4 = { .sin_family = AF_INET,
					  .sin_addr.s_addr = htonl(listen ? INADDR_ANY : INADDR_LOOPBACK) };
		struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
					   .sin6_addr = listen ? in6addr_any : in6addr_loopback };
		bool is4 = ears[i].family == 4;

		if (f->fd[ears[i].fd] >= 0)
			(void)bind(f->fd[ears[i].fd], is4 ? (const struct sockaddr *)&v4 : (const struct sockaddr *)&v6,
				   is4 ? sizeof v4 : sizeof v6);
	}
}

bool ears_parse(const uint8_t *packet, size_t len, unsigned family, struct ears_heard *h)
{
	struct wire_in in = wire_in(packet, len);

	if (family == 4) {
		size_t head = (size_t)(wire_u8(&in) & 15) * 4;

		(void)wire_octets(&in, 11);
		h->remote = (struct addr){ .family = 4 };
		h->local = (struct addr){ .family = 4 };
		wire_copy(&in, h->remote.octets, 4);
		wire_copy(&in, h->local.octets, 4);
		if (head < 20)
			return false;
		(void)wire_octets(&in, head - 20);
	}
	if (h->protocol == IPPROTO_AH)
		(void)wire_u32(&in);
	h->spi = wire_u32(&in);
	return !in.failed;
}

static void local6(struct msghdr *m, struct addr *to)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		struct in6_pktinfo info;

		if (c->cmsg_level != IPPROTO_IPV6 || c->cmsg_type != IPV6_PKTINFO ||
		    c->cmsg_len < CMSG_LEN(sizeof info))
			continue;
		memcpy(&info, CMSG_DATA(c), sizeof info);
		to->family = 6;
		memcpy(to->octets, &info.ipi6_addr, 16);
	}
}

/* false: there is no more. */
static bool listen_one(int fd, unsigned family, struct ears_heard *h, bool *ret_good)
{
	uint8_t octets[HEAD_MOST];
	union {
		struct cmsghdr align;
		uint8_t octets[CMSG_SPACE(sizeof(struct in6_pktinfo))];
	} control;
	struct sockaddr_storage from = { 0 };
	struct iovec v = { .iov_base = octets, .iov_len = sizeof octets };
	struct msghdr m = { .msg_name = &from,
			    .msg_namelen = sizeof from,
			    .msg_iov = &v,
			    .msg_iovlen = 1,
			    .msg_control = &control,
			    .msg_controllen = sizeof control };
	ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT);

	if (n < 0)
		return errno == EINTR;
	if (family == 6) {
		(void)addr_from_sockaddr(&from, &h->remote, NULL);
		local6(&m, &h->local);
	}
	*ret_good = ears_parse(octets, (size_t)n, family, h) && h->local.family && h->remote.family;
	return true;
}

void ears_listen(const struct xfrm_fds *f, void (*heard)(void *context, const struct ears_heard *h), void *context)
{
	for (size_t i = 0; i < ARRAY_LEN(ears); i++)
		for (int n = 0; n < LISTEN_MOST && f->fd[ears[i].fd] >= 0; n++) {
			struct ears_heard h = { .protocol = ears[i].protocol };
			bool good = false;

			if (!listen_one(f->fd[ears[i].fd], ears[i].family, &h, &good))
				break;
			if (good)
				heard(context, &h);
		}
}
