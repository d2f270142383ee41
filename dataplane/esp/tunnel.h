/* dataplane/esp/tunnel.h - a packet inside a packet: tunnel mode is transport mode of what these make (RFC 4303 3.1.2).
 * The outer header is made as RFC 4301 5.1.2.1 says: DSCP copied, DF copied from IPv4 and set for IPv6, a TTL of its
 * own; ECN both ways as RFC 6040. The inner TTL is the kernel's business, which forwards on both sides. Pure. */
#ifndef DATAPLANE_ESP_TUNNEL_H
#define DATAPLANE_ESP_TUNNEL_H
#include "dataplane/esp/ip.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sa_spec;

enum { IP_IPIP = 4, IP_IPV6 = 41, TUNNEL_HEADER_MOST = IP6_HEADER };

/* Octets of the outer header. */
size_t tunnel_head(const struct sa_spec *sa);
/* Put the packet behind an outer header; `to` has room for len + TUNNEL_HEADER_MOST. fragment_outside: the path is
 * smaller than what may be asked of the sender, so the outer packet must not say DF. Returns its length. */
size_t tunnel_wrap(const struct sa_spec *sa, const uint8_t *packet, size_t len, bool fragment_outside, uint8_t *to,
		   struct ip_packet *ret);

/* What an opened outer packet holds: packet[*ret_start .. *ret_start + ret->len), with the congestion mark that it
 * got on the way. false: no IP packet, or one that must be dropped (a mark on what does not know marks). */
bool tunnel_unwrap(uint8_t *packet, size_t len, size_t *ret_start, struct ip_packet *ret);

#endif
