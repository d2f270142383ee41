#include "dataplane/esp/icmp.h"

#include "base/wire.h"
#include "dataplane/esp/checksum.h"

enum { ICMP_HEADER = 8, ICMP4_QUOTE_MOST = 548 }; /* RFC 1812 4.3.2.3: 576 in all */

enum icmp_kind { TOO_BIG, PROHIBITED };

/* type and code of each family: RFC 792, 1812; RFC 4443 3.1, 3.2 */
static const struct {
	uint8_t type4, code4, type6, code6;
} kinds[] = {
	[TOO_BIG] = { 3, 4, 2, 0 },
	[PROHIBITED] = { 3, 13, 1, 1 },
};

static size_t error4(const struct ip_packet *ip, const uint8_t *packet, enum icmp_kind kind, uint32_t value,
		     struct wire_out *out)
{
	size_t quote = ip->len < ICMP4_QUOTE_MOST ? ip->len : ICMP4_QUOTE_MOST, at = IP4_HEADER;

	wire_put_u16(out, 0x4500);
	wire_put_u16(out, (uint16_t)(IP4_HEADER + ICMP_HEADER + quote));
	wire_put_u32(out, 0x4000); /* ID 0, DF */
	wire_put_u16(out, 64 << 8 | IP_ICMP);
	wire_put_u16(out, 0);
	wire_put(out, ip->destination.octets, 4);
	wire_put(out, ip->source.octets, 4);
	ip4_checksum(out->buf, IP4_HEADER);
	wire_put_u8(out, kinds[kind].type4);
	wire_put_u8(out, kinds[kind].code4);
	wire_put_u16(out, 0);
	wire_put_u32(out, value);
	wire_put(out, packet, quote);
	wire_patch_u16(out, at + 2, (uint16_t)~checksum_fold(checksum_add(0, out->buf + at, out->len - at)));
	return out->failed ? 0 : out->len;
}

static size_t error6(const struct ip_packet *ip, const uint8_t *packet, enum icmp_kind kind, uint32_t value,
		     struct wire_out *out)
{
	size_t room = ICMP_MOST - IP6_HEADER - ICMP_HEADER, quote = ip->len < room ? ip->len : room, at = IP6_HEADER;
	uint64_t sum = checksum_pseudo(ip, ICMP_HEADER + quote, IP_ICMP6);

	wire_put_u32(out, 0x60000000);
	wire_put_u16(out, (uint16_t)(ICMP_HEADER + quote));
	wire_put_u16(out, IP_ICMP6 << 8 | 64);
	wire_put(out, ip->destination.octets, 16);
	wire_put(out, ip->source.octets, 16);
	wire_put_u8(out, kinds[kind].type6);
	wire_put_u8(out, kinds[kind].code6);
	wire_put_u16(out, 0);
	wire_put_u32(out, value);
	wire_put(out, packet, quote);
	wire_patch_u16(out, at + 2, (uint16_t)~checksum_fold(checksum_add(sum, out->buf + at, out->len - at)));
	return out->failed ? 0 : out->len;
}

static size_t error(const struct ip_packet *ip, const uint8_t *packet, enum icmp_kind kind, uint32_t value, uint8_t *to)
{
	struct wire_out out = wire_out(to, ICMP_MOST);
	struct ip_packet quoted;

	if (ip_quoted(ip, packet, &quoted) || addr_is_multicast(&ip->destination) || addr_is_multicast(&ip->source))
		return 0;
	return ip->source.family == 4 ? error4(ip, packet, kind, value, &out) : error6(ip, packet, kind, value, &out);
}

size_t icmp_too_big(const struct ip_packet *ip, const uint8_t *packet, size_t mtu, uint8_t out[ICMP_MOST])
{
	return error(ip, packet, TOO_BIG, (uint32_t)mtu, out);
}

size_t icmp_prohibited(const struct ip_packet *ip, const uint8_t *packet, uint8_t out[ICMP_MOST])
{
	return error(ip, packet, PROHIBITED, 0, out);
}
