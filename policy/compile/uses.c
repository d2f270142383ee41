/* Which rules concern one address: each set of addresses is asked once, however many rules name it. */
#include "policy/compile/compile.h"

#include "base/diag.h"
#include "policy/rank.h"

#include <stdlib.h>
#include <string.h>

enum { USES_MOST = 16000000 };

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
		addr_count one = c->local_sizes[compiler_item_set(c, &e->items[i])->number];

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
		if (c->uses[one].service == c->uses[two].service &&
		    same_both_ways(r, &r->services[c->uses[one].service]))
			c->uses[two].twin = (uint32_t)one;
	}
}

static void add_tunnel_use(struct compiler *c, const struct rule *r, bool local_is_end1, addr_count local_size,
			   bool elsewhere)
{
	uint32_t use = (uint32_t)c->use_count;

	add_uses(c, r, local_is_end1, local_size);
	c->uses[use].elsewhere = elsewhere;
	c->uses = mem_grow(c->uses, c->use_count, &c->use_cap, sizeof *c->uses);
	c->uses[c->use_count] = c->uses[use];
	c->uses[c->use_count].within = true;
	c->uses[c->use_count].elsewhere = false;
	c->uses[c->use_count].key++;
	c->use_count++;
}

/* An address that both ends of a tunnel rule hold belongs to the one whose element is smaller. */
static void add_uses_of_tunnels(struct compiler *c, const struct rule *r, const struct addr *local)
{
	addr_count sizes[2] = { end_size(c, &r->end1), end_size(c, &r->end2) };
	size_t before = c->use_count, middle;

	if (c->behind && !r->tunnel && rule_mode_protects(r->mode))
		return;
	if (!r->tunnel) {
		if (sizes[0])
			add_uses(c, r, true, sizes[0]);
		middle = c->use_count;
		if (sizes[1])
			add_uses(c, r, false, sizes[1]);
		pair_twins(c, r, before, middle);
		return;
	}
	for (int side = 0; side < 2; side++) {
		bool end1 = side == 0;

		if (!sizes[side] || (sizes[!side] && sizes[!side] < sizes[side]) || c->use_count != before)
			continue;
		add_tunnel_use(
			c, r, end1, sizes[side],
			!(c->behind ? compiler_is_gateway(c, r, end1) : compiler_tunnels_itself(c, r, end1, local)));
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
	for (const struct end *end_ = (use)->local_is_end1 != (use)->within ? &(c)->p->rules[(use)->rule].end2 \
									    : &(c)->p->rules[(use)->rule].end1, \
			      *once_ = end_; \
	     once_; once_ = NULL) \
		for (size_t item_ = 0; \
		     item_ < end_->count && ((set) = compiler_item_set((c), &end_->items[item_])->number, 1); item_++)

int compiler_collect_uses(struct compiler *c, const struct addr *local, struct diag *d)
{
	uint32_t set, *next;
	uint64_t total = 0;

	measure_sets(c, local);
	c->use_count = 0;
	for (size_t i = 0; i < c->p->rule_count; i++) {
		const struct rule *r = &c->p->rules[i];
		size_t before = c->use_count, middle;
		addr_count size;

		if (!(r->profiles & c->profiles))
			continue;
		if (r->tunnel || c->behind) {
			add_uses_of_tunnels(c, r, local);
			continue;
		}
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
