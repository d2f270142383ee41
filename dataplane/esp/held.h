/* dataplane/esp/held.h - packets that wait for an SA, one queue for each selector, in the order in which they came.
 * Every queue and all together are bounded; who comes when it is full is dropped, so the first packet is late, not
 * lost. A queue stays a while when it is empty: it remembers when keying was last asked. Pure. */
#ifndef DATAPLANE_ESP_HELD_H
#define DATAPLANE_ESP_HELD_H
#include "dataplane/esp/offload.h"
#include "dataplane/sad.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	HELD_QUEUES = 4096,
	HELD_BUCKETS = 1024,
	HELD_PACKETS_EACH = 64,
	HELD_OCTETS_EACH = 512 * 1024,
	HELD_OCTETS_ALL = 32 * 1024 * 1024,
	HELD_ASK_MS = 1000,   /* ACQUIRE at most so often for a selector */
	HELD_MOST_MS = 30000, /* keying tells us long before that what became of it */
};

struct held_packet {
	struct held_packet *next;
	uint64_t since_ms;
	uint8_t offload[OFFLOAD_HEADER];
	size_t len;
	uint8_t octets[];
};

struct held_queue {
	struct held_queue *next;
	struct sa_selector selector;
	uint64_t asked_ms;
	bool unasked; /* a packet came too soon behind the last question to ask again */
	struct held_packet *first, **last;
	size_t packets, octets;
};

struct held {
	struct held_queue *buckets[HELD_BUCKETS];
	size_t queues, octets;
	unsigned shares; /* so many of us share HELD_OCTETS_ALL; 0: alone */
};

/* The queue of a selector, or NULL. */
struct held_queue *held_queue_of(struct held *h, const struct sa_selector *s);
/* The same, a new one if there is none; NULL: there are too many. */
struct held_queue *held_queue_make(struct held *h, const struct sa_selector *s);
/* Should keying be asked about this queue now? Whoever is told yes does it. */
bool held_ask(struct held_queue *q, uint64_t now_ms);
/* false: full. The packet is copied. */
bool held_add(struct held *h, struct held_queue *q, const uint8_t offload[OFFLOAD_HEADER], const uint8_t *packet,
	      size_t len, uint64_t now_ms);
/* All packets of a queue, in order, the caller's to free; the queue is then empty. */
struct held_packet *held_take(struct held *h, struct held_queue *q);
/* The first queue behind `after` (NULL: from the start) that has packets: of all, *bucket being the walker's own; or of
 * those between two addresses. */
struct held_queue *held_next(const struct held *h, size_t *bucket, const struct held_queue *after);
struct held_queue *held_between(const struct held *h, const struct held_queue *after, const struct addr *local,
				const struct addr *remote);
/* A queue with a packet that nobody was asked about, and it is time to; NULL: none. */
struct held_queue *held_unasked(const struct held *h, uint64_t now_ms);
/* Nobody was asked about any of them. */
void held_forget_asked(struct held *h);
/* Drop what is too old and queues that are no longer needed. Returns the number of packets dropped. */
size_t held_expire(struct held *h, uint64_t now_ms);
void held_wipe(struct held *h);

#endif
