/* daemon/messages/datagram_wire.h - IKE messages between the process that has UDP port 4500 and the one that
 * understands them.
 */
#ifndef DAEMON_MESSAGES_DATAGRAM_WIRE_H
#define DAEMON_MESSAGES_DATAGRAM_WIRE_H
#include "base/addr_wire.h"
#include "daemon/process/sockets.h"

enum {
	DATAGRAM_WIRE_HEAD = 2 * ADDR_WIRE_MOST + 2 * 2,
	DATAGRAM_WIRE_OCTETS = 32768, /* what is longer is nobody's IKE */
	DATAGRAM_WIRE_MOST = DATAGRAM_WIRE_HEAD + DATAGRAM_WIRE_OCTETS,
};

void datagram_encode(struct wire_out *out, const struct datagram *g);
/* ret->octets points into the message. */
int datagram_decode(struct wire_in *in, struct datagram *ret);

#endif
