#include "tools/lab/packet.h"

#include "base/wire.h"

#include <string.h>

enum {
	ETHER_IPV4 = 0x0800,
	ETHER_IPV6 = 0x86dd,
	PORT_IKE = 500,
	PORT_IKE_NAT = 4500,
	IKE_HEADER = 28,
	IPV6_HOP_BY_HOP = 0,
	IPV6_ROUTING = 43,
	IPV6_FRAGMENT = 44,
	IPV6_DESTINATION = 60,
	IPV6_EXTENSIONS_MOST = 8,
	TCP_SYN = 0x02,
	TCP_ACK = 0x10,
	TCP_RST = 0x04
};

/* What a header says of the octets behind it. */
struct inner {
	struct addr from, to;
	uint8_t protocol;
	bool tail; /* a fragment that is not the first: no ports */
	bool more; /* and more are to follow */
	uint32_t id;
	struct wire_in body;
};

static struct addr take_addr(struct wire_in *in, uint8_t family)
{
	struct addr a = { .family = family };

	wire_copy(in, a.octets, family == 4 ? 4 : 16);
	return a;
}

/* RFC 791 3.1 */
static bool read_ipv4(struct wire_in *in, struct inner *ret)
{
	uint8_t first = wire_u8(in);
	size_t header = (size_t)(first & 15) * 4;
	uint16_t total, fragment, id;

	(void)wire_u8(in);
	total = wire_u16(in);
	id = wire_u16(in);
	fragment = wire_u16(in);
	(void)wire_u8(in);
	ret->protocol = wire_u8(in);
	(void)wire_u16(in);
	ret->from = take_addr(in, 4);
	ret->to = take_addr(in, 4);
	if (header > 20)
		(void)wire_octets(in, header - 20);
	if (in->failed || first >> 4 != 4 || header < 20 || total < header)
		return false;
	ret->tail = (fragment & 0x1fff) != 0;
	ret->more = fragment & 0x2000;
	ret->id = id;
	/* A frame may be padded, a quoted packet is cut. */
	ret->body = *in;
	if (ret->body.left > total - header)
		ret->body.left = total - header;
	return true;
}

/* RFC 8200 3 and 4 */
static bool read_ipv6(struct wire_in *in, struct inner *ret)
{
	uint32_t first = wire_u32(in);
	uint16_t payload = wire_u16(in);
	uint8_t next = wire_u8(in);

	(void)wire_u8(in);
	ret->from = take_addr(in, 6);
	ret->to = take_addr(in, 6);
	if (in->failed || first >> 28 != 6)
		return false;
	if (in->left > payload)
		in->left = payload;
	ret->tail = ret->more = false;
	ret->id = 0;
	for (unsigned i = 0; i < IPV6_EXTENSIONS_MOST; i++) {
		uint8_t after, len;

		if (next == IPV6_FRAGMENT) {
			after = wire_u8(in);
			(void)wire_u8(in);
			uint16_t offset = wire_u16(in);

			ret->tail = (offset & 0xfff8) != 0;
			ret->more = offset & 1;
			ret->id = wire_u32(in);
		} else if (next == IPV6_HOP_BY_HOP || next == IPV6_ROUTING || next == IPV6_DESTINATION) {
			after = wire_u8(in);
			len = wire_u8(in);
			(void)wire_octets(in, (size_t)len * 8 + 6);
		} else {
			break;
		}
		next = after;
		if (ret->tail)
			break;
	}
	ret->protocol = next;
	ret->body = *in;
	return !in->failed;
}

static bool read_ip(struct wire_in *in, bool six, struct inner *ret)
{
	return six ? read_ipv6(in, ret) : read_ipv4(in, ret);
}

static struct packet_flow flow_back(const struct packet_flow *f)
{
	struct packet_flow back = *f;

	back.from = f->to;
	back.to = f->from;
	if (f->icmp_type < 0) {
		back.from_port = f->to_port;
		back.to_port = f->from_port;
	}
	return back;
}

static bool is_echo(const struct inner *ip, uint8_t type, bool *ret_reply)
{
	bool six = ip->protocol == PACKET_ICMPV6;

	*ret_reply = type == (six ? 129 : 0);
	return *ret_reply || type == (six ? 128 : 8);
}

/* Destination unreachable, too big, time exceeded, parameter problem: each quotes the packet that it is about. */
static bool is_error(const struct inner *ip, uint8_t type)
{
	if (ip->protocol == PACKET_ICMPV6)
		return type >= 1 && type <= 4;
	return type == 3 || type == 5 || type == 11 || type == 12;
}

static void read_flow(const struct inner *ip, struct packet *p);

static void read_icmp(const struct inner *ip, struct packet *p)
{
	struct wire_in in = ip->body;
	uint8_t type = wire_u8(&in), code = wire_u8(&in);
	bool reply;

	(void)wire_u16(&in);
	if (is_error(ip, type)) {
		struct inner quoted;
		struct packet of = { 0 };

		(void)wire_u32(&in);
		p->quotes = true;
		if (!read_ip(&in, ip->protocol == PACKET_ICMPV6, &quoted))
			return;
		read_flow(&quoted, &of);
		p->flow = of.flow;
		p->kind = of.kind == PACKET_CLEAR ? PACKET_CLEAR : PACKET_OUTSIDE;
		p->role = of.role == PACKET_ANSWERS ? PACKET_OPENS : PACKET_ANSWERS;
		return;
	}
	p->flow.icmp_type = type;
	p->flow.icmp_code = code;
	if (ip->protocol == PACKET_ICMPV6 && type >= 133 && type <= 137) {
		p->kind = PACKET_OUTSIDE;
		return;
	}
	p->role = PACKET_OPENS;
	if (!is_echo(ip, type, &reply))
		return;
	p->flow.from_port = wire_u16(&in);
	if (!reply)
		return;
	p->flow.icmp_type = ip->protocol == PACKET_ICMPV6 ? 128 : 8;
	p->flow = flow_back(&p->flow);
	p->role = PACKET_ANSWERS;
}

static void read_tcp(const struct inner *ip, struct packet *p)
{
	struct wire_in in = ip->body;
	uint8_t flags;

	p->flow.from_port = wire_u16(&in);
	p->flow.to_port = wire_u16(&in);
	(void)wire_octets(&in, 9);
	flags = wire_u8(&in);
	if (in.failed)
		return;
	if ((flags & (TCP_SYN | TCP_ACK)) == TCP_SYN) {
		p->role = PACKET_OPENS;
	} else if ((flags & TCP_SYN) || (flags & TCP_RST)) {
		p->flow = flow_back(&p->flow);
		p->role = PACKET_ANSWERS;
	}
}

/* An IKE header counts its own octets (RFC 7296 3.1): what only uses the port is not taken for it. */
static bool is_ike(struct wire_in in)
{
	size_t all = in.left;
	uint8_t version;

	(void)wire_octets(&in, 17);
	version = wire_u8(&in);
	(void)wire_octets(&in, 6);
	return all >= IKE_HEADER && (version >> 4 == 1 || version >> 4 == 2) && wire_u32(&in) == all;
}

static void read_udp(const struct inner *ip, struct packet *p)
{
	struct wire_in in = ip->body;
	bool nat;

	p->flow.from_port = wire_u16(&in);
	p->flow.to_port = wire_u16(&in);
	(void)wire_u32(&in);
	if (in.failed)
		return;
	nat = p->flow.from_port == PORT_IKE_NAT || p->flow.to_port == PORT_IKE_NAT;
	if (!nat) {
		if ((p->flow.from_port == PORT_IKE || p->flow.to_port == PORT_IKE) && is_ike(in))
			p->kind = PACKET_IKE;
		return;
	}
	/* RFC 3948 2: four zero octets, then IKE; one octet 0xff: keep-alive; anything else is an SPI. */
	if (in.left == 1 && in.at[0] == 0xff) {
		p->kind = PACKET_IKE;
	} else if (in.left > 4) {
		bool marked = wire_u32(&in) == 0;

		if (!marked) {
			p->kind = PACKET_SEALED;
			p->sealed_by = PACKET_ESP;
		} else if (is_ike(in)) {
			p->kind = PACKET_IKE;
		}
	}
}

static void read_flow(const struct inner *ip, struct packet *p)
{
	p->kind = PACKET_CLEAR;
	p->flow = (struct packet_flow){
		.from = ip->from, .to = ip->to, .protocol = ip->protocol, .icmp_type = -1, .icmp_code = -1
	};
	if (ip->protocol == PACKET_ESP || ip->protocol == PACKET_AH) {
		p->kind = PACKET_SEALED;
		p->sealed_by = ip->protocol;
	} else if (ip->tail) {
		return;
	} else if (ip->protocol == PACKET_ICMP || ip->protocol == PACKET_ICMPV6) {
		read_icmp(ip, p);
	} else if (ip->protocol == PACKET_TCP) {
		read_tcp(ip, p);
	} else if (ip->protocol == PACKET_UDP) {
		read_udp(ip, p);
	}
}

static bool outside(const struct addr *a)
{
	return addr_is_multicast(a) || addr_is_link_local(a) || addr_is_loopback(a);
}

bool packet_is_from(const void *frame, size_t len, const uint8_t mac[6])
{
	return len >= 12 && memcmp((const uint8_t *)frame + 6, mac, 6) == 0;
}

void packet_read(const void *frame, size_t len, struct packet *ret)
{
	struct wire_in in = wire_in(frame, len);
	struct inner ip;
	uint16_t type;

	*ret = (struct packet){ .kind = PACKET_OUTSIDE };
	(void)wire_octets(&in, 12);
	type = wire_u16(&in);
	if ((type != ETHER_IPV4 && type != ETHER_IPV6) || !read_ip(&in, type == ETHER_IPV6, &ip))
		return;
	ret->from = ip.from;
	ret->to = ip.to;
	ret->payload = ip.body.at;
	ret->payload_len = ip.body.left;
	ret->fragment = ip.tail ? PACKET_LATER_FRAGMENT : ip.more ? PACKET_FIRST_FRAGMENT : PACKET_WHOLE;
	ret->fragment_id = ip.id;
	if (!outside(&ip.from) && !outside(&ip.to))
		read_flow(&ip, ret);
}
