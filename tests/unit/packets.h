/* tests/unit/packets.h - IP packets made by hand for the tests of the data plane, and the questions that a receiver
 * would ask about them. Ends of all packets: 10.0.0.1 and 10.0.0.2, or 2001:db8::1 and ::2. */
#ifndef TESTS_UNIT_PACKETS_H
#define TESTS_UNIT_PACKETS_H
#include "base/addr.h"
#include "dataplane/esp/checksum.h"
#include "dataplane/esp/ip.h"

#include <stdbool.h>
#include <string.h>

enum { PACKET_ROOM = 70000 };

struct shape {
	unsigned family;
	uint8_t protocol;
	uint16_t from, to; /* ports, or ICMP type and code in `from` */
	size_t payload;    /* behind the TCP, UDP or ICMP header */
	bool reply;        /* from the second end to the first */
	bool df;
	size_t options;   /* IPv4: octets of options; IPv6: octets of a hop-by-hop header */
	uint8_t flags;    /* TCP */
	bool destination; /* IPv6: destination options before the upper layer */
};

static inline struct addr end_of(unsigned family, unsigned number)
{
	struct addr a = { .family = (uint8_t)family };

	if (family == 4)
		return addr_v4(10, 0, 0, (uint8_t)number);
	memcpy(a.octets, (const uint8_t[]){ 0x20, 0x01, 0x0d, 0xb8 }, 4);
	a.octets[15] = (uint8_t)number;
	return a;
}

static inline void put16(uint8_t *at, size_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static inline uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t get32(const uint8_t *at)
{
	return (uint32_t)get16(at) << 16 | get16(at + 2);
}

/* Where the checksum of the upper layer stands in its header. */
static inline size_t checksum_offset(uint8_t protocol)
{
	return protocol == IP_TCP ? 16 : protocol == IP_UDP ? 6 : 2;
}

/* What the upper layer's checksum adds up to: 0xffff if it is right. */
static inline uint16_t upper_sum(const uint8_t *packet, size_t len)
{
	struct ip_packet ip;
	uint64_t sum = 0;

	if (ip_parse(packet, len, &ip, NULL) < 0)
		return 0;
	if (ip.protocol != IP_ICMP)
		sum = checksum_pseudo(&ip, len - ip.upper, ip.protocol);
	return checksum_fold(checksum_add(sum, packet + ip.upper, len - ip.upper));
}

static inline bool sums_right(const uint8_t *packet, size_t len)
{
	size_t head = (packet[0] & 15u) * 4u;

	if (packet[0] >> 4 == 4 && checksum_fold(checksum_add(0, packet, head)) != 0xffff)
		return false;
	return upper_sum(packet, len) == 0xffff;
}

static inline uint8_t payload_octet(size_t i)
{
	return (uint8_t)(i * 7 + i / 251);
}

/* A whole packet with right checksums; its length. */
static inline size_t packet_make(const struct shape *s, uint8_t *to)
{
	struct addr a = end_of(s->family, s->reply ? 2 : 1), b = end_of(s->family, s->reply ? 1 : 2);
	size_t upper = s->protocol == IP_TCP ? 32 : 8, extra = s->destination ? 8 : 0;
	size_t head = (s->family == 4 ? 20 : 40) + s->options, at = head + extra, len = at + upper + s->payload;
	uint8_t next = s->destination ? 60 : s->protocol;
	uint16_t sum;

	memset(to, 0, len);
	if (s->family == 4) {
		to[0] = (uint8_t)(0x40 | head / 4);
		put16(to + 2, len);
		put16(to + 4, 0x1234);
		to[6] = s->df ? 0x40 : 0;
		to[8] = 64;
		to[9] = s->protocol;
		memcpy(to + 12, a.octets, 4);
		memcpy(to + 16, b.octets, 4);
		memset(to + 20, 1, s->options);
		ip4_checksum(to, head);
	} else {
		to[0] = 0x60;
		put16(to + 4, len - 40);
		to[6] = s->options ? 0 : next;
		to[7] = 64;
		memcpy(to + 8, a.octets, 16);
		memcpy(to + 24, b.octets, 16);
		if (s->options) {
			to[40] = next;
			to[41] = (uint8_t)(s->options / 8 - 1);
			to[42] = 1;
			to[43] = (uint8_t)(s->options - 4);
		}
		if (s->destination) {
			to[head] = s->protocol;
			to[head + 2] = 1;
			to[head + 3] = 4;
		}
	}
	put16(to + at, s->from);
	put16(to + at + 2, s->protocol == IP_TCP || s->protocol == IP_UDP ? s->to : 0);
	if (s->protocol == IP_TCP) {
		put16(to + at + 4, 0xffff); /* the sequence number wraps within a super-packet */
		put16(to + at + 6, 0xf000);
		to[at + 12] = 8 << 4;
		to[at + 13] = s->flags;
		memset(to + at + 20, 1, 12);
	} else if (s->protocol == IP_UDP) {
		put16(to + at + 4, 8 + s->payload);
	}
	for (size_t i = 0; i < s->payload; i++)
		to[at + upper + i] = payload_octet(i);
	sum = (uint16_t)~upper_sum(to, len);
	put16(to + at + checksum_offset(s->protocol), sum || s->protocol == IP_ICMP ? sum : 0xffff);
	return len;
}

/* Leave the checksum to the device, as the kernel does: the field holds the pseudo-header's sum. header: virtio's. */
static inline void packet_offload(uint8_t *packet, size_t len, uint8_t gso, uint16_t size, uint8_t header[10])
{
	struct ip_packet ip;
	uint16_t start, offset;

	memset(header, 0, 10);
	if (ip_parse(packet, len, &ip, NULL) < 0)
		return;
	start = (uint16_t)ip.upper;
	offset = (uint16_t)checksum_offset(ip.protocol);
	header[0] = 1;
	header[1] = gso;
	memcpy(header + 4, &size, 2);
	memcpy(header + 6, &start, 2);
	memcpy(header + 8, &offset, 2);
	put16(packet + ip.upper + offset, checksum_fold(checksum_pseudo(&ip, len - ip.upper, ip.protocol)));
}

#endif
