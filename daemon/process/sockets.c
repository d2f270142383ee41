#include "daemon/process/sockets.h"

#include "base/diag.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#ifndef UDP_GRO
#define UDP_GRO 104 /* Linux 5.0 */
#endif

/* Wants struct timespec. */
#include <linux/errqueue.h>

enum {
	DATAGRAM_MOST = 65535,
	AT_ONCE = 64,                /* datagrams, or runs of them; then the loop sees to the others */
	OCTETS_AT_ONCE = 512 * 1024, /* ... and no more than these, which stay in a near cache */
	RUNS_AT_ONCE = 8,            /* asked for in one system call as long as they are long */
	ERRORS_AT_ONCE = 64,
	RECEIVE_BUFFER = 4 << 20, /* a thousand peers may begin at the same moment */
	DISCARD_MOST = 65536,     /* a flood must not hold us here */
	SEND_TRIES = 4,
	SEND_BUFFER = 8 << 20, /* ESP leaves by it, a run of packets at once */
	MARKER = 4,            /* octets of zero: IKE, not ESP (RFC 3948 2.2) */
};

struct sockets {
	int fds[SOCKETS_COUNT];
	int polled[SOCKETS_COUNT]; /* the same, or an epoll descriptor around it: libuv takes a queued ICMP error for a
				      broken descriptor */
	/* Their places in memory are not multiples of a large power of two apart: those would share lines of a cache.
	 */
	struct {
		uint8_t headroom[SOCKETS_HEADROOM], octets[DATAGRAM_MOST], apart[1024];
	} bufs[AT_ONCE];
};

static const struct {
	int family;
	uint16_t port;
} places[SOCKETS_COUNT] = {
	{ AF_INET, IKE_PORT }, { AF_INET6, IKE_PORT }, { AF_INET, IKE_NAT_PORT }, { AF_INET6, IKE_NAT_PORT }
};

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static int set(int fd, int level, int option, int value, const char *what, struct diag *d)
{
	if (setsockopt(fd, level, option, &value, sizeof value) < 0)
		return diag_errno(d, errno, "set %s on an IKE socket", what);
	return 0;
}

/* IKE messages may be fragmented (DF off): certificates make them long, and the path's MTU is not known yet. ESP in UDP
 * has its own mind of how long it may be and says DF, so on its port IKE asks for the other when it is sent
 * (send_parts). IPv4 queues no ICMP errors with IP_PMTUDISC_DONT. */
static int configure(int fd, int family, bool nat, uint32_t mark, struct diag *d)
{
	int r;

	/* ESP in UDP may come without a checksum (RFC 3948 2.1, RFC 6935); its check value is the better one. */
	if (family == AF_INET6)
		(void)set(fd, IPPROTO_UDP, UDP_NO_CHECK6_RX, 1, "UDP_NO_CHECK6_RX", NULL);
	(void)set(fd, SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER, "SO_RCVBUFFORCE", NULL);
	if (nat) {
		(void)set(fd, SOL_SOCKET, SO_SNDBUFFORCE, SEND_BUFFER, "SO_SNDBUFFORCE", NULL);
		(void)set(fd, IPPROTO_UDP, UDP_GRO, 1, "UDP_GRO", NULL);
	}
	if ((r = set(fd, SOL_SOCKET, SO_MARK, (int)mark, "SO_MARK", d)) < 0)
		return r;
	if (family == AF_INET) {
		if ((r = set(fd, IPPROTO_IP, IP_PKTINFO, 1, "IP_PKTINFO", d)) < 0 ||
		    (r = set(fd, IPPROTO_IP, IP_RECVTOS, 1, "IP_RECVTOS", d)) < 0 ||
		    (r = set(fd, IPPROTO_IP, IP_RECVTTL, 1, "IP_RECVTTL", d)) < 0)
			return r;
		if (nat && (r = set(fd, IPPROTO_IP, IP_RECVERR, 1, "IP_RECVERR", d)) < 0)
			return r;
		return set(fd, IPPROTO_IP, IP_MTU_DISCOVER, nat ? IP_PMTUDISC_PROBE : IP_PMTUDISC_DONT,
			   "IP_MTU_DISCOVER", d);
	}
	if ((r = set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1, "IPV6_V6ONLY", d)) < 0 ||
	    (r = set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1, "IPV6_RECVPKTINFO", d)) < 0 ||
	    (r = set(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1, "IPV6_RECVTCLASS", d)) < 0 ||
	    (r = set(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1, "IPV6_RECVHOPLIMIT", d)) < 0)
		return r;
	if (nat && (r = set(fd, IPPROTO_IPV6, IPV6_RECVERR, 1, "IPV6_RECVERR", d)) < 0)
		return r;
	return set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, nat ? IPV6_PMTUDISC_PROBE : IPV6_PMTUDISC_DONT,
		   "IPV6_MTU_DISCOVER", d);
}

static int open_one(size_t i, bool beside, uint32_t mark, int *ret, struct diag *d)
{
	struct sockaddr_storage any = { .ss_family = (sa_family_t)places[i].family };
	socklen_t len = places[i].family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
	int fd = socket(places[i].family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r;

	if (fd < 0 && errno == EAFNOSUPPORT && places[i].family == AF_INET6) {
		*ret = -1;
		return 0;
	}
	if (fd < 0)
		return diag_errno(d, errno, "open a UDP socket");
	if (places[i].family == AF_INET)
		((struct sockaddr_in *)&any)->sin_port = htons(places[i].port);
	else
		((struct sockaddr_in6 *)&any)->sin6_port = htons(places[i].port);
	r = configure(fd, places[i].family, places[i].port == IKE_NAT_PORT, mark, d);
	if (r == 0 && beside)
		r = set(fd, SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT", d);
	if (r == 0 && bind(fd, (struct sockaddr *)&any, len) < 0) {
		if (errno == EADDRINUSE)
			r = diag_fail(
				d, EADDRINUSE,
				"UDP port %u is taken: another IKE daemon (cordond, strongSwan, Libreswan ...) runs "
				"here; stop it first.  ss -lunp 'sport = :%u'  names it",
				places[i].port, places[i].port);
		else
			r = diag_errno(d, errno, "bind UDP port %u", places[i].port);
	}
	if (r < 0) {
		(void)close(fd);
		return r;
	}
	*ret = fd;
	return 0;
}

static int wrap(int fd, int *ret, struct diag *d)
{
	struct epoll_event e = { .events = EPOLLIN };

	if (fd < 0)
		return 0;
	*ret = epoll_create1(EPOLL_CLOEXEC);
	if (*ret < 0 || epoll_ctl(*ret, EPOLL_CTL_ADD, fd, &e) < 0)
		return diag_errno(d, errno, "epoll for an IKE socket");
	return 0;
}

int sockets_open(uint32_t mark, struct sockets **ret, struct diag *d)
{
	SCOPED(sockets_freep) struct sockets *s = mem_new(1, sizeof *s);

	for (size_t i = 0; i < SOCKETS_COUNT; i++)
		s->fds[i] = s->polled[i] = -1;
	for (size_t i = 0; i < SOCKETS_COUNT; i++) {
		int r = open_one(i, false, mark, &s->fds[i], d);

		/* It may be the data plane of a cordond that was killed a moment ago, and is about to end. */
		for (unsigned n = 0; n < 20 && r == -EADDRINUSE && places[i].port == IKE_NAT_PORT; n++) {
			(void)usleep(50000);
			r = open_one(i, false, mark, &s->fds[i], d);
		}
		/* Any local program may take a port over 1023 while we are not there, and must not keep us from
		 * coming back. Only NATs need it. */
		if (r == -EADDRINUSE && places[i].port == IKE_NAT_PORT)
			log_warning("%s. Until cordond starts again nothing is protected through a NAT", d->text);
		else if (r < 0)
			return r;
		if (places[i].port != IKE_NAT_PORT)
			s->polled[i] = s->fds[i];
		else if ((r = wrap(s->fds[i], &s->polled[i], d)) < 0)
			return r;
	}
	*ret = TAKE(s);
	return 0;
}

int sockets_adopt(const int fds[SOCKETS_COUNT], struct sockets **ret, struct diag *d)
{
	SCOPED(sockets_freep) struct sockets *s = mem_new(1, sizeof *s);
	int r;

	for (size_t i = 0; i < SOCKETS_COUNT; i++) {
		s->fds[i] = fds[i];
		s->polled[i] = -1;
	}
	for (size_t i = 0; i < SOCKETS_COUNT; i++) {
		if (places[i].port != IKE_NAT_PORT)
			s->polled[i] = s->fds[i];
		else if ((r = wrap(s->fds[i], &s->polled[i], d)) < 0)
			return r;
	}
	*ret = TAKE(s);
	return 0;
}

int sockets_fd(const struct sockets *s, size_t i)
{
	return s->fds[i];
}

/* The first one was bound alone: that is how a port that somebody else has is found out. From now on a socket can join
 * it that asks to share, and was made by the user who made this one: root, who can hear everything anyway. Our own
 * children are other users. */
int sockets_open_beside(const struct sockets *s, size_t i, uint32_t mark, int *ret, struct diag *d)
{
	int r;

	*ret = -1;
	if (s->fds[i] < 0)
		return 0;
	r = set(s->fds[i], SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT", d);
	return r < 0 ? r : open_one(i, true, mark, ret, d);
}

void sockets_close_beside(const struct sockets *s, size_t i)
{
	if (s->fds[i] >= 0)
		(void)set(s->fds[i], SOL_SOCKET, SO_REUSEPORT, 0, "SO_REUSEPORT", NULL);
}

void sockets_free(struct sockets *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < SOCKETS_COUNT; i++) {
		if (s->polled[i] >= 0 && s->polled[i] != s->fds[i])
			(void)close(s->polled[i]);
		if (s->fds[i] >= 0)
			(void)close(s->fds[i]);
	}
	free(s);
}

const int *sockets_fds(const struct sockets *s)
{
	return s->polled;
}

/* ---- receiving --------------------------------------------------------------------------------------------------- */

union ancillary {
	struct cmsghdr align;
	char space[256];
};

static int number_in(const struct cmsghdr *c)
{
	int n = 0;

	if (c->cmsg_len >= CMSG_LEN(sizeof n))
		memcpy(&n, CMSG_DATA(c), sizeof n);
	else if (c->cmsg_len >= CMSG_LEN(1)) /* IP_TOS comes as one octet */
		n = *CMSG_DATA(c);
	return n;
}

static void read_ancillary(struct msghdr *m, struct datagram *g)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof info);
			g->local.family = 4;
			memcpy(g->local.octets, &info.ipi_addr, 4);
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof info);
			g->local.family = 6;
			memcpy(g->local.octets, &info.ipi6_addr, 16);
		} else if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) ||
			   (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS)) {
			g->tos = (uint8_t)number_in(c);
		} else if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL) ||
			   (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT)) {
			g->ttl = (uint8_t)number_in(c);
		} else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
			g->segment = (size_t)number_in(c);
		}
	}
}

static bool is_ike(const uint8_t *octets, size_t len)
{
	static const uint8_t marker[MARKER];

	return len > MARKER && memcmp(octets, marker, MARKER) == 0;
}

/* How many of the octets, from the first on, are of one kind: datagrams of IKE go on one by one, those of ESP together.
 */
static size_t same_kind(const struct datagram *g, size_t segment)
{
	size_t at = segment < g->len ? segment : g->len;

	if (segment <= MARKER || is_ike(g->octets, at))
		return at;
	while (at < g->len) {
		size_t len = g->len - at < segment ? g->len - at : segment;

		if (len <= MARKER || is_ike(g->octets + at, len))
			break;
		at += len;
	}
	return at;
}

static void hand_on(const struct datagram *all, const struct sockets_handlers *h)
{
	size_t segment = all->segment ? all->segment : all->len;
	struct datagram left = *all;

	if (all->local_port == IKE_PORT) {
		h->ike(h->context, all);
		return;
	}
	while (left.len > 0) {
		struct datagram g = left;

		g.len = same_kind(&left, segment);
		g.segment = segment;
		left.octets += g.len;
		left.len -= g.len;
		if (is_ike(g.octets, g.len)) {
			g.octets += MARKER;
			g.len -= MARKER;
			g.segment = 0;
			h->ike(h->context, &g);
		} else if (g.len >
			   MARKER) { /* a keep-alive is one octet of 0xff; nothing else so short means anything */
			h->esp(h->context, &g);
		}
	}
}

/* Only "too big" is of use: whether a peer is there is keying's to find out. */
static void read_errors(struct sockets *s, size_t i, const struct sockets_handlers *h)
{
	for (int n = 0; n < ERRORS_AT_ONCE; n++) {
		struct sockaddr_storage to;
		union ancillary extra;
		struct iovec part = { s->bufs[0].octets, sizeof s->bufs[0].octets };
		struct msghdr m = { .msg_name = &to,
				    .msg_namelen = sizeof to,
				    .msg_iov = &part,
				    .msg_iovlen = 1,
				    .msg_control = &extra,
				    .msg_controllen = sizeof extra };
		struct datagram g = { .local_port = places[i].port, .octets = s->bufs[0].octets };
		ssize_t len = recvmsg(s->fds[i], &m, MSG_ERRQUEUE | MSG_DONTWAIT);

		if (len < 0)
			return;
		g.len = (size_t)len;
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
			struct sock_extended_err e;

			if (!((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
			      (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR)) ||
			    c->cmsg_len < CMSG_LEN(sizeof e))
				continue;
			memcpy(&e, CMSG_DATA(c), sizeof e);
			if (e.ee_errno == EMSGSIZE &&
			    (e.ee_origin == SO_EE_ORIGIN_ICMP || e.ee_origin == SO_EE_ORIGIN_ICMP6) &&
			    addr_from_sockaddr(&to, &g.remote, &g.remote_port))
				h->too_big(h->context, &g, e.ee_info);
		}
	}
}

/* One message, which may be several datagrams of one length (UDP_GRO). */
static void take(size_t i, struct mmsghdr *m, const uint8_t *octets, const struct sockets_handlers *h)
{
	struct datagram g = { .local_port = places[i].port, .octets = octets };

	read_ancillary(&m->msg_hdr, &g);
	if (!addr_from_sockaddr(m->msg_hdr.msg_name, &g.remote, &g.remote_port) || !g.local.family ||
	    addr_is_multicast(&g.local) || (m->msg_hdr.msg_flags & MSG_TRUNC))
		return;
	g.len = m->msg_len;
	hand_on(&g, h);
}

/* What has come, `most` at most, to the buffers from number `at` on. Returns how many, and adds their octets. */
static size_t receive(struct sockets *s, size_t i, size_t at, size_t most, const struct sockets_handlers *h,
		      size_t *octets)
{
	struct mmsghdr m[AT_ONCE];
	struct sockaddr_storage from[AT_ONCE];
	union ancillary extra[AT_ONCE];
	struct iovec parts[AT_ONCE];
	int n;

	for (size_t k = at; k < at + most; k++) {
		parts[k] = (struct iovec){ s->bufs[k].octets, sizeof s->bufs[k].octets };
		m[k].msg_hdr = (struct msghdr){ .msg_name = &from[k],
						.msg_namelen = sizeof from[k],
						.msg_iov = &parts[k],
						.msg_iovlen = 1,
						.msg_control = &extra[k],
						.msg_controllen = sizeof extra[k] };
	}
	n = recvmmsg(s->fds[i], m + at, (unsigned)most, MSG_DONTWAIT, NULL);
	for (size_t k = at; n > 0 && k < at + (size_t)n; k++) {
		take(i, &m[k], s->bufs[k].octets, h);
		*octets += m[k].msg_len;
	}
	return n > 0 ? (size_t)n : 0;
}

/* What came while the first were opened is of the same batch: whoever is busy has large ones. */
void sockets_readable(struct sockets *s, size_t i, const struct sockets_handlers *h)
{
	size_t count = 0, octets = 0, most = RUNS_AT_ONCE, n;

	while (count < AT_ONCE && octets < OCTETS_AT_ONCE && (n = receive(s, i, count, most, h, &octets)) > 0) {
		count += n;
		if (octets < count * (OCTETS_AT_ONCE / AT_ONCE) || AT_ONCE - count < RUNS_AT_ONCE)
			most = AT_ONCE - count;
	}
	/* Nothing to read: then it was a queued ICMP error that woke us. */
	if (count == 0 && s->polled[i] != s->fds[i])
		read_errors(s, i, h);
	if (count > 0 && h->done)
		h->done(h->context);
}

void sockets_discard(struct sockets *s)
{
	for (size_t i = 0; i < SOCKETS_COUNT; i++)
		for (int n = 0; n < DISCARD_MOST && s->fds[i] >= 0; n++)
			if (recv(s->fds[i], s->bufs[0].octets, 1, MSG_TRUNC | MSG_DONTWAIT) < 0)
				break;
}

/* ---- sending ----------------------------------------------------------------------------------------------------- */

static void put_source(struct msghdr *m, const struct addr *local)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(m);

	if (local->family == 4) {
		struct in_pktinfo info = { 0 };

		memcpy(&info.ipi_spec_dst, local->octets, 4);
		c->cmsg_level = IPPROTO_IP;
		c->cmsg_type = IP_PKTINFO;
		c->cmsg_len = CMSG_LEN(sizeof info);
		memcpy(CMSG_DATA(c), &info, sizeof info);
		m->msg_controllen = CMSG_SPACE(sizeof info);
	} else {
		struct in6_pktinfo info = { 0 };

		memcpy(&info.ipi6_addr, local->octets, 16);
		c->cmsg_level = IPPROTO_IPV6;
		c->cmsg_type = IPV6_PKTINFO;
		c->cmsg_len = CMSG_LEN(sizeof info);
		memcpy(CMSG_DATA(c), &info, sizeof info);
		m->msg_controllen = CMSG_SPACE(sizeof info);
	}
}

/* On the port that it shares with ESP. */
static void may_fragment(int fd, uint8_t family, bool yes)
{
	if (family == 4)
		(void)set(fd, IPPROTO_IP, IP_MTU_DISCOVER, yes ? IP_PMTUDISC_OMIT : IP_PMTUDISC_PROBE,
			  "IP_MTU_DISCOVER", NULL);
	else
		(void)set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, yes ? IPV6_PMTUDISC_DONT : IPV6_PMTUDISC_PROBE,
			  "IPV6_MTU_DISCOVER", NULL);
}

static void send_parts(struct sockets *s, const struct datagram *g, size_t marker_len)
{
	static const uint8_t marker[MARKER];
	size_t i = (g->local_port == IKE_NAT_PORT ? 2u : 0u) + (g->local.family == 6 ? 1u : 0u);
	struct sockaddr_storage to;
	union ancillary extra;
	struct iovec parts[] = { { (void *)(uintptr_t)marker, marker_len }, { (void *)(uintptr_t)g->octets, g->len } };
	struct msghdr m = { .msg_name = &to,
			    .msg_iov = parts,
			    .msg_iovlen = 2,
			    .msg_control = &extra,
			    .msg_controllen = sizeof extra };

	m.msg_namelen = (socklen_t)addr_to_sockaddr(&g->remote, g->remote_port, &to);
	if (s->fds[i] < 0 || m.msg_namelen == 0)
		return;
	memset(&extra, 0, sizeof extra);
	put_source(&m, &g->local);
	if (marker_len)
		may_fragment(s->fds[i], g->local.family, true);
	/* An ICMP error of an earlier datagram is told here, and this one has not gone yet. */
	for (int tries = 0; tries < SEND_TRIES; tries++)
		if (sendmsg(s->fds[i], &m, MSG_DONTWAIT) >= 0 || errno == EAGAIN)
			break;
	if (marker_len)
		may_fragment(s->fds[i], g->local.family, false);
}

void sockets_send(struct sockets *s, const struct datagram *g)
{
	send_parts(s, g, g->local_port == IKE_NAT_PORT ? MARKER : 0);
}

void sockets_keep_alive(struct sockets *s, const struct addr *local, const struct addr *remote, uint16_t remote_port)
{
	static const uint8_t octet = 0xff;

	send_parts(s,
		   &(struct datagram){ .local = *local,
				       .remote = *remote,
				       .local_port = IKE_NAT_PORT,
				       .remote_port = remote_port,
				       .octets = &octet,
				       .len = 1 },
		   0);
}
