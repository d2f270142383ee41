#include "tools/lab/order.h"

#include "base/mem.h"

#include <stdbool.h>
#include <stdlib.h>

struct held {
	struct order_frame frame;
	uint64_t serial, read_ms;
};

/* A heap: the first is the earliest; of the same stamp, the one that was read first. */
struct order {
	struct held *heap;
	size_t count, cap;
	uint64_t serial;
};

struct order *order_new(void)
{
	return mem_new(1, sizeof(struct order));
}

void order_free(struct order *o)
{
	if (!o)
		return;
	for (size_t i = 0; i < o->count; i++)
		free(o->heap[i].frame.octets);
	free(o->heap);
	free(o);
}

static bool before(const struct held *a, const struct held *b)
{
	return a->frame.stamp_us != b->frame.stamp_us ? a->frame.stamp_us < b->frame.stamp_us : a->serial < b->serial;
}

void order_add(struct order *o, size_t port, uint64_t stamp_us, const void *octets, size_t len, uint64_t now_ms)
{
	struct held h = { { stamp_us, mem_copy(octets, len), len, port }, o->serial++, now_ms };
	size_t at = o->count;

	o->heap = mem_grow(o->heap, o->count++, &o->cap, sizeof *o->heap);
	for (; at && before(&h, &o->heap[(at - 1) / 2]); at = (at - 1) / 2)
		o->heap[at] = o->heap[(at - 1) / 2];
	o->heap[at] = h;
}

int order_take(struct order *o, uint64_t now_ms, struct order_frame *ret)
{
	struct held last;
	size_t at = 0;

	if (o->count == 0 || (now_ms < o->heap[0].read_ms + ORDER_HOLD_MS && o->count <= ORDER_HELD_MOST))
		return 0;
	*ret = o->heap[0].frame;
	last = o->heap[--o->count];
	for (;;) {
		size_t child = 2 * at + 1;

		if (child + 1 < o->count && before(&o->heap[child + 1], &o->heap[child]))
			child++;
		if (child >= o->count || !before(&o->heap[child], &last))
			break;
		o->heap[at] = o->heap[child];
		at = child;
	}
	if (o->count)
		o->heap[at] = last;
	return 1;
}

size_t order_held(const struct order *o)
{
	return o->count;
}
