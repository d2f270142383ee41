/* keying/timer.c - deadlines in a heap: setting and stopping one takes as long as the heap is deep. */
#include "keying/engine.h"

static void put(struct timers *t, size_t slot, struct timer *one)
{
	t->heap[slot - 1] = one;
	one->slot = slot;
}

static struct timer *at(const struct timers *t, size_t slot)
{
	return t->heap[slot - 1];
}

static void rise(struct timers *t, struct timer *one)
{
	size_t slot = one->slot;

	while (slot > 1 && at(t, slot / 2)->at_ms > one->at_ms) {
		put(t, slot, at(t, slot / 2));
		slot /= 2;
	}
	put(t, slot, one);
}

static void sink(struct timers *t, struct timer *one)
{
	size_t slot = one->slot;

	for (size_t child; (child = 2 * slot) <= t->count; slot = child) {
		if (child < t->count && at(t, child + 1)->at_ms < at(t, child)->at_ms)
			child++;
		if (at(t, child)->at_ms >= one->at_ms)
			break;
		put(t, slot, at(t, child));
	}
	put(t, slot, one);
}

void timer_stop(struct timers *t, struct timer *one)
{
	size_t slot = one->slot;

	if (!slot)
		return;
	one->slot = 0;
	struct timer *last = at(t, t->count--);
	if (last == one)
		return;
	put(t, slot, last);
	rise(t, last);
	sink(t, last);
}

void timer_set(struct timers *t, struct timer *one, uint64_t at_ms)
{
	if (at_ms == UINT64_MAX) {
		timer_stop(t, one);
		return;
	}
	one->at_ms = at_ms;
	if (!one->slot) {
		t->heap = mem_grow(t->heap, t->count, &t->cap, sizeof(struct timer *));
		put(t, ++t->count, one);
	}
	rise(t, one);
	sink(t, one);
}

struct timer *timer_due(struct timers *t, uint64_t now_ms)
{
	if (!t->count || at(t, 1)->at_ms > now_ms)
		return NULL;
	struct timer *one = at(t, 1);
	timer_stop(t, one);
	return one;
}

uint64_t timer_first(const struct timers *t)
{
	return t->count ? at(t, 1)->at_ms : UINT64_MAX;
}
