/* dataplane/esp/gather.h - when to wait for more before small datagrams are sent. A program that sends many of them is
 * slower than we are: read as they come, they would leave in short runs, and the program would pay for waking us for
 * each few. So while many come, what the TUN gave before it ran dry waits once, for a moment. One datagram alone never
 * waits, nor does anything that is not UDP: TCP sends as fast as it is answered. Pure. */
#ifndef DATAPLANE_ESP_GATHER_H
#define DATAPLANE_ESP_GATHER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	GATHER_NS = 60000,
	GATHER_MANY = 8,      /* datagrams of one turn: as many will follow */
	GATHER_WITHIN_MS = 1, /* of a turn with many, fewer do */
	GATHER_SMALL = 2048,  /* a longer one is many already */
};

struct gather {
	unsigned taken; /* in this turn */
	bool hurries;   /* something else was among them */
	bool waited;
	uint64_t many_ms; /* when a turn had many last */
};

void gather_begin(struct gather *g);
/* A packet of the TUN. */
void gather_take(struct gather *g, const uint8_t *packet, size_t len);
/* There is none left: wait and look again? At most once in a turn. */
bool gather_waits(struct gather *g, uint64_t now_ms);
void gather_end(struct gather *g, uint64_t now_ms);

#endif
