#include "base/wire.h"
#include "dataplane/esp/esp.h"
#include "dataplane/esp/io.h"
#include "dataplane/esp/octets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <netpacket/packet.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IPV6_FLOWINFO /* in <linux/in6.h>, which does not go together with <netinet/in.h> */
#define IPV6_FLOWINFO 11
#endif

/* As many packets as have come, each in its place; the number, or negative. */
struct batch {
	struct mmsghdr m[IO_AT_ONCE];
	struct iovec parts[IO_AT_ONCE];
	struct sockaddr_in6 from[IO_AT_ONCE];
	union {
		struct cmsghdr align;
		uint8_t octets[IO_CONTROL_ROOM];
	} control[IO_AT_ONCE];
};

static int receive_batch(struct esp_io *io, int fd, bool beside, struct batch *b)
{
	for (size_t i = 0; i < IO_AT_ONCE; i++) {
		b->parts[i] = (struct iovec){ io->places[i].octets, sizeof io->places[i].octets };
		b->m[i].msg_hdr = (struct msghdr){ .msg_iov = &b->parts[i], .msg_iovlen = 1 };
		if (!beside)
			continue;
		b->m[i].msg_hdr.msg_name = &b->from[i];
		b->m[i].msg_hdr.msg_namelen = sizeof b->from[i];
		b->m[i].msg_hdr.msg_control = &b->control[i];
		b->m[i].msg_hdr.msg_controllen = sizeof b->control[i];
	}
	return recvmmsg(fd, b->m, IO_AT_ONCE, MSG_DONTWAIT, NULL);
}

/* An IPv4 raw socket gives the packet with its header, whole: the kernel has put fragments together. */
void io_read_raw4(struct esp_io *io, int fd)
{
	struct batch b;
	int n = receive_batch(io, fd, false, &b);

	io->sad->stays = true;
	for (int i = 0; i < n; i++)
		plane_receive(io->sad, io->places[i].octets, b.m[i].msg_len);
	io->sad->stays = false;
	plane_flush(io->sad);
}

/* An IPv6 one keeps the header, which is made again from what it tells beside. Extension headers before ESP have had
 * their effect on the way and are left out; those before AH, which covers them, come in their order (RFC 3542 4). */
struct beside {
	uint32_t flow;
	int hops;
	const uint8_t *to;
	uint8_t first; /* what the IPv6 header names next */
	struct wire_out headers;
};

static void header_beside(struct beside *b, uint8_t protocol, const uint8_t *octets, size_t len)
{
	size_t whole = len < 2 ? 0 : octets[1] * 8u + 8u;

	if (b->headers.len == 0)
		b->first = protocol;
	if (whole == 0 || whole > len)
		b->headers.failed = true;
	else
		wire_put(&b->headers, octets, whole);
}

static void read_beside(struct beside *b, struct msghdr *h)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		const uint8_t *data = CMSG_DATA(c);
		size_t len = c->cmsg_len - CMSG_LEN(0);

		if (c->cmsg_level != IPPROTO_IPV6)
			continue;
		if (c->cmsg_type == IPV6_PKTINFO && len >= sizeof(struct in6_pktinfo))
			b->to = data + offsetof(struct in6_pktinfo, ipi6_addr);
		else if (c->cmsg_type == IPV6_HOPLIMIT && len >= sizeof b->hops)
			memcpy(&b->hops, data, sizeof b->hops);
		else if (c->cmsg_type == IPV6_FLOWINFO && len >= sizeof b->flow)
			memcpy(&b->flow, data, sizeof b->flow);
		else if (c->cmsg_type == IPV6_HOPOPTS)
			header_beside(b, IPPROTO_HOPOPTS, data, len);
		else if (c->cmsg_type == IPV6_DSTOPTS)
			header_beside(b, IPPROTO_DSTOPTS, data, len);
		else if (c->cmsg_type == IPV6_RTHDR)
			header_beside(b, IPPROTO_ROUTING, data, len);
	}
}

/* Write the headers so that they end where the payload begins; their length, or 0. */
static size_t header6(uint8_t *payload_at, struct msghdr *h, size_t payload, uint8_t protocol)
{
	const struct sockaddr_in6 *from = h->msg_name;
	uint8_t headers[IO_HEADERS_ROOM];
	struct beside b = { .hops = 64, .first = protocol, .headers = wire_out(headers, sizeof headers) };
	struct wire_out out;
	size_t all;

	read_beside(&b, h);
	all = IP6_HEADER + b.headers.len;
	if (!b.to || b.headers.failed || h->msg_flags & MSG_CTRUNC || b.headers.len + payload > UINT16_MAX)
		return 0;
	out = wire_out(payload_at - all, all);
	wire_put_u32(&out, 0x60000000 | (ntohl(b.flow) & 0x0fffffff));
	wire_put_u16(&out, (uint16_t)(b.headers.len + payload));
	wire_put_u8(&out, b.first);
	wire_put_u8(&out, (uint8_t)b.hops);
	wire_put(&out, from->sin6_addr.s6_addr, 16);
	wire_put(&out, b.to, 16);
	wire_put(&out, headers, b.headers.len);
	return out.failed ? 0 : all;
}

void io_read_raw6(struct esp_io *io, int fd, uint8_t protocol)
{
	struct batch b;
	int n = receive_batch(io, fd, true, &b);

	io->sad->stays = true;
	for (int i = 0; i < n; i++) {
		uint8_t *at = io->places[i].octets;
		size_t head = header6(at, &b.m[i].msg_hdr, b.m[i].msg_len, protocol);

		if (head)
			plane_receive(io->sad, at - head, head + b.m[i].msg_len);
		else
			io->sad->drops[DROP_MALFORMED]++;
	}
	io->sad->stays = false;
	plane_flush(io->sad);
}

/* RFC 4443 3.2; the filter has seen to what it is. */
void io_read_too_big6(struct esp_io *io)
{
	for (unsigned i = 0; i < IO_BATCH; i++) {
		struct sockaddr_ll from = { 0 };
		socklen_t from_len = sizeof from;
		ssize_t n = recvfrom(io->fds.fd[ESP_FD_TOO_BIG6], io->packet, sizeof io->packet, MSG_DONTWAIT,
				     (struct sockaddr *)&from, &from_len);
		struct wire_in in = wire_in(io->packet, n < 0 ? 0 : (size_t)n);
		uint32_t mtu;

		if (n < 0)
			return;
		(void)wire_octets(&in, IP6_HEADER + 4);
		mtu = wire_u32(&in);
		if (!in.failed && from.sll_pkttype != PACKET_OUTGOING)
			plane_too_big(io->sad, in.at, in.left, mtu);
	}
}

/* ICMP errors that the kernel matched to our socket. Only "too big" is of use: whether a peer is there is keying's to
 * find out. */
void io_read_errors(struct esp_io *io, int fd)
{
	for (unsigned i = 0; i < IO_BATCH; i++) {
		union {
			struct cmsghdr align;
			uint8_t octets[IO_CONTROL_ROOM];
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

/* The IP and UDP headers that stood before the first of the datagram's packets; the lengths follow for each. */
static size_t headers_of(const struct esp_datagram *g, uint8_t *to)
{
	struct wire_out out = wire_out(to, ESP_DATAGRAM_HEADROOM);
	bool v4 = g->local.family == 4;

	wire_put_u32(&out, v4 ? 0x45000000 | (uint32_t)g->tos << 16 : 0x60000000 | (uint32_t)g->tos << 20);
	if (v4)
		wire_put_u32(&out, 0x4000);
	wire_put_u32(&out, v4 ? (uint32_t)g->ttl << 24 | IP_UDP << 16 : (uint32_t)IP_UDP << 8 | g->ttl);
	wire_put(&out, g->remote.octets, addr_octets(&g->remote));
	wire_put(&out, g->local.octets, addr_octets(&g->local));
	wire_put_u16(&out, g->remote_port);
	wire_put_u16(&out, g->local_port);
	wire_put_u32(&out, 0);
	return out.len;
}

/* Of a size that the compiler knows: one for each packet. */
static void copy_headers(void *to, const void *from, bool v4)
{
	if (v4)
		memcpy(to, from, IP4_HEADER + UDP_HEADER);
	else
		memcpy(to, from, IP6_HEADER + UDP_HEADER);
}

static void put_lengths(uint8_t *headers, bool v4, size_t esp)
{
	size_t head = v4 ? IP4_HEADER : IP6_HEADER;

	put_u16(headers + (v4 ? 2 : 4), (uint16_t)(UDP_HEADER + esp + (v4 ? head : 0)));
	put_u16(headers + head + 4, (uint16_t)(UDP_HEADER + esp));
}

/* Each packet is opened where it lies. The headers that it needs for that stand over the end of the one before, whose
 * octets come back when it is done: that one may still have to be sent. */
void esp_encapsulated(struct sad *s, const struct esp_datagram *g)
{
	uint8_t headers[ESP_DATAGRAM_HEADROOM], kept[ESP_DATAGRAM_HEADROOM];
	const bool v4 = g->local.family == 4;
	size_t head = headers_of(g, headers), segment = g->segment ? g->segment : g->len;
	struct ip_packet ip = { .source = g->remote,
				.destination = g->local,
				.head = head - UDP_HEADER,
				.upper = head - UDP_HEADER,
				.next_at = g->local.family == 4 ? 9 : 6,
				.next = IP_UDP,
				.protocol = IP_UDP,
				.dont_fragment = g->local.family == 4,
				.has_ports = true,
				.source_port = g->remote_port,
				.destination_port = g->local_port };

	plane_enter(s);
	s->stays = true;
	for (size_t at = 0; at < g->len; at += segment) {
		size_t len = g->len - at < segment ? g->len - at : segment;
		uint8_t *packet = g->octets + at - head;

		if (len > IP_PACKET_MOST - head) {
			plane_drop(s, DROP_MALFORMED);
			continue;
		}
		put_lengths(headers, v4, len);
		copy_headers(kept, packet, v4);
		copy_headers(packet, headers, v4);
		ip.len = head + len;
		plane_receive_parsed(s, &ip, packet);
		copy_headers(packet, kept, v4);
	}
	s->stays = false;
	plane_leave(s);
}

void esp_begin(struct sad *s)
{
	plane_enter(s);
}

void esp_end(struct sad *s)
{
	plane_flush(s);
	plane_leave(s);
}
