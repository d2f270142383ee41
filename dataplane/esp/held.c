#include "dataplane/esp/held.h"

#include "base/mem.h"
#include "dataplane/esp/sa.h"

#include <stdlib.h>
#include <string.h>

/* All of two hosts in one, since an SA between them may release any. Local processes choose the addresses, and
 * HELD_QUEUES bounds what a chosen bucket could cost. */
static size_t bucket_between(const struct addr *local, const struct addr *remote)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < sizeof remote->octets; i++)
		sum = sum * 31 + remote->octets[i] + local->octets[i] * 7u;
	return (sum ^ sum >> 13) % HELD_BUCKETS;
}

static struct held_queue **bucket_of(struct held *h, const struct sa_selector *s)
{
	return &h->buckets[bucket_between(&s->local, &s->remote)];
}

struct held_queue *held_queue_of(struct held *h, const struct sa_selector *s)
{
	struct held_queue *q = *bucket_of(h, s);

	while (q && !sa_selector_equal(&q->selector, s))
		q = q->next;
	return q;
}

struct held_queue *held_queue_make(struct held *h, const struct sa_selector *s)
{
	struct held_queue **bucket = bucket_of(h, s), *q = held_queue_of(h, s);

	if (q || h->queues >= HELD_QUEUES)
		return q;
	q = mem_new(1, sizeof *q);
	q->selector = *s;
	q->last = &q->first;
	q->unasked = true;
	q->next = *bucket;
	*bucket = q;
	h->queues++;
	return q;
}

static bool may_ask(const struct held_queue *q, uint64_t now_ms)
{
	return q->asked_ms == 0 || now_ms - q->asked_ms >= HELD_ASK_MS;
}

bool held_ask(struct held_queue *q, uint64_t now_ms)
{
	q->unasked = !may_ask(q, now_ms);
	if (!q->unasked)
		q->asked_ms = now_ms ? now_ms : 1;
	return !q->unasked;
}

struct held_queue *held_unasked(const struct held *h, uint64_t now_ms)
{
	size_t bucket = 0;
	struct held_queue *q = held_next(h, &bucket, NULL);

	while (q && !(q->unasked && may_ask(q, now_ms)))
		q = held_next(h, &bucket, q);
	return q;
}

void held_forget_asked(struct held *h)
{
	for (size_t i = 0; i < HELD_BUCKETS; i++)
		for (struct held_queue *q = h->buckets[i]; q; q = q->next) {
			q->unasked = q->first != NULL;
			q->asked_ms = 0;
		}
}

bool held_add(struct held *h, struct held_queue *q, const uint8_t offload[OFFLOAD_HEADER], const uint8_t *packet,
	      size_t len, uint64_t now_ms)
{
	struct held_packet *p;

	if (q->packets >= HELD_PACKETS_EACH || q->octets + len > HELD_OCTETS_EACH ||
	    h->octets + len > HELD_OCTETS_ALL / (h->shares ? h->shares : 1))
		return false;
	p = mem_new(1, sizeof *p + len);
	p->since_ms = now_ms;
	p->len = len;
	memcpy(p->offload, offload, OFFLOAD_HEADER);
	memcpy(p->octets, packet, len);
	*q->last = p;
	q->last = &p->next;
	q->packets++;
	q->octets += len;
	h->octets += len;
	return true;
}

struct held_packet *held_take(struct held *h, struct held_queue *q)
{
	struct held_packet *first = q->first;

	h->octets -= q->octets;
	q->first = NULL;
	q->last = &q->first;
	q->packets = q->octets = 0;
	return first;
}

struct held_queue *held_next(const struct held *h, size_t *bucket, const struct held_queue *after)
{
	struct held_queue *q = after ? after->next : h->buckets[*bucket];

	for (;;) {
		for (; q; q = q->next)
			if (q->first)
				return q;
		if (*bucket == HELD_BUCKETS - 1)
			return NULL;
		q = h->buckets[++*bucket];
	}
}

struct held_queue *held_between(const struct held *h, const struct held_queue *after, const struct addr *local,
				const struct addr *remote)
{
	struct held_queue *q = after ? after->next : h->buckets[bucket_between(local, remote)];

	while (q && !(q->first && addr_equal(&q->selector.local, local) && addr_equal(&q->selector.remote, remote)))
		q = q->next;
	return q;
}

static size_t drop_old(struct held *h, struct held_queue *q, uint64_t now_ms)
{
	size_t dropped = 0;

	while (q->first && now_ms - q->first->since_ms >= HELD_MOST_MS) {
		struct held_packet *p = q->first;

		q->first = p->next;
		if (!q->first)
			q->last = &q->first;
		q->packets--;
		q->octets -= p->len;
		h->octets -= p->len;
		free(p);
		dropped++;
	}
	return dropped;
}

size_t held_expire(struct held *h, uint64_t now_ms)
{
	size_t dropped = 0;

	for (size_t i = 0; i < HELD_BUCKETS; i++)
		for (struct held_queue **at = &h->buckets[i], *q; (q = *at);) {
			dropped += drop_old(h, q, now_ms);
			if (q->first || now_ms - q->asked_ms < HELD_ASK_MS) {
				at = &q->next;
				continue;
			}
			*at = q->next;
			free(q);
			h->queues--;
		}
	return dropped;
}

void held_wipe(struct held *h)
{
	for (size_t i = 0; i < HELD_BUCKETS; i++)
		while (h->buckets[i]) {
			struct held_queue *q = h->buckets[i];
			struct held_packet *p = held_take(h, q);

			while (p) {
				struct held_packet *next = p->next;

				free(p);
				p = next;
			}
			h->buckets[i] = q->next;
			free(q);
		}
	*h = (struct held){ 0 };
}
