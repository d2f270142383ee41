/* The list of a region: the uses of all active pairs in the order in which they win. The pairs have theirs in order
 * already, so this is a merge, and it ends at the first entry that matches everything. */
#include "policy/compile/compile.h"

#include "policy/conflict.h"
#include "policy/number.h"
#include "policy/rank.h"

#include <stdlib.h>
#include <string.h>

enum { CONFLICTS_MOST = REPORT_FINDINGS_MOST };

static void sizes_of(const struct compiler *c, const struct pair *p, uint32_t at, addr_count *small, addr_count *large,
		     uint64_t *key)
{
	const struct use *u = &c->uses[c->by_set[p->set].uses[at]];

	*small = u->local_size < p->size ? u->local_size : p->size;
	*large = u->local_size < p->size ? p->size : u->local_size;
	*key = u->key;
}

int compiler_compare_at(const struct compiler *c, const struct pair *p, uint32_t at, const struct pair *q, uint32_t to)
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

/* The heap of cursors, the best use on top. */
static bool cursor_less(const struct compiler *c, const struct cursor *a, const struct cursor *b)
{
	int r = compiler_compare_at(c, &c->pairs[a->pair], a->at, &c->pairs[b->pair], b->at);

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

/* Also what can never win: `why` shows it; and a tunnel behind a block tells that the block is ours to enforce. */
static bool whole_lists(const struct compiler *c)
{
	return c->host->contests || c->behind;
}

/* All active uses in order, each once; stops behind one that matches everything and those of its rank. */
static void merge_list(struct compiler *c)
{
	size_t next = bits_next(&c->active, 0), all = SIZE_MAX;
	addr_count small, large, others_small = 0, others_large = 0; /* of the tunnel of others that comes first */

	c->list_number++;
	c->list_count = c->heap_count = 0;
	for (;;) {
		struct cursor at;
		struct plan_entry e;
		const struct pair *p;
		struct use *u;

		while (next != SIZE_MAX &&
		       (c->heap_count == 0 ||
			compiler_compare_at(c, &c->pairs[next], 0, &c->pairs[c->heap[0].pair], c->heap[0].at) <= 0)) {
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
		small = u->local_size < p->size ? u->local_size : p->size;
		large = u->local_size < p->size ? p->size : u->local_size;
		if (u->elsewhere && !others_small) {
			others_small = small;
			others_large = large;
		}
		/* A tunnel that is less specific than one of others has nothing to say. */
		if (u->within || u->elsewhere ||
		    (c->p->rules[u->rule].tunnel && others_small && (small != others_small || large != others_large)))
			continue;
		entry_make(&c->p->rules[u->rule], &c->p->rules[u->rule].services[u->service], u->local_is_end1, &e);
		e.small = small;
		e.large = large;
		if (all != SIZE_MAX && !whole_lists(c) && entry_rank_compare(&c->list[all], &e) != 0)
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

uint32_t compiler_list_of_active(struct compiler *c, unsigned __int128 sum, addr_count at)
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
			    &(struct meeting){ .c = c, .remote = at, .local = &c->local });
	for (all = 0; all < c->list_count && !entry_matches_all(&c->list[all]); all++)
		;
	if (all < c->list_count && !whole_lists(c))
		c->list_count = all + 1;
	compiler_ask(c, at);
	c->signatures[i] = (struct signature){ .sum = sum, .list = c->list_count ? intern_list(c) : 0, .used = true };
	c->signature_count++;
	return c->signatures[i].list;
}
