/* identity/peer_wire.h - a peer in messages between our own processes. What is not well-formed fails the cursor. */
#ifndef IDENTITY_PEER_WIRE_H
#define IDENTITY_PEER_WIRE_H
#include "base/wire.h"
#include "identity/peer.h"

enum {
	PEER_WIRE_LEAST = 1 + 3 * 2 + 1 + 8 + PEER_DIGEST + 8 + 3,
	PEER_WIRE_MOST = PEER_WIRE_LEAST + 3 * PEER_TEXT + PEER_NAMES * (2 + PEER_TEXT) + SID_LIST_MOST,
};

void peer_put(struct wire_out *out, const struct peer *p);
void peer_get(struct wire_in *in, struct peer *ret);

#endif
