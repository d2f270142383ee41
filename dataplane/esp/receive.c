/* The way in: ESP and AH from the wire, by its SPI, opened, judged by the plan, to the TUN. */
#include "dataplane/esp/check.h"
#include "dataplane/esp/nat.h"
#include "dataplane/esp/packet.h"
#include "dataplane/esp/plane.h"
#include "dataplane/esp/tunnel.h"

#include "base/table.h"
#include "base/wire.h"

#include <errno.h>

/* What seldom happens stays out of the way of each packet: its event takes longer to clear than a header to read. */
#define SELDOM __attribute__((noinline, cold))

SELDOM static void unknown_spi(struct sad *s, const struct ip_packet *ip, uint32_t spi)
{
	struct sad_event e = {
		.kind = SAD_UNKNOWN_SPI,
		.spi = spi,
		.packet = { .local = ip->destination,
			    .remote = ip->source,
			    .protocol = ip->next == IP_AH ? IP_AH : IP_ESP },
		.selector = { .local = ip->destination,
			      .remote = ip->source,
			      .protocol = PROTOCOL_ANY,
			      .local_port = PORT_ANY,
			      .remote_port = PORT_ANY },
	};
	size_t row = table_hash_secret(ip->source.octets, sizeof ip->source.octets, 0) % PLANE_UNKNOWN;

	if (ip->next == IP_UDP) {
		e.packet.local_port = ip->destination_port;
		e.packet.remote_port = ip->source_port;
	}
	plane_drop_in(s, DROP_UNKNOWN_SPI, ip, spi, NULL);
	if (s->unknown[row].told_ms && s->now - s->unknown[row].told_ms < PLANE_UNKNOWN_MS)
		return;
	s->unknown[row].told_ms = s->now ? s->now : 1;
	plane_tell(s, &e, NULL);
}

static enum sad_drop drop_of(int error)
{
	switch (error) {
	case -EALREADY:
	case -ESTALE:
		return DROP_REPLAY;
	case -ERR_SYNTAX:
		return DROP_MALFORMED;
	default:
		return DROP_BAD_ICV;
	}
}

/* DROP_COUNT: let it in. */
static enum sad_drop judge_flow(struct sad *s, const struct sa *sa, const struct plan_packet *flow)
{
	if (!sa_selector_has(&sa->spec.selector, flow))
		return DROP_SELECTOR;
	return check_inbound(&sa->spec, flow_of(s, flow)->entry) ? DROP_COUNT : DROP_POLICY;
}

/* The packet's own flow, or, for an ICMP error, that of the packet of ours which it quotes. */
static enum sad_drop judge(struct sad *s, const struct sa *sa, const struct ip_packet *ip, const uint8_t *packet)
{
	struct plan_packet flow;
	struct ip_packet quoted;
	enum sad_drop drop;

	ip_flow(ip, false, &flow);
	if (s->let_in.sa == sa && s->let_in.generation == s->generation && flow_key_equal(&s->let_in.flow, &flow))
		return DROP_COUNT;
	drop = judge_flow(s, sa, &flow);
	if (drop == DROP_COUNT) {
		s->let_in.sa = sa;
		s->let_in.generation = s->generation;
		s->let_in.flow = flow;
	}
	if (drop == DROP_COUNT || !ip_quoted(ip, packet, &quoted))
		return drop;
	ip_flow(&quoted, true, &flow);
	return judge_flow(s, sa, &flow);
}

/* Where the header of ESP or AH stands, or 0. */
static size_t esp_at(const struct ip_packet *ip)
{
	if (ip->fragment)
		return 0;
	if (ip->next == IP_ESP || ip->next == IP_AH)
		return ip->head;
	return ip->next == IP_UDP ? ip->head + UDP_HEADER : 0;
}

/* Is it from whom it must be? Behind a NAT address and port may change at any time; the check value says who it is. */
static bool from_peer(const struct sa *sa, const struct ip_packet *outer)
{
	if (!addr_equal(&sa->spec.local, &outer->destination))
		return false;
	return addr_equal(&sa->spec.remote, &outer->source) || (sa->spec.nat && outer->next == IP_UDP);
}

SELDOM static void tell_first(struct sad *s, const struct sa *sa)
{
	plane_tell(s, &(struct sad_event){ .kind = SAD_FIRST_IN, .pair = sa->spec.pair }, NULL);
}

/* Authentic, new, and from elsewhere than the last: keying decides what follows. */
static bool has_moved(const struct sa *sa, const struct ip_packet *outer)
{
	return sa->spec.nat && outer->next == IP_UDP &&
	       (outer->source_port != sa->spec.encap_remote_port || !addr_equal(&outer->source, &sa->spec.remote));
}

SELDOM static void tell_moved(struct sad *s, struct sa *sa, const struct ip_packet *outer)
{
	struct sad_event e = { .kind = SAD_MOVED, .pair = sa->spec.pair, .spi = sa->spec.spi };

	if (sa->moved_told_ms && s->now - sa->moved_told_ms < PLANE_MOVED_MS)
		return;
	sa->moved_told_ms = s->now ? s->now : 1;
	e.packet = (struct plan_packet){ .local = outer->destination,
					 .remote = outer->source,
					 .protocol = IP_UDP,
					 .local_port = outer->destination_port,
					 .remote_port = outer->source_port };
	plane_tell(s, &e, NULL);
}

/* What has been opened is the packet itself, or the one around it. */
static bool inside(const struct sa *sa, uint8_t *packet, size_t *start, size_t *len, struct ip_packet *ret)
{
	size_t more = 0;

	if (!sa->spec.tunnel)
		return (!sa->spec.nat || nat_restore(&sa->spec.selector, packet + *start, *len) == 0) &&
		       ip_parse(packet + *start, *len, ret, NULL) == 0;
	if (!tunnel_unwrap(packet + *start, *len, &more, ret))
		return false;
	*start += more;
	*len -= more;
	return true;
}

static void open_under(struct sad *s, struct sa *sa, const struct ip_packet *outer, uint8_t *packet, size_t at)
{
	struct ip_packet inner;
	size_t start, len;
	uint8_t next;
	enum sad_drop drop;
	int r = esp_open(sa, outer, packet, at, &start, &len, &next, NULL);

	if (r < 0) {
		plane_drop_in(s, drop_of(r), outer, sa->spec.spi, sa);
		return;
	}
	if (sa->packets++ == 0)
		tell_first(s, sa);
	sa->octets += len - outer->head;
	sa->last_ms = s->now;
	if (has_moved(sa, outer))
		tell_moved(s, sa, outer);
	if (next == IP_NO_NEXT)
		return;
	if (!inside(sa, packet, &start, &len, &inner)) {
		plane_drop_in(s, DROP_MALFORMED, outer, sa->spec.spi, sa);
		return;
	}
	if (inner.fragment && !sa->spec.tunnel) { /* of IPv6; it need not have ports to be judged by, and transport mode
						   * takes whole packets
						   */
		plane_drop_in(s, DROP_FRAGMENT, outer, sa->spec.spi, sa);
		return;
	}
	drop = judge(s, sa, &inner, packet + start);
	if (drop == DROP_COUNT)
		plane_to_tun(s, &inner, packet + start, len);
	else
		plane_drop_in(s, drop, outer, sa->spec.spi, sa);
}

void plane_receive(struct sad *s, uint8_t *packet, size_t len)
{
	struct ip_packet ip;

	if (ip_parse(packet, len, &ip, NULL) < 0)
		plane_drop(s, DROP_MALFORMED);
	else
		plane_receive_parsed(s, &ip, packet);
}

void plane_receive_parsed(struct sad *s, const struct ip_packet *ip, uint8_t *packet)
{
	const size_t at = esp_at(ip), len = ip->len;
	struct wire_in in;
	struct sa *sa;
	uint32_t spi;

	if (at == 0 || at > len) {
		plane_drop(s, DROP_MALFORMED);
		return;
	}
	in = wire_in(packet + at, len - at);
	if (ip->next == IP_AH)
		(void)wire_u32(&in);
	spi = wire_u32(&in);
	if (in.failed) {
		plane_drop(s, DROP_MALFORMED);
		return;
	}
	sa = sa_find_in(&s->sas, spi);
	if (!sa && share_of_spi(spi, s->config.share.count) != s->config.share.index) {
		plane_pass(s, share_of_spi(spi, s->config.share.count),
			   &(struct plane_passed){ .packet = packet, .len = len, .since_ms = s->now });
		return;
	}
	if (!sa) {
		if (!sa_keep_early(&s->sas, spi, &ip->source, packet, len))
			unknown_spi(s, ip, spi);
		return;
	}
	if (!from_peer(sa, ip) || (sa->spec.suite.protocol == PROTO_AH) != (ip->next == IP_AH)) {
		plane_drop_in(s, DROP_SELECTOR, ip, spi, sa);
		return;
	}
	if (plane_used_up(sa)) {
		plane_drop_in(s, DROP_SEQUENCE_EXHAUSTED, ip, spi, sa);
		plane_expire(s, sa);
		return;
	}
	open_under(s, sa, ip, packet, at);
	plane_expire_soft(s, sa);
	if (list_is_long(&s->out) && !s->stays) {
		plane_enter(s);
		plane_leave(s);
	}
}
