#include "tools/lab/behind.h"

#include "analysis/ends.h"
#include "base/mem.h"

static bool is_tunnel_end(const struct policy *p, const struct host *h)
{
	const struct rule *rules;
	size_t n = policy_rules(p, &rules);

	for (size_t i = 0; i < n; i++)
		for (size_t a = 0; rules[i].tunnel && a < h->address_count; a++)
			if (addr_equal(&h->addresses[a].addr, &rules[i].tunnel1) ||
			    addr_equal(&h->addresses[a].addr, &rules[i].tunnel2))
				return true;
	return false;
}

/* The smallest element of the end that holds an address of the host; 0: none does. */
static addr_count held_by(const struct policy *p, const struct end *e, const struct host *h)
{
	addr_count smallest = 0;

	for (size_t i = 0; i < h->address_count; i++) {
		struct ends_who who = ends_who(p, &h->addresses[i].addr);
		struct addr_range in;

		if (!end_has(p, e, &who, &who, &in))
			continue;
		if (!smallest || addr_range_count(&in) < smallest)
			smallest = addr_range_count(&in);
	}
	return smallest;
}

int *behind_whom(const struct policy *p)
{
	const struct host *hosts;
	const struct rule *rules;
	size_t n = policy_hosts(p, &hosts), rule_count = policy_rules(p, &rules);
	int *ret = mem_new(n + 1, sizeof *ret);

	for (size_t i = 0; i < n; i++) {
		addr_count best = 0;

		ret[i] = BEHIND_NOBODY;
		for (size_t r = 0; r < rule_count && !is_tunnel_end(p, &hosts[i]); r++)
			for (unsigned side = 0; rules[r].tunnel && side < 2; side++) {
				const struct addr *end = side ? &rules[r].tunnel2 : &rules[r].tunnel1;
				const struct host *gateway = end->family ? policy_host_by_address(p, end) : NULL;
				addr_count size =
					gateway ? held_by(p, side ? &rules[r].end2 : &rules[r].end1, &hosts[i]) : 0;

				if (!size || (best && size >= best))
					continue;
				best = size;
				ret[i] = (int)(gateway - hosts);
			}
	}
	return ret;
}
