/* The plane's descriptors: the TUN, a raw ESP socket of each family, and one epoll descriptor over them, so that the
 * caller polls a single one (and does not take a pending ICMP error for a broken descriptor, as libuv would). */
#include "dataplane/esp/esp.h"
#include "dataplane/esp/netlink.h"
#include "dataplane/esp/plane.h"
#include "dataplane/esp/tun.h"

#include "base/mem.h"
#include "base/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef IPV6_FLOWINFO /* in <linux/in6.h>, which does not go together with <netinet/in.h> */
#define IPV6_FLOWINFO 11
#endif

enum {
	BATCH = 64,      /* packets taken from one descriptor before the others have their turn */
	SEND_BATCH = 64, /* messages in one system call */
	BUFFERS = 8 << 20,
	PACKET_ROOM = IP_PACKET_MOST + IP6_HEADER,
	CONTROL_ROOM = 256,
};

struct esp_io {
	struct sad *sad;
	uint32_t own_mark;
	int epoll, tun, raw4, raw6;
	uint8_t packet[OFFLOAD_HEADER + PACKET_ROOM];
};

static void io_close(void *context)
{
	struct esp_io *io = context;
	int *const fds[] = { &io->epoll, &io->tun, &io->raw4, &io->raw6 };

	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		if (*fds[i] >= 0)
			(void)close(*fds[i]);
	explicit_bzero(io, sizeof *io);
	free(io);
}

/* ---- out ---- */

static void write_tun(struct esp_io *io, uint8_t *packet, size_t len)
{
	uint8_t header[OFFLOAD_HEADER] = { 0 };
	struct iovec parts[] = { { header, sizeof header }, { packet, len } };

	if (writev(io->tun, parts, ARRAY_LEN(parts)) < 0)
		io->sad->drops[DROP_SEND]++;
}

/* One message to the wire: where to, and from where, so that the route is that of the source address. */
struct message {
	struct sockaddr_storage to;
	struct iovec part;
	union {
		struct cmsghdr align;
		uint8_t octets[CMSG_SPACE(sizeof(struct in6_pktinfo))];
	} control;
	struct addr local, remote;
};

static void put_control(struct msghdr *h, int level, int type, const void *data, size_t n)
{
	struct cmsghdr *c = h->msg_control;

	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(n);
	memcpy(CMSG_DATA(c), data, n);
	h->msg_controllen = CMSG_SPACE(n);
}

/* Our own packets: the version and the addresses stand where they must. */
static bool address_message(struct message *m, struct msghdr *h, uint8_t *packet, size_t len)
{
	struct wire_in in = wire_in(packet, len);
	bool v4 = packet[0] >> 4 == 4;

	m->local = m->remote = (struct addr){ .family = v4 ? 4 : 6 };
	(void)wire_octets(&in, v4 ? 12 : 8);
	wire_copy(&in, m->local.octets, addr_octets(&m->local));
	wire_copy(&in, m->remote.octets, addr_octets(&m->remote));
	m->part = (struct iovec){ packet, len };
	*h = (struct msghdr){ .msg_name = &m->to, .msg_iov = &m->part, .msg_iovlen = 1, .msg_control = &m->control };
	h->msg_namelen = (socklen_t)addr_to_sockaddr(&m->remote, 0, &m->to);
	if (v4) {
		struct in_pktinfo from = { 0 };

		memcpy(&from.ipi_spec_dst, m->local.octets, 4);
		put_control(h, IPPROTO_IP, IP_PKTINFO, &from, sizeof from);
	} else {
		struct in6_pktinfo from = { 0 };

		memcpy(&from.ipi6_addr, m->local.octets, 16);
		put_control(h, IPPROTO_IPV6, IPV6_PKTINFO, &from, sizeof from);
	}
	return !in.failed;
}

/* sendmmsg stops at the first message that fails, and says so only when that is the first of the call. */
static void send_messages(struct esp_io *io, int fd, struct mmsghdr *headers, struct message *messages, unsigned n)
{
	for (unsigned at = 0; at < n;) {
		int r = fd < 0 ? -1 : sendmmsg(fd, headers + at, n - at, 0);

		if (r > 0) {
			at += (unsigned)r;
			continue;
		}
		if (fd >= 0 && errno == EINTR)
			continue;
		if (fd >= 0 && errno == EMSGSIZE)
			path_doubt(&io->sad->paths, &messages[at].local, &messages[at].remote);
		io->sad->drops[DROP_SEND]++;
		at++;
	}
}

static void io_flush(void *context, struct packet_list *out)
{
	struct esp_io *io = context;
	struct mmsghdr headers[2][SEND_BATCH];
	struct message messages[2][SEND_BATCH];
	unsigned n[2] = { 0, 0 };
	const int fds[2] = { io->raw4, io->raw6 };

	for (size_t i = 0; i < out->count; i++) {
		uint8_t *packet = out->octets + out->rows[i].at;
		unsigned six = packet[0] >> 4 == 6;

		if (out->rows[i].to_tun) {
			write_tun(io, packet, out->rows[i].len);
			continue;
		}
		if (!address_message(&messages[six][n[six]], &headers[six][n[six]].msg_hdr, packet, out->rows[i].len))
			continue;
		if (++n[six] < SEND_BATCH)
			continue;
		send_messages(io, fds[six], headers[six], messages[six], n[six]);
		n[six] = 0;
	}
	for (size_t six = 0; six < 2; six++)
		send_messages(io, fds[six], headers[six], messages[six], n[six]);
}

static uint32_t io_path_mtu(void *context, const struct addr *local, const struct addr *remote)
{
	const struct esp_io *io = context;

	return netlink_route_mtu(local, remote, io->own_mark);
}

/* ---- in ---- */

static void read_tun(struct esp_io *io)
{
	for (unsigned i = 0; i < BATCH; i++) {
		ssize_t n = read(io->tun, io->packet, sizeof io->packet);

		if (n < 0)
			return;
		if (n < OFFLOAD_HEADER) {
			io->sad->drops[DROP_MALFORMED]++;
			continue;
		}
		plane_send(io->sad, io->packet, io->packet + OFFLOAD_HEADER, (size_t)n - OFFLOAD_HEADER);
	}
}

/* An IPv4 raw socket gives the packet with its header, whole: the kernel has put fragments together. */
static void read_raw4(struct esp_io *io)
{
	for (unsigned i = 0; i < BATCH; i++) {
		ssize_t n = recv(io->raw4, io->packet, sizeof io->packet, MSG_DONTWAIT);

		if (n < 0)
			return;
		plane_receive(io->sad, io->packet, (size_t)n);
	}
}

/* An IPv6 one keeps the header, which is made again from what it tells beside. Extension headers before ESP have had
 * their effect on the way and are left out. */
static bool header6(uint8_t *header, struct msghdr *h, size_t payload)
{
	const struct sockaddr_in6 *from = h->msg_name;
	struct wire_out out = wire_out(header, IP6_HEADER);
	uint32_t flow = 0;
	int hops = 64;
	const uint8_t *to = NULL;
	struct in6_pktinfo info;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		if (c->cmsg_level != IPPROTO_IPV6)
			continue;
		if (c->cmsg_type == IPV6_PKTINFO && c->cmsg_len >= CMSG_LEN(sizeof info)) {
			memcpy(&info, CMSG_DATA(c), sizeof info);
			to = info.ipi6_addr.s6_addr;
		} else if (c->cmsg_type == IPV6_HOPLIMIT && c->cmsg_len >= CMSG_LEN(sizeof hops)) {
			memcpy(&hops, CMSG_DATA(c), sizeof hops);
		} else if (c->cmsg_type == IPV6_FLOWINFO && c->cmsg_len >= CMSG_LEN(sizeof flow)) {
			memcpy(&flow, CMSG_DATA(c), sizeof flow);
		}
	}
	if (!to || payload > UINT16_MAX)
		return false;
	wire_put_u32(&out, 0x60000000 | (ntohl(flow) & 0x0fffffff));
	wire_put_u16(&out, (uint16_t)payload);
	wire_put_u8(&out, IP_ESP);
	wire_put_u8(&out, (uint8_t)hops);
	wire_put(&out, from->sin6_addr.s6_addr, 16);
	wire_put(&out, to, 16);
	return !out.failed;
}

static void read_raw6(struct esp_io *io)
{
	for (unsigned i = 0; i < BATCH; i++) {
		union {
			struct cmsghdr align;
			uint8_t octets[CONTROL_ROOM];
		} control;
		struct sockaddr_in6 from;
		struct iovec part = { io->packet + IP6_HEADER, sizeof io->packet - IP6_HEADER };
		struct msghdr h = { .msg_name = &from,
				    .msg_namelen = sizeof from,
				    .msg_iov = &part,
				    .msg_iovlen = 1,
				    .msg_control = &control,
				    .msg_controllen = sizeof control };
		ssize_t n = recvmsg(io->raw6, &h, MSG_DONTWAIT);

		if (n < 0)
			return;
		if (header6(io->packet, &h, (size_t)n))
			plane_receive(io->sad, io->packet, (size_t)n + IP6_HEADER);
		else
			io->sad->drops[DROP_MALFORMED]++;
	}
}

/* ICMP errors that the kernel matched to our socket. Only "too big" is of use: whether a peer is there is keying's to
 * find out. */
static void read_errors(struct esp_io *io, int fd)
{
	for (unsigned i = 0; i < BATCH; i++) {
		union {
			struct cmsghdr align;
			uint8_t octets[2 * CONTROL_ROOM];
		} control;
		struct iovec part = { io->packet, sizeof io->packet };
		struct msghdr h = {
			.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
		};
		ssize_t n = recvmsg(fd, &h, MSG_ERRQUEUE | MSG_DONTWAIT);

		if (n < 0)
			return;
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c)) {
			struct sock_extended_err e;

			if (!((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
			      (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR)) ||
			    c->cmsg_len < CMSG_LEN(sizeof e))
				continue;
			memcpy(&e, CMSG_DATA(c), sizeof e);
			if (e.ee_errno == EMSGSIZE &&
			    (e.ee_origin == SO_EE_ORIGIN_ICMP || e.ee_origin == SO_EE_ORIGIN_ICMP6))
				plane_too_big(io->sad, io->packet, (size_t)n, e.ee_info);
		}
	}
}

void esp_readable(struct sad *s)
{
	struct esp_io *io = s->config.io;
	struct epoll_event ready[3];
	int n = epoll_wait(io->epoll, ready, ARRAY_LEN(ready), 0);

	plane_enter(s);
	for (int i = 0; i < n; i++) {
		int fd = ready[i].data.fd;

		if (fd != io->tun && (ready[i].events & EPOLLERR))
			read_errors(io, fd);
		if (!(ready[i].events & EPOLLIN))
			continue;
		if (fd == io->tun)
			read_tun(io);
		else if (fd == io->raw4)
			read_raw4(io);
		else
			read_raw6(io);
	}
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

void esp_encapsulated(struct sad *s, const struct esp_datagram *g)
{
	struct esp_io *io = s->config.io;
	struct wire_out out = wire_out(io->packet, sizeof io->packet);
	size_t udp = UDP_HEADER + g->len;

	plane_enter(s);
	if (g->len > IP_PACKET_MOST - IP4_HEADER - UDP_HEADER) {
		plane_drop(s, DROP_MALFORMED);
	} else {
		if (g->local.family == 4) {
			wire_put_u16(&out, (uint16_t)(0x4500 | g->tos));
			wire_put_u16(&out, (uint16_t)(IP4_HEADER + udp));
			wire_put_u32(&out, 0x4000);
			wire_put_u16(&out, (uint16_t)(g->ttl << 8 | IP_UDP));
			wire_put_u16(&out, 0);
		} else {
			wire_put_u32(&out, 0x60000000 | (uint32_t)g->tos << 20);
			wire_put_u16(&out, (uint16_t)udp);
			wire_put_u16(&out, (uint16_t)(IP_UDP << 8 | g->ttl));
		}
		wire_put(&out, g->remote.octets, addr_octets(&g->remote));
		wire_put(&out, g->local.octets, addr_octets(&g->local));
		wire_put_u16(&out, g->remote_port);
		wire_put_u16(&out, g->local_port);
		wire_put_u16(&out, (uint16_t)udp);
		wire_put_u16(&out, 0);
		wire_put(&out, g->octets, g->len);
		plane_receive(s, io->packet, out.len);
	}
	plane_leave(s);
}

/* ---- making it ---- */

struct option_row {
	int level, name, value;
	bool needed;
	const char *what;
};

static int set_options(int fd, const struct option_row *rows, size_t n, struct diag *d)
{
	for (size_t i = 0; i < n; i++)
		if (setsockopt(fd, rows[i].level, rows[i].name, &rows[i].value, sizeof rows[i].value) < 0 &&
		    rows[i].needed)
			return diag_errno(d, errno, "raw ESP socket: %s", rows[i].what);
	return 0;
}

static int raw_open(int family, uint32_t mark, int *ret_fd, struct diag *d)
{
	/* The path MTU is ours to keep (path.h): the kernel is not to refuse by what it believes of it. */
	const struct option_row both[] = {
		{ SOL_SOCKET, SO_MARK, (int)mark, true, "SO_MARK" },
		{ SOL_SOCKET, SO_RCVBUFFORCE, BUFFERS, false, "receive buffer" },
		{ SOL_SOCKET, SO_SNDBUFFORCE, BUFFERS, false, "send buffer" },
	};
	static const struct option_row four[] = {
		{ IPPROTO_IP, IP_HDRINCL, 1, true, "IP_HDRINCL" },
		{ IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE, true, "IP_MTU_DISCOVER" },
		{ IPPROTO_IP, IP_RECVERR, 1, true, "IP_RECVERR" },
	};
	static const struct option_row six[] = {
		{ IPPROTO_IPV6, IPV6_HDRINCL, 1, true, "IPV6_HDRINCL" },
		{ IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE, true, "IPV6_MTU_DISCOVER" },
		{ IPPROTO_IPV6, IPV6_RECVERR, 1, true, "IPV6_RECVERR" },
		{ IPPROTO_IPV6, IPV6_RECVPKTINFO, 1, true, "IPV6_RECVPKTINFO" },
		{ IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1, true, "IPV6_RECVHOPLIMIT" },
		{ IPPROTO_IPV6, IPV6_FLOWINFO, 1, true, "IPV6_FLOWINFO" },
	};
	int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IP_ESP), r;

	if (fd < 0 && errno == EPERM)
		return diag_fail(d, EPERM, "may not open a raw socket: it needs root or the capability NET_RAW");
	if (fd < 0)
		return diag_errno(d, errno, "open a raw ESP socket");
	if ((r = set_options(fd, both, ARRAY_LEN(both), d)) < 0 ||
	    (r = family == AF_INET ? set_options(fd, four, ARRAY_LEN(four), d)
				   : set_options(fd, six, ARRAY_LEN(six), d)) < 0) {
		(void)close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

static int watch(struct esp_io *io, struct diag *d)
{
	const int fds[] = { io->tun, io->raw4, io->raw6 };

	io->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (io->epoll < 0)
		return diag_errno(d, errno, "epoll_create1");
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		struct epoll_event e = { .events = EPOLLIN, .data.fd = fds[i] };

		if (fds[i] >= 0 && epoll_ctl(io->epoll, EPOLL_CTL_ADD, fds[i], &e) < 0)
			return diag_errno(d, errno, "epoll_ctl");
	}
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
	io->epoll = io->tun = io->raw4 = io->raw6 = -1;
	if ((r = raw_open(AF_INET, c->own_mark, &io->raw4, d)) < 0 ||
	    ((r = raw_open(AF_INET6, c->own_mark, &io->raw6, d)) < 0 && r != -EAFNOSUPPORT))
		goto fail;
	io->tun = tun_open(c->tun, d);
	if ((r = io->tun) < 0 || (r = watch(io, d)) < 0 || (r = plane_new(&plane, &io->sad, d)) < 0)
		goto fail;
	*ret = io->sad;
	return 0;
fail:
	io_close(io);
	return r;
}
