/* ESP in UDP by the socket that has the port: a run of packets of one length is one message, which the kernel carries
 * as one packet as far as it can, maybe to the network card (UDP_SEGMENT, Linux 4.18); and the runs of a batch, each to
 * another peer perhaps, are one system call. What a UDP socket would not
 * send as it stands goes the other way, by the raw one: fragments, options, and IPv4 without DF, which is set for a
 * socket and not for a packet. */
#include "dataplane/esp/io.h"
#include "dataplane/esp/octets.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdalign.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

enum {
	AT_ONCE = 64,           /* UDP_MAX_SEGMENTS of all kernels */
	OCTETS_AT_ONCE = 65000, /* of one IP packet that the kernel makes of them first */
	AGAIN_MS = 10000,       /* a device without the offload may be gone by then */
	SEND_TRIES = 4,
	STAY_MOST = 16, /* packets that are worth moving to have a send less */
};

/* The headers of a packet as the socket will make them again, from what it is told. */
struct heading {
	struct addr local, remote;
	uint16_t remote_port;
	size_t head; /* octets, UDP's too */
	int tos, ttl;
};

static size_t heading_len(const uint8_t *p)
{
	return (p[0] >> 4 == 4 ? IP4_HEADER : IP6_HEADER) + UDP_HEADER;
}

bool io_goes_by_nat(const struct esp_io *io, const uint8_t *p, const struct packet_out *row)
{
	bool v4 = p[0] >> 4 == 4;
	size_t head = heading_len(p);

	if (!row->in_udp || row->len < head || io->nat.fd[v4 ? 0 : 1] < 0 ||
	    get_u16(p + head - UDP_HEADER) != io->nat.port)
		return false;
	return v4 ? p[0] == 0x45 && p[9] == IP_UDP && p[6] == 0x40 && p[7] == 0 : p[6] == IP_UDP;
}

static void read_heading(const uint8_t *p, struct heading *h)
{
	bool v4 = p[0] >> 4 == 4;

	*h = (struct heading){ .head = heading_len(p) };
	h->local.family = h->remote.family = v4 ? 4 : 6;
	memcpy(h->local.octets, p + (v4 ? 12 : 8), v4 ? 4 : 16);
	memcpy(h->remote.octets, p + (v4 ? 16 : 24), v4 ? 4 : 16);
	h->remote_port = get_u16(p + h->head - UDP_HEADER + 2);
	h->tos = v4 ? p[1] : (p[0] & 15) << 4 | p[1] >> 4;
	h->ttl = v4 ? p[8] : p[7];
}

/* Would the two be made of one heading? */
static bool same_heading(const uint8_t *a, const uint8_t *b)
{
	if (a[0] != b[0])
		return false;
	if (a[0] >> 4 == 4)
		return a[1] == b[1] && a[8] == b[8] && memcmp(a + 12, b + 12, 12) == 0;
	return (a[1] & 0xf0) == (b[1] & 0xf0) && a[7] == b[7] && memcmp(a + 8, b + 8, 36) == 0;
}

static void put(struct msghdr *m, int level, int type, const void *data, size_t n)
{
	struct cmsghdr *c = (struct cmsghdr *)(void *)((uint8_t *)m->msg_control + m->msg_controllen);

	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(n);
	memcpy(CMSG_DATA(c), data, n);
	m->msg_controllen += CMSG_SPACE(n);
}

/* UDP_SEGMENT comes last: who sends the packets of a run one by one leaves it off. */
static void put_control(struct msghdr *m, const struct heading *h, uint16_t segment)
{
	if (h->local.family == 4) {
		struct in_pktinfo from = { 0 };

		memcpy(&from.ipi_spec_dst, h->local.octets, 4);
		put(m, IPPROTO_IP, IP_PKTINFO, &from, sizeof from);
		put(m, IPPROTO_IP, IP_TOS, &h->tos, sizeof h->tos);
		put(m, IPPROTO_IP, IP_TTL, &h->ttl, sizeof h->ttl);
	} else {
		struct in6_pktinfo from = { 0 };

		memcpy(&from.ipi6_addr, h->local.octets, 16);
		put(m, IPPROTO_IPV6, IPV6_PKTINFO, &from, sizeof from);
		put(m, IPPROTO_IPV6, IPV6_TCLASS, &h->tos, sizeof h->tos);
		put(m, IPPROTO_IPV6, IPV6_HOPLIMIT, &h->ttl, sizeof h->ttl);
	}
	if (segment)
		put(m, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof segment);
}

static void failed(struct esp_io *io, const struct nat_run *r, int error)
{
	if (error == EMSGSIZE)
		path_doubt(&io->sad->paths, &r->local, &r->remote);
	io->sad->drops[DROP_SEND]++;
}

/* Of a packet sent before, of which an ICMP error spoke since: this one has not gone. */
static bool is_of_earlier(int error)
{
	return error == EINTR || error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH;
}

static void send_alone(struct esp_io *io, int fd, const struct msghdr *run, const struct nat_run *r, size_t part)
{
	struct msghdr m = *run;

	m.msg_iov += part;
	m.msg_iovlen = 1;
	if (run->msg_iovlen > 1)
		m.msg_controllen -= CMSG_SPACE(sizeof(uint16_t));
	for (int tries = 1; sendmsg(fd, &m, MSG_DONTWAIT) < 0; tries++)
		if (tries == SEND_TRIES || !is_of_earlier(errno)) {
			failed(io, r, errno);
			return;
		}
}

/* The device cannot, or one of the packets is too large, or this one is refused. */
static void send_one_by_one(struct esp_io *io, const struct nat_batch *b, unsigned i, int error)
{
	const struct msghdr *run = &b->headers[i].msg_hdr;

	if (run->msg_iovlen == 1) {
		failed(io, &b->runs[i], error);
		return;
	}
	if (error == EIO || error == EINVAL || error == EOPNOTSUPP)
		io->nat.plain_until_ms[b->six] = io->sad->now + AGAIN_MS;
	for (size_t part = 0; part < run->msg_iovlen; part++)
		send_alone(io, io->nat.fd[b->six], run, &b->runs[i], part);
}

/* sendmmsg stops at the first message that fails, and the next call tells why. */
void io_send_nat(struct esp_io *io, struct nat_batch *b)
{
	unsigned at = 0;
	int tries = 0;

	while (at < b->count) {
		int n = sendmmsg(io->nat.fd[b->six], b->headers + at, b->count - at, MSG_DONTWAIT);

		if (n > 0) {
			at += (unsigned)n;
			tries = 0;
		} else if (++tries == SEND_TRIES || !is_of_earlier(errno)) {
			send_one_by_one(io, b, at, errno);
			at++;
			tries = 0;
		}
	}
	b->count = 0;
	b->used = 0;
}

size_t io_add_nat(struct esp_io *io, struct nat_batch *b, struct packet_list *l, size_t i)
{
	const uint8_t *first = l->octets + l->rows[i].at;
	const bool six = first[0] >> 4 == 6;
	size_t most = io->sad->now < io->nat.plain_until_ms[six] ? 1 : AT_ONCE, n = 0, size, octets = 0;
	struct msghdr *m;
	struct nat_run *r;
	struct iovec *parts;
	struct heading h;

	if (b->count == NAT_RUNS || b->used + AT_ONCE > NAT_PARTS || (b->count && b->six != six))
		io_send_nat(io, b);
	parts = b->parts + b->used;
	read_heading(first, &h);
	size = l->rows[i].len - h.head;
	while (n < most && i + n < l->count) {
		const struct packet_out *row = &l->rows[i + n];
		uint8_t *p = l->octets + row->at;

		if (n > 0 &&
		    (parts[n - 1].iov_len < size || row->len - h.head > size || octets + row->len > OCTETS_AT_ONCE ||
		     !io_goes_by_nat(io, p, row) || !same_heading(first, p)))
			break;
		parts[n++] = (struct iovec){ p + h.head, row->len - h.head };
		octets += row->len - h.head;
	}
	if (l->more_follows && i + n == l->count && n <= STAY_MOST && n < most && parts[n - 1].iov_len == size) {
		l->stay = n;
		return n;
	}
	b->six = six;
	b->used += n;
	r = &b->runs[b->count];
	r->local = h.local;
	r->remote = h.remote;
	m = &b->headers[b->count++].msg_hdr;
	*m = (struct msghdr){ .msg_name = &r->to, .msg_iov = parts, .msg_iovlen = n, .msg_control = r->control };
	m->msg_namelen = (socklen_t)addr_to_sockaddr(&h.remote, h.remote_port, &r->to);
	put_control(m, &h, n > 1 ? (uint16_t)size : 0);
	return n;
}
