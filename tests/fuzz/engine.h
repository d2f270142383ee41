/* tests/fuzz/engine.h - what two engines can be made to do by somebody between them, whichever version of IKE they
 * speak. Used by ike-engine.c and v1-engine.c. */
#ifndef TESTS_FUZZ_ENGINE_H
#define TESTS_FUZZ_ENGINE_H
#include "keying/engine.h"
#include "tests/replay/world.h"

struct ike_sa *engine_newest(struct world *w, unsigned host);
void engine_expire(struct world *w, unsigned host, enum sad_event_kind kind);
/* A raw datagram with an SPI, or cookies, that it knows. */
void engine_inject_known(struct world *w, unsigned host, const struct wire_in *body);
/* For w->wire, with w->context the rest of the input: the octets of the next IKE datagrams are changed as it says. */
unsigned engine_change(struct world *w, struct datagram *d);
/* Behind the check value: the content of a protected message, edited as the input says. Returns its new length. */
size_t engine_edit(struct wire_in *left, uint8_t *at, size_t len, size_t cap);
/* Nobody is between them any more: so long after the second packet they must be well again, or this aborts. */
void engine_calm(struct world *w, uint64_t last_ms);

#endif
