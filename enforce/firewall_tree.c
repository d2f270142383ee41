#include "enforce/firewall_tree.h"

#include "base/mem.h"
#include "base/scope.h"

#include <stdlib.h>
#include <string.h>

enum {
	LEAF_FEW = 3,            /* items that are sooner tried than looked up */
	LEAF_MANY = 16,          /* that are tried if no cut helps much */
	WIDE_FROM = 8,           /* an item in more lists than that is wide */
	SPLITS_DEEP = 16,        /* of splits within splits; then halves */
	BRANCHES_MOST = 2000000, /* of a tree; then items are tried in turn */
	TINY = 64,
	SMALL = 1024,
};

static const enum firewall_cut cuts[] = { CUT_REMOTE, CUT_LOCAL_PORT, CUT_REMOTE_PORT, CUT_LOCAL };

/* ---- what an item takes of a side -------------------------------------------------------------------------------- */

struct side {
	enum firewall_cut cut;
	bool protocol_decided;
	addr_count most;
};

static struct side side_of(const struct firewall_tree *t, enum firewall_cut cut, unsigned decided)
{
	struct side s = { .cut = cut, .protocol_decided = firewall_protocol_decided(decided) };

	if (cut == CUT_REMOTE || cut == CUT_LOCAL)
		s.most = t->address_most;
	else
		s.most = s.protocol_decided ? 0xffff : 0xffffff;
	return s;
}

static size_t spans_of(const struct side *s, const struct firewall_item *i, struct firewall_span *own,
		       const struct firewall_span **ret)
{
	const struct firewall_end *e;
	struct port_range ports;
	addr_count base;

	*ret = own;
	if (s->cut == CUT_REMOTE || s->cut == CUT_LOCAL) {
		e = i->ends[s->cut == CUT_REMOTE ? SIDE_REMOTE : SIDE_LOCAL];
		*own = (struct firewall_span){ 0, s->most };
		if (!e->any)
			*ret = e->spans;
		return e->any ? 1 : e->count;
	}
	ports = i->ports[s->cut == CUT_LOCAL_PORT ? SIDE_LOCAL : SIDE_REMOTE];
	base = s->protocol_decided ? 0 : (addr_count)i->protocol << 16;
	*own = i->protocol == PROTOCOL_ANY ? (struct firewall_span){ 0, s->most }
					   : (struct firewall_span){ base | ports.lo, base | ports.hi };
	return 1;
}

/* ---- intervals of a side, and the lists of items that are the same in several -------------------------------------
 */

struct interval {
	addr_count from;
	unsigned __int128 signature; /* of the items there: the sum of their numbers, scattered */
	uint32_t size, list;
	uint32_t firsts; /* intervals before this one that are the first of their list */
};

struct lists {
	enum firewall_cut cut;
	struct interval *intervals;
	size_t interval_count;
	uint32_t *first_of; /* by list: its first interval */
	size_t list_count;  /* list 0 is empty */
	uint64_t total;     /* sizes of all lists */
	uint32_t longest;
};

static void lists_wipe(struct lists *l)
{
	free(l->intervals);
	free(l->first_of);
	*l = (struct lists){ 0 };
}

static uint64_t scatter(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static unsigned __int128 signature_of(uint32_t item)
{
	return (unsigned __int128)scatter(item) << 64 | scatter(~(uint64_t)item);
}

static int compare_numbers(const void *a, const void *b)
{
	const addr_count *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static int compare_pointers(const void *a, const void *b)
{
	const void *const *x = a, *const *y = b;

	return (*x > *y) - (*x < *y);
}

/* Items share their ends, and an end may have many spans: each is taken once. */
static size_t distinct(const struct firewall_tree *t, const struct side *s, const uint32_t *items, size_t n,
		       const struct firewall_item ***ret)
{
	const struct firewall_item **all = mem_new(n + 1, sizeof *all);
	const void **keys = mem_new(2 * n + 1, sizeof *keys);
	bool ports = s->cut == CUT_LOCAL_PORT || s->cut == CUT_REMOTE_PORT;
	size_t count = 0;

	for (size_t i = 0; i < n; i++) {
		const struct firewall_item *item = &t->items[items[i]];

		keys[2 * i] = ports ? (const void *)item : item->ends[s->cut == CUT_REMOTE ? SIDE_REMOTE : SIDE_LOCAL];
		keys[2 * i + 1] = item;
	}
	if (n)
		qsort(keys, n, 2 * sizeof *keys, compare_pointers);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || keys[2 * i] != keys[2 * i - 2])
			all[count++] = keys[2 * i + 1];
	free(keys);
	*ret = all;
	return count;
}

static void find_intervals(const struct firewall_tree *t, const struct side *s, const uint32_t *items, size_t n,
			   struct lists *l)
{
	const struct firewall_item **all;
	const struct firewall_span *spans;
	struct firewall_span own;
	size_t m = distinct(t, s, items, n, &all), count = 0, cap = 0, kept = 0;
	addr_count *at = mem_grow(NULL, 0, &cap, sizeof *at);

	at[count++] = 0;
	for (size_t i = 0; i < m; i++) {
		size_t k = spans_of(s, all[i], &own, &spans);

		for (size_t j = 0; j < k; j++) {
			at = mem_grow(at, count, &cap, sizeof *at);
			at[count++] = spans[j].lo;
			if (spans[j].hi == s->most)
				continue;
			at = mem_grow(at, count, &cap, sizeof *at);
			at[count++] = spans[j].hi + 1;
		}
	}
	qsort(at, count, sizeof *at, compare_numbers);
	l->intervals = mem_new(count + 1, sizeof *l->intervals); /* one at the end, for what ends there */
	for (size_t i = 0; i < count; i++)
		if (i == 0 || at[i] != at[i - 1])
			l->intervals[kept++].from = at[i];
	l->interval_count = kept;
	free(at);
	free(all);
}

static size_t interval_at(const struct lists *l, addr_count at)
{
	size_t lo = 0, hi = l->interval_count;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (l->intervals[mid].from <= at)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

/* Where a span begins, and one behind where it ends. */
static void intervals_of(const struct side *s, const struct lists *l, const struct firewall_span *span, size_t *ret_lo,
			 size_t *ret_hi)
{
	*ret_lo = interval_at(l, span->lo);
	*ret_hi = span->hi == s->most ? l->interval_count : interval_at(l, span->hi + 1);
}

/* Intervals where the same items can match have one list. */
static void number_lists(struct lists *l)
{
	size_t slots = 16;
	uint32_t *by_signature;

	while (slots < 2 * l->interval_count)
		slots *= 2;
	by_signature = mem_new(slots, sizeof *by_signature);
	l->first_of = mem_new(l->interval_count + 1, sizeof *l->first_of);
	l->list_count = 1;
	for (size_t i = 0; i < l->interval_count; i++) {
		struct interval *v = &l->intervals[i];
		size_t at = (size_t)v->signature & (slots - 1);

		v->firsts = (uint32_t)l->list_count - 1;
		if (v->size == 0)
			continue;
		while (by_signature[at] && l->intervals[l->first_of[by_signature[at]]].signature != v->signature)
			at = (at + 1) & (slots - 1);
		if (!by_signature[at]) {
			by_signature[at] = (uint32_t)l->list_count;
			l->first_of[l->list_count++] = (uint32_t)i;
			l->total += v->size;
			l->longest = v->size > l->longest ? v->size : l->longest;
		}
		v->list = by_signature[at];
	}
	l->intervals[l->interval_count].firsts = (uint32_t)l->list_count - 1;
	free(by_signature);
}

static void find_lists(const struct firewall_tree *t, const struct side *s, const uint32_t *items, size_t n,
		       struct lists *l)
{
	const struct firewall_span *spans;
	struct firewall_span own;

	*l = (struct lists){ .cut = s->cut };
	find_intervals(t, s, items, n, l);
	for (size_t i = 0; i < n; i++) {
		size_t k = spans_of(s, &t->items[items[i]], &own, &spans), lo, hi;
		unsigned __int128 mine = signature_of(items[i]);

		for (size_t j = 0; j < k; j++) {
			intervals_of(s, l, &spans[j], &lo, &hi);
			l->intervals[lo].signature += mine;
			l->intervals[lo].size++;
			l->intervals[hi].signature -= mine;
			l->intervals[hi].size--;
		}
	}
	for (size_t i = 1; i < l->interval_count; i++) {
		l->intervals[i].signature += l->intervals[i - 1].signature;
		l->intervals[i].size += l->intervals[i - 1].size;
	}
	number_lists(l);
}

/* In how many lists an item is. */
static size_t presence(const struct firewall_tree *t, const struct side *s, const struct lists *l, uint32_t item)
{
	const struct firewall_span *spans;
	struct firewall_span own;
	size_t k = spans_of(s, &t->items[item], &own, &spans), n = 0, lo, hi;

	for (size_t j = 0; j < k; j++) {
		intervals_of(s, l, &spans[j], &lo, &hi);
		n += l->intervals[hi].firsts - l->intervals[lo].firsts;
	}
	return n;
}

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

static uint32_t add_node(struct firewall_tree *t, struct firewall_node node)
{
	t->nodes = mem_grow(t->nodes, t->node_count, &t->node_cap, sizeof *t->nodes);
	t->nodes[t->node_count] = node;
	return (uint32_t)t->node_count++;
}

static uint32_t add_leaf(struct firewall_tree *t, const uint32_t *items, size_t n, unsigned decided)
{
	struct firewall_node node = { .kind = n ? NODE_LEAF : NODE_NONE, .decided = decided, .first = t->leaf_count };

	node.count = n;
	for (size_t i = 0; i < n; i++) {
		t->leaves = mem_grow(t->leaves, t->leaf_count, &t->leaf_cap, sizeof *t->leaves);
		t->leaves[t->leaf_count++] = items[i];
	}
	return add_node(t, node);
}

static uint32_t build(struct firewall_tree *t, const uint32_t *items, size_t n, unsigned decided);

static uint32_t add_bunch(struct firewall_tree *t, const uint32_t *one, size_t n, const uint32_t *two, size_t m,
			  unsigned decided)
{
	const uint32_t roots[] = { build(t, one, n, decided), build(t, two, m, decided) };
	struct firewall_node node = { .kind = NODE_BUNCH, .decided = decided, .first = t->bunch_count };

	for (size_t i = 0; i < ARRAY_LEN(roots); i++) {
		t->bunches = mem_grow(t->bunches, t->bunch_count, &t->bunch_cap, sizeof *t->bunches);
		t->bunches[t->bunch_count++] = roots[i];
		node.count++;
	}
	return add_node(t, node);
}

static uint32_t add_map(struct firewall_tree *t, const struct side *s, const struct lists *l, const uint32_t *items,
			size_t n, unsigned decided)
{
	struct firewall_node node = { .kind = NODE_MAP, .cut = s->cut, .decided = decided };
	size_t *starts = mem_new(l->list_count + 1, sizeof *starts), *filled = mem_new(l->list_count, sizeof *filled);
	uint32_t *all = mem_new((size_t)l->total + 1, sizeof *all), *nodes = mem_new(l->list_count, sizeof *nodes);
	const struct firewall_span *spans;
	struct firewall_span own;
	size_t before = 0;

	for (size_t i = 1; i < l->list_count; i++)
		starts[i + 1] = starts[i] + l->intervals[l->first_of[i]].size;
	for (size_t i = 0; i < n; i++) {
		size_t k = spans_of(s, &t->items[items[i]], &own, &spans), lo, hi;

		for (size_t j = 0; j < k; j++) {
			intervals_of(s, l, &spans[j], &lo, &hi);
			for (uint32_t f = l->intervals[lo].firsts + 1; f <= l->intervals[hi].firsts; f++)
				all[starts[f] + filled[f]++] = items[i];
		}
	}
	for (size_t i = 1; i < l->list_count; i++)
		nodes[i] = build(t, all + starts[i], filled[i], decided | s->cut);
	node.first = t->branch_count;
	for (size_t i = 0; i < l->interval_count; i++) {
		addr_count hi = i + 1 < l->interval_count ? l->intervals[i + 1].from - 1 : s->most;
		uint32_t list = l->intervals[i].list;

		if (list && list == before) {
			t->branches[t->branch_count - 1].span.hi = hi;
		} else if (list) {
			t->branches = mem_grow(t->branches, t->branch_count, &t->branch_cap, sizeof *t->branches);
			t->branches[t->branch_count++] =
				(struct firewall_branch){ { l->intervals[i].from, hi }, nodes[list] };
			node.count++;
		}
		before = list;
	}
	free(starts);
	free(filled);
	free(all);
	free(nodes);
	return add_node(t, node);
}

/* No cut keeps the lists short: those that are in many lists go into a tree of their own. */
static uint32_t split(struct firewall_tree *t, const struct side *s, const struct lists *l, const uint32_t *items,
		      size_t n, unsigned decided)
{
	uint32_t *narrow = mem_new(n, sizeof *narrow), *wide = mem_new(n, sizeof *wide), node;
	size_t narrow_count = 0, wide_count = 0, limit = (l->list_count - 1) / 2;

	limit = limit < WIDE_FROM ? limit : WIDE_FROM;
	t->splits++;
	for (size_t i = 0; i < n && t->splits < SPLITS_DEEP; i++)
		if (presence(t, s, l, items[i]) > limit)
			wide[wide_count++] = items[i];
		else
			narrow[narrow_count++] = items[i];
	if (narrow_count && wide_count)
		node = add_bunch(t, narrow, narrow_count, wide, wide_count, decided);
	else
		node = add_bunch(t, items, n / 2, items + n / 2, n - n / 2, decided);
	t->splits--;
	free(narrow);
	free(wide);
	return node;
}

/* How good a cut is: 2: lists are shorter and hold little more than there is; 1: it can be had; 0: it grows too much,
 * or shortens nothing. */
static int quality(const struct lists *l, size_t n)
{
	if (l->longest > n - n / 4 || l->total > 6 * (uint64_t)n + SMALL)
		return 0;
	return l->total <= 2 * (uint64_t)n + TINY ? 2 : 1;
}

static uint32_t build(struct firewall_tree *t, const uint32_t *items, size_t n, unsigned decided)
{
	struct lists best = { 0 };
	struct side side = { 0 };
	int best_quality = -1;
	uint32_t node;

	for (size_t i = 0; n > LEAF_FEW && t->branch_count < BRANCHES_MOST && i < ARRAY_LEN(cuts); i++) {
		struct side s = side_of(t, cuts[i], decided);
		struct lists l;
		int q;

		if (decided & cuts[i] || best_quality == 2)
			continue;
		find_lists(t, &s, items, n, &l);
		q = quality(&l, n);
		if (l.longest < n && (q > best_quality || (q == best_quality && l.longest < best.longest))) {
			lists_wipe(&best);
			best = l;
			side = s;
			best_quality = q;
		} else {
			lists_wipe(&l);
		}
	}
	if (best_quality < 0 || (best_quality == 0 && n <= LEAF_MANY))
		node = add_leaf(t, items, n, decided);
	else if (best_quality == 0)
		node = split(t, &side, &best, items, n, decided);
	else
		node = add_map(t, &side, &best, items, n, decided);
	lists_wipe(&best);
	return node;
}

uint32_t firewall_tree_build(struct firewall_tree *t, const struct firewall_item *items, size_t count, uint8_t family)
{
	uint32_t *all = mem_new(count + 1, sizeof *all), root;

	t->items = items;
	t->address_most = family == 4 ? UINT32_MAX : ADDR_COUNT_ALL;
	for (size_t i = 0; i < count; i++)
		all[i] = (uint32_t)i;
	root = build(t, all, count, 0);
	free(all);
	return root;
}

void firewall_tree_wipe(struct firewall_tree *t)
{
	free(t->nodes);
	free(t->branches);
	free(t->leaves);
	free(t->bunches);
	*t = (struct firewall_tree){ 0 };
}
