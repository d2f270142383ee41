/* tests/guest/xfrm_pair/sas.h - SAs between the two hosts, made by nobody but the test. */
#ifndef TESTS_GUEST_XFRM_PAIR_SAS_H
#define TESTS_GUEST_XFRM_PAIR_SAS_H
#include "tests/guest/xfrm_pair/hosts.h"

struct how {
	const char *suite;
	unsigned family;
	bool tunnel, encap, no_esn;
	uint32_t window;
	uint64_t soft, hard;
};

extern const struct how plain_how; /* what a case takes that asks nothing of its SAs */

uint32_t sa_reserve(struct side *s, unsigned family);
bool sa_install(struct side *s, const struct how *h, bool inbound, uint32_t spi);
bool pair_up(const struct how *h);
void pair_down(void);

#endif
