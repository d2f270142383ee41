/* What a tunnel rule says of two addresses, without a plan: which elements of its ends hold them, and between which two
 * hosts it goes. */
#include "policy/tunnel_ends.h"

#include "base/mem.h"

static const struct addr *tunnel_end(const struct rule *r, bool end1)
{
	return end1 ? &r->tunnel1 : &r->tunnel2;
}

static const struct end *end_of(const struct rule *r, bool end1)
{
	return end1 ? &r->end1 : &r->end2;
}

static const struct addr_range everything[] = {
	{ { .family = 4 }, { .family = 4, .octets = { 255, 255, 255, 255 } } },
	{ { .family = 6 },
	  { .family = 6,
	    .octets = { 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255 } } },
};

const struct addr_range *tunnel_element_with(const struct end *e, const struct addr *a)
{
	const struct addr_range *best = NULL;
	addr_count size = 0;

	for (size_t i = 0; i < e->count; i++) {
		const struct address_set *set = e->items[i].set;

		for (size_t k = 0; set && k < set->count; k++)
			if (addr_range_has(&set->elements[k], a) &&
			    (!best || addr_range_count(&set->elements[k]) < size)) {
				best = &set->elements[k];
				size = addr_range_count(best);
			}
		if (!set && e->items[i].keyword == KEYWORD_ANY && !best)
			best = &everything[a->family == 6];
	}
	return best;
}

bool plan_tunnel_ranges(const struct plan_entry *e, const struct addr *local, const struct addr *remote,
			struct addr_range *ret_local, struct addr_range *ret_remote)
{
	const struct rule *r = e->rule;
	const struct addr_range *near = tunnel_element_with(end_of(r, e->local_is_end1), local);
	const struct addr_range *far = tunnel_element_with(end_of(r, !e->local_is_end1), remote);

	if (!near || !far || local->family != remote->family)
		return false;
	*ret_local = tunnel_end(r, e->local_is_end1)->family ? *near : (struct addr_range){ *local, *local };
	*ret_remote = tunnel_end(r, !e->local_is_end1)->family ? *far : (struct addr_range){ *remote, *remote };
	return true;
}

bool plan_tunnel_element(const struct plan_entry *e, bool local, size_t i, struct addr_range *ret)
{
	const struct end *end = end_of(e->rule, e->local_is_end1 == local);

	for (size_t k = 0; k < end->count; k++) {
		const struct address_set *set = end->items[k].set;
		size_t count = set ? set->count : ARRAY_LEN(everything);

		if (i < count) {
			*ret = set ? set->elements[i] : everything[i];
			return true;
		}
		i -= count;
	}
	return false;
}

static bool side_has(const struct plan_entry *e, bool local, const struct addr_range *r)
{
	bool single = addr_equal(&r->lo, &r->hi);
	struct addr_range one;

	for (size_t i = 0; plan_tunnel_element(e, local, i, &one); i++)
		if (addr_range_has(&one, &r->lo) && addr_range_has(&one, &r->hi))
			return single || tunnel_end(e->rule, e->local_is_end1 == local)->family;
	return false;
}

bool plan_tunnel_has(const struct plan_entry *e, const struct addr_range *local, const struct addr_range *remote)
{
	return local->lo.family == remote->lo.family && side_has(e, true, local) && side_has(e, false, remote);
}

bool plan_tunnel_ends(const struct plan_entry *e, const struct addr *local, const struct addr *remote,
		      struct addr *ret_local, struct addr *ret_remote)
{
	const struct addr *near = tunnel_end(e->rule, e->local_is_end1);
	const struct addr *far = tunnel_end(e->rule, !e->local_is_end1);

	*ret_local = near->family ? *near : *local;
	*ret_remote = far->family ? *far : *remote;
	return ret_local->family == ret_remote->family;
}
