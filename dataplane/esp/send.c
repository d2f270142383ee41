/* The way out: from the TUN, by the plan, under an SA or into the queue of those that wait for one. */
#include "dataplane/esp/esp.h"
#include "dataplane/esp/fragment.h"
#include "dataplane/esp/icmp.h"
#include "dataplane/esp/packet.h"
#include "dataplane/esp/plane.h"
#include "dataplane/esp/tunnel.h"

#include "base/wire.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* A packet under way. */
struct outgoing {
	struct ip_packet ip;
	struct offload offload;
	const uint8_t *offload_header;
	uint8_t *packet;
};

static bool begin(struct sad *s, struct outgoing *o, const uint8_t offload[OFFLOAD_HEADER], uint8_t *packet, size_t len)
{
	*o = (struct outgoing){ .offload_header = offload, .packet = packet };
	if (ip_parse(packet, len, &o->ip, NULL) < 0 ||
	    (o->ip.fragment ? 0 : offload_decode(offload, &o->ip, packet, &o->offload, NULL)) < 0) {
		plane_drop(s, DROP_MALFORMED);
		return false;
	}
	return true;
}

/* An ICMP error follows the flow that it quotes, which the peer sent us; only if no rule protects that, its own. */
static struct flow *classify(struct sad *s, const struct outgoing *o)
{
	struct plan_packet key;
	struct ip_packet quoted;

	if (ip_quoted(&o->ip, o->packet, &quoted) && addr_equal(&quoted.source, &o->ip.destination)) {
		struct flow *f;

		ip_flow(&quoted, false, &key);
		f = flow_of(s, &key);
		/* Behind a gateway it need not be the packet's goal that says so. */
		if (f->entry && (f->entry->rule->tunnel || addr_equal(&quoted.destination, &o->ip.source)))
			return f;
	}
	ip_flow(&o->ip, true, &key);
	return flow_of(s, &key);
}

__attribute__((noinline, cold)) static void hold(struct sad *s, const struct outgoing *o, const struct flow *f,
						 uint64_t since_ms)
{
	struct sad_event e = {
		.kind = SAD_ACQUIRE,
		.selector = sa_selector_of(f->entry, &f->key.local, &f->key.remote),
		.packet = f->key,
		.entry = f->entry,
	};
	struct held_queue *q = held_queue_make(&s->held, &e.selector);

	if (!q) {
		plane_drop(s, DROP_NO_SA);
		return;
	}
	if (!held_add(&s->held, q, o->offload_header, o->packet, o->ip.len, since_ms))
		plane_drop(s, DROP_HELD_OVERFLOW);
	if (held_ask(q, s->now))
		plane_tell(s, &e, NULL);
}

static void too_big(struct sad *s, const struct ip_packet *ip, const uint8_t *packet, size_t budget)
{
	uint8_t *out = list_space(&s->out, ICMP_MOST);
	/* Linux does not listen to less than IPv6's least; what is no longer than that travels in fragments. */
	size_t least = ip->source.family == 6 ? PATH_LEAST6 : 0;
	size_t n = icmp_too_big(ip, packet, budget < least ? least : budget, out);

	if (n)
		list_commit(&s->out, n, true);
	plane_drop(s, DROP_TOO_BIG);
}

/* May the packet travel in fragments? IPv6 has no bit that says so; TCP would rather know and send less, but cannot be
 * told less than the least MTU. */
static bool may_fragment(const struct ip_packet *ip, size_t len)
{
	if (ip->source.family == 4)
		return !ip->dont_fragment;
	return ip->protocol != IP_TCP || len <= PATH_LEAST6;
}

static void put_fragments(struct sad *s, const struct ip_packet *ip, const uint8_t *packet, size_t len, size_t mtu)
{
	struct fragmenter f;
	size_t n;

	if (!fragmenter_init(&f, ip, packet, len, mtu, ++s->fragment_id)) {
		plane_drop(s, DROP_TOO_BIG);
		return;
	}
	while ((n = fragmenter_next(&f, list_space(&s->out, mtu))) > 0)
		list_commit(&s->out, n, false);
}

static void commit_sealed(struct sad *s, const struct sa *sa, size_t len)
{
	list_commit(&s->out, len, false);
	s->out.rows[s->out.count - 1].in_udp = sa->spec.encap_local_port;
}

static bool seal_to(struct sa *sa, const struct ip_packet *ip, const uint8_t *packet, size_t len, uint8_t *to,
		    size_t room)
{
	struct wire_out out = wire_out(to, room);
	size_t gap = esp_gap(sa);

	if (gap == 0)
		return esp_seal(sa, ip, packet, len, &out, NULL) == 0;
	memcpy(to + gap, packet, len);
	return esp_seal_here(sa, ip, to, len, NULL) == 0;
}

static void put_sealed(struct sad *s, struct sa *sa, const struct ip_packet *ip, const uint8_t *packet, size_t len,
		       size_t mtu)
{
	size_t sealed = esp_sealed_len(sa, ip, len);
	bool whole = sealed <= mtu;
	uint8_t *to;

	if (sealed > IP_PACKET_MOST || (!whole && !may_fragment(ip, len))) {
		struct ip_packet piece = *ip;

		piece.len = len;
		too_big(s, &piece, packet, esp_budget(sa, ip, mtu));
		return;
	}
	if (plane_used_up(sa)) {
		plane_drop(s, DROP_SEQUENCE_EXHAUSTED);
		return;
	}
	to = whole ? list_space(&s->out, sealed) : s->sealed;
	if (!seal_to(sa, ip, packet, len, to, sealed)) {
		plane_drop(s, DROP_SEND);
		return;
	}
	sa->last_ms = s->now;
	if (whole) {
		commit_sealed(s, sa, sealed);
		return;
	}
	if (sa->spec.encap_local_port && ip->source.family == 6)
		esp_udp_checksum(to, ip->head, sealed);
	put_fragments(s, ip, to, sealed, mtu);
}

/* A super-packet whose pieces all fit, each sealed from where it stands. False: they do not, nothing was done. */
static bool put_cut(struct sad *s, struct sa *sa, const struct ip_packet *ip, struct cutter *c, uint8_t *packet,
		    size_t mtu)
{
	static_assert((int)CUTTER_BEHIND >= (int)ESP_TAIL_MOST, "a cutter leaves room behind a piece");
	size_t gap = sa->spec.tunnel ? 0 : esp_gap(sa), longest = c->head + c->size;
	size_t room = esp_sealed_len(sa, ip, longest < ip->len ? longest : ip->len), n;

	if (gap == 0 || room > mtu)
		return false;
	for (;;) {
		uint8_t *to = list_space(&s->out, room), *piece = cutter_next_here(c, packet, &n);

		if (!piece && (n = cutter_next(c, to + gap)) == 0)
			break;
		if (plane_used_up(sa))
			plane_drop(s, DROP_SEQUENCE_EXHAUSTED);
		else if ((piece ? esp_seal_from(sa, ip, piece, n, to, NULL) : esp_seal_here(sa, ip, to, n, NULL)) < 0)
			plane_drop(s, DROP_SEND);
		else
			commit_sealed(s, sa, esp_sealed_len(sa, ip, n));
	}
	sa->last_ms = s->now;
	return true;
}

static void put_clear(struct sad *s, const struct ip_packet *ip, const uint8_t *packet, size_t len, size_t mtu)
{
	if (len <= mtu) {
		list_add(&s->out, packet, len, false);
	} else if (may_fragment(ip, len)) {
		put_fragments(s, ip, packet, len, mtu);
	} else {
		struct ip_packet piece = *ip;

		piece.len = len;
		too_big(s, &piece, packet, mtu);
	}
}

/* ---- tunnels: the packet goes inside another, which is then sealed like any -------------------------------------- */

/* The longest packet whose outer one fits. */
static size_t tunnel_budget(const struct sa *sa, size_t mtu)
{
	const size_t head = tunnel_head(&sa->spec);
	struct ip_packet outer = { .source = sa->spec.local, .head = head };
	size_t most = esp_budget(sa, &outer, mtu);

	return most > head ? most - head : 0;
}

static void put_inside(struct sad *s, struct sa *sa, const uint8_t *packet, size_t len, size_t mtu,
		       bool fragment_outside)
{
	struct ip_packet outer;
	size_t n = len + tunnel_head(&sa->spec) > IP_PACKET_MOST
			   ? 0
			   : tunnel_wrap(&sa->spec, packet, len, fragment_outside, s->inside, &outer);

	if (n)
		put_sealed(s, sa, &outer, s->inside, n, mtu);
	else
		plane_drop(s, DROP_TOO_BIG);
}

/* What does not fit is fragmented before it is sealed, if its sender allows; else its sender is told. Below the least
 * MTU of IPv6 nobody can be told: then the sealed packet is cut. */
static void put_tunnelled(struct sad *s, struct sa *sa, const struct ip_packet *ip, const uint8_t *packet, size_t len,
			  size_t mtu)
{
	size_t most = tunnel_budget(sa, mtu), n;
	struct ip_packet piece = *ip;
	struct fragmenter f;

	piece.len = len;
	if (len <= most) {
		put_inside(s, sa, packet, len, mtu, false);
	} else if (ip->source.family == 4 && !ip->dont_fragment) {
		if (!fragmenter_init(&f, &piece, packet, len, most, ++s->fragment_id)) {
			plane_drop(s, DROP_TOO_BIG);
			return;
		}
		while ((n = fragmenter_next(&f, s->fragment)) > 0)
			put_inside(s, sa, s->fragment, n, mtu, false);
	} else if (ip->source.family == 6 && len <= PATH_LEAST6) {
		put_inside(s, sa, packet, len, mtu, true);
	} else {
		too_big(s, &piece, packet, ip->source.family == 6 && most < PATH_LEAST6 ? PATH_LEAST6 : most);
	}
}

static void put_one(struct sad *s, struct sa *sa, const struct ip_packet *ip, const uint8_t *packet, size_t len,
		    size_t mtu)
{
	if (!sa)
		put_clear(s, ip, packet, len, mtu);
	else if (sa->spec.tunnel)
		put_tunnelled(s, sa, ip, packet, len, mtu);
	else
		put_sealed(s, sa, ip, packet, len, mtu);
}

/* sa NULL: in clear. */
static void put(struct sad *s, struct sa *sa, struct outgoing *o)
{
	size_t mtu = path_mtu(&s->paths, sa ? &sa->spec.local : &o->ip.source,
			      sa ? &sa->spec.remote : &o->ip.destination, s->now);
	size_t most = !sa ? mtu : sa->spec.tunnel ? tunnel_budget(sa, mtu) : esp_budget(sa, &o->ip, mtu), n;
	struct cutter c;

	if (o->offload.cut == CUT_NONE) {
		offload_complete(&o->offload, o->packet, o->ip.len);
		put_one(s, sa, &o->ip, o->packet, o->ip.len, mtu);
		return;
	}
	if (cutter_init(&c, &o->offload, &o->ip, o->packet, most, NULL) < 0) {
		plane_drop(s, DROP_TOO_BIG);
		return;
	}
	if (sa && put_cut(s, sa, &o->ip, &c, o->packet, mtu))
		return;
	while ((n = cutter_next(&c, s->piece)) > 0)
		put_one(s, sa, &o->ip, s->piece, n, mtu);
}

void plane_send_since(struct sad *s, const uint8_t offload[OFFLOAD_HEADER], uint8_t *packet, size_t len,
		      uint64_t since_ms)
{
	struct outgoing o;
	struct flow *f;
	struct sa *out;

	if (!begin(s, &o, offload, packet, len))
		return;
	f = classify(s, &o);
	if (!f->entry && (s->config.share.index == 0 || !s->config.is_behind(s->config.context))) {
		plane_drop(s, DROP_POLICY);
		return;
	}
	/* What no rule protects may be of a plan that the first one has already. */
	if (!f->entry || f->owner != s->config.share.index) {
		plane_pass(s, f->entry ? f->owner : 0,
			   &(struct plane_passed){ .offload = offload,
						   .packet = packet,
						   .len = len,
						   .since_ms = since_ms,
						   .unruled = !f->entry });
		return;
	}
	if (o.ip.fragment && !f->entry->rule->tunnel) { /* transport mode takes whole packets (RFC 4303 3.3.4) */
		plane_drop(s, DROP_FRAGMENT);
		return;
	}
	while ((out = flow_out(s, f)) && plane_used_up(out)) {
		plane_expire(s, out);
		f = classify(s, &o);
	}
	if (!out) {
		hold(s, &o, f, since_ms);
		return;
	}
	put(s, out, &o);
	plane_expire_soft(s, out);
	if (list_is_long(&s->out))
		plane_relieve(s);
}

void plane_send(struct sad *s, const uint8_t offload[OFFLOAD_HEADER], uint8_t *packet, size_t len)
{
	plane_send_since(s, offload, packet, len, s->now);
}

static void send_queue(struct sad *s, struct held_queue *q)
{
	for (struct held_packet *p = held_take(&s->held, q), *next; p; p = next) {
		next = p->next;
		plane_send_since(s, p->offload, p->octets, p->len, p->since_ms);
		free(p);
	}
}

static struct held_queue *next_held(struct sad *s, size_t *bucket, const struct held_queue *q, const struct addr *local,
				    const struct addr *remote)
{
	return local ? held_between(&s->held, q, local, remote) : held_next(&s->held, bucket, q);
}

void plane_send_held(struct sad *s, const struct addr *local, const struct addr *remote)
{
	size_t bucket = 0;

	for (struct held_queue *q = next_held(s, &bucket, NULL, local, remote); q;
	     q = next_held(s, &bucket, q, local, remote))
		send_queue(s, q);
}

void plane_ask_again(struct sad *s)
{
	for (struct held_queue *q; (q = held_unasked(&s->held, s->now));) {
		q->unasked = false;
		send_queue(s, q);
	}
}

void plane_send_clear(struct sad *s, const uint8_t offload[OFFLOAD_HEADER], uint8_t *packet, size_t len)
{
	struct outgoing o;

	if (begin(s, &o, offload, packet, len))
		put(s, NULL, &o);
}

void plane_refuse(struct sad *s, const uint8_t *packet, size_t len)
{
	uint8_t *out = list_space(&s->out, ICMP_MOST);
	struct ip_packet ip;
	size_t n = ip_parse(packet, len, &ip, NULL) < 0 ? 0 : icmp_prohibited(&ip, packet, out);

	if (n)
		list_commit(&s->out, n, true);
	plane_drop(s, DROP_NEGOTIATION_FAILED);
}

/* By the addresses outside, as put() asks: a tunnel's, or a NAT's, are not those of what is inside. */
static void lower(struct sad *s, const struct sa *sa, uint32_t mtu)
{
	if (sa)
		path_lower(&s->paths, &sa->spec.local, &sa->spec.remote, mtu, s->now);
}

void plane_too_big(struct sad *s, const uint8_t *quote, size_t len, uint32_t mtu)
{
	struct ip_packet ip;
	struct wire_in in;
	size_t at;

	if (ip_parse_quoted(quote, len, &ip, NULL) < 0 || (ip.next != IP_ESP && ip.next != IP_AH && ip.next != IP_UDP))
		return;
	at = ip.head + (ip.next == IP_UDP ? UDP_HEADER : ip.next == IP_AH ? 4 : 0);
	if (at > len)
		return;
	in = wire_in(quote + at, len - at);
	lower(s, sa_find_sent(&s->sas, &ip.source, &ip.destination, wire_u32(&in)), mtu);
}

void esp_encapsulated_too_big(struct sad *s, const struct addr *remote, const uint8_t *quote, size_t len, uint32_t mtu)
{
	struct wire_in in = wire_in(quote, len);

	plane_enter(s);
	lower(s, sa_find_sent(&s->sas, NULL, remote, wire_u32(&in)), mtu);
	plane_leave(s);
}
