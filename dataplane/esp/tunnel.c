#include "dataplane/esp/tunnel.h"

#include "base/wire.h"
#include "dataplane/esp/checksum.h"
#include "dataplane/esp/octets.h"
#include "dataplane/sad.h"

#include <string.h>

enum { TTL = 64, DF4 = 0x4000, SUM4 = 10 };

/* The second octet of IPv4, bits 4 to 11 of IPv6: DSCP and ECN. */
static uint8_t traffic_class(const uint8_t *packet)
{
	return packet[0] >> 4 == 4 ? packet[1] : (uint8_t)(packet[0] << 4 | packet[1] >> 4);
}

static bool says_df(const uint8_t *packet)
{
	return packet[0] >> 4 == 6 || packet[6] & DF4 >> 8;
}

size_t tunnel_head(const struct sa_spec *sa)
{
	return sa->remote.family == 4 ? IP4_HEADER : IP6_HEADER;
}

size_t tunnel_wrap(const struct sa_spec *sa, const uint8_t *packet, size_t len, bool fragment_outside, uint8_t *to,
		   struct ip_packet *ret)
{
	const size_t head = tunnel_head(sa);
	const uint8_t class = traffic_class(packet), next = packet[0] >> 4 == 4 ? IP_IPIP : IP_IPV6;
	struct wire_out out = wire_out(to, head + len);

	*ret = (struct ip_packet){ .source = sa->local,
				   .destination = sa->remote,
				   .len = head + len,
				   .head = head,
				   .upper = head,
				   .next = next,
				   .protocol = next };
	if (head == IP4_HEADER) {
		ret->next_at = 9;
		ret->dont_fragment = says_df(packet) && !fragment_outside;
		wire_put_u8(&out, 0x45);
		wire_put_u8(&out, class);
		wire_put_u16(&out, (uint16_t)(head + len));
		wire_put_u16(&out, 0);
		wire_put_u16(&out, ret->dont_fragment ? DF4 : 0);
		wire_put_u8(&out, TTL);
		wire_put_u8(&out, next);
		wire_put_u16(&out, 0);
		wire_put(&out, sa->local.octets, 4);
		wire_put(&out, sa->remote.octets, 4);
	} else {
		ret->next_at = 6;
		wire_put_u32(&out, 0x60000000u | (uint32_t) class << 20);
		wire_put_u16(&out, (uint16_t)len);
		wire_put_u8(&out, next);
		wire_put_u8(&out, TTL);
		wire_put(&out, sa->local.octets, 16);
		wire_put(&out, sa->remote.octets, 16);
	}
	wire_put(&out, packet, len);
	return out.failed ? 0 : out.len;
}

/* ---- ECN (RFC 6040 4.2) ------------------------------------------------------------------------------------------ */

enum ecn { NOT_ECT, ECT1, ECT0, CE };
enum { DROP = 4 };

/* [inner][outer] as they arrive */
static const uint8_t combined[4][4] = {
	[NOT_ECT] = { [NOT_ECT] = NOT_ECT, [ECT1] = NOT_ECT, [ECT0] = NOT_ECT, [CE] = DROP },
	[ECT1] = { [NOT_ECT] = ECT1, [ECT1] = ECT1, [ECT0] = ECT1, [CE] = CE },
	[ECT0] = { [NOT_ECT] = ECT0, [ECT1] = ECT1, [ECT0] = ECT0, [CE] = CE },
	[CE] = { [NOT_ECT] = CE, [ECT1] = CE, [ECT0] = CE, [CE] = CE },
};

/* By what has changed (RFC 1624 3): a sum that came wrong stays wrong. */
static void set_class4(uint8_t *packet, uint8_t class)
{
	uint32_t sum = (uint16_t)~get_u16(packet + SUM4) + (uint32_t)(uint16_t)~get_u16(packet);

	packet[1] = class;
	put_u16(packet + SUM4, (uint16_t)~checksum_fold(sum + get_u16(packet)));
}

static bool combine_ecn(uint8_t outer, const struct ip_packet *ip, uint8_t *packet)
{
	uint8_t class = traffic_class(packet), ecn = combined[class & 3][outer & 3];

	if (ecn == DROP)
		return false;
	if (ecn == (class & 3))
		return true;
	if (ip->source.family == 4)
		set_class4(packet, (uint8_t)((class & ~3u) | ecn));
	else
		packet[1] = (uint8_t)((packet[1] & 0xcf) | ecn << 4);
	return true;
}

bool tunnel_unwrap(uint8_t *packet, size_t len, size_t *ret_start, struct ip_packet *ret)
{
	uint8_t class = traffic_class(packet);
	struct ip_packet outer;
	unsigned version;

	if (ip_parse(packet, len, &outer, NULL) < 0 || outer.fragment || outer.head >= len)
		return false;
	version = packet[outer.head] >> 4;
	if (outer.next != (version == 4 ? IP_IPIP : IP_IPV6) ||
	    ip_parse(packet + outer.head, len - outer.head, ret, NULL) < 0)
		return false;
	*ret_start = outer.head;
	return combine_ecn(class, ret, packet + outer.head);
}
