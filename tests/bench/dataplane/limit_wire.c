/* One end of TUN -> wire -> TUN for small datagrams: equal packets that the TUN gives one after the other leave as one
 * UDP_SEGMENT send; what UDP_GRO hands over at once becomes one super-packet (USO) for the TUN. */
#include "tests/bench/dataplane/limit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_tun.h>
#include <linux/udp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

enum {
	PORT = 4599,
	SEND_MOST = 65000,
	SEGMENTS_MOST = 64,
	MESSAGES = 8,
	HEAD = 28, /* IPv4 and UDP */
	BUFFER = 8 << 20,
};

struct wire {
	int tun, fd;
	uint8_t out[SEND_MOST];
	size_t used, segments, size; /* of one send: equal packets */
	uint8_t in[MESSAGES][LIMIT_ROOM];
	uint8_t super[LIMIT_ROOM];
	size_t super_len, super_size; /* IP octets in it, payload of each datagram; 0: none */
};

static void send_out(struct wire *w)
{
	union {
		char room[CMSG_SPACE(sizeof(uint16_t))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec piece = { w->out, w->used };
	struct msghdr m = { .msg_iov = &piece, .msg_iovlen = 1 };
	uint16_t size = (uint16_t)w->size;

	if (w->segments > 1) {
		m.msg_control = control.room;
		m.msg_controllen = sizeof control.room;
		control.align = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof size),
						  .cmsg_level = IPPROTO_UDP,
						  .cmsg_type = UDP_SEGMENT };
		memcpy(CMSG_DATA(&control.align), &size, sizeof size);
	}
	if (w->segments > 0)
		(void)!sendmsg(w->fd, &m, 0);
	w->used = w->segments = 0;
}

/* UDP's sum is made again on the other side; others are completed here. */
static void complete(uint8_t *ip, size_t len, const struct virtio_net_hdr *vnet)
{
	uint16_t sum;

	if (!(vnet->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) || vnet->csum_start + vnet->csum_offset + 2u > len)
		return;
	sum = (uint16_t)~limit_sum(0, ip + vnet->csum_start, len - vnet->csum_start);
	memcpy(ip + vnet->csum_start + vnet->csum_offset, &sum, sizeof sum);
}

static bool from_tun(struct wire *w)
{
	uint8_t packet[SEND_MOST];
	struct virtio_net_hdr vnet;
	struct iovec parts[2] = { { &vnet, VNET }, { packet, sizeof packet } };
	ssize_t n = readv(w->tun, parts, 2);
	size_t len;

	if (n <= VNET)
		return false;
	len = (size_t)n - VNET;
	complete(packet, len, &vnet);
	if (w->segments > 0 && (len != w->size || w->used + len > SEND_MOST))
		send_out(w);
	w->size = len;
	memcpy(w->out + w->used, packet, len);
	w->used += len;
	if (++w->segments == SEGMENTS_MOST)
		send_out(w);
	return true;
}

static void write_super(struct wire *w)
{
	struct virtio_net_hdr vnet = { 0 };
	struct iovec parts[2] = { { &vnet, VNET }, { w->super, w->super_len } };
	uint8_t *ip = w->super;
	uint16_t sum, len = htons((uint16_t)w->super_len), udp_len = htons((uint16_t)(w->super_len - 20));

	if (w->super_len == 0)
		return;
	if (w->super_size > 0 && w->super_len > HEAD + w->super_size) {
		vnet = (struct virtio_net_hdr){ .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
						.gso_type = VIRTIO_NET_HDR_GSO_UDP_L4,
						.hdr_len = HEAD,
						.gso_size = (uint16_t)w->super_size,
						.csum_start = 20,
						.csum_offset = 6 };
		memcpy(ip + 2, &len, sizeof len);
		memcpy(ip + 24, &udp_len, sizeof udp_len);
		memset(ip + 10, 0, sizeof sum);
		sum = (uint16_t)~limit_sum(0, ip, 20);
		memcpy(ip + 10, &sum, sizeof sum);
		sum = (uint16_t)limit_pseudo(ip, w->super_len - 20);
		memcpy(ip + 26, &sum, sizeof sum);
	}
	(void)!writev(w->tun, parts, 2);
	w->super_len = 0;
}

static bool is_datagram(const uint8_t *ip, size_t len)
{
	return len > HEAD && ip[0] == 0x45 && ip[9] == IPPROTO_UDP && (ip[6] & 0x3f) == 0 && ip[7] == 0;
}

/* Addresses and ports; lengths are equal when it is asked. */
static bool same_flow(const uint8_t *a, const uint8_t *b)
{
	return memcmp(a + 12, b + 12, 12) == 0;
}

static void to_tun(struct wire *w, const uint8_t *ip, size_t len)
{
	bool joins = is_datagram(ip, len);

	if (w->super_len > 0 && (!joins || w->super_size != len - HEAD || !same_flow(w->super, ip) ||
				 w->super_len + len > SEND_MOST || w->super_len >= HEAD + SEGMENTS_MOST * (len - HEAD)))
		write_super(w);
	if (w->super_len == 0) {
		memcpy(w->super, ip, len);
		w->super_len = len;
		w->super_size = joins ? len - HEAD : 0;
		if (!joins)
			write_super(w);
		return;
	}
	memcpy(w->super + w->super_len, ip + HEAD, len - HEAD);
	w->super_len += len - HEAD;
}

static size_t segment_of(struct msghdr *m, size_t whole)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		int size;

		if (c->cmsg_level != IPPROTO_UDP || c->cmsg_type != UDP_GRO)
			continue;
		memcpy(&size, CMSG_DATA(c), sizeof size);
		return size > 0 ? (size_t)size : whole;
	}
	return whole;
}

static bool from_wire(struct wire *w)
{
	static union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control[MESSAGES];
	struct mmsghdr got[MESSAGES];
	struct iovec pieces[MESSAGES];
	int n;

	for (size_t i = 0; i < MESSAGES; i++) {
		pieces[i] = (struct iovec){ w->in[i], sizeof w->in[i] };
		got[i].msg_hdr = (struct msghdr){ .msg_iov = &pieces[i],
						  .msg_iovlen = 1,
						  .msg_control = control[i].room,
						  .msg_controllen = sizeof control[i].room };
	}
	n = recvmmsg(w->fd, got, MESSAGES, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++) {
		size_t whole = got[i].msg_len, step = segment_of(&got[i].msg_hdr, whole);

		for (size_t at = 0; at < whole; at += step)
			to_tun(w, w->in[i] + at, whole - at < step ? whole - at : step);
	}
	write_super(w);
	return n > 0;
}

static int open_wire(const char *own, const char *peer)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), yes = 1, room = BUFFER;
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(PORT) }, to = at;

	if (fd < 0 || inet_pton(AF_INET, own, &at.sin_addr) != 1 || inet_pton(AF_INET, peer, &to.sin_addr) != 1 ||
	    bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0 ||
	    setsockopt(fd, IPPROTO_UDP, UDP_GRO, &yes, sizeof yes) < 0)
		limit_die("UDP socket");
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
	return fd;
}

void limit_wire(const char *ns, const char *own, const char *peer)
{
	static struct wire w;

	w.tun = limit_tun(ns, TUN_F_CSUM);
	limit_enter(ns);
	w.fd = open_wire(own, peer);
	(void)printf("ready\n");
	(void)fflush(stdout);
	for (;;) {
		struct pollfd both[2] = { { .fd = w.tun, .events = POLLIN }, { .fd = w.fd, .events = POLLIN } };
		bool any = false;

		for (size_t i = 0; i < LIMIT_TURN && from_tun(&w); i++)
			any = true;
		send_out(&w);
		any |= from_wire(&w);
		if (!any)
			(void)poll(both, 2, -1);
	}
}
