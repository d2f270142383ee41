/* From a policy to one host's plan. For each of its addresses: which rules can concern it (by set of addresses, each
 * set asked once), then a sweep over the elements at the rules' other ends. Where the sweep stands, a set is active
 * with the size of each of its elements there; every such pair of set and size has its uses in order already, so the
 * list of a region is a merge of the active pairs' uses that ends at the first entry that matches everything. Element
 * pairs are never made: two zones of thousands cost the sum of their sizes. */
#include "base/diag.h"
#include "policy/conflict.h"
#include "policy/keywords.h"
#include "policy/model.h"
#include "policy/number.h"
#include "policy/outside.h"
#include "policy/plan_inside.h"
#include "policy/rank.h"

#include <stdlib.h>
#include <string.h>

enum {
	USES_MOST = 16000000,
	ENTRIES_MOST = 16000000, /* a gigabyte; a plan that needs more is a policy that nobody could read */
	CONFLICTS_MOST = REPORT_FINDINGS_MOST,
};

/* A service of a rule, taken one way round, whose local end holds the address being compiled. */
struct use {
	addr_count local_size;
	uint64_t key; /* everything behind the sizes in the order of entries */
	uint32_t rule, service;
	uint32_t seen; /* number of the last list that has it */
	uint32_t twin; /* the use that matches the same, taken the other way round; itself if there is none */
	bool local_is_end1;
};

/* Uses whose other end names a set. */
struct set_uses {
	uint32_t *uses; /* in the order of entries */
	uint32_t count;
};

/* A set and a size of its elements. */
struct pair {
	uint32_t set;
	uint32_t active; /* elements of this size that hold where the sweep stands */
	addr_count size;
	unsigned __int128 mark; /* for the sum that names what is active */
};

struct event {
	addr_count at;
	uint32_t pair;
	int8_t step; /* +1 begins, -1 ends before `at` */
};

/* Which pairs are active, in the order of their best uses: a bitmap with a summary, so that the next one is found at
 * once among a hundred thousand. */
struct bits {
	uint64_t *levels[4];
	size_t count;
};

struct signature {
	unsigned __int128 sum;
	uint32_t list;
	bool used;
};

struct cursor {
	uint32_t pair, at;
};

struct compiler {
	const struct policy *p;
	const struct plan_host *host;
	struct report *report;
	struct plan *plan;
	unsigned profiles;
	struct address_set keywords[KEYWORDS]; /* resolved; numbers follow those of the policy's sets */
	const struct address_set **sets;
	size_t set_count;
	struct arena memory;
	struct names conflicts; /* pairs of rules already reported */
	size_t conflict_count;
	bool failed;
	/* for one local address */
	uint8_t family;
	addr_count *local_sizes; /* by set: its smallest element that holds the address; 0: none */
	struct use *uses;
	size_t use_count, use_cap;
	struct set_uses *by_set;
	uint32_t *use_numbers;
	struct pair *pairs;
	size_t pair_count;
	struct event *events;
	size_t event_count, event_cap;
	struct bits active;
	struct signature *signatures;
	size_t signature_count, signature_cap;
	uint32_t list_number;
	struct cursor *heap;
	size_t heap_count, heap_cap;
	struct plan_entry *list; /* being merged */
	size_t list_count, list_cap;
	/* lists of all local addresses, by content */
	struct {
		uint32_t *slots;
		size_t cap;
	} interned;
};

static void bits_new(struct bits *b, size_t n)
{
	b->count = n;
	for (size_t level = 0; level < ARRAY_LEN(b->levels); level++) {
		n = (n + 63) / 64;
		b->levels[level] = mem_new(n, 8);
	}
}

static void bits_free(struct bits *b)
{
	for (size_t level = 0; level < ARRAY_LEN(b->levels); level++)
		free(b->levels[level]);
	*b = (struct bits){ 0 };
}

static void bits_set(struct bits *b, size_t i)
{
	for (size_t level = 0; level < ARRAY_LEN(b->levels); level++, i /= 64)
		b->levels[level][i / 64] |= (uint64_t)1 << i % 64;
}

static void bits_clear(struct bits *b, size_t i)
{
	for (size_t level = 0; level < ARRAY_LEN(b->levels); level++, i /= 64) {
		b->levels[level][i / 64] &= ~((uint64_t)1 << i % 64);
		if (b->levels[level][i / 64])
			return;
	}
}

/* The first that is set at or after i; SIZE_MAX: none. */
static size_t bits_next(const struct bits *b, size_t i)
{
	size_t level = 0, sizes[ARRAY_LEN(b->levels)], n = b->count;

	for (size_t k = 0; k < ARRAY_LEN(sizes); k++)
		sizes[k] = n = (n + 63) / 64;
	for (;;) {
		uint64_t word;

		if (i / 64 >= sizes[level])
			return SIZE_MAX;
		word = b->levels[level][i / 64] & ~(uint64_t)0 << i % 64;
		if (word) {
			i = i / 64 * 64 + (size_t)__builtin_ctzll(word);
			while (level-- > 0)
				i = i * 64 + (size_t)__builtin_ctzll(b->levels[level][i]);
			return i;
		}
		i = i / 64 + 1;
		if (++level == ARRAY_LEN(b->levels)) /* over 64^4 words never happens: USES_MOST is less */
			return SIZE_MAX;
	}
}

/* Keywords, from the policy's roles first so that they mean the same everywhere, else from the host itself. */
static void resolve_keywords(struct compiler *c)
{
	for (int k = 0; k < KEYWORDS; k++) {
		struct address_set *s = &c->keywords[k];
		size_t cap = 0;

		s->name = keyword_name((enum keyword)k);
		s->number = (uint32_t)(c->p->set_count + (size_t)k);
		c->sets[s->number] = s;
		if (k == KEYWORD_ANY)
			continue; /* everywhere: known without elements */
		keyword_hosts(c->p, (enum keyword)k, s);
		for (size_t i = 0; (k == KEYWORD_SELF || k == KEYWORD_LOCAL_SUBNET) && i < c->host->own_count; i++) {
			const struct host_address *own = &c->host->own[i];
			int prefix = k == KEYWORD_SELF ? (int)addr_bits(&own->addr) : own->prefix;

			if (prefix < 0)
				continue;
			s->elements = mem_grow(s->elements, s->count, &cap, sizeof *s->elements);
			s->elements[s->count++] = addr_prefix_range(&own->addr, (unsigned)prefix);
		}
		if (s->count || !c->host->server_counts[k])
			continue;
		s->count = c->host->server_counts[k];
		s->elements = mem_new(s->count, sizeof *s->elements);
		for (size_t i = 0; i < s->count; i++)
			s->elements[i] = (struct addr_range){ c->host->servers[k][i], c->host->servers[k][i] };
	}
}

static const struct address_set *item_set(const struct compiler *c, const struct end_item *i)
{
	return i->set ? i->set : &c->keywords[i->keyword];
}

static void measure_sets(struct compiler *c, const struct addr *local)
{
	for (size_t s = 0; s < c->set_count; s++) {
		const struct address_set *set = c->sets[s];

		c->local_sizes[s] = 0;
		for (size_t i = 0; i < set->count; i++) {
			addr_count size;

			if (!addr_range_has(&set->elements[i], local))
				continue;
			size = addr_range_count(&set->elements[i]);
			if (!c->local_sizes[s] || size < c->local_sizes[s])
				c->local_sizes[s] = size;
		}
	}
	c->local_sizes[c->keywords[KEYWORD_ANY].number] = ADDR_COUNT_ALL;
}

static addr_count end_size(const struct compiler *c, const struct end *e)
{
	addr_count size = 0;

	for (size_t i = 0; i < e->count; i++) {
		addr_count one = c->local_sizes[item_set(c, &e->items[i])->number];

		if (one && (!size || one < size))
			size = one;
	}
	return size;
}

/* One service taken either way matches the same packets when no port and no direction tells the ends apart. */
static bool same_both_ways(const struct rule *r, const struct service *s)
{
	return s->port1.lo == s->port2.lo && s->port1.hi == s->port2.hi &&
	       entry_initiators(r, s, true) == entry_initiators(r, s, false);
}

static void add_uses(struct compiler *c, const struct rule *r, bool local_is_end1, addr_count local_size)
{
	uint64_t protects = 63 - rule_protectiveness(r);

	for (size_t i = 0; i < r->service_count; i++) {
		const struct service *s = &r->services[i];

		if (entry_initiators(r, s, local_is_end1) == 0)
			continue;
		c->uses = mem_grow(c->uses, c->use_count, &c->use_cap, sizeof *c->uses);
		c->uses[c->use_count] = (struct use){
			.local_size = local_size,
			.key = (uint64_t)service_rank(s) << 52 | protects << 46 | (uint64_t)r->index << 14 |
			       (uint64_t)!local_is_end1 << 13 | i,
			.rule = r->index,
			.service = (uint32_t)i,
			.twin = (uint32_t)c->use_count,
			.local_is_end1 = local_is_end1,
		};
		c->use_count++;
	}
}

static void pair_twins(struct compiler *c, const struct rule *r, size_t one, size_t two)
{
	size_t end = c->use_count, stop = two;

	for (; one < stop && two < end; one++, two++) {
		while (one < stop && c->uses[one].service < c->uses[two].service)
			one++;
		while (two < end && one < stop && c->uses[two].service < c->uses[one].service)
			two++;
		if (one == stop || two == end)
			return;
		if (same_both_ways(r, &r->services[c->uses[one].service]))
			c->uses[two].twin = (uint32_t)one;
	}
}

static int compare_uses(const void *x, const void *y, void *context)
{
	const struct use *uses = context, *a = &uses[*(const uint32_t *)x], *b = &uses[*(const uint32_t *)y];

	if (a->local_size != b->local_size)
		return a->local_size < b->local_size ? -1 : 1;
	return a->key < b->key ? -1 : a->key > b->key;
}

/* Call each(set) for the sets at the other end of a use. */
#define FOR_REMOTE_SETS(c, use, set) \
	for (const struct end *end_ = (use)->local_is_end1 ? &(c)->p->rules[(use)->rule].end2 \
							   : &(c)->p->rules[(use)->rule].end1, \
			      *once_ = end_; \
	     once_; once_ = NULL) \
		for (size_t item_ = 0; item_ < end_->count && ((set) = item_set((c), &end_->items[item_])->number, 1); \
		     item_++)

static int collect_uses(struct compiler *c, struct diag *d)
{
	uint32_t set, *next;
	uint64_t total = 0;

	c->use_count = 0;
	for (size_t i = 0; i < c->p->rule_count; i++) {
		const struct rule *r = &c->p->rules[i];
		size_t before = c->use_count, middle;
		addr_count size;

		if (!(r->profiles & c->profiles))
			continue;
		if ((size = end_size(c, &r->end1)))
			add_uses(c, r, true, size);
		middle = c->use_count;
		if ((size = end_size(c, &r->end2)))
			add_uses(c, r, false, size);
		pair_twins(c, r, before, middle);
	}
	memset(c->by_set, 0, c->set_count * sizeof *c->by_set);
	for (size_t u = 0; u < c->use_count && total <= USES_MOST; u++)
		FOR_REMOTE_SETS(c, &c->uses[u], set)
		{
			c->by_set[set].count++;
			total++;
		}
	if (total > USES_MOST)
		return diag_fail(d, ERR_POLICY, "over %d combinations of rules, services and names concern one address",
				 USES_MOST);
	c->use_numbers = mem_new((size_t)total, sizeof *c->use_numbers);
	next = c->use_numbers;
	for (size_t s = 0; s < c->set_count; s++) {
		c->by_set[s].uses = next;
		next += c->by_set[s].count;
		c->by_set[s].count = 0;
	}
	for (uint32_t u = 0; u < c->use_count; u++)
		FOR_REMOTE_SETS(c, &c->uses[u], set)
	c->by_set[set].uses[c->by_set[set].count++] = u;
	for (size_t s = 0; s < c->set_count; s++)
		if (c->by_set[s].count > 1)
			qsort_r(c->by_set[s].uses, c->by_set[s].count, sizeof(uint32_t), compare_uses, c->uses);
	return 0;
}

static void sizes_of(const struct compiler *c, const struct pair *p, uint32_t at, addr_count *small, addr_count *large,
		     uint64_t *key)
{
	const struct use *u = &c->uses[c->by_set[p->set].uses[at]];

	*small = u->local_size < p->size ? u->local_size : p->size;
	*large = u->local_size < p->size ? p->size : u->local_size;
	*key = u->key;
}

/* The order in which the uses at two pairs' cursors stand in a list. */
static int compare_at(const struct compiler *c, const struct pair *p, uint32_t at, const struct pair *q, uint32_t to)
{
	addr_count s1, l1, s2, l2;
	uint64_t k1, k2;

	sizes_of(c, p, at, &s1, &l1, &k1);
	sizes_of(c, q, to, &s2, &l2, &k2);
	if (s1 != s2)
		return s1 < s2 ? -1 : 1;
	if (l1 != l2)
		return l1 < l2 ? -1 : 1;
	return k1 < k2 ? -1 : k1 > k2;
}

static int compare_pairs(const void *x, const void *y, void *context)
{
	const struct pair *a = x, *b = y;
	int r = compare_at(context, a, 0, b, 0);

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

enum { HOLE = UINT32_MAX }; /* as an event's pair: addresses that rules do not speak of */

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

static uint64_t scramble(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
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
		all[i].mark = (unsigned __int128)scramble(2 * i) << 64 | scramble(2 * i + 1);
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
	if (c->event_count > 1)
		qsort(c->events, c->event_count, sizeof *c->events, compare_events);
	free(numbers);
	free(of_set);
}

/* The heap of cursors, the best use on top. */
static bool cursor_less(const struct compiler *c, const struct cursor *a, const struct cursor *b)
{
	int r = compare_at(c, &c->pairs[a->pair], a->at, &c->pairs[b->pair], b->at);

	return r ? r < 0 : a->pair < b->pair;
}

static void heap_push(struct compiler *c, struct cursor new)
{
	size_t i = c->heap_count;

	c->heap = mem_grow(c->heap, c->heap_count, &c->heap_cap, sizeof *c->heap);
	c->heap_count++;
	for (; i && cursor_less(c, &new, &c->heap[(i - 1) / 2]); i = (i - 1) / 2)
		c->heap[i] = c->heap[(i - 1) / 2];
	c->heap[i] = new;
}

static struct cursor heap_pop(struct compiler *c)
{
	struct cursor top = c->heap[0], last = c->heap[--c->heap_count];
	size_t i = 0;

	while (2 * i + 1 < c->heap_count) {
		size_t child = 2 * i + 1;

		if (child + 1 < c->heap_count && cursor_less(c, &c->heap[child + 1], &c->heap[child]))
			child++;
		if (!cursor_less(c, &c->heap[child], &last))
			break;
		c->heap[i] = c->heap[child];
		i = child;
	}
	c->heap[i] = last;
	return top;
}

/* All active uses in order, each once; stops behind one that matches everything and those of its rank. */
static void merge_list(struct compiler *c)
{
	size_t next = bits_next(&c->active, 0), all = SIZE_MAX;

	c->list_number++;
	c->list_count = c->heap_count = 0;
	for (;;) {
		struct cursor at;
		struct plan_entry e;
		const struct pair *p;
		struct use *u;

		while (next != SIZE_MAX &&
		       (c->heap_count == 0 ||
			compare_at(c, &c->pairs[next], 0, &c->pairs[c->heap[0].pair], c->heap[0].at) <= 0)) {
			heap_push(c, (struct cursor){ .pair = (uint32_t)next });
			next = bits_next(&c->active, next + 1);
		}
		if (c->heap_count == 0)
			break;
		at = heap_pop(c);
		p = &c->pairs[at.pair];
		u = &c->uses[c->by_set[p->set].uses[at.at]];
		if (at.at + 1 < c->by_set[p->set].count)
			heap_push(c, (struct cursor){ at.pair, at.at + 1 });
		if (c->uses[u->twin].seen == c->list_number)
			continue; /* a better element, or the other way round, brought it already */
		c->uses[u->twin].seen = c->list_number;
		entry_make(&c->p->rules[u->rule], &c->p->rules[u->rule].services[u->service], u->local_is_end1, &e);
		e.small = u->local_size < p->size ? u->local_size : p->size;
		e.large = u->local_size < p->size ? p->size : u->local_size;
		if (all != SIZE_MAX && !c->host->contests && entry_rank_compare(&c->list[all], &e) != 0)
			break;
		if (all == SIZE_MAX && entry_matches_all(&e))
			all = c->list_count;
		c->list = mem_grow(c->list, c->list_count, &c->list_cap, sizeof *c->list);
		c->list[c->list_count++] = e;
	}
}

struct meeting {
	struct compiler *c;
	addr_count remote;
	const struct addr *local;
};

static void report_contradiction(void *context, const struct plan_entry *a, const struct plan_entry *b)
{
	struct meeting *m = context;
	struct compiler *c = m->c;
	const struct rule *first = a->rule->index < b->rule->index ? a->rule : b->rule;
	const struct rule *second = first == a->rule ? b->rule : a->rule;
	struct addr remote = number_addr(c->family, m->remote);
	uint32_t key[2] = { first->index, second->index };
	char *kept;
	bool is_new;

	if (names_find(&c->conflicts, (const char *)key, sizeof key) || c->conflict_count == CONFLICTS_MOST)
		return;
	kept = arena_new(&c->memory, 1, sizeof key);
	memcpy(kept, key, sizeof key);
	(void)names_add(&c->conflicts, kept, sizeof key, 0, NULL, second->place, &is_new);
	c->conflict_count++;
	c->failed = !c->p->imported || c->failed;
	conflict_report(c->p, c->report, a, b, m->local, &remote);
}

/* The number of the list, which may be there already from another region or address. */
static uint32_t intern_list(struct compiler *c)
{
	struct plan_lists *l = &c->plan->lists;
	size_t octets = c->list_count * sizeof *c->list, i;

	if (2 * l->count >= c->interned.cap) {
		free(c->interned.slots);
		c->interned.cap = c->interned.cap ? 2 * c->interned.cap : 256;
		c->interned.slots = mem_new(c->interned.cap, sizeof *c->interned.slots);
		for (uint32_t n = 1; n < l->count; n++) {
			struct plan_list list = plan_list(c->plan, n);

			i = hash_octets(0, list.entries, list.count * sizeof *list.entries) & (c->interned.cap - 1);
			while (c->interned.slots[i])
				i = (i + 1) & (c->interned.cap - 1);
			c->interned.slots[i] = n;
		}
	}
	i = hash_octets(0, c->list, octets) & (c->interned.cap - 1);
	for (; c->interned.slots[i]; i = (i + 1) & (c->interned.cap - 1)) {
		struct plan_list list = plan_list(c->plan, c->interned.slots[i]);

		if (list.count == c->list_count && memcmp(list.entries, c->list, octets) == 0)
			return c->interned.slots[i];
	}
	while (l->entry_cap - l->entry_count < c->list_count) {
		l->entry_cap = l->entry_cap ? 2 * l->entry_cap : 64;
		l->entries = mem_resize(l->entries, l->entry_cap, sizeof *l->entries);
	}
	memcpy(l->entries + l->entry_count, c->list, octets);
	l->entry_count += c->list_count;
	l->firsts = mem_grow(l->firsts, l->count + 1, &l->cap, sizeof *l->firsts);
	l->firsts[l->count + 1] = (uint32_t)l->entry_count;
	c->interned.slots[i] = (uint32_t)l->count;
	return (uint32_t)l->count++;
}

static uint32_t list_of_active(struct compiler *c, unsigned __int128 sum, addr_count at, const struct addr *local)
{
	size_t i, all;

	if (2 * c->signature_count >= c->signature_cap) {
		struct signature *old = c->signatures;
		size_t cap = c->signature_cap;

		c->signature_cap = cap ? 2 * cap : 256;
		c->signatures = mem_new(c->signature_cap, sizeof *c->signatures);
		for (size_t k = 0; k < cap; k++) {
			if (!old[k].used)
				continue;
			i = (size_t)old[k].sum & (c->signature_cap - 1);
			while (c->signatures[i].used)
				i = (i + 1) & (c->signature_cap - 1);
			c->signatures[i] = old[k];
		}
		free(old);
	}
	for (i = (size_t)sum & (c->signature_cap - 1); c->signatures[i].used; i = (i + 1) & (c->signature_cap - 1))
		if (c->signatures[i].sum == sum)
			return c->signatures[i].list;
	merge_list(c);
	list_contradictions(c->list, c->list_count, true, report_contradiction,
			    &(struct meeting){ .c = c, .remote = at, .local = local });
	for (all = 0; all < c->list_count && !entry_matches_all(&c->list[all]); all++)
		;
	if (all < c->list_count && !c->host->contests)
		c->list_count = all + 1;
	c->signatures[i] = (struct signature){ .sum = sum, .list = intern_list(c), .used = true };
	c->signature_count++;
	return c->signatures[i].list;
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

static int sweep(struct compiler *c, size_t local, struct diag *d)
{
	unsigned __int128 sum = 0;
	size_t holes = 0, on = 0;

	c->plan->local_regions[local].first = (uint32_t)c->plan->region_count;
	for (size_t i = 0; i < c->event_count;) {
		addr_count at = c->events[i].at, last;

		for (; i < c->event_count && c->events[i].at == at; i++) {
			const struct event *e = &c->events[i];
			struct pair *p;

			if (e->pair == (uint32_t)HOLE) {
				holes += (size_t)(ptrdiff_t)e->step;
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
		add_region(c, local, at, last, list_of_active(c, sum, at, &c->plan->locals[local]));
		if (c->plan->lists.entry_count > ENTRIES_MOST)
			return diag_fail(d, ERR_POLICY,
					 "the plan of this host would hold over %d entries: too many rules with "
					 "ports overlap on the same addresses",
					 ENTRIES_MOST);
	}
	return 0;
}

static void forget_local(struct compiler *c)
{
	bits_free(&c->active);
	free(c->pairs);
	free(c->use_numbers);
	free(c->signatures);
	c->pairs = NULL;
	c->use_numbers = NULL;
	c->signatures = NULL;
	c->signature_count = c->signature_cap = 0;
}

static int compile_local(struct compiler *c, size_t local, struct diag *d)
{
	const struct addr *a = &c->plan->locals[local];
	int r;

	c->family = a->family;
	c->list_number = 0;
	measure_sets(c, a);
	if ((r = collect_uses(c, d)) < 0)
		return r;
	make_pairs(c);
	make_events(c);
	bits_new(&c->active, c->pair_count);
	r = sweep(c, local, d);
	forget_local(c);
	return r;
}

static int compare_addresses(const void *a, const void *b)
{
	return addr_compare(a, b);
}

static void take_locals(struct compiler *c)
{
	struct plan *p = c->plan;
	size_t n = 0;

	p->locals = mem_new(c->host->own_count, sizeof *p->locals);
	for (size_t i = 0; i < c->host->own_count; i++) {
		const struct addr *a = &c->host->own[i].addr;

		if (a->family && !addr_is_loopback(a) && !addr_is_link_local(a) && !addr_is_multicast(a))
			p->locals[n++] = *a;
	}
	if (n > 1)
		qsort(p->locals, n, sizeof *p->locals, compare_addresses);
	for (size_t i = 0; i < n; i++)
		if (p->local_count == 0 || !addr_equal(&p->locals[p->local_count - 1], &p->locals[i]))
			p->locals[p->local_count++] = p->locals[i];
	p->local_regions = mem_new(p->local_count, sizeof *p->local_regions);
}

static void compiler_wipe(struct compiler *c)
{
	for (size_t k = 0; k < KEYWORDS; k++)
		free(c->keywords[k].elements);
	names_wipe(&c->conflicts);
	arena_wipe(&c->memory);
	free(c->sets);
	free(c->local_sizes);
	free(c->uses);
	free(c->by_set);
	free(c->events);
	free(c->heap);
	free(c->list);
	free(c->interned.slots);
	forget_local(c);
}

int plan_compile(const struct policy *p, const struct plan_host *host, struct report *r, struct plan **ret)
{
	SCOPED(plan_freep) struct plan *plan = mem_new(1, sizeof *plan);
	SCOPED(compiler_wipe) struct compiler c = { .p = p, .host = host, .report = r, .plan = plan };
	struct diag d = { 0 };
	int e = 0;

	atomic_init(&plan->references, 1);
	plan->policy = policy_ref(p);
	plan->lists.firsts = mem_grow(NULL, 0, &plan->lists.cap, sizeof *plan->lists.firsts);
	plan->lists.firsts[0] = plan->lists.firsts[1] = 0; /* list 0 is empty */
	plan->lists.count = 1;
	c.profiles = host->profiles ? host->profiles : PROFILE_ALL;
	c.set_count = p->set_count + KEYWORDS;
	c.sets = mem_new(c.set_count, sizeof(struct address_set *));
	if (p->set_count)
		memcpy(c.sets, p->sets, p->set_count * sizeof(struct address_set *));
	c.local_sizes = mem_new(c.set_count, sizeof *c.local_sizes);
	c.by_set = mem_new(c.set_count, sizeof *c.by_set);
	resolve_keywords(&c);
	take_locals(&c);
	for (size_t i = 0; e == 0 && i < plan->local_count; i++)
		e = compile_local(&c, i, &d);
	if (e < 0)
		(void)report_add(r, SEVERITY_ERROR, "plan-too-large", (struct place){ 0 }, "%s", d.text);
	else if (c.failed)
		e = -ERR_POLICY;
	if (e == 0) {
		plan_index(plan);
		*ret = TAKE(plan);
	}
	return e;
}
