/* dataplane/esp/ip.h - what the plane must know of an IP packet of either family: its addresses, where transport-mode
 * ESP starts or would start, and the flow it belongs to. Pure; reads untrusted octets through the wire cursor. */
#ifndef DATAPLANE_ESP_IP_H
#define DATAPLANE_ESP_IP_H
#include "base/addr.h"
#include "policy/plan.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct diag;

enum {
	IP_ICMP = 1,
	IP_TCP = 6,
	IP_UDP = 17,
	IP_ESP = 50,
	IP_AH = 51,
	IP_ICMP6 = 58,
	IP_NO_NEXT = 59, /* also ESP's dummy packet (RFC 4303 2.6) */
	IP_PACKET_MOST = 65535,
	IP4_HEADER = 20,
	IP6_HEADER = 40,
	UDP_HEADER = 8,
};

struct ip_packet {
	struct addr source, destination;
	size_t len;       /* of the whole packet */
	size_t head;      /* octets before ESP: the header with its options or extension headers that the path reads */
	size_t next_at;   /* where the field stands that names what follows `head` */
	uint8_t next;     /* what it names */
	size_t upper;     /* where the upper-layer header starts: `head`, or behind destination options */
	uint8_t protocol; /* of the upper layer */
	bool fragment;    /* not a whole datagram; nothing behind `head` was read unless it is the first */
	bool later;       /* ... and it is not */
	bool dont_fragment; /* IPv4 */
	bool has_ports;
	uint16_t source_port, destination_port; /* ICMP: type and code in source_port's octets */
};

/* The whole of octets[0..len) must be one packet. What *ret holds after an error is of no use. */
int ip_parse(const uint8_t *octets, size_t len, struct ip_packet *ret, struct diag *d);
/* The beginning of a packet, as an ICMP error quotes it: at least 8 octets behind the headers. */
int ip_parse_quoted(const uint8_t *octets, size_t len, struct ip_packet *ret, struct diag *d);

/* Is it an ICMP error that quotes another packet? Then that one, as it was sent. */
bool ip_quoted(const struct ip_packet *ip, const uint8_t *octets, struct ip_packet *ret);

/* The packet as the plan sees it from this host. out: we are its source. */
void ip_flow(const struct ip_packet *ip, bool out, struct plan_packet *ret);

/* After the octets behind the header have changed: total length, what follows the first `head` octets, IPv4 checksum.
 */
void ip_patch(uint8_t *octets, const struct ip_packet *ip, size_t len, uint8_t next);
void ip4_checksum(uint8_t *header, size_t head);

#endif
