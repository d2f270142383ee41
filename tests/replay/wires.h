/* tests/replay/wires.h - what may become of datagrams on the way: for w->wire, with one of these structs as w->context.
 */
#ifndef TESTS_REPLAY_WIRES_H
#define TESTS_REPLAY_WIRES_H
#include "tests/replay/world.h"

/* What the wire does to the IKE datagram that is sent as number `which`. */
struct mishap {
	unsigned which, seen;
	enum { LOSE, REPEAT, REPEAT_LATE, DAMAGE, DELAY } kind;
	size_t octet;
	size_t len;
	uint8_t octets[DATAGRAM_MOST]; /* as it was */
	bool same_again;               /* it was sent again, octet for octet */
};
unsigned wire_mishap(struct world *w, struct datagram *d);

/* A wire as bad as the seed says. */
struct storm {
	uint64_t state;
	unsigned lose_percent, repeat_percent, late_ms;
	bool calm;
};
unsigned wire_storm(struct world *w, struct datagram *d);
/* Two hosts of this policy begin in a storm, and at last there is one SA of each kind. */
void wires_ride_out(const char *policy, unsigned seed, bool quick_keys);

#endif
