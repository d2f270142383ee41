#include "analysis/alike.h"

#include "analysis/ends.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* From this address on, the marks are as they are here. */
struct cut {
	struct addr at;
	uint64_t mark; /* while sweeping: what changes here */
};

struct alike {
	const struct policy *policy;
	struct cut *cuts;
	size_t count, cap;
	const struct address_set **sets;
	size_t set_count, set_cap;
	unsigned keywords; /* bits of the keywords that rules use */
};

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static void cut(struct alike *a, const struct addr *at, uint64_t change)
{
	a->cuts = mem_grow(a->cuts, a->count, &a->cap, sizeof *a->cuts);
	a->cuts[a->count++] = (struct cut){ *at, change };
}

/* An element of something that rules name; `what` tells the things apart. Its size is in the mark, because the size
 * decides which rule wins. */
static void element(struct alike *a, const struct addr_range *r, uint64_t what)
{
	addr_count n = addr_range_count(r);
	uint64_t change = mix(what ^ mix((uint64_t)n ^ mix((uint64_t)(n >> 64))));
	struct addr behind = r->hi;

	cut(a, &r->lo, change);
	if (addr_next(&behind))
		cut(a, &behind, change);
}

static void gather_end(struct alike *a, const struct end *e)
{
	for (size_t i = 0; i < e->count; i++) {
		if (!e->items[i].set) {
			a->keywords |= 1u << e->items[i].keyword;
			continue;
		}
		a->sets = mem_grow(a->sets, a->set_count, &a->set_cap, sizeof *a->sets);
		a->sets[a->set_count++] = e->items[i].set;
	}
}

static void gather(struct alike *a)
{
	const struct rule *rules;
	const struct firewall *sections;
	size_t n = policy_rules(a->policy, &rules), m = policy_firewalls(a->policy, &sections);

	for (size_t i = 0; i < n; i++) {
		gather_end(a, &rules[i].end1);
		gather_end(a, &rules[i].end2);
	}
	for (size_t i = 0; i < m; i++) {
		gather_end(a, &sections[i].hosts);
		for (size_t k = 0; k < sections[i].count; k++) {
			gather_end(a, &sections[i].rules[k].local);
			gather_end(a, &sections[i].rules[k].remote);
		}
	}
}

static int by_pointer(const void *x, const void *y)
{
	const struct address_set *const *px = x, *const *py = y;

	return *px < *py ? -1 : *px > *py;
}

/* Keywords stand for the hosts with a role, and local-subnet for each host's network. */
static void keyword_elements(struct alike *a)
{
	const struct host *hosts;
	size_t n = policy_hosts(a->policy, &hosts);

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < hosts[i].address_count; k++) {
			const struct host_address *h = &hosts[i].addresses[k];
			struct addr_range one = { h->addr, h->addr };

			for (unsigned word = 0; word < KEYWORDS; word++)
				if ((a->keywords & 1u << word) && (hosts[i].roles & ends_keyword_role(word)))
					element(a, &one, word + 1);
			if ((a->keywords & 1u << KEYWORD_LOCAL_SUBNET) && h->prefix >= 0) {
				one = addr_prefix_range(&h->addr, (unsigned)h->prefix);
				element(a, &one, mix(i) ^ KEYWORDS);
			}
		}
}

static int by_address(const void *x, const void *y)
{
	const struct cut *cx = x, *cy = y;

	return addr_compare(&cx->at, &cy->at);
}

/* Turn changes into marks, one cut for each place where something changes. */
static void sweep(struct alike *a)
{
	size_t kept = 0;
	uint64_t mark = 0;
	uint8_t family = 0;

	qsort(a->cuts, a->count, sizeof *a->cuts, by_address);
	for (size_t i = 0; i < a->count;) {
		struct addr at = a->cuts[i].at;

		if (at.family != family)
			mark = 0; /* an element that ends with its family has no cut behind it */
		family = at.family;
		for (; i < a->count && addr_equal(&a->cuts[i].at, &at); i++)
			mark ^= a->cuts[i].mark;
		a->cuts[kept++] = (struct cut){ at, mark };
	}
	a->count = kept;
}

struct alike *alike_new(const struct policy *p)
{
	struct alike *a = mem_new(1, sizeof *a);
	size_t distinct = 0;

	a->policy = p;
	gather(a);
	if (a->set_count)
		qsort(a->sets, a->set_count, sizeof *a->sets, by_pointer);
	for (size_t i = 0; i < a->set_count; i++) {
		if (i && a->sets[i] == a->sets[i - 1])
			continue; /* twice would cancel out */
		distinct++;
		for (size_t k = 0; k < a->sets[i]->count; k++)
			element(a, &a->sets[i]->elements[k], mix(distinct << 8));
	}
	keyword_elements(a);
	if (a->count)
		sweep(a);
	free(a->sets);
	a->sets = NULL;
	return a;
}

void alike_free(struct alike *a)
{
	if (!a)
		return;
	free(a->cuts);
	free(a);
}

/* The number of cuts at or before the address. */
static size_t behind(const struct alike *a, const struct addr *addr)
{
	size_t lo = 0, hi = a->count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (addr_compare(&a->cuts[mid].at, addr) <= 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

uint64_t alike_mark(const struct alike *a, const struct addr *addr)
{
	size_t i = behind(a, addr);

	return i && a->cuts[i - 1].at.family == addr->family ? a->cuts[i - 1].mark : 0;
}

uint64_t alike_host_mark(const struct alike *a, const struct host *h)
{
	const struct group *groups;
	size_t n = policy_groups(a->policy, &groups);
	uint64_t mark = mix(h->agent), sum = 0;

	for (size_t i = 0; i < h->address_count; i++)
		sum += mix(alike_mark(a, &h->addresses[i].addr) ^ h->addresses[i].addr.family); /* in any order */
	mark = mix(mark ^ sum);
	mark = mix(mark ^ (h->credentials ? 1 + h->credential_count : 0));
	for (size_t i = 0; h->credentials && i < h->credential_count; i++)
		mark = mix(mark ^ (uint64_t)(uintptr_t)h->credentials[i]);
	for (size_t i = 0; i < n; i++)
		if (group_has(&groups[i], h))
			mark = mix(mark ^ i);
	return mark;
}

/* Marks seen, in a table that is never more than half full. */
struct seen {
	uint64_t *slots;
	size_t mask;
	bool zero;
};

static bool first_time(struct seen *s, uint64_t mark)
{
	if (mark == 0) { /* an empty slot's value */
		bool first = !s->zero;

		s->zero = true;
		return first;
	}
	for (size_t i = mix(mark) & s->mask;; i = (i + 1) & s->mask) {
		if (s->slots[i] == mark)
			return false;
		if (s->slots[i] == 0) {
			s->slots[i] = mark;
			return true;
		}
	}
}

size_t alike_split(const struct alike *a, const struct addr_range *r, size_t most, struct addr *ret, size_t cap,
		   bool *ret_bounded)
{
	size_t i = behind(a, &r->lo), found = 0, room = 64;
	struct addr at = r->lo;
	struct seen seen;

	while (room < 2 * (most + 1))
		room *= 2;
	seen = (struct seen){ .slots = mem_new(room, sizeof(uint64_t)), .mask = room - 1 };
	for (size_t looked = 0;; looked++) {
		if (looked > most) {
			*ret_bounded = true;
			break;
		}
		if (first_time(&seen, alike_mark(a, &at))) {
			if (found < cap)
				ret[found] = at;
			found++;
		}
		if (i >= a->count || addr_compare(&a->cuts[i].at, &r->hi) > 0)
			break;
		at = a->cuts[i++].at;
	}
	free(seen.slots);
	return found;
}

enum { STEPS_TO_A_BARE_ADDRESS = 300 };

bool alike_bare(const struct alike *a, const struct addr_range *r, struct addr *at)
{
	uint64_t mark = alike_mark(a, at);

	if (addr_range_count(r) > 2 && addr_equal(at, &r->lo))
		(void)addr_next(at); /* the network's own address is nobody's */
	for (unsigned i = 0; i < STEPS_TO_A_BARE_ADDRESS; i++) {
		if (!addr_range_has(r, at))
			return false;
		if (!policy_host_by_address(a->policy, at) && alike_mark(a, at) == mark)
			return true;
		if (!addr_next(at))
			return false;
	}
	return false;
}

size_t alike_cuts(const struct alike *a)
{
	return a->count;
}
