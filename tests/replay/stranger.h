/* tests/replay/stranger.h - somebody who asks a host for main mode and offers what nobody takes. */
#ifndef TESTS_REPLAY_STRANGER_H
#define TESTS_REPLAY_STRANGER_H
#include "tests/replay/world.h"

/* Each number asks for something else, so that none is the same failure again. */
void stranger_asks(struct world *w, unsigned host, unsigned number);

#endif
