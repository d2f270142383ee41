#include "dataplane/esp/offload.h"

#include "base/diag.h"
#include "base/scope.h"
#include "dataplane/esp/checksum.h"
#include "dataplane/esp/octets.h"

#include <errno.h>
#include <linux/virtio_net.h>
#include <string.h>

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

enum {
	TCP_CHECKSUM = 16,
	TCP_FLAGS = 13,
	TCP_FIN = 0x01,
	TCP_PSH = 0x08,
	TCP_CWR = 0x80,
	TCP_HEADER = 20,
	UDP_CHECKSUM = 6,
};

static const struct cut_row {
	uint8_t gso, family, protocol;
	enum offload_cut cut;
} cut_rows[] = {
	{ VIRTIO_NET_HDR_GSO_TCPV4, 4, IP_TCP, CUT_TCP },
	{ VIRTIO_NET_HDR_GSO_TCPV6, 6, IP_TCP, CUT_TCP },
	{ VIRTIO_NET_HDR_GSO_UDP_L4, 4, IP_UDP, CUT_UDP },
	{ VIRTIO_NET_HDR_GSO_UDP_L4, 6, IP_UDP, CUT_UDP },
};

static int decode_cut(uint8_t gso, uint16_t size, const struct ip_packet *ip, struct offload *o, struct diag *d)
{
	for (size_t i = 0; i < ARRAY_LEN(cut_rows); i++) {
		const struct cut_row *row = &cut_rows[i];

		if (row->gso != gso || row->family != ip->source.family || row->protocol != ip->protocol)
			continue;
		if (!o->needs_checksum || o->checksum_at != ip->upper || size == 0 || ip->fragment ||
		    o->checksum_put != (row->cut == CUT_TCP ? TCP_CHECKSUM : UDP_CHECKSUM))
			break;
		o->cut = row->cut;
		o->cut_size = size;
		return 0;
	}
	return diag_fail(d, ERR_SYNTAX, "a super-packet of kind %u that does not fit its headers", gso);
}

int offload_decode(const uint8_t header[OFFLOAD_HEADER], const struct ip_packet *ip, const uint8_t *packet,
		   struct offload *ret, struct diag *d)
{
	struct virtio_net_hdr h;
	struct offload o = { 0 };
	uint8_t gso;

	memcpy(&h, header, sizeof h);
	gso = h.gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
	if (h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
		o.needs_checksum = true;
		o.checksum_at = h.csum_start;
		o.checksum_put = h.csum_offset;
		if ((size_t)h.csum_start < ip->head || (size_t)h.csum_start + h.csum_offset + 2 > ip->len)
			return diag_fail(d, ERR_SYNTAX, "a checksum at %u+%u of %zu octets", h.csum_start,
					 h.csum_offset, ip->len);
	}
	if (gso != VIRTIO_NET_HDR_GSO_NONE) {
		int r = decode_cut(gso, h.gso_size, ip, &o, d);

		if (r < 0)
			return r;
	}
	if (o.cut == CUT_TCP) {
		size_t room = ip->len - ip->upper;
		size_t tcp = room > TCP_HEADER ? (packet[ip->upper + 12] >> 4) * 4u : 0;

		if (tcp < TCP_HEADER || tcp > room)
			return diag_fail(d, ERR_SYNTAX, "TCP header of %zu octets in %zu", tcp, room);
	} else if (o.cut == CUT_UDP && ip->len - ip->upper < UDP_HEADER) {
		return diag_fail(d, ERR_SYNTAX, "the UDP header does not fit");
	}
	*ret = o;
	return 0;
}

/* A sum of zero is sent as its other form: in UDP zero says "no checksum", in TCP both mean the same. */
static void finish(uint8_t *packet, size_t len, size_t from, size_t field)
{
	uint16_t sum = (uint16_t)~checksum_fold(checksum_add(0, packet + from, len - from));

	put_u16(packet + field, sum ? sum : 0xffff);
}

void offload_complete(const struct offload *o, uint8_t *packet, size_t len)
{
	if (o->needs_checksum)
		finish(packet, len, o->checksum_at, (size_t)o->checksum_at + o->checksum_put);
}

int cutter_init(struct cutter *c, const struct offload *o, const struct ip_packet *ip, const uint8_t *packet,
		size_t most, struct diag *d)
{
	size_t transport = o->cut == CUT_TCP ? (packet[ip->upper + 12] >> 4) * 4u : UDP_HEADER;
	size_t field = ip->upper + (o->cut == CUT_TCP ? TCP_CHECKSUM : UDP_CHECKSUM);

	*c = (struct cutter){ .packet = packet, .ip = ip, .cut = o->cut, .head = ip->upper + transport };
	c->total = ip->len - c->head;
	c->size = o->cut_size;
	if (o->cut == CUT_TCP && most < c->head + c->size)
		c->size = most > c->head ? most - c->head : 0;
	if (c->size == 0 || c->total / c->size >= CUTTER_PIECES_MOST)
		return diag_fail(d, EMSGSIZE, "%zu octets cannot be cut to pieces of %zu", c->total, c->size);
	/* What the kernel left there is the sum of addresses, protocol and whole length. That of a routing header's
	 * last hop too, which is why it is taken from there and not made anew. */
	c->pseudo = (uint64_t)get_u16(packet + field) + 0xffff - checksum_fold(ip->len - ip->upper);
	c->can_here = c->head <= sizeof c->kept;
	if (c->can_here)
		memcpy(c->kept, packet, c->head);
	return 0;
}

/* The piece's payload stands behind. */
static void put_headers(struct cutter *c, uint8_t *to, size_t n)
{
	const uint8_t *first = c->can_here ? c->kept : c->packet;
	size_t upper = c->ip->upper, field = upper + (c->cut == CUT_TCP ? TCP_CHECKSUM : UDP_CHECKSUM);
	size_t len = c->head + n;

	memcpy(to, first, c->head);
	if (c->cut == CUT_TCP) {
		put_u32(to + upper + 4, get_u32(first + upper + 4) + (uint32_t)c->at);
		if (c->at + n < c->total)
			to[upper + TCP_FLAGS] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
		if (c->number > 0)
			to[upper + TCP_FLAGS] &= (uint8_t)~TCP_CWR;
	} else {
		put_u16(to + upper + 4, (uint16_t)(UDP_HEADER + n));
	}
	put_u16(to + field, checksum_fold(c->pseudo + (len - upper)));
	finish(to, len, upper, field);
	if (c->ip->source.family == 4)
		put_u16(to + 4, (uint16_t)(get_u16(first + 4) + c->number));
	ip_patch(to, c->ip, len, c->ip->next);
	c->at += n;
	c->number++;
}

size_t cutter_next(struct cutter *c, uint8_t *to)
{
	size_t n = c->total - c->at < c->size ? c->total - c->at : c->size;

	if (n == 0 && c->number > 0)
		return 0;
	memcpy(to + c->head, c->packet + c->head + c->at, n);
	put_headers(c, to, n);
	return c->head + n;
}

uint8_t *cutter_next_here(struct cutter *c, uint8_t *packet, size_t *ret_len)
{
	uint8_t *to = packet + c->at;

	if (!c->can_here || c->total - c->at < c->size + CUTTER_BEHIND)
		return NULL;
	*ret_len = c->head + c->size;
	put_headers(c, to, c->size);
	return to;
}
