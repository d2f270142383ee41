/* tests/replay/tamper.h - changes protected messages on the wire: the test has both hosts' keys. Payloads are left out
 * or put in front, the rest stays as it was; since AUTH covers the first two messages only, the proof still holds. */
#ifndef TESTS_REPLAY_TAMPER_H
#define TESTS_REPLAY_TAMPER_H
#include "keying/engine.h"
#include "tests/replay/world.h"

struct tamper {
	unsigned from; /* the host that sends it */
	enum ike_exchange exchange;
	bool reply, all_gone; /* all_gone: nothing of it is left */
	uint8_t gone[8];      /* payload types that are left out */
	void (*add)(struct ike_writer *w, const struct tamper *t);
	uint16_t notify; /* for `add`: what it needs */
	const void *data;
	size_t len;
	unsigned changed; /* messages so far */
};

/* For w->wire, with w->context a struct tamper. */
unsigned tamper_wire(struct world *w, struct datagram *d);
/* For `add`: the notification, with data and len. */
void tamper_notify(struct ike_writer *w, const struct tamper *t);
struct ike_sa *tamper_sa(struct world *w, unsigned host); /* the first; NULL: none */

#endif
