#include "policy/plan.h"

#include "base/mem.h"
#include "policy/number.h"
#include "policy/plan_inside.h"
#include "policy/plan_long.h"

#include <stdlib.h>
#include <string.h>

enum { BUCKETS_FROM = 32, BUCKET_BITS_MOST = 17 };

struct plan *plan_ref(const struct plan *p)
{
	struct plan *shared = (struct plan *)(uintptr_t)p; /* immutable but for its count */

	atomic_fetch_add(&shared->references, 1);
	return shared;
}

void plan_free(struct plan *p)
{
	if (!p || atomic_fetch_sub(&p->references, 1) > 1)
		return;
	for (size_t i = 0; i < p->local_count + p->behind_count; i++) {
		free(p->local_regions[i].slots4);
		free(p->local_regions[i].slots6);
		free(p->local_regions[i].buckets);
	}
	free(p->local_regions);
	free(p->locals);
	free(p->behind);
	free(p->tunnels);
	free(p->regions);
	for (size_t k = 0; k < KEYWORDS; k++)
		free(p->keywords[k].elements);
	free(p->interfaces);
	free(p->lists.entries);
	free(p->lists.matches);
	plan_long_wipe(&p->lists);
	free(p->lists.firsts);
	free(p->firewalls);
	free(p->groups);
	policy_free(p->policy);
	free(p);
}

const struct policy *plan_policy(const struct plan *p)
{
	return p->policy;
}

size_t plan_locals(const struct plan *p, const struct addr **ret)
{
	*ret = p->locals;
	return p->local_count;
}

size_t plan_regions(const struct plan *p, size_t local, const struct plan_region **ret)
{
	const struct plan_local *l = &p->local_regions[local];

	*ret = l->count ? p->regions + l->first : NULL;
	return l->count;
}

size_t plan_lists(const struct plan *p)
{
	return p->lists.count;
}

struct plan_list plan_list(const struct plan *p, uint32_t list)
{
	uint32_t first = p->lists.firsts[list];

	if (first == p->lists.firsts[list + 1])
		return (struct plan_list){ 0 };
	return (struct plan_list){ p->lists.entries + first, p->lists.firsts[list + 1] - first };
}

static addr_count start_of(const struct plan_local *l, size_t i)
{
	return l->slots4 ? l->slots4[i].lo : l->slots6[i].lo;
}

/* Buckets of equal width over the span of the regions, about one a region, so that a look-up starts next to its goal
 * whether the policy is about one network or about all. */
static void make_buckets(struct plan_local *l)
{
	addr_count span;
	unsigned bits = 5, span_bits = 0;
	size_t region = 0;

	l->base = start_of(l, 0);
	span = (l->slots4 ? l->slots4[l->count - 1].hi : l->slots6[l->count - 1].hi) - l->base;
	while (bits < BUCKET_BITS_MOST && ((size_t)1 << bits) < l->count)
		bits++;
	while (span_bits < 128 && span >> span_bits)
		span_bits++;
	l->shift = span_bits > bits ? span_bits - bits : 0;
	l->bucket_count = (size_t)(span >> l->shift) + 1;
	l->buckets = mem_new_huge(l->bucket_count + 1, sizeof *l->buckets);
	for (size_t b = 0; b < l->bucket_count; b++) {
		addr_count from = l->base + ((addr_count)b << l->shift);

		/* The last region that begins at or before the bucket may reach into it. */
		while (region + 1 < l->count && start_of(l, region + 1) <= from)
			region++;
		l->buckets[b] = (uint32_t)region;
	}
	l->buckets[l->bucket_count] = l->count - 1;
}

static void index_local(struct plan *p, const struct addr *local, struct plan_local *l)
{
	const struct plan_region *r = p->regions + l->first;

	if (local->family == 4)
		l->slots4 = mem_new_huge(l->count, sizeof *l->slots4);
	else
		l->slots6 = mem_new_huge(l->count, sizeof *l->slots6);
	for (size_t i = 0; i < l->count; i++) {
		addr_count lo = addr_number(&r[i].remote.lo), hi = addr_number(&r[i].remote.hi);
		uint32_t first = p->lists.firsts[r[i].list], count = p->lists.firsts[r[i].list + 1] - first;

		if (l->slots4)
			l->slots4[i] = (struct plan_slot4){ (uint32_t)lo, (uint32_t)hi, first, count };
		else
			l->slots6[i] = (struct plan_slot6){ lo, hi, first, count };
	}
	if (l->count >= BUCKETS_FROM)
		make_buckets(l);
}

static struct plan_match match_of(const struct plan_entry *e)
{
	return (struct plan_match){
		.protocol = e->protocol,
		.initiators = (uint8_t)e->initiators,
		.protects = rule_mode_protects(e->rule->mode),
		.local_port = e->local_port,
		.remote_port = e->remote_port,
		.icmp_type = e->icmp_type,
		.icmp_code = e->icmp_code,
	};
}

static void index_entries(struct plan_lists *l)
{
	l->matches = mem_new_huge(l->entry_count, sizeof *l->matches);
	for (size_t i = 0; i < l->entry_count; i++)
		l->matches[i] = match_of(&l->entries[i]);
	plan_long_make(l);
}

void plan_index(struct plan *p)
{
	index_entries(&p->lists);
	for (size_t i = 0; i < p->local_count + p->behind_count; i++)
		if (p->local_regions[i].count)
			index_local(p, i < p->local_count ? &p->locals[i] : &p->behind[i - p->local_count].lo,
				    &p->local_regions[i]);
}

/* The last of slots[lo..hi] that begins at or below the number; slots[lo] does. */
#define SEARCH(slots, number, low, high) \
	while (low < high) { \
		size_t mid = low + (high - low + 1) / 2; \
		if ((slots)[mid].lo <= (number)) \
			low = mid; \
		else \
			high = mid - 1; \
	}

/* Where in the lists the entries are that the number meets, and how many. */
static size_t list_at(const struct plan_local *l, addr_count number, size_t *ret_first)
{
	size_t low = 0, high;

	if (l->count == 0 || number < start_of(l, 0))
		return 0;
	high = l->count - 1;
	if (l->buckets) {
		addr_count b = (number - l->base) >> l->shift;

		if (b >= l->bucket_count)
			return 0;
		low = l->buckets[b];
		high = l->buckets[b + 1];
	}
	if (l->slots4) {
		uint32_t n = (uint32_t)number;

		SEARCH(l->slots4, n, low, high)
		*ret_first = l->slots4[low].first;
		return n <= l->slots4[low].hi ? l->slots4[low].count : 0;
	}
	SEARCH(l->slots6, number, low, high)
	*ret_first = l->slots6[low].first;
	return number <= l->slots6[low].hi ? l->slots6[low].count : 0;
}

static size_t behind_of(const struct plan *p, const struct addr *a)
{
	size_t lo = 0, hi = p->behind_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (addr_range_has(&p->behind[mid], a))
			return p->local_count + mid;
		if (addr_compare(a, &p->behind[mid].lo) < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return SIZE_MAX;
}

static size_t local_of(const struct plan *p, const struct addr *a)
{
	size_t lo = 0, hi = p->local_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = addr_compare(a, &p->locals[mid]);

		if (c == 0)
			return mid;
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return p->behind_count ? behind_of(p, a) : SIZE_MAX;
}

static size_t meet(const struct plan *p, const struct addr *local, const struct addr *remote, size_t *ret_first)
{
	size_t i = local_of(p, local);

	return i == SIZE_MAX || remote->family != local->family
		       ? 0
		       : list_at(&p->local_regions[i], addr_number(remote), ret_first);
}

struct plan_list plan_meet(const struct plan *p, const struct addr *local, const struct addr *remote)
{
	size_t first, count = meet(p, local, remote, &first);

	return count ? (struct plan_list){ p->lists.entries + first, count } : (struct plan_list){ 0 };
}

bool plan_entry_matches(const struct plan_entry *e, const struct plan_packet *k)
{
	struct plan_match m = match_of(e);

	return plan_match_packet(&m, k);
}

static const struct plan_entry *lookup(const struct plan *p, const struct plan_packet *k, bool protecting)
{
	size_t first, count = meet(p, &k->local, &k->remote, &first), found;

	if (count >= PLAN_LONG_FROM) {
		found = plan_long_find(&p->lists, first, count, k, protecting);
		return found == SIZE_MAX ? NULL : &p->lists.entries[found];
	}
	for (size_t i = 0; i < count; i++) {
		const struct plan_match *m = &p->lists.matches[first + i];

		if ((m->protects || !protecting) && plan_match_packet(m, k))
			return &p->lists.entries[first + i];
	}
	return NULL;
}

const struct plan_entry *plan_lookup(const struct plan *p, const struct plan_packet *k)
{
	return lookup(p, k, false);
}

const struct plan_entry *plan_lookup_protecting(const struct plan *p, const struct plan_packet *k)
{
	return lookup(p, k, true);
}
