/* ESP in UDP by the socket that has the port: a run of packets of one length is one system call, and the kernel carries
 * it as one packet as far as it can, maybe to the network card (UDP_SEGMENT, Linux 4.18). What a UDP socket would not
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

union control {
	struct cmsghdr align;
	uint8_t octets[128];
};

static void put(struct msghdr *m, int level, int type, const void *data, size_t n)
{
	struct cmsghdr *c = (struct cmsghdr *)(void *)((uint8_t *)m->msg_control + m->msg_controllen);

	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(n);
	memcpy(CMSG_DATA(c), data, n);
	m->msg_controllen += CMSG_SPACE(n);
}

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

/* Returns 0 or what was wrong. Earlier packets' ICMP errors are told here too; this one has not gone then. */
static int send_run(struct esp_io *io, const struct heading *h, struct iovec *parts, size_t n)
{
	struct sockaddr_storage to;
	union control control;
	struct msghdr m = { .msg_name = &to, .msg_iov = parts, .msg_iovlen = n, .msg_control = &control };

	m.msg_namelen = (socklen_t)addr_to_sockaddr(&h->remote, h->remote_port, &to);
	memset(&control, 0, sizeof control);
	put_control(&m, h, n > 1 ? (uint16_t)parts[0].iov_len : 0);
	for (int tries = 0; tries < SEND_TRIES; tries++) {
		if (sendmsg(io->nat.fd[h->local.family == 4 ? 0 : 1], &m, MSG_DONTWAIT) >= 0)
			return 0;
		if (errno != EINTR && errno != ECONNREFUSED && errno != EHOSTUNREACH && errno != ENETUNREACH)
			break;
	}
	return errno;
}

static void failed(struct esp_io *io, const struct heading *h, int error, size_t packets)
{
	if (error == EMSGSIZE)
		path_doubt(&io->sad->paths, &h->local, &h->remote);
	io->sad->drops[DROP_SEND] += packets;
}

size_t io_send_nat(struct esp_io *io, const struct packet_list *l, size_t i)
{
	const uint8_t *first = l->octets + l->rows[i].at;
	uint64_t *plain_until = &io->nat.plain_until_ms[first[0] >> 4 == 4 ? 0 : 1];
	size_t most = io->sad->now < *plain_until ? 1 : AT_ONCE, n = 0, size, octets = 0;
	struct iovec parts[AT_ONCE];
	struct heading h;
	int error;

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
	error = send_run(io, &h, parts, n);
	if (error && n > 1) { /* the device cannot, or one of the packets is too large */
		if (error == EIO || error == EINVAL || error == EOPNOTSUPP)
			*plain_until = io->sad->now + AGAIN_MS;
		for (size_t k = 0; k < n; k++)
			if ((error = send_run(io, &h, parts + k, 1)))
				failed(io, &h, error, 1);
	} else if (error) {
		failed(io, &h, error, 1);
	}
	return n;
}
