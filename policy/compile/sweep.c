/* The regions of one address: a sweep over the elements of the sets that stand at the other ends of its rules. */
#include "policy/compile/compile.h"

#include "base/diag.h"
#include "policy/number.h"
#include "policy/outside.h"

#include <stdlib.h>
#include <string.h>

enum { ENTRIES_MOST = 16000000 }; /* a gigabyte; a plan that needs more is a policy that nobody could read */

static int compare_pairs(const void *x, const void *y, void *context)
{
	const struct pair *a = x, *b = y;
	int r = compiler_compare_at(context, a, 0, b, 0);

	return r ? r : a->set < b->set ? -1 : a->set > b->set ? 1 : a->size < b->size ? -1 : a->size > b->size;
}

static int compare_identity(const void *x, const void *y)
{
	const struct pair *a = x, *b = y;

	return a->set != b->set ? (a->set < b->set ? -1 : 1) : a->size < b->size ? -1 : a->size > b->size;
}

static int compare_events(const void *x, const void *y)
{
	const struct event *a = x, *b = y;

	return a->at < b->at ? -1 : a->at > b->at;
}

static void add_event(struct compiler *c, addr_count at, uint32_t pair, int8_t step)
{
	c->events = mem_grow(c->events, c->event_count, &c->event_cap, sizeof *c->events);
	c->events[c->event_count++] = (struct event){ .at = at, .pair = pair, .step = step };
}

static void add_span(struct compiler *c, addr_count lo, addr_count hi, uint32_t pair)
{
	add_event(c, lo, pair, 1);
	if (hi != family_last(c->family))
		add_event(c, hi + 1, pair, -1);
}

/* As an event's pair: addresses that rules do not speak of; and from this number on, the borders of what the firewall
 * asks, which only make another region. */
enum { HOLE = UINT32_MAX };
static const uint32_t BORDER = (uint32_t)1 << 31;

static void add_hole(struct compiler *c, const struct addr_range *r)
{
	if (r->lo.family == c->family)
		add_span(c, addr_number(&r->lo), addr_number(&r->hi), (uint32_t)HOLE);
}

/* What rules never speak of, and the host's own addresses. */
static void add_holes(struct compiler *c)
{
	struct addr_range outside[OUTSIDE];

	outside_ranges(outside);
	for (size_t i = 0; i < OUTSIDE; i++)
		add_hole(c, &outside[i]);
	for (size_t i = 0; i < c->host->own_count; i++) {
		const struct host_address *own = &c->host->own[i];
		struct addr_range r = { own->addr, own->addr };

		add_hole(c, &r);
		if (own->addr.family == 4 && own->prefix > 0 && own->prefix < 31) {
			r.lo = r.hi =
				addr_prefix_range(&own->addr, (unsigned)own->prefix).hi; /* the subnet's broadcast */
			add_hole(c, &r);
		}
	}
}

static void add_borders(struct compiler *c)
{
	for (size_t i = 0; i < c->border_count; i++)
		add_span(c, addr_number(&c->borders[i].lo), addr_number(&c->borders[i].hi), BORDER + (uint32_t)i);
}

static uint64_t scramble(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static unsigned __int128 mark_of(uint64_t number)
{
	return (unsigned __int128)scramble(2 * number) << 64 | scramble(2 * number + 1);
}

static void make_pairs(struct compiler *c)
{
	struct pair *all = NULL;
	size_t n = 0, cap = 0, unique = 0;

	for (uint32_t s = 0; s < c->set_count; s++) {
		const struct address_set *set = c->sets[s];

		if (c->by_set[s].count == 0)
			continue;
		if (s == c->keywords[KEYWORD_ANY].number) {
			all = mem_grow(all, n, &cap, sizeof *all);
			all[n++] = (struct pair){ .set = s, .size = ADDR_COUNT_ALL };
		}
		for (size_t i = 0; i < set->count; i++) {
			addr_count size = addr_range_count(&set->elements[i]);

			if (set->elements[i].lo.family != c->family ||
			    (n && all[n - 1].set == s && all[n - 1].size == size))
				continue;
			all = mem_grow(all, n, &cap, sizeof *all);
			all[n++] = (struct pair){ .set = s, .size = size };
		}
	}
	if (n > 1)
		qsort(all, n, sizeof *all, compare_identity);
	for (size_t i = 0; i < n; i++)
		if (unique == 0 || compare_identity(&all[unique - 1], &all[i]) != 0)
			all[unique++] = all[i];
	if (unique > 1)
		qsort_r(all, unique, sizeof *all, compare_pairs, c);
	for (size_t i = 0; i < unique; i++)
		all[i].mark = mark_of(i);
	c->pairs = all;
	c->pair_count = unique;
}

static void make_events(struct compiler *c)
{
	/* From (set, size) to the pair's place in the order. */
	struct {
		uint32_t first, count;
	} *of_set = mem_new(c->set_count, sizeof *of_set);
	uint32_t *numbers = mem_new(c->pair_count, sizeof *numbers), at = 0;

	c->event_count = 0;
	for (size_t i = 0; i < c->pair_count; i++)
		of_set[c->pairs[i].set].count++;
	for (size_t s = 0; s < c->set_count; s++) {
		of_set[s].first = at;
		at += of_set[s].count;
		of_set[s].count = 0;
	}
	for (uint32_t i = 0; i < c->pair_count; i++) /* pairs of one set need not stand in the order of their sizes */
		numbers[of_set[c->pairs[i].set].first + of_set[c->pairs[i].set].count++] = i;
	for (uint32_t s = 0; s < c->set_count; s++) {
		const struct address_set *set = c->sets[s];
		uint32_t k = 0;

		if (of_set[s].count == 0)
			continue;
		if (s == c->keywords[KEYWORD_ANY].number)
			add_span(c, 0, family_last(c->family), numbers[of_set[s].first]);
		for (size_t i = 0; i < set->count; i++) {
			const struct addr_range *e = &set->elements[i];
			addr_count size = addr_range_count(e);

			if (e->lo.family != c->family)
				continue;
			for (uint32_t tries = 0;
			     c->pairs[numbers[of_set[s].first + k]].size != size && tries < of_set[s].count; tries++)
				k = (k + 1) % of_set[s].count;
			add_span(c, addr_number(&e->lo), addr_number(&e->hi), numbers[of_set[s].first + k]);
		}
	}
	add_holes(c);
	add_borders(c);
	if (c->event_count > 1)
		qsort(c->events, c->event_count, sizeof *c->events, compare_events);
	free(numbers);
	free(of_set);
}

static void add_region(struct compiler *c, size_t local, addr_count lo, addr_count hi, uint32_t list)
{
	struct plan *p = c->plan;
	struct plan_local *l = &p->local_regions[local];
	struct plan_region *last = l->count ? &p->regions[p->region_count - 1] : NULL;

	if (last && last->list == list && addr_number(&last->remote.hi) + 1 == lo) {
		last->remote.hi = number_addr(c->family, hi);
		return;
	}
	p->regions = mem_grow(p->regions, p->region_count, &p->region_cap, sizeof *p->regions);
	p->regions[p->region_count++] = (struct plan_region){
		.remote = { number_addr(c->family, lo), number_addr(c->family, hi) },
		.list = list,
	};
	l->count++;
}

/* What is forwarded concerns us only where a tunnel of ours speaks of it. */
static bool has_tunnel(const struct plan *p, uint32_t list)
{
	struct plan_list l = plan_list(p, list);

	for (size_t i = 0; i < l.count; i++)
		if (l.entries[i].rule->tunnel)
			return true;
	return false;
}

static int sweep(struct compiler *c, size_t local, struct diag *d)
{
	unsigned __int128 sum = 0;
	size_t holes = 0, on = 0;

	c->plan->local_regions[local].first = (uint32_t)c->plan->region_count;
	for (size_t i = 0; i < c->event_count;) {
		addr_count at = c->events[i].at, last;
		uint32_t list;

		for (; i < c->event_count && c->events[i].at == at; i++) {
			const struct event *e = &c->events[i];
			struct pair *p;

			if (e->pair == (uint32_t)HOLE) {
				holes += (size_t)(ptrdiff_t)e->step;
				continue;
			}
			if (e->pair >= BORDER) {
				sum += e->step > 0 ? mark_of(e->pair) : -mark_of(e->pair);
				continue;
			}
			p = &c->pairs[e->pair];
			p->active = e->step > 0 ? p->active + 1 : p->active - 1;
			if (p->active == (e->step > 0 ? 1u : 0u)) {
				sum += e->step > 0 ? p->mark : -p->mark;
				on += (size_t)(ptrdiff_t)e->step;
				(e->step > 0 ? bits_set : bits_clear)(&c->active, e->pair);
			}
		}
		last = i < c->event_count ? c->events[i].at - 1 : family_last(c->family);
		if (on == 0 || holes)
			continue;
		list = compiler_list_of_active(c, sum, at);
		if (c->behind ? has_tunnel(c->plan, list) : list != 0)
			add_region(c, local, at, last, list);
		if (c->plan->lists.entry_count > ENTRIES_MOST)
			return diag_fail(d, ERR_POLICY,
					 "the plan of this host would hold over %d entries: too many rules with "
					 "ports overlap on the same addresses",
					 ENTRIES_MOST);
	}
	return 0;
}

int compiler_sweep(struct compiler *c, size_t local, struct diag *d)
{
	c->list_number = 0;
	make_pairs(c);
	make_events(c);
	bits_new(&c->active, c->pair_count);
	return sweep(c, local, d);
}
