#include "dataplane/esp/join.h"

#include "base/scope.h"
#include "dataplane/esp/checksum.h"
#include "dataplane/esp/ip.h"
#include "dataplane/esp/octets.h"

#include <linux/virtio_net.h>
#include <string.h>

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

enum {
	TCP_HEADER = 20,
	TCP_SEQUENCE = 4,
	TCP_ACKNOWLEDGED = 8,
	TCP_OFFSET = 12,
	TCP_FLAGS = 13,
	TCP_WINDOW = 14,
	TCP_CHECKSUM = 16,
	TCP_URGENT = 18,
	UDP_LENGTH = 4,
	UDP_CHECKSUM = 6,
	FIN = 0x01,
	SYN = 0x02,
	RST = 0x04,
	PSH = 0x08,
	ACK = 0x10,
	URG = 0x20,
	CWR = 0x80,
	DF = 0x40, /* of IPv4's octet 6 */
};

/* A row as this file sees it. */
struct part {
	const uint8_t *head;
	size_t head_len, upper;
	struct iovec payload;
	uint8_t protocol;
};

static bool is_v4(const struct part *p)
{
	return p->head[0] >> 4 == 4;
}

/* May it be in a super-packet at all? No options or extension headers of IP, some payload, and of TCP nothing but data.
 */
static bool part_of(const struct packet_list *l, const struct packet_out *row, struct part *ret)
{
	const uint8_t *head = l->octets + row->at;
	struct part p = { .head = head, .upper = row->upper, .protocol = row->protocol };
	size_t whole = row->len + row->body_len;

	if (p.upper != (head[0] >> 4 == 4 ? IP4_HEADER : IP6_HEADER) || row->len < p.upper + UDP_HEADER)
		return false;
	if (p.protocol == IP_TCP) {
		if (row->len < p.upper + TCP_HEADER)
			return false;
		p.head_len = p.upper + (head[p.upper + TCP_OFFSET] >> 4) * 4u;
		if (p.head_len < p.upper + TCP_HEADER || (head[p.upper + TCP_FLAGS] & (SYN | RST | URG | ACK)) != ACK)
			return false;
	} else if (p.protocol == IP_UDP) {
		p.head_len = p.upper + UDP_HEADER;
		if (get_u16(head + p.upper + UDP_LENGTH) != whole - p.upper ||
		    get_u16(head + p.upper + UDP_CHECKSUM) == 0)
			return false;
	} else {
		return false;
	}
	if (p.head_len > row->len || p.head_len >= whole || (row->body_len && p.head_len != row->len))
		return false;
	p.payload = row->body_len ? (struct iovec){ (void *)(uintptr_t)row->body, row->body_len }
				  : (struct iovec){ (void *)(uintptr_t)(head + p.head_len), row->len - p.head_len };
	*ret = p;
	return true;
}

static size_t addresses_at(size_t upper)
{
	return upper == IP4_HEADER ? 12 : 8;
}

/* Addresses, protocol and length. */
static uint64_t pseudo_sum(const uint8_t *head, size_t upper, uint8_t protocol, size_t len)
{
	size_t at = addresses_at(upper);

	return checksum_add(len + protocol, head + at, upper - at);
}

/* Both are made again for the whole: what came wrong must stay wrong. The addresses stand in front of the upper layer's
 * header: one sum for both. */
static bool checksums_right(const struct part *p)
{
	size_t addresses = p->upper - addresses_at(p->upper);
	uint64_t sum = p->head_len - p->upper + p->payload.iov_len + p->protocol;

	if (is_v4(p) && checksum_fold(checksum_add(0, p->head, IP4_HEADER)) != 0xffff)
		return false;
	sum = checksum_add(sum, p->head + p->upper - addresses, addresses + p->head_len - p->upper);
	return checksum_fold(checksum_add(sum, p->payload.iov_base, p->payload.iov_len)) == 0xffff;
}

static size_t flow_slot(const uint8_t *head, size_t upper)
{
	uint32_t h = get_u32(head + upper), w;

	for (size_t at = addresses_at(upper); at < upper; at += 4) {
		memcpy(&w, head + at, sizeof w);
		h = (h ^ w) * 0x9e3779b1u;
	}
	return (h ^ h >> 15) % JOIN_FLOWS;
}

/* Addresses and, behind them, ports: of sizes that the compiler knows. */
static bool same_flow(const struct join_run *r, const struct part *p)
{
	if (r->upper != p->upper || r->head_len != p->head_len || r->first->protocol != p->protocol)
		return false;
	return is_v4(p) ? memcmp(r->head + 12, p->head + 12, 8 + 4) == 0
			: memcmp(r->head + 8, p->head + 8, 32 + 4) == 0;
}

/* All of the IP header that the kernel copies into each piece. Who may not fragment has no use for a number (RFC 6864
 * 4.1); the others' count. */
static bool same_ip(const struct join_run *r, const struct part *p)
{
	const uint8_t *a = r->head, *b = p->head;

	if (!is_v4(p))
		return memcmp(a, b, 4) == 0 && a[7] == b[7];
	return a[1] == b[1] && a[8] == b[8] && a[6] == b[6] && a[7] == b[7] &&
	       ((a[6] & DF) || (uint16_t)(get_u16(a + 4) + r->pieces) == get_u16(b + 4));
}

static bool tcp_follows(const struct join_run *r, const struct part *p)
{
	const uint8_t *a = r->head + r->upper, *b = p->head + p->upper;
	uint8_t other = (uint8_t) ~(FIN | PSH | CWR);

	return get_u32(a + TCP_SEQUENCE) + (uint32_t)r->payload == get_u32(b + TCP_SEQUENCE) &&
	       get_u32(a + TCP_ACKNOWLEDGED) == get_u32(b + TCP_ACKNOWLEDGED) && a[TCP_OFFSET] == b[TCP_OFFSET] &&
	       (a[TCP_FLAGS] & other) == (b[TCP_FLAGS] & other) && !(b[TCP_FLAGS] & CWR) &&
	       get_u16(a + TCP_WINDOW) == get_u16(b + TCP_WINDOW) &&
	       memcmp(a + TCP_URGENT, b + TCP_URGENT, p->head_len - p->upper - TCP_URGENT) == 0;
}

static bool joins(const struct joiner *j, struct join_run *r, const struct part *p)
{
	size_t most = p->protocol == IP_UDP ? JOIN_DATAGRAMS_MOST : JOIN_PIECES_MOST;

	if (!r->open || r->pieces >= most || !same_flow(r, p) || p->payload.iov_len > r->size ||
	    r->head_len + r->payload + p->payload.iov_len > IP_PACKET_MOST || !same_ip(r, p))
		return false;
	if (p->protocol == IP_TCP ? !tcp_follows(r, p) : j->no_datagrams)
		return false;
	if (!r->checked) {
		struct part first = { .head = r->head,
				      .head_len = r->head_len,
				      .upper = r->upper,
				      .protocol = p->protocol,
				      .payload = j->pieces[r->first_piece].payload };

		r->checked = checksums_right(&first);
		r->open = r->checked;
	}
	return r->open && checksums_right(p);
}

static void add_piece(struct joiner *j, struct join_run *r, const struct packet_out *row, const struct part *p)
{
	uint16_t number = (uint16_t)j->piece_count++;
	uint8_t late = p->protocol == IP_TCP ? p->head[p->upper + TCP_FLAGS] & (FIN | PSH) : 0;

	j->pieces[number] = (struct join_piece){ .payload = p->payload, .row = row };
	if (r->pieces++ == 0)
		r->first_piece = number;
	else
		j->pieces[r->last_piece].next = (uint16_t)(number + 1);
	r->last_piece = number;
	r->payload += p->payload.iov_len;
	r->late_flags |= late;
	r->open = p->payload.iov_len == r->size && !late;
}

void join_begin(struct joiner *j)
{
	j->run_count = j->piece_count = 0;
	memset(j->of_flow, 0, sizeof j->of_flow);
}

bool join_add(struct joiner *j, const struct packet_list *l, const struct packet_out *row)
{
	const uint8_t *head = l->octets + row->at;
	bool has_ports =
		row->upper && (row->protocol == IP_TCP || row->protocol == IP_UDP) && row->len >= row->upper + 4u;
	size_t slot = has_ports ? flow_slot(head, row->upper) : 0;
	struct join_run *r = has_ports && j->of_flow[slot] ? &j->runs[j->of_flow[slot] - 1] : NULL;
	struct part p = { 0 };
	bool may_join = has_ports && part_of(l, row, &p);

	if (j->run_count == JOIN_PACKETS || j->piece_count == JOIN_PACKETS)
		return false;
	if (may_join && r && joins(j, r, &p)) {
		add_piece(j, r, row, &p);
		return true;
	}
	/* What nothing is known of, a fragment perhaps, may belong to any flow: nothing passes it. */
	if (!row->upper)
		memset(j->of_flow, 0, sizeof j->of_flow);
	r = &j->runs[j->run_count++];
	*r = (struct join_run){ .first = row, .head = head };
	if (has_ports)
		j->of_flow[slot] = (uint16_t)j->run_count;
	if (!may_join)
		return true;
	r->upper = p.upper;
	r->head_len = p.head_len;
	r->size = p.payload.iov_len;
	add_piece(j, r, row, &p);
	return true;
}

size_t join_open_end(const struct joiner *j, const struct packet_list *l)
{
	const struct join_run *r = j->run_count ? &j->runs[j->run_count - 1] : NULL;

	if (!r || !r->open || !r->checked || r->first + r->pieces != l->rows + l->count)
		return 0;
	return r->head_len + r->payload + r->size > IP_PACKET_MOST ? 0 : r->pieces;
}

/* The lengths are those of the whole, and the checksum's field holds the sum of the pseudo-header, as the kernel leaves
 * them to a device. */
static void make_super(const struct join_run *r, struct joined *ret)
{
	const bool tcp = r->first->protocol == IP_TCP, v4 = r->upper == IP4_HEADER;
	struct virtio_net_hdr h = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
				    .gso_type = !tcp ? VIRTIO_NET_HDR_GSO_UDP_L4
						: v4 ? VIRTIO_NET_HDR_GSO_TCPV4
						     : VIRTIO_NET_HDR_GSO_TCPV6,
				    .hdr_len = (uint16_t)r->head_len,
				    .gso_size = (uint16_t)r->size,
				    .csum_start = (uint16_t)r->upper,
				    .csum_offset = tcp ? TCP_CHECKSUM : UDP_CHECKSUM };
	size_t len = r->head_len + r->payload;
	uint8_t *upper = ret->head + r->upper;

	memcpy(ret->head, r->head, r->head_len);
	put_u16(ret->head + (v4 ? 2 : 4), (uint16_t)(v4 ? len : len - IP6_HEADER));
	if (v4)
		ip4_checksum(ret->head, IP4_HEADER);
	if (tcp) {
		upper[TCP_FLAGS] |= r->late_flags;
		if (upper[TCP_FLAGS] & CWR)
			h.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
	} else {
		put_u16(upper + UDP_LENGTH, (uint16_t)(len - r->upper));
	}
	put_u16(upper + h.csum_offset,
		checksum_fold(pseudo_sum(ret->head, r->upper, r->first->protocol, len - r->upper)));
	memcpy(ret->offload, &h, sizeof h);
}

void join_write(const struct joiner *j, const struct packet_list *l, size_t i, struct joined *ret)
{
	const struct join_run *r = &j->runs[i];

	memset(ret->offload, 0, sizeof ret->offload);
	ret->count = 0;
	ret->super = r->pieces > 1;
	ret->parts[ret->count++] = (struct iovec){ ret->offload, sizeof ret->offload };
	if (ret->super) {
		make_super(r, ret);
		ret->parts[ret->count++] = (struct iovec){ ret->head, r->head_len };
		for (size_t n = r->first_piece + 1u; n; n = j->pieces[n - 1].next)
			ret->parts[ret->count++] = j->pieces[n - 1].payload;
		return;
	}
	ret->parts[ret->count++] = (struct iovec){ l->octets + r->first->at, r->first->len };
	if (r->first->body_len)
		ret->parts[ret->count++] = (struct iovec){ (void *)(uintptr_t)r->first->body, r->first->body_len };
}
