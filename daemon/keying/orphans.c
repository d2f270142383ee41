#include "daemon/keying/orphans.h"

#include "base/mem.h"

#include <stdlib.h>

struct orphan {
	uint64_t pair;
	struct sa_selector selector;
	uint64_t since_ms, asked_ms; /* of the loop's clock; 0: never */
	uint64_t replaced_ms;        /* 0: not yet */
};

struct orphans {
	struct orphans_calls calls;
	uv_loop_t *loop;
	uv_timer_t turn;
	struct orphan *all;
	size_t count, cap;
};

/* The order is of no importance. */
static void drop(struct orphans *o, struct orphan *orphan)
{
	struct sa_selector selector = orphan->selector;

	*orphan = o->all[--o->count];
	o->calls.counted(o->calls.context, &selector, false);
}

static bool is_over(const struct orphan *orphan, uint64_t now)
{
	return (orphan->replaced_ms && now - orphan->replaced_ms >= ORPHANS_LINGER_MS) ||
	       now - orphan->since_ms >= ORPHANS_LIFE_MS;
}

static bool wants_another(const struct orphan *orphan, uint64_t now)
{
	return !orphan->replaced_ms && (!orphan->asked_ms || now - orphan->asked_ms >= ORPHANS_AGAIN_MS);
}

static struct orphan *first(const struct orphans *o, bool (*is)(const struct orphan *orphan, uint64_t now),
			    uint64_t now)
{
	for (size_t i = 0; i < o->count; i++)
		if (is(&o->all[i], now))
			return &o->all[i];
	return NULL;
}

/* What is called may come back to us, and the whole list may be gone: look anew each time. */
static void turn(uv_timer_t *t)
{
	struct orphans *o = t->data;
	uint64_t now = uv_now(o->loop);
	struct orphan *orphan;

	for (unsigned n = 0; n < ORPHANS_AT_ONCE && (orphan = first(o, is_over, now)); n++) {
		uint64_t pair = orphan->pair;

		drop(o, orphan);
		o->calls.remove(o->calls.context, pair);
	}
	for (unsigned n = 0; n < ORPHANS_AT_ONCE && (orphan = first(o, wants_another, now)); n++) {
		struct sa_selector selector = orphan->selector;

		orphan->asked_ms = now;
		o->calls.acquire(o->calls.context, &selector);
	}
	if (o->count == 0)
		(void)uv_timer_stop(&o->turn);
}

struct orphans *orphans_new(uv_loop_t *loop, const struct orphans_calls *calls)
{
	struct orphans *o = mem_new(1, sizeof *o);

	o->calls = *calls;
	o->loop = loop;
	(void)uv_timer_init(loop, &o->turn);
	o->turn.data = o;
	return o;
}

static void closed(uv_handle_t *h)
{
	struct orphans *o = h->data;

	free(o->all);
	free(o);
}

void orphans_forget(struct orphans *o)
{
	while (o->count)
		drop(o, &o->all[o->count - 1]);
}

void orphans_close(struct orphans *o)
{
	orphans_forget(o);
	uv_close((uv_handle_t *)&o->turn, closed);
}

void orphans_add(struct orphans *o, uint64_t pair, const struct sa_selector *selector)
{
	if (o->count == ORPHANS_MOST)
		return;
	o->all = mem_grow(o->all, o->count, &o->cap, sizeof *o->all);
	o->all[o->count++] = (struct orphan){ .pair = pair, .selector = *selector, .since_ms = uv_now(o->loop) };
	o->calls.counted(o->calls.context, selector, true);
	if (!uv_is_active((uv_handle_t *)&o->turn))
		(void)uv_timer_start(&o->turn, turn, ORPHANS_TURN_MS, ORPHANS_TURN_MS);
}

static bool range_has(struct port_range wide, struct port_range narrow)
{
	return wide.lo <= narrow.lo && narrow.hi <= wide.hi;
}

static bool covers(const struct sa_selector *wide, const struct sa_selector *narrow)
{
	const struct addr_range locals = sa_selector_locals(wide), remotes = sa_selector_remotes(wide);
	const struct addr_range local = sa_selector_locals(narrow), remote = sa_selector_remotes(narrow);

	return addr_range_has(&locals, &local.lo) && addr_range_has(&locals, &local.hi) &&
	       addr_range_has(&remotes, &remote.lo) && addr_range_has(&remotes, &remote.hi) &&
	       (wide->protocol == PROTOCOL_ANY ||
		(wide->protocol == narrow->protocol && range_has(wide->local_port, narrow->local_port) &&
		 range_has(wide->remote_port, narrow->remote_port)));
}

/* To stop one may end the channel, and all of them with it. */
void orphans_replaced(struct orphans *o, const struct sa_selector *by)
{
	for (size_t i = 0; i < o->count; i++) {
		struct orphan *orphan = &o->all[i];

		if (orphan->replaced_ms || !covers(by, &orphan->selector))
			continue;
		orphan->replaced_ms = uv_now(o->loop);
		o->calls.stop(o->calls.context, orphan->pair);
	}
}

static struct orphan *find(struct orphans *o, uint64_t pair)
{
	for (size_t i = 0; i < o->count; i++)
		if (o->all[i].pair == pair)
			return &o->all[i];
	return NULL;
}

bool orphans_event(struct orphans *o, const struct sad_event *e)
{
	struct orphan *orphan = find(o, e->pair);

	if (!orphan)
		return false;
	if (e->kind == SAD_EXPIRE_HARD)
		drop(o, orphan);
	else if (e->kind == SAD_EXPIRE_SOFT)
		orphan->asked_ms = 0;
	return true;
}

size_t orphans_count(const struct orphans *o)
{
	return o->count;
}
