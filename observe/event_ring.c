#include "base/mem.h"
#include "observe/event.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

struct event_ring {
	struct event *events;
	size_t most;
	uint64_t next; /* number of the next one; number n lives at n % most */
};

struct event_ring *event_ring_new(size_t most)
{
	struct event_ring *r = mem_new(1, sizeof *r);

	assert(most > 0);
	r->events = mem_new(most, sizeof *r->events);
	r->most = most;
	r->next = 1;
	return r;
}

void event_ring_free(struct event_ring *r)
{
	if (!r)
		return;
	free(r->events);
	free(r);
}

void event_ring_add(struct event_ring *r, const struct event *e)
{
	struct event *at = &r->events[r->next++ % r->most];
	struct timespec now;

	*at = *e;
	if (at->time_ms)
		return;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	at->time_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t event_ring_next(const struct event_ring *r)
{
	return r->next;
}

const struct event *event_ring_get(const struct event_ring *r, uint64_t n)
{
	if (n == 0 || n >= r->next || r->next - n > r->most)
		return NULL;
	return &r->events[n % r->most];
}
