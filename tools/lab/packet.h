/* tools/lab/packet.h - one captured frame, read for what the lab asks of it: who sent it, whose flow it belongs to, and
 * whether it is protected. Pure. */
#ifndef TOOLS_LAB_PACKET_H
#define TOOLS_LAB_PACKET_H
#include "base/addr.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum packet_kind {
	PACKET_OUTSIDE, /* rules do not speak of it: not IP, multicast, link-local, neighbour discovery */
	PACKET_CLEAR,
	PACKET_SEALED, /* ESP or AH, also in UDP 4500 */
	PACKET_IKE
};

enum { PACKET_AH = 51, PACKET_ESP = 50, PACKET_ICMP = 1, PACKET_TCP = 6, PACKET_UDP = 17, PACKET_ICMPV6 = 58 };

/* A flow as one end sees it. Ports are 0 where the protocol has none or a fragment hides them; ICMP echo has its
 * identifier as `from_port` in both directions, so that the answer finds the question. */
struct packet_flow {
	struct addr from, to;
	int16_t protocol;
	uint16_t from_port, to_port;
	int16_t icmp_type, icmp_code; /* -1: not ICMP. An echo reply has the request's type */
};

/* What the packet says of who opened the flow. */
enum packet_role {
	PACKET_ROLE_UNKNOWN, /* flow is as the packet goes */
	PACKET_OPENS,        /* flow is as the packet goes, and that way it was opened */
	PACKET_ANSWERS       /* the packet goes against its flow */
};

enum packet_fragment { PACKET_WHOLE, PACKET_FIRST_FRAGMENT, PACKET_LATER_FRAGMENT };

struct packet {
	enum packet_kind kind;
	enum packet_fragment fragment;
	uint32_t fragment_id; /* of all pieces of one */
	uint8_t sealed_by;    /* PACKET_ESP or PACKET_AH */
	struct addr from, to;
	struct packet_flow flow; /* of an ICMP error: the flow that it quotes */
	enum packet_role role;
	bool quotes;            /* an ICMP error */
	const uint8_t *payload; /* behind the IP header, in the frame */
	size_t payload_len;
};

/* Is this the Ethernet frame's sender? */
bool packet_is_from(const void *frame, size_t len, const uint8_t mac[6]);
/* Ethernet frame; what is cut short or malformed is read as far as it goes. */
void packet_read(const void *frame, size_t len, struct packet *ret);

#endif
