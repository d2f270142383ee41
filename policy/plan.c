#include "policy/plan_inside.h"

#include <stdlib.h>
#include <string.h>

struct plan *plan_ref(const struct plan *p)
{
	struct plan *shared = (struct plan *)(uintptr_t)p; /* only the count changes */

	__atomic_add_fetch(&shared->references, 1, __ATOMIC_RELAXED);
	return shared;
}

void plan_free(struct plan *p)
{
	if (!p || __atomic_sub_fetch(&p->references, 1, __ATOMIC_ACQ_REL))
		return;
	for (size_t i = 0; i < p->local_count; i++) {
		free(p->locals[i].regions);
		free(p->locals[i].v4_keys);
		free(p->locals[i].v6_keys);
		free(p->locals[i].v4_index);
	}
	free(p->locals);
	free(p->addresses);
	free(p->lists);
	arena_wipe(&p->entries);
	policy_free((struct policy *)(uintptr_t)p->policy);
	free(p);
}

const struct policy *plan_policy(const struct plan *p)
{
	return p->policy;
}

size_t plan_locals(const struct plan *p, const struct addr **ret)
{
	*ret = p->addresses;
	return p->local_count;
}

size_t plan_regions(const struct plan *p, size_t local, const struct plan_region **ret)
{
	*ret = local < p->local_count ? p->locals[local].regions : NULL;
	return local < p->local_count ? p->locals[local].count : 0;
}

size_t plan_lists(const struct plan *p)
{
	return p->list_count;
}

struct plan_list plan_list(const struct plan *p, uint32_t list)
{
	return list < p->list_count ? p->lists[list] : (struct plan_list){ 0 };
}

static const struct plan_local *find_local(const struct plan *p, const struct addr *a)
{
	size_t lo = 0, hi = p->local_count;

	while (lo < hi) {
		size_t middle = lo + (hi - lo) / 2;
		int order = addr_compare(a, &p->addresses[middle]);

		if (order == 0)
			return &p->locals[middle];
		if (order < 0)
			hi = middle;
		else
			lo = middle + 1;
	}
	return NULL;
}

static uint32_t v4_key(const struct addr *a)
{
	return (uint32_t)a->octets[0] << 24 | (uint32_t)a->octets[1] << 16 | (uint32_t)a->octets[2] << 8 | a->octets[3];
}

static addr_count v6_key(const struct addr *a)
{
	addr_count key = 0;

	for (size_t i = 0; i < 16; i++)
		key = key << 8 | a->octets[i];
	return key;
}

/* How many of the sorted keys in [lo, hi) are at most `key`, counted from 0. */
static size_t upper_v4(const uint32_t *keys, size_t lo, size_t hi, uint32_t key)
{
	while (lo < hi) {
		size_t middle = lo + (hi - lo) / 2;

		if (keys[middle] <= key)
			lo = middle + 1;
		else
			hi = middle;
	}
	return lo;
}

static size_t upper_v6(const addr_count *keys, size_t n, addr_count key)
{
	size_t lo = 0;

	while (lo < n) {
		size_t middle = lo + (n - lo) / 2;

		if (keys[middle] <= key)
			lo = middle + 1;
		else
			n = middle;
	}
	return lo;
}

static const struct plan_region *find_region(const struct plan_local *l, const struct addr *remote)
{
	const struct plan_region *region;
	size_t behind, first = 0;

	if (remote->family == 4) {
		uint32_t key = v4_key(remote);
		size_t lo = 0, hi = l->v4_count;

		if (l->v4_index) {
			lo = l->v4_index[key >> 16];
			hi = l->v4_index[(key >> 16) + 1];
		}
		behind = upper_v4(l->v4_keys, lo, hi, key);
	} else {
		first = l->v4_count;
		behind = first + upper_v6(l->v6_keys, l->count - first, v6_key(remote));
	}
	if (behind == first)
		return NULL;
	region = &l->regions[behind - 1];
	return addr_compare(remote, &region->remote.hi) <= 0 ? region : NULL;
}

struct plan_list plan_meet(const struct plan *p, const struct addr *local, const struct addr *remote)
{
	const struct plan_local *l = find_local(p, local);
	const struct plan_region *region = l && remote->family == local->family ? find_region(l, remote) : NULL;

	return region ? p->lists[region->list] : (struct plan_list){ 0 };
}

static bool port_in(struct port_range r, uint16_t port)
{
	return r.lo <= port && port <= r.hi;
}

bool plan_entry_matches(const struct plan_entry *e, const struct plan_packet *k)
{
	if (!(e->initiators & k->initiator))
		return false;
	if (e->protocol == PROTOCOL_ANY)
		return true;
	if (e->protocol != k->protocol)
		return false;
	if (e->icmp_type >= 0 && e->icmp_type != k->local_port >> 8)
		return false;
	if (e->icmp_code >= 0 && e->icmp_code != (k->local_port & 0xff))
		return false;
	return (!port_given(e->local_port) || port_in(e->local_port, k->local_port)) &&
	       (!port_given(e->remote_port) || port_in(e->remote_port, k->remote_port));
}

const struct plan_entry *plan_lookup(const struct plan *p, const struct plan_packet *k)
{
	struct plan_list list = plan_meet(p, &k->local, &k->remote);

	for (size_t i = 0; i < list.count; i++)
		if (plan_entry_matches(&list.entries[i], k))
			return &list.entries[i];
	return NULL;
}

const struct plan_entry *plan_lookup_protecting(const struct plan *p, const struct plan_packet *k)
{
	struct plan_list list = plan_meet(p, &k->local, &k->remote);

	for (size_t i = 0; i < list.count; i++) {
		const struct plan_entry *e = &list.entries[i];

		if (!plan_entry_matches(e, k))
			continue;
		if (rule_mode_protects(e->rule->mode))
			return e;
		if (e->initiators == INITIATOR_EITHER)
			return NULL; /* exempt or blocked whoever began */
	}
	return NULL;
}
