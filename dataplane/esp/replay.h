/* dataplane/esp/replay.h - the anti-replay window of one inbound SA, and the guess of an extended sequence number's
 * high half (RFC 4303 3.4.3, appendix A). Pure. */
#ifndef DATAPLANE_ESP_REPLAY_H
#define DATAPLANE_ESP_REPLAY_H
#include <stdbool.h>
#include <stdint.h>

enum { REPLAY_LEAST = 64, REPLAY_MOST = 4096 };

struct replay {
	uint32_t bits, words; /* packets that the window spans, at most REPLAY_MOST; words of the ring */
	uint64_t top;         /* highest number accepted; 0: none yet */
	uint64_t *seen;       /* a ring of a power of two: the bit of number n is bit n % 64 of word n / 64 % words */
};

void replay_init(struct replay *w, uint32_t bits);
void replay_wipe(struct replay *w);

/* Would this number be accepted? The cheap question before the ICV is computed. 0, -EALREADY or -ESTALE. */
int replay_check(const struct replay *w, uint64_t seq);

/* Decide whether a sequence number is fresh, and note it if so. Call only after the ICV has verified, or a forger
 * could move the window. seq: full 64-bit number. Returns 0, -EALREADY (seen before) or -ESTALE (left of the window,
 * or 0, which no packet has). */
int replay_accept(struct replay *w, uint64_t seq);

/* The 64-bit number whose low half came in the packet: the one nearest to the window. false: it would lie before the
 * first packet. */
bool replay_extend(const struct replay *w, uint32_t low, uint64_t *ret_seq);

#endif
