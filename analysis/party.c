/* Who a name stands for: a host, a zone taken apart, an address. */
#include "analysis/question.h"

#include "base/diag.h"

#include <errno.h>
#include <string.h>

enum { CUTS_LOOKED_AT = 20000, KINDS_MOST = 128 };

static void add_member(struct party *p, const struct ends_who *who)
{
	if (p->count < PARTY_MEMBERS)
		p->members[p->count++] = *who;
	else
		p->bounded = true;
}

static void add_host(const struct policy *p, const struct host *h, struct party *ret)
{
	for (size_t i = 0; i < h->address_count; i++) {
		struct ends_who who = ends_who(p, &h->addresses[i].addr);

		who.host = h; /* two hosts may share an address; this one was asked about */
		add_member(ret, &who);
	}
}

static void add_range(const struct policy *p, const struct alike *a, const struct addr_range *r, struct party *ret)
{
	const struct host *hosts;
	struct addr kinds[KINDS_MOST];
	size_t n = policy_hosts(p, &hosts), found;

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < hosts[i].address_count; k++)
			if (addr_range_has(r, &hosts[i].addresses[k].addr)) {
				struct ends_who who = ends_who(p, &hosts[i].addresses[k].addr);

				who.host = &hosts[i];
				add_member(ret, &who);
			}
	found = alike_split(a, r, CUTS_LOOKED_AT, kinds, KINDS_MOST, &ret->bounded);
	ret->bounded |= found > KINDS_MOST;
	for (size_t i = 0; i < found && i < KINDS_MOST; i++)
		if (alike_bare(a, r, &kinds[i])) {
			struct ends_who who = { .addr = kinds[i], .prefix = -1 };

			add_member(ret, &who);
		}
}

static const char *nearest_name(const struct policy *p, const char *text, struct arena *memory)
{
	const struct host *hosts;
	const struct address_set *zones;
	size_t n = policy_hosts(p, &hosts), m = policy_zones(p, &zones);
	const char **names = arena_new(memory, n + m, sizeof *names);

	for (size_t i = 0; i < n; i++)
		names[i] = hosts[i].name;
	for (size_t i = 0; i < m; i++)
		names[n + i] = zones[i].name;
	return report_nearest(text, names, n + m);
}

static int no_such_party(const struct policy *p, const char *text, struct arena *memory, struct diag *d)
{
	const char *near = nearest_name(p, text, memory);
	const struct host *hosts;
	const struct address_set *zones;

	if (near)
		return diag_fail(d, ENOENT, "no host or zone is called '%s'. Did you mean '%s'?", text, near);
	if (!policy_hosts(p, &hosts) && !policy_zones(p, &zones))
		return diag_fail(d, ENOENT, "'%s' is no address, and the policy names no hosts and no zones", text);
	return diag_fail(d, ENOENT, "no host or zone is called '%s', and it is no address", text);
}

int party_parse(const struct policy *p, const struct alike *a, const char *text, struct arena *memory,
		struct party *ret, struct diag *d)
{
	const struct host *h = policy_host_by_name(p, text);
	const struct address_set *zone = h ? NULL : policy_zone_by_name(p, text);
	struct addr_range range;

	*ret = (struct party){ .text = arena_string(memory, text, strlen(text)), .zone = zone != NULL };
	ret->members = arena_new(memory, PARTY_MEMBERS, sizeof *ret->members);
	if (h) {
		add_host(p, h, ret);
	} else if (zone) {
		for (size_t i = 0; i < zone->count; i++)
			add_range(p, a, &zone->elements[i], ret);
	} else if (addr_range_parse(text, strlen(text), &range, NULL) == 0) {
		if (addr_equal(&range.lo, &range.hi)) {
			struct ends_who who = ends_who(p, &range.lo);

			add_member(ret, &who);
		} else {
			ret->zone = true;
			add_range(p, a, &range, ret);
		}
	} else if (text[strspn(text, "0123456789.:abcdefABCDEF/-")] == '\0' && strpbrk(text, ".:/")) {
		return addr_range_parse(text, strlen(text), &range, d); /* meant as an address: say what is wrong */
	} else {
		return no_such_party(p, text, memory, d);
	}
	if (!ret->count)
		return diag_fail(d, ENOENT, "'%s' has no addresses", text);
	return 0;
}
