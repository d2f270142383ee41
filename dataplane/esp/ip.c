#include "dataplane/esp/ip.h"

#include "base/diag.h"
#include "base/wire.h"
#include "dataplane/esp/checksum.h"
#include "dataplane/esp/octets.h"

#include <errno.h>
#include <string.h>

enum {
	IP6_HOP_BY_HOP = 0,
	IP6_ROUTING = 43,
	IP6_FRAGMENT = 44,
	IP6_DESTINATION = 60,
	IP6_HEADERS_MOST = 8, /* extension headers in one packet; more is nobody's traffic */
	IP_SCTP = 132,
	IP_DCCP = 33,
	IP_UDPLITE = 136,
};

static bool protocol_has_ports(uint8_t protocol)
{
	return protocol == IP_TCP || protocol == IP_UDP || protocol == IP_SCTP || protocol == IP_DCCP ||
	       protocol == IP_UDPLITE;
}

/* The fixed headers are taken whole: every packet passes here, most of them more than once. */
static void parse4(struct wire_in *in, struct ip_packet *p, size_t *ret_total)
{
	const uint8_t *h = wire_octets(in, IP4_HEADER);
	uint16_t fragment;

	if (!h)
		return;
	*ret_total = get_u16(h + 2);
	fragment = get_u16(h + 6);
	p->next_at = 9;
	p->next = p->protocol = h[9];
	p->source.family = p->destination.family = 4;
	memcpy(p->source.octets, h + 12, 4);
	memcpy(p->destination.octets, h + 16, 4);
	p->head = p->upper = (size_t)(h[0] & 15) * 4;
	p->dont_fragment = fragment & 0x4000;
	p->fragment = fragment & 0x3fff;
	if (p->head < IP4_HEADER)
		in->failed = true;
	else if (p->head > IP4_HEADER)
		(void)wire_octets(in, p->head - IP4_HEADER);
	p->later = fragment & 0x1fff;
}

/* ESP goes behind what the path reads: hop-by-hop, routing, fragment, and the destination options that belong to a
 * routing header (RFC 4303 3.1.1); other destination options are for the end and are sealed. */
static void parse6(struct wire_in *in, struct ip_packet *p, size_t *ret_total)
{
	const uint8_t *h = wire_octets(in, IP6_HEADER);
	size_t at = IP6_HEADER, next_at = 6;
	uint8_t next;

	if (!h)
		return;
	*ret_total = (size_t)get_u16(h + 4) + IP6_HEADER;
	next = h[6];
	p->source.family = p->destination.family = 6;
	memcpy(p->source.octets, h + 8, 16);
	memcpy(p->destination.octets, h + 24, 16);
	p->head = at;
	p->next_at = next_at;
	p->next = next;
	for (unsigned headers = 0;
	     next == IP6_HOP_BY_HOP || next == IP6_ROUTING || next == IP6_FRAGMENT || next == IP6_DESTINATION;
	     headers++) {
		uint8_t kind = next, length;

		if (headers == IP6_HEADERS_MOST || (kind == IP6_HOP_BY_HOP && headers > 0)) {
			in->failed = true;
			return;
		}
		next_at = at;
		next = wire_u8(in);
		length = wire_u8(in);
		if (kind == IP6_FRAGMENT) {
			uint16_t fragment = wire_u16(in);

			(void)wire_u32(in);
			at += 8;
			p->fragment |= (fragment & 0xfff9) != 0;
			p->later = fragment & 0xfff8;
		} else {
			(void)wire_octets(in, length * 8u + 6u);
			at += length * 8u + 8u;
		}
		if (in->failed)
			return;
		if (kind != IP6_DESTINATION) {
			p->head = at;
			p->next_at = next_at;
			p->next = next;
		}
		if (p->later)
			break;
	}
	p->upper = at;
	p->protocol = next;
}

/* A first fragment has all headers, or it is none that anybody takes (RFC 7112): its ports could follow in the second,
 * where nobody judges by them. */
static void parse_upper(struct wire_in *in, struct ip_packet *p)
{
	if (p->later)
		return;
	if (protocol_has_ports(p->protocol)) {
		const uint32_t ports = wire_u32(in);

		p->source_port = (uint16_t)(ports >> 16);
		p->destination_port = (uint16_t)ports;
		p->has_ports = true;
	} else if (p->protocol == IP_ICMP || p->protocol == IP_ICMP6) {
		p->source_port = wire_u16(in);
	}
}

static int parse(const uint8_t *octets, size_t len, bool whole, struct ip_packet *ret, struct diag *d)
{
	struct wire_in in = wire_in(octets, len);
	unsigned version = len ? octets[0] >> 4 : 0;
	size_t total = 0;

	/* At once where it belongs: to copy what was written octet by octet costs more than to read the packet. */
	memset(ret, 0, sizeof *ret);
	ret->len = len;
	if (version == 4)
		parse4(&in, ret, &total);
	else if (version == 6)
		parse6(&in, ret, &total);
	else
		return diag_fail(d, ERR_SYNTAX, "IP version %u", version);
	parse_upper(&in, ret);
	if (in.failed)
		return diag_fail(d, ERR_SYNTAX, "IPv%u: the headers do not fit in %zu octets", version, len);
	if (whole && total != len)
		return diag_fail(d, ERR_SYNTAX, "IPv%u: length %zu in a packet of %zu octets", version, total, len);
	return 0;
}

int ip_parse(const uint8_t *octets, size_t len, struct ip_packet *ret, struct diag *d)
{
	return parse(octets, len, true, ret, d);
}

int ip_parse_quoted(const uint8_t *octets, size_t len, struct ip_packet *ret, struct diag *d)
{
	return parse(octets, len, false, ret, d);
}

/* ICMP: destination unreachable, source quench, redirect, time exceeded, parameter problem; ICMPv6: types below 128. */
static bool is_error(const struct ip_packet *ip)
{
	uint8_t type = (uint8_t)(ip->source_port >> 8);

	if (ip->protocol == IP_ICMP6)
		return type < 128;
	return ip->protocol == IP_ICMP && (type == 3 || type == 4 || type == 5 || type == 11 || type == 12);
}

bool ip_quoted(const struct ip_packet *ip, const uint8_t *octets, struct ip_packet *ret)
{
	if (ip->fragment || !is_error(ip) || ip->len - ip->upper < 8)
		return false;
	return ip_parse_quoted(octets + ip->upper + 8, ip->len - ip->upper - 8, ret, NULL) == 0;
}

void ip_flow(const struct ip_packet *ip, bool out, struct plan_packet *ret)
{
	uint16_t near = out ? ip->source_port : ip->destination_port;
	uint16_t far = out ? ip->destination_port : ip->source_port;

	/* Zeroed to the last padding octet: the flow cache compares the whole struct. */
	memset(ret, 0, sizeof *ret);
	ret->local = out ? ip->source : ip->destination;
	ret->remote = out ? ip->destination : ip->source;
	ret->initiator = INITIATOR_EITHER;
	ret->protocol = ip->protocol;
	ret->local_port = ip->has_ports ? near : ip->source_port; /* type and code, whoever sent it */
	ret->remote_port = ip->has_ports ? far : 0;
}

void ip4_checksum(uint8_t *header, size_t head)
{
	put_u16(header + 10, 0);
	put_u16(header + 10, (uint16_t)~checksum_fold(checksum_add(0, header, head)));
}

void ip_patch(uint8_t *octets, const struct ip_packet *ip, size_t len, uint8_t next)
{
	bool v4 = ip->source.family == 4;

	put_u16(octets + (v4 ? 2 : 4), (uint16_t)(v4 ? len : len - IP6_HEADER));
	octets[ip->next_at] = next;
	if (v4)
		ip4_checksum(octets, ip->head);
}
