#include "daemon/messages/sad_wire.h"

#include "base/diag.h"
#include "base/scope.h"
#include "daemon/process/channel.h"

#include <errno.h>
#include <string.h>

enum { SPEC_INBOUND = 1, SPEC_TUNNEL = 2, SPEC_ESN = 4, SPEC_NAT = 8, SPEC_FLAGS = 15 };

/* ---- selectors --------------------------------------------------------------------------------------------------- */

static void range_encode(struct wire_out *out, struct port_range r)
{
	wire_put_u16(out, r.lo);
	wire_put_u16(out, r.hi);
}

static struct port_range range_decode(struct wire_in *in)
{
	struct port_range r = { .lo = wire_u16(in) };

	r.hi = wire_u16(in);
	return r;
}

void selector_encode(struct wire_out *out, const struct sa_selector *s)
{
	addr_encode(out, &s->local);
	addr_encode(out, &s->remote);
	wire_put_u16(out, (uint16_t)s->protocol);
	range_encode(out, s->local_port);
	range_encode(out, s->remote_port);
	addr_encode(out, &s->local_last);
	addr_encode(out, &s->remote_last);
}

static bool is_last(const struct addr *first, const struct addr *last)
{
	return !last->family || (last->family == first->family && addr_compare(first, last) < 0);
}

static int16_t protocol_decode(struct wire_in *in)
{
	int16_t protocol = (int16_t)wire_u16(in);

	if (protocol < PROTOCOL_ANY || protocol > 255)
		in->failed = true;
	return protocol;
}

struct sa_selector selector_decode(struct wire_in *in)
{
	struct sa_selector s = { .local = addr_decode(in) };

	s.remote = addr_decode(in);
	s.protocol = protocol_decode(in);
	s.local_port = range_decode(in);
	s.remote_port = range_decode(in);
	s.local_last = addr_decode(in);
	s.remote_last = addr_decode(in);
	if (!is_last(&s.local, &s.local_last) || !is_last(&s.remote, &s.remote_last))
		in->failed = true;
	return s;
}

/* ---- specs ------------------------------------------------------------------------------------------------------- */

static void algorithm_encode(struct wire_out *out, const struct algorithm *a)
{
	wire_put_u8(out, a != NULL);
	if (!a)
		return;
	wire_put_u16(out, a->ikev2);
	wire_put_u16(out, a->key_bits);
}

static const struct algorithm *algorithm_decode(struct wire_in *in, enum algorithm_kind kind)
{
	uint8_t there = wire_u8(in);
	const struct algorithm *a = NULL;

	if (there > 1)
		in->failed = true;
	if (in->failed || !there)
		return NULL;
	uint16_t id = wire_u16(in), bits = wire_u16(in);

	a = in->failed ? NULL : algorithm_by_ikev2(kind, id, bits);
	if (!a)
		in->failed = true;
	return a;
}

static void key_encode(struct wire_out *out, const struct key *k)
{
	wire_put_u8(out, (uint8_t)k->len);
	wire_put(out, k->octets, k->len);
}

static void key_decode(struct wire_in *in, struct key *k)
{
	size_t n = wire_u8(in);
	const uint8_t *p = wire_octets(in, n);

	if (!p || !key_set(k, p, n))
		in->failed = true;
}

static size_t cut(const char *name)
{
	return strnlen(name, RULE_WIRE_NAME);
}

static bool is_called(const struct rule *r, const uint8_t *name, size_t n)
{
	return cut(r->name) == n && memcmp(r->name, name, n) == 0;
}

static void rule_encode(struct wire_out *out, const struct rule *r)
{
	size_t n = r ? cut(r->name) : 0;

	wire_put_u32(out, r ? r->index : UINT32_MAX);
	wire_put_u16(out, (uint16_t)n);
	wire_put(out, r ? r->name : "", n);
}

static const struct rule *rule_decode(struct wire_in *in, const struct policy *policy)
{
	uint32_t index = wire_u32(in);
	size_t len = wire_u16(in);
	const uint8_t *name = wire_octets(in, len);
	const struct rule *rules = NULL, *r = policy && name ? policy_rule_at(policy, index) : NULL;
	size_t n = policy && name ? policy_rules(policy, &rules) : 0;

	if (r && is_called(r, name, len))
		return r;
	for (size_t i = 0; i < n && index != UINT32_MAX; i++)
		if (is_called(&rules[i], name, len))
			return &rules[i];
	return NULL;
}

void spec_encode(struct wire_out *out, const struct sa_spec *s)
{
	wire_put_u32(out, s->spi);
	wire_put_u8(out, (uint8_t)((s->inbound ? SPEC_INBOUND : 0) | (s->tunnel ? SPEC_TUNNEL : 0) |
				   (s->esn ? SPEC_ESN : 0) | (s->nat ? SPEC_NAT : 0)));
	addr_encode(out, &s->local);
	addr_encode(out, &s->remote);
	wire_put_u16(out, s->encap_local_port);
	wire_put_u16(out, s->encap_remote_port);
	wire_put_u8(out, (uint8_t)s->suite.protocol);
	algorithm_encode(out, s->suite.encr);
	algorithm_encode(out, s->suite.integ);
	algorithm_encode(out, s->suite.group);
	key_encode(out, &s->encr_key);
	key_encode(out, &s->integ_key);
	wire_put_u32(out, s->replay_window);
	selector_encode(out, &s->selector);
	rule_encode(out, s->rule);
	wire_put_u64(out, s->pair);
	wire_put_u64(out, s->soft_octets);
	wire_put_u64(out, s->hard_octets);
}

static void spec_read(struct wire_in *in, const struct policy *policy, struct sa_spec *s)
{
	uint8_t flags;

	s->spi = wire_u32(in);
	flags = wire_u8(in);
	s->inbound = flags & SPEC_INBOUND;
	s->tunnel = flags & SPEC_TUNNEL;
	s->esn = flags & SPEC_ESN;
	s->nat = flags & SPEC_NAT;
	s->local = addr_decode(in);
	s->remote = addr_decode(in);
	s->encap_local_port = wire_u16(in);
	s->encap_remote_port = wire_u16(in);
	s->suite.protocol = (enum ipsec_protocol)wire_u8(in);
	s->suite.encr = algorithm_decode(in, ALG_ENCR);
	s->suite.integ = algorithm_decode(in, ALG_INTEG);
	s->suite.group = algorithm_decode(in, ALG_GROUP);
	key_decode(in, &s->encr_key);
	key_decode(in, &s->integ_key);
	s->replay_window = wire_u32(in);
	s->selector = selector_decode(in);
	s->rule = rule_decode(in, policy);
	s->pair = wire_u64(in);
	s->soft_octets = wire_u64(in);
	s->hard_octets = wire_u64(in);
	if ((flags & ~SPEC_FLAGS) || (s->suite.protocol != PROTO_ESP && s->suite.protocol != PROTO_AH))
		in->failed = true;
}

int spec_decode(struct wire_in *in, const struct policy *policy, struct sa_spec *ret)
{
	SCOPED(spec_wipe) struct sa_spec s = { 0 };

	spec_read(in, policy, &s);
	if (!wire_done(in))
		return -EPROTO;
	*ret = s;
	return 0;
}

void spec_wipe(struct sa_spec *s)
{
	explicit_bzero(s, sizeof *s);
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

static bool has_packet(enum sad_event_kind kind)
{
	return kind == SAD_ACQUIRE || kind == SAD_MOVED || kind == SAD_UNKNOWN_SPI;
}

static void packet_encode(struct wire_out *out, const struct plan_packet *p)
{
	addr_encode(out, &p->local);
	addr_encode(out, &p->remote);
	wire_put_u8(out, (uint8_t)p->initiator);
	wire_put_u16(out, (uint16_t)p->protocol);
	wire_put_u16(out, p->local_port);
	wire_put_u16(out, p->remote_port);
}

static struct plan_packet packet_decode(struct wire_in *in)
{
	struct plan_packet p = { .local = addr_decode(in) };

	p.remote = addr_decode(in);
	p.initiator = wire_u8(in);
	p.protocol = protocol_decode(in);
	p.local_port = wire_u16(in);
	p.remote_port = wire_u16(in);
	if (p.initiator > INITIATOR_EITHER || p.local.family == 0 || p.local.family != p.remote.family)
		in->failed = true;
	return p;
}

bool sad_event_may_go(enum sad_event_kind kind, size_t backlog)
{
	bool comes_again = kind == SAD_ACQUIRE || kind == SAD_MOVED || kind == SAD_UNKNOWN_SPI;

	return !comes_again || backlog <= CHANNEL_QUEUE_MOST / 4;
}

void sad_event_encode(struct wire_out *out, const struct sad_event *e)
{
	size_t n = e->why ? strnlen(e->why->text, sizeof e->why->text - 1) : 0;

	wire_put_u8(out, (uint8_t)e->kind);
	wire_put_u64(out, e->request);
	wire_put_u64(out, e->pair);
	wire_put_u32(out, e->spi);
	if (has_packet(e->kind))
		packet_encode(out, &e->packet);
	if (e->kind != SAD_FAILED)
		return;
	wire_put_u32(out, (uint32_t)(e->why ? e->why->code : -EIO));
	wire_put_u16(out, (uint16_t)n);
	wire_put(out, e->why ? e->why->text : "", n);
}

static void why_decode(struct wire_in *in, struct diag *why)
{
	int code = (int32_t)wire_u32(in);
	size_t n = wire_u16(in);
	const uint8_t *p = wire_octets(in, n);

	if (!p || n >= sizeof why->text || memchr(p, 0, n)) {
		in->failed = true;
		return;
	}
	*why = (struct diag){ .code = code < 0 ? code : -EIO };
	memcpy(why->text, p, n);
}

int sad_event_decode(struct wire_in *in, struct sad_event *ret, struct diag *why)
{
	uint8_t kind = wire_u8(in);
	struct sad_event e = { .kind = (enum sad_event_kind)kind };

	if (kind > SAD_UNKNOWN_SPI)
		return -EPROTO;
	e.request = wire_u64(in);
	e.pair = wire_u64(in);
	e.spi = wire_u32(in);
	if (has_packet(e.kind))
		e.packet = packet_decode(in);
	if (e.kind == SAD_FAILED) {
		why_decode(in, why);
		e.why = why;
	}
	if (!wire_done(in))
		return -EPROTO;
	*ret = e;
	return 0;
}

/* ---- usage ------------------------------------------------------------------------------------------------------- */

void usage_encode(struct wire_out *out, const struct sa_usage *u)
{
	wire_put_u64(out, u->pair);
	wire_put_u32(out, u->spi_in);
	wire_put_u32(out, u->spi_out);
	wire_put_u64(out, u->packets_in);
	wire_put_u64(out, u->packets_out);
	wire_put_u64(out, u->octets_in);
	wire_put_u64(out, u->octets_out);
	wire_put_u64(out, u->last_in_ms);
	wire_put_u64(out, u->last_out_ms);
}

void usage_decode(struct wire_in *in, struct sa_usage *ret)
{
	*ret = (struct sa_usage){ .pair = wire_u64(in) };
	ret->spi_in = wire_u32(in);
	ret->spi_out = wire_u32(in);
	ret->packets_in = wire_u64(in);
	ret->packets_out = wire_u64(in);
	ret->octets_in = wire_u64(in);
	ret->octets_out = wire_u64(in);
	ret->last_in_ms = wire_u64(in);
	ret->last_out_ms = wire_u64(in);
}
