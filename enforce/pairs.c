#include "enforce/pairs.h"

#include "base/mem.h"

#include <stdlib.h>

static uint64_t pair_hash(const struct addr *local, const struct addr *remote)
{
	return table_hash_secret(remote, sizeof *remote, table_hash_secret(local, sizeof *local, 0));
}

struct sought {
	const struct pair_list *in;
	const struct addr *local, *remote;
};

static bool is_sought(const void *value, const void *what)
{
	const struct sought *s = what;
	const struct ruleset_pair *p = &s->in->pairs[(uintptr_t)value - 1];

	return addr_equal(&p->remote, s->remote) && addr_equal(&p->local, s->local);
}

/* From 1; 0: it is not there. */
static uintptr_t place_of(const struct pair_list *s, const struct addr *local, const struct addr *remote)
{
	const struct sought sought = { s, local, remote };

	return (uintptr_t)table_find(&s->places, pair_hash(local, remote), is_sought, &sought);
}

bool pairs_has(const struct pair_list *s, const struct addr *local, const struct addr *remote)
{
	return place_of(s, local, remote) != 0;
}

void pairs_enter(struct pair_list *s, const struct addr *local, const struct addr *remote)
{
	if (s->count >= RULESET_PAIRS_MOST || pairs_has(s, local, remote))
		return;
	s->pairs = mem_grow(s->pairs, s->count, &s->cap, sizeof *s->pairs);
	s->pairs[s->count++] = (struct ruleset_pair){ .local = *local, .remote = *remote };
	table_add(&s->places, pair_hash(local, remote), (void *)(uintptr_t)s->count);
}

/* The last one takes its place. */
void pairs_leave(struct pair_list *s, const struct addr *local, const struct addr *remote)
{
	uintptr_t at = place_of(s, local, remote), last = s->count;
	struct ruleset_pair moved;

	if (!at)
		return;
	table_remove(&s->places, pair_hash(local, remote), (void *)at);
	if (at != last) {
		moved = s->pairs[last - 1];
		table_remove(&s->places, pair_hash(&moved.local, &moved.remote), (void *)last);
		table_add(&s->places, pair_hash(&moved.local, &moved.remote), (void *)at);
		s->pairs[at - 1] = moved;
	}
	s->count--;
}

void pairs_wipe(struct pair_list *s)
{
	free(s->pairs);
	table_wipe(&s->places);
}
