#include "policy/plan.h"

#include "base/mem.h"
#include "policy/number.h"
#include "policy/plan_inside.h"

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
	for (size_t i = 0; i < p->local_count; i++) {
		free(p->local_regions[i].starts4);
		free(p->local_regions[i].ends4);
		free(p->local_regions[i].starts6);
		free(p->local_regions[i].ends6);
		free(p->local_regions[i].buckets);
	}
	free(p->local_regions);
	free(p->locals);
	free(p->regions);
	free(p->lists.entries);
	free(p->lists.firsts);
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
	return l->starts4 ? l->starts4[i] : l->starts6[i];
}

/* Buckets of equal width over the span of the regions, about one a region, so that a look-up starts next to its goal
 * whether the policy is about one network or about all. */
static void make_buckets(struct plan_local *l)
{
	addr_count span;
	unsigned bits = 5, span_bits = 0;
	size_t region = 0;

	l->base = start_of(l, 0);
	span = (l->ends4 ? l->ends4[l->count - 1] : l->ends6[l->count - 1]) - l->base;
	while (bits < BUCKET_BITS_MOST && ((size_t)1 << bits) < l->count)
		bits++;
	while (span_bits < 128 && span >> span_bits)
		span_bits++;
	l->shift = span_bits > bits ? span_bits - bits : 0;
	l->bucket_count = (size_t)(span >> l->shift) + 1;
	l->buckets = mem_new(l->bucket_count + 1, sizeof *l->buckets);
	for (size_t b = 0; b < l->bucket_count; b++) {
		addr_count from = l->base + ((addr_count)b << l->shift);

		/* The last region that begins at or before the bucket may reach into it. */
		while (region + 1 < l->count && start_of(l, region + 1) <= from)
			region++;
		l->buckets[b] = (uint32_t)region;
	}
	l->buckets[l->bucket_count] = l->count - 1;
}

void plan_local_index(struct plan *p, size_t local)
{
	struct plan_local *l = &p->local_regions[local];
	const struct plan_region *r;

	if (l->count == 0)
		return;
	r = p->regions + l->first;
	if (p->locals[local].family == 4) {
		l->starts4 = mem_new(l->count, sizeof *l->starts4);
		l->ends4 = mem_new(l->count, sizeof *l->ends4);
		for (size_t i = 0; i < l->count; i++) {
			l->starts4[i] = (uint32_t)addr_number(&r[i].remote.lo);
			l->ends4[i] = (uint32_t)addr_number(&r[i].remote.hi);
		}
	} else {
		l->starts6 = mem_new(l->count, sizeof *l->starts6);
		l->ends6 = mem_new(l->count, sizeof *l->ends6);
		for (size_t i = 0; i < l->count; i++) {
			l->starts6[i] = addr_number(&r[i].remote.lo);
			l->ends6[i] = addr_number(&r[i].remote.hi);
		}
	}
	if (l->count >= BUCKETS_FROM)
		make_buckets(l);
}

/* The last of starts[lo..hi] that is at or below the number; starts[lo] is. */
#define SEARCH(starts, number, lo, hi) \
	while (lo < hi) { \
		size_t mid = lo + (hi - lo + 1) / 2; \
		if ((starts)[mid] <= (number)) \
			lo = mid; \
		else \
			hi = mid - 1; \
	}

/* The region that holds the number, or SIZE_MAX. */
static size_t region_of(const struct plan_local *l, addr_count number)
{
	size_t lo = 0, hi;

	if (l->count == 0 || number < start_of(l, 0))
		return SIZE_MAX;
	hi = l->count - 1;
	if (l->buckets) {
		addr_count b = (number - l->base) >> l->shift;

		if (b >= l->bucket_count)
			return SIZE_MAX;
		lo = l->buckets[b];
		hi = l->buckets[b + 1];
	}
	if (l->starts4) {
		uint32_t n = (uint32_t)number;

		SEARCH(l->starts4, n, lo, hi)
		return n <= l->ends4[lo] ? lo : SIZE_MAX;
	}
	SEARCH(l->starts6, number, lo, hi)
	return number <= l->ends6[lo] ? lo : SIZE_MAX;
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
	return SIZE_MAX;
}

struct plan_list plan_meet(const struct plan *p, const struct addr *local, const struct addr *remote)
{
	const struct plan_local *l;
	size_t i = local_of(p, local), region;

	if (i == SIZE_MAX || remote->family != local->family)
		return (struct plan_list){ 0 };
	l = &p->local_regions[i];
	region = region_of(l, addr_number(remote));
	if (region == SIZE_MAX)
		return (struct plan_list){ 0 };
	return plan_list(p, p->regions[l->first + region].list);
}

static bool has(struct port_range r, uint16_t port)
{
	return r.lo <= port && port <= r.hi;
}

bool plan_entry_matches(const struct plan_entry *e, const struct plan_packet *k)
{
	if ((e->protocol != PROTOCOL_ANY && e->protocol != k->protocol) || !(e->initiators & k->initiator))
		return false;
	if (e->icmp_type >= 0)
		return e->icmp_type == k->local_port >> 8 &&
		       (e->icmp_code < 0 || e->icmp_code == (k->local_port & 0xff));
	return has(e->local_port, k->local_port) && has(e->remote_port, k->remote_port);
}

const struct plan_entry *plan_lookup(const struct plan *p, const struct plan_packet *k)
{
	struct plan_list l = plan_meet(p, &k->local, &k->remote);

	for (size_t i = 0; i < l.count; i++)
		if (plan_entry_matches(&l.entries[i], k))
			return &l.entries[i];
	return NULL;
}

const struct plan_entry *plan_lookup_protecting(const struct plan *p, const struct plan_packet *k)
{
	struct plan_list l = plan_meet(p, &k->local, &k->remote);

	for (size_t i = 0; i < l.count; i++)
		if (rule_mode_protects(l.entries[i].rule->mode) && plan_entry_matches(&l.entries[i], k))
			return &l.entries[i];
	return NULL;
}
