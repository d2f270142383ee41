#include "dataplane/xfrm/convert.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

enum { ICMP4 = 1, ICMP6 = 58 };

uint16_t convert_family(unsigned family)
{
	return family == 4 ? AF_INET : family == 6 ? AF_INET6 : AF_UNSPEC;
}

unsigned convert_family_back(unsigned kernel)
{
	return kernel == AF_INET ? 4 : kernel == AF_INET6 ? 6 : 0;
}

xfrm_address_t convert_addr(const struct addr *a)
{
	xfrm_address_t to = { 0 };

	if (a->family)
		memcpy(&to, a->octets, addr_octets(a));
	return to;
}

struct addr convert_addr_back(const xfrm_address_t *a, unsigned kernel_family)
{
	struct addr to = { .family = (uint8_t)convert_family_back(kernel_family) };

	if (to.family)
		memcpy(to.octets, a, addr_octets(&to));
	return to;
}

/* ---- ports ---- */

unsigned convert_ports(struct port_range r, struct port_block ret[PORT_BLOCKS_MOST])
{
	uint32_t lo = r.lo, end = (uint32_t)r.hi + 1;
	unsigned n = 0;

	while (lo < end) {
		uint32_t size = lo ? lo & -lo : 0x10000;

		while (size > end - lo)
			size >>= 1;
		ret[n++] = (struct port_block){ (uint16_t)lo, (uint16_t)(0x10000 - size) };
		lo += size;
	}
	return n;
}

struct port_block convert_ports_around(struct port_range r)
{
	uint32_t size = 1;

	while ((r.lo & ~(size - 1)) != (r.hi & ~(size - 1)))
		size <<= 1;
	return (struct port_block){ (uint16_t)(r.lo & ~(size - 1)), (uint16_t)(0x10000 - size) };
}

/* ---- prefixes ---- */

static bool bit_at(const struct addr *a, unsigned bit)
{
	return a->octets[bit / 8] >> (7 - bit % 8) & 1;
}

/* With all bits from `bits` on the same. */
static struct addr filled(const struct addr *a, unsigned bits, bool ones)
{
	struct addr to = *a;

	for (unsigned i = bits; i < addr_bits(a); i++) {
		uint8_t mask = (uint8_t)(0x80u >> i % 8);

		to.octets[i / 8] = (uint8_t)(ones ? to.octets[i / 8] | mask : to.octets[i / 8] & ~mask);
	}
	return to;
}

bool convert_prefix_next(struct addr_range *r, struct prefix *ret)
{
	unsigned bits = addr_bits(&r->lo);
	struct addr last = r->lo;

	while (bits > 0 && !bit_at(&r->lo, bits - 1)) {
		struct addr wider = filled(&r->lo, bits - 1, true);

		if (addr_compare(&wider, &r->hi) > 0)
			break;
		last = wider;
		bits--;
	}
	*ret = (struct prefix){ r->lo, bits };
	if (addr_compare(&last, &r->hi) >= 0)
		return false;
	r->lo = last;
	return addr_next(&r->lo);
}

struct prefix convert_prefix_around(const struct addr_range *r)
{
	unsigned bits = 0;

	while (bits < addr_bits(&r->lo) && bit_at(&r->lo, bits) == bit_at(&r->hi, bits))
		bits++;
	return (struct prefix){ filled(&r->lo, bits, false), bits };
}

/* ---- selectors ---- */

bool convert_has_types(int protocol)
{
	return protocol == ICMP4 || protocol == ICMP6;
}

void convert_icmp(struct convert_ends *e, struct port_range types)
{
	struct port_block any = { 0 };

	if (!convert_has_types(e->protocol))
		return;
	e->local_port = e->remote_port = any;
	if (types.lo >> 8 != types.hi >> 8)
		return;
	e->local_port = (struct port_block){ types.lo >> 8, 0xffff };
	if (types.lo == types.hi)
		e->remote_port = (struct port_block){ types.lo & 255, 0xffff };
}

struct xfrm_selector convert_selector(const struct convert_ends *e, bool inbound)
{
	const struct prefix *source = inbound ? &e->remote : &e->local, *to = inbound ? &e->local : &e->remote;
	bool turned = inbound && !convert_has_types(e->protocol); /* type and code stand there alike both ways */
	const struct port_block *from_port = turned ? &e->remote_port : &e->local_port;
	const struct port_block *to_port = turned ? &e->local_port : &e->remote_port;
	struct xfrm_selector s;

	memset(&s, 0, sizeof s); /* the kernel compares it octet by octet */
	s.family = convert_family(source->addr.family);
	s.saddr = convert_addr(&source->addr);
	s.prefixlen_s = (uint8_t)source->bits;
	s.daddr = convert_addr(&to->addr);
	s.prefixlen_d = (uint8_t)to->bits;
	if (e->protocol >= 0)
		s.proto = (uint8_t)e->protocol;
	s.sport = htons(from_port->value);
	s.sport_mask = htons(from_port->mask);
	s.dport = htons(to_port->value);
	s.dport_mask = htons(to_port->mask);
	return s;
}

bool convert_flow_back(const struct xfrm_selector *s, struct plan_packet *ret)
{
	struct plan_packet p = { .local = convert_addr_back(&s->saddr, s->family),
				 .remote = convert_addr_back(&s->daddr, s->family),
				 .initiator = INITIATOR_EITHER,
				 .protocol = s->proto,
				 .local_port = ntohs(s->sport),
				 .remote_port = ntohs(s->dport) };

	if (!p.local.family)
		return false;
	if (convert_has_types(p.protocol)) { /* the type and the code */
		p.local_port = (uint16_t)((p.local_port & 255) << 8 | (p.remote_port & 255));
		p.remote_port = 0;
	}
	*ret = p;
	return true;
}
