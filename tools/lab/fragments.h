/* tools/lab/fragments.h - a later fragment says nothing of ports, so ESP in UDP is known by its first one alone: what
 * that was is remembered for those that follow. Pure. */
#ifndef TOOLS_LAB_FRAGMENTS_H
#define TOOLS_LAB_FRAGMENTS_H
#include "tools/lab/packet.h"

enum { FRAGMENTS_MOST = 256 };

/* Begins as all zero. */
struct fragments {
	struct {
		struct addr from, to;
		uint32_t id;
	} sealed[FRAGMENTS_MOST]; /* the oldest makes room */
	unsigned next;
};

/* In the order in which they were captured: p's kind becomes that of the packet which it is a piece of. */
void fragments_join(struct fragments *f, struct packet *p);

#endif
