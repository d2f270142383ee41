/* Compiling: for each local address a sweep over the other addresses. Wherever the set of rules that speak of an
 * address changes, a region begins.
 *
 * What is swept is not rules but the sets they name: a hundred rules that name one zone share its elements. Between two
 * edges some sets are active, each with its smallest element there; that signature decides the list of entries, so
 * equal signatures share a list, and no pair of elements is ever built. */
#include "policy/plan_inside.h"

#include "base/diag.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { ENTRIES_MOST = 16 * 1000 * 1000 }; /* of one plan; over this the policy is refused, not the machine exhausted */

/* A rule seen from the local address: it matched at one end, and its other end has the set. */
struct member {
	const struct rule *rule;
	bool local_is_end1;
	addr_count local_size;
};

/* An address set of the policy, or a keyword's addresses, with the rules that name it at the other end. */
struct swept {
	const struct addr_range *elements;
	size_t count;
	bool outside; /* no rule speaks of these */
	struct member *members;
	size_t member_count, member_cap;
	addr_count *active; /* sizes of its elements that hold the current address */
	size_t active_count, active_cap;
	bool local_known;
	addr_count local_size; /* of the smallest element that holds the local address, 0: none */
};

struct edge {
	addr_count at;
	addr_count size;
	uint32_t group;
	bool opens;
};

struct signature {
	uint32_t group;
	addr_count size;
};

/* A signature met before and its list; open addressing. */
struct known_list {
	uint64_t hash;
	uint32_t list;       /* number + 1; 0: free */
	size_t first, count; /* in signatures */
};

struct compiler {
	const struct policy *policy;
	const struct plan_host *host;
	struct report *report;
	struct plan *plan;
	struct conflict_seen *seen;
	bool conflict, too_big;
	size_t entries_total;

	struct addr_range *keyword_elements[KEYWORDS];
	size_t keyword_counts[KEYWORDS];
	struct addr_range *outside;
	size_t outside_count;

	struct swept *groups;
	size_t group_count, group_cap;
	struct {
		const void *key;
		uint32_t group;
	} * by_set; /* address_set, or the keyword's elements, to group; open addressing */
	size_t by_set_cap;

	/* best remote size of (rule, way round) for the list being made */
	struct {
		uint32_t stamp;
		addr_count size;
		addr_count local_size;
	} * best;
	uint32_t stamp;

	uint32_t *live; /* active groups, in order */
	size_t live_count, live_cap;
	struct signature *signatures;
	size_t signature_count, signature_cap;
	struct known_list *known;
	size_t known_count, known_cap;
	struct plan_entry *scratch;
	size_t scratch_count, scratch_cap;
};

static const struct addr_range everything[] = {
	{ { .family = 4 }, { .family = 4, .octets = { 255, 255, 255, 255 } } },
	{ { .family = 6 },
	  { .family = 6,
	    .octets = { 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255 } } },
};

/* ---- keywords ---- */

static void add_range(struct addr_range **ranges, size_t *count, struct addr_range r)
{
	*ranges = mem_resize(*ranges, *count + 1, sizeof **ranges);
	(*ranges)[(*count)++] = r;
}

static void add_address(struct addr_range **ranges, size_t *count, const struct addr *a)
{
	add_range(ranges, count, (struct addr_range){ *a, *a });
}

static void resolve_role(struct compiler *c, enum keyword k, unsigned role)
{
	const struct host *hosts;
	size_t n = policy_hosts(c->policy, &hosts);

	for (size_t i = 0; role && i < n; i++)
		for (size_t a = 0; (hosts[i].roles & role) && a < hosts[i].address_count; a++)
			add_address(&c->keyword_elements[k], &c->keyword_counts[k], &hosts[i].addresses[a].addr);
	if (c->keyword_counts[k])
		return; /* the policy's word, so that it means the same everywhere */
	for (size_t i = 0; i < c->host->server_counts[k]; i++)
		add_address(&c->keyword_elements[k], &c->keyword_counts[k], &c->host->servers[k][i]);
}

static void resolve_keywords(struct compiler *c)
{
	static const unsigned roles[KEYWORDS] = {
		[KEYWORD_DNS_SERVERS] = ROLE_DNS,
		[KEYWORD_DHCP_SERVERS] = ROLE_DHCP,
		[KEYWORD_WINS_SERVERS] = ROLE_WINS,
	};

	for (int k = KEYWORD_DNS_SERVERS; k < KEYWORDS; k++)
		resolve_role(c, (enum keyword)k, roles[k]);
	for (size_t i = 0; i < sizeof everything / sizeof everything[0]; i++)
		add_range(&c->keyword_elements[KEYWORD_ANY], &c->keyword_counts[KEYWORD_ANY], everything[i]);
	for (size_t i = 0; i < c->host->own_count; i++) {
		const struct host_address *own = &c->host->own[i];

		add_address(&c->keyword_elements[KEYWORD_SELF], &c->keyword_counts[KEYWORD_SELF], &own->addr);
		if (own->prefix >= 0)
			add_range(&c->keyword_elements[KEYWORD_LOCAL_SUBNET], &c->keyword_counts[KEYWORD_LOCAL_SUBNET],
				  addr_prefix_range(&own->addr, (unsigned)own->prefix));
	}
}

/* What no rule speaks of (design: unicast between two hosts). */
static void resolve_outside(struct compiler *c)
{
	static const char *const always[] = { "0.0.0.0/8",       "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4",
					      "255.255.255.255", "::/127",      "fe80::/10",      "ff00::/8" };

	for (size_t i = 0; i < sizeof always / sizeof always[0]; i++) {
		struct addr_range r;

		if (addr_range_parse(always[i], strlen(always[i]), &r, NULL) == 0)
			add_range(&c->outside, &c->outside_count, r);
	}
	for (size_t i = 0; i < c->host->own_count; i++) {
		const struct host_address *own = &c->host->own[i];
		struct addr_range subnet;

		add_address(&c->outside, &c->outside_count, &own->addr);
		if (own->addr.family != 4 || own->prefix < 0 || own->prefix > 30)
			continue;
		subnet = addr_prefix_range(&own->addr, (unsigned)own->prefix);
		add_address(&c->outside, &c->outside_count, &subnet.hi); /* the subnet's broadcast */
	}
}

/* ---- groups ---- */

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15u;
	return h ^ h >> 29;
}

static uint32_t group_of(struct compiler *c, const void *key, const struct addr_range *elements, size_t count)
{
	size_t slot = (size_t)mix(0, (uintptr_t)key) & (c->by_set_cap - 1);

	for (; c->by_set[slot].key; slot = (slot + 1) & (c->by_set_cap - 1))
		if (c->by_set[slot].key == key)
			return c->by_set[slot].group;
	c->groups = mem_grow(c->groups, c->group_count, &c->group_cap, sizeof *c->groups);
	c->groups[c->group_count] = (struct swept){ .elements = elements, .count = count };
	c->by_set[slot].key = key;
	c->by_set[slot].group = (uint32_t)c->group_count;
	return (uint32_t)c->group_count++;
}

static uint32_t group_of_item(struct compiler *c, const struct end_item *item)
{
	if (item->set)
		return group_of(c, item->set, item->set->elements, item->set->count);
	return group_of(c, &c->keyword_elements[item->keyword], c->keyword_elements[item->keyword],
			c->keyword_counts[item->keyword]);
}

static addr_count element_size(const struct compiler *c, const struct swept *g, const struct addr_range *e)
{
	return g->elements == c->keyword_elements[KEYWORD_ANY] ? ADDR_COUNT_ALL : addr_range_count(e);
}

/* The smallest element of the set that holds the local address; 0: none does. */
static addr_count local_size(struct compiler *c, uint32_t group, const struct addr *local)
{
	struct swept *g = &c->groups[group];

	if (g->local_known)
		return g->local_size;
	g->local_known = true;
	g->local_size = 0;
	for (size_t i = 0; i < g->count; i++)
		if (addr_range_has(&g->elements[i], local)) {
			addr_count size = element_size(c, g, &g->elements[i]);

			if (!g->local_size || size < g->local_size)
				g->local_size = size;
		}
	return g->local_size;
}

static addr_count end_size(struct compiler *c, const struct end *end, const struct addr *local)
{
	addr_count smallest = 0;

	for (size_t i = 0; i < end->count; i++) {
		addr_count size = local_size(c, group_of_item(c, &end->items[i]), local);

		if (size && (!smallest || size < smallest))
			smallest = size;
	}
	return smallest;
}

static void add_members(struct compiler *c, const struct rule *rule, bool local_is_end1, addr_count size)
{
	const struct end *remote = local_is_end1 ? &rule->end2 : &rule->end1;

	for (size_t i = 0; i < remote->count; i++) {
		uint32_t group = group_of_item(c, &remote->items[i]);
		struct swept *g = &c->groups[group];

		g->members = mem_grow(g->members, g->member_count, &g->member_cap, sizeof *g->members);
		g->members[g->member_count++] = (struct member){ rule, local_is_end1, size };
	}
}

static void meet_rules(struct compiler *c, const struct addr *local)
{
	const struct rule *rules;
	size_t n = policy_rules(c->policy, &rules);

	for (size_t i = 0; i < c->group_count; i++) {
		c->groups[i].member_count = c->groups[i].active_count = 0;
		c->groups[i].local_known = false;
	}
	for (size_t i = 0; i < n; i++) {
		addr_count size;

		if (c->host->profiles && !(rules[i].profiles & c->host->profiles))
			continue;
		if ((size = end_size(c, &rules[i].end1, local)) != 0)
			add_members(c, &rules[i], true, size);
		if ((size = end_size(c, &rules[i].end2, local)) != 0)
			add_members(c, &rules[i], false, size);
	}
}

/* ---- entries ---- */

/* Who may have opened a connection for an exemption or block to apply: with ports, only the side whose far end has one,
 * and never by virtue of its own source port; not mirrored, only endpoint 1. */
static unsigned initiators_of(const struct rule *rule, const struct service *s, bool local_is_end1)
{
	unsigned by_end1 = local_is_end1 ? INITIATOR_LOCAL : INITIATOR_REMOTE;
	unsigned by_end2 = INITIATOR_EITHER & ~by_end1;
	unsigned who = INITIATOR_EITHER;

	if (rule_mode_protects(rule->mode))
		return INITIATOR_EITHER;
	if (port_given(s->port1) || port_given(s->port2))
		who = (port_given(s->port2) ? by_end1 : 0) | (port_given(s->port1) ? by_end2 : 0);
	return rule->mirrored ? who : who & by_end1;
}

static void add_entries(struct compiler *c, const struct rule *rule, bool local_is_end1, addr_count local,
			addr_count remote)
{
	for (size_t i = 0; i < rule->service_count; i++) {
		const struct service *s = &rule->services[i];
		unsigned initiators = initiators_of(rule, s, local_is_end1);

		if (!initiators)
			continue;
		c->scratch = mem_grow(c->scratch, c->scratch_count, &c->scratch_cap, sizeof *c->scratch);
		c->scratch[c->scratch_count++] = (struct plan_entry){
			.rule = rule,
			.protocol = s->protocol,
			.local_port = local_is_end1 ? s->port1 : s->port2,
			.remote_port = local_is_end1 ? s->port2 : s->port1,
			.icmp_type = s->icmp_type,
			.icmp_code = s->icmp_code,
			.initiators = initiators,
			.local_is_end1 = local_is_end1,
			.small = local < remote ? local : remote,
			.large = local < remote ? remote : local,
		};
	}
}

static uint32_t make_list(struct compiler *c, const struct signature *s, size_t n)
{
	struct plan *p = c->plan;
	struct plan_entry *entries;
	size_t kept;

	/* A rule that names the address by several sets counts by the smallest element. */
	c->stamp++;
	c->scratch_count = 0;
	for (size_t i = 0; i < n; i++)
		for (size_t m = 0; m < c->groups[s[i].group].member_count; m++) {
			const struct member *member = &c->groups[s[i].group].members[m];
			size_t at = 2 * (size_t)member->rule->index + member->local_is_end1;

			if (c->best[at].stamp != c->stamp || s[i].size < c->best[at].size) {
				c->best[at].stamp = c->stamp;
				c->best[at].size = s[i].size;
			}
		}
	for (size_t i = 0; i < n; i++)
		for (size_t m = 0; m < c->groups[s[i].group].member_count; m++) {
			const struct member *member = &c->groups[s[i].group].members[m];
			size_t at = 2 * (size_t)member->rule->index + member->local_is_end1;

			if (c->best[at].stamp != c->stamp || c->best[at].size != s[i].size)
				continue;
			c->best[at].stamp = 0; /* once */
			add_entries(c, member->rule, member->local_is_end1, member->local_size, s[i].size);
		}
	kept = plan_list_settle(c->scratch, c->scratch_count, c->policy, c->host->contests, c->seen, c->report,
				&c->conflict);
	c->entries_total += kept;
	if (c->entries_total > ENTRIES_MOST) {
		c->too_big = true;
		kept = 0;
	}
	entries = arena_new(&p->entries, kept, sizeof *entries);
	if (kept)
		memcpy(entries, c->scratch, kept * sizeof *entries);
	p->lists = mem_grow(p->lists, p->list_count, &p->list_cap, sizeof *p->lists);
	p->lists[p->list_count] = (struct plan_list){ entries, kept };
	return (uint32_t)p->list_count++;
}

/* ---- signatures ---- */

static void forget_signatures(struct compiler *c)
{
	if (c->known_cap)
		memset(c->known, 0, c->known_cap * sizeof *c->known);
	c->known_count = c->signature_count = 0;
}

static void grow_known(struct compiler *c)
{
	size_t cap = c->known_cap ? 2 * c->known_cap : 64;
	struct known_list *bigger = mem_new(cap, sizeof *bigger);

	for (size_t i = 0; i < c->known_cap; i++) {
		size_t slot = (size_t)c->known[i].hash & (cap - 1);

		if (!c->known[i].list)
			continue;
		while (bigger[slot].list)
			slot = (slot + 1) & (cap - 1);
		bigger[slot] = c->known[i];
	}
	free(c->known);
	c->known = bigger;
	c->known_cap = cap;
}

static bool signature_equal(const struct signature *a, const struct signature *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (a[i].group != b[i].group || a[i].size != b[i].size)
			return false;
	return true;
}

static addr_count smallest_active(const struct swept *g)
{
	addr_count smallest = g->active[0];

	for (size_t i = 1; i < g->active_count; i++)
		if (g->active[i] < smallest)
			smallest = g->active[i];
	return smallest;
}

/* The list for the groups that are active now. */
static uint32_t list_here(struct compiler *c)
{
	uint64_t hash = 0;
	size_t slot, first = c->signature_count, n = c->live_count;

	for (size_t i = 0; i < n; i++) {
		struct signature s = { c->live[i], smallest_active(&c->groups[c->live[i]]) };

		c->signatures = mem_grow(c->signatures, c->signature_count, &c->signature_cap, sizeof *c->signatures);
		c->signatures[c->signature_count++] = s;
		hash = mix(mix(mix(hash, s.group), (uint64_t)s.size), (uint64_t)(s.size >> 64));
	}
	if (2 * c->known_count >= c->known_cap)
		grow_known(c);
	for (slot = (size_t)hash & (c->known_cap - 1); c->known[slot].list; slot = (slot + 1) & (c->known_cap - 1)) {
		const struct known_list *k = &c->known[slot];

		if (k->hash == hash && k->count == n &&
		    signature_equal(&c->signatures[k->first], &c->signatures[first], n)) {
			c->signature_count = first;
			return k->list - 1;
		}
	}
	c->known[slot] = (struct known_list){ hash, make_list(c, &c->signatures[first], n) + 1, first, n };
	c->known_count++;
	return c->known[slot].list - 1;
}

/* ---- the sweep ---- */

static addr_count number_of(const struct addr *a)
{
	addr_count n = 0;

	for (size_t i = 0; i < addr_octets(a); i++)
		n = n << 8 | a->octets[i];
	return n;
}

static struct addr address_of(uint8_t family, addr_count n)
{
	struct addr a = { .family = family };

	for (size_t i = addr_octets(&a); i-- > 0; n >>= 8)
		a.octets[i] = (uint8_t)n;
	return a;
}

static int edge_order(const void *x, const void *y)
{
	const struct edge *a = x, *b = y;

	if (a->at != b->at)
		return a->at < b->at ? -1 : 1;
	return (int)a->opens - (int)b->opens;
}

static size_t collect_edges(struct compiler *c, uint8_t family, struct edge **ret)
{
	addr_count last = family == 4 ? 0xffffffffu : ADDR_COUNT_ALL;
	struct edge *edges = NULL;
	size_t n = 0, cap = 0;

	for (uint32_t i = 0; i < c->group_count; i++) {
		const struct swept *g = &c->groups[i];

		for (size_t e = 0; (g->member_count || g->outside) && e < g->count; e++) {
			const struct addr_range *r = &g->elements[e];
			addr_count size = element_size(c, g, r), hi = number_of(&r->hi);

			if (r->lo.family != family)
				continue;
			edges = mem_grow(edges, n, &cap, sizeof *edges);
			edges[n++] = (struct edge){ number_of(&r->lo), size, i, true };
			if (hi == last)
				continue;
			edges = mem_grow(edges, n, &cap, sizeof *edges);
			edges[n++] = (struct edge){ hi + 1, size, i, false };
		}
	}
	if (n)
		qsort(edges, n, sizeof *edges, edge_order);
	*ret = edges;
	return n;
}

static void live_change(struct compiler *c, uint32_t group, bool add)
{
	size_t lo = 0, hi = c->live_count;

	while (lo < hi) {
		size_t middle = lo + (hi - lo) / 2;

		if (c->live[middle] < group)
			lo = middle + 1;
		else
			hi = middle;
	}
	if (add) {
		c->live = mem_grow(c->live, c->live_count, &c->live_cap, sizeof *c->live);
		memmove(&c->live[lo + 1], &c->live[lo], (c->live_count - lo) * sizeof *c->live);
		c->live[lo] = group;
		c->live_count++;
	} else {
		memmove(&c->live[lo], &c->live[lo + 1], (c->live_count - lo - 1) * sizeof *c->live);
		c->live_count--;
	}
}

static void cross_edge(struct compiler *c, const struct edge *e)
{
	struct swept *g = &c->groups[e->group];

	if (e->opens) {
		if (g->active_count == 0)
			live_change(c, e->group, true);
		g->active = mem_grow(g->active, g->active_count, &g->active_cap, sizeof *g->active);
		g->active[g->active_count++] = e->size;
		return;
	}
	for (size_t i = 0; i < g->active_count; i++)
		if (g->active[i] == e->size) {
			g->active[i] = g->active[--g->active_count];
			break;
		}
	if (g->active_count == 0)
		live_change(c, e->group, false);
}

static void add_region(struct compiler *c, struct plan_local *l, size_t *cap, struct addr_range remote, uint32_t list)
{
	struct plan_region *before = l->count ? &l->regions[l->count - 1] : NULL;
	struct addr behind = before ? before->remote.hi : (struct addr){ 0 };

	if (c->plan->lists[list].count == 0)
		return;
	if (before && before->list == list && before->remote.hi.family == remote.lo.family && addr_next(&behind) &&
	    addr_equal(&behind, &remote.lo)) {
		before->remote.hi = remote.hi;
		return;
	}
	l->regions = mem_grow(l->regions, l->count, cap, sizeof *l->regions);
	l->regions[l->count++] = (struct plan_region){ remote, list };
}

static void sweep(struct compiler *c, struct plan_local *l, uint8_t family)
{
	addr_count last = family == 4 ? 0xffffffffu : ADDR_COUNT_ALL;
	struct edge *edges = NULL;
	size_t n = collect_edges(c, family, &edges), cap = 0;

	c->live_count = 0;
	for (size_t i = 0; i < n && !c->too_big;) {
		addr_count at = edges[i].at, until;

		for (; i < n && edges[i].at == at; i++)
			cross_edge(c, &edges[i]);
		until = i < n ? edges[i].at - 1 : last;
		if (c->live_count == 0 || c->groups[c->live[0]].outside)
			continue; /* group 0 holds what is outside */
		add_region(c, l, &cap, (struct addr_range){ address_of(family, at), address_of(family, until) },
			   list_here(c));
	}
	free(edges);
}

static void index_regions(struct plan_local *l)
{
	enum { INDEX_FROM = 256 };

	while (l->v4_count < l->count && l->regions[l->v4_count].remote.lo.family == 4)
		l->v4_count++;
	if (l->addr.family == 6) {
		l->v6_keys = mem_new(l->count, sizeof *l->v6_keys);
		for (size_t i = 0; i < l->count; i++)
			l->v6_keys[i] = number_of(&l->regions[i].remote.lo);
		return;
	}
	l->v4_keys = mem_new(l->count, sizeof *l->v4_keys);
	for (size_t i = 0; i < l->count; i++)
		l->v4_keys[i] = (uint32_t)number_of(&l->regions[i].remote.lo);
	if (l->count < INDEX_FROM)
		return;
	l->v4_index = mem_new(65537, sizeof *l->v4_index);
	for (uint32_t high = 0, i = 0; high <= 65536; high++) {
		while (i < l->count && (uint64_t)l->v4_keys[i] < (uint64_t)high << 16)
			i++;
		l->v4_index[high] = i;
	}
}

static int compile_local(struct compiler *c, struct plan_local *l)
{
	forget_signatures(c); /* a list depends on the local address too */
	meet_rules(c, &l->addr);
	sweep(c, l, l->addr.family);
	index_regions(l);
	return c->too_big ? -E2BIG : c->conflict ? -ERR_POLICY : 0;
}

/* ---- the whole ---- */

static bool speaks_of(const struct addr *a)
{
	return !addr_is_loopback(a) && !addr_is_link_local(a) && !addr_is_multicast(a);
}

static int local_order(const void *x, const void *y)
{
	const struct plan_local *a = x, *b = y;

	return addr_compare(&a->addr, &b->addr);
}

static void take_locals(struct plan *p, const struct plan_host *host)
{
	size_t kept = 0;

	p->locals = mem_new(host->own_count, sizeof *p->locals);
	for (size_t i = 0; i < host->own_count; i++)
		if (speaks_of(&host->own[i].addr))
			p->locals[p->local_count++].addr = host->own[i].addr;
	if (p->local_count)
		qsort(p->locals, p->local_count, sizeof *p->locals, local_order);
	for (size_t i = 0; i < p->local_count; i++)
		if (kept == 0 || !addr_equal(&p->locals[kept - 1].addr, &p->locals[i].addr))
			p->locals[kept++].addr = p->locals[i].addr;
	p->local_count = kept;
	p->addresses = mem_new(kept, sizeof *p->addresses);
	for (size_t i = 0; i < kept; i++)
		p->addresses[i] = p->locals[i].addr;
}

static void compiler_wipe(struct compiler *c)
{
	for (size_t i = 0; i < c->group_count; i++) {
		free(c->groups[i].members);
		free(c->groups[i].active);
	}
	for (size_t k = 0; k < KEYWORDS; k++)
		free(c->keyword_elements[k]);
	free(c->outside);
	free(c->groups);
	free(c->by_set);
	free(c->best);
	free(c->live);
	free(c->signatures);
	free(c->known);
	free(c->scratch);
	conflict_seen_free(c->seen);
}

/* Room for every set that the rules can name, at most half full. */
static size_t sets_named(const struct rule *rules, size_t n)
{
	size_t items = KEYWORDS + 1, cap = 64;

	for (size_t i = 0; i < n; i++)
		items += rules[i].end1.count + rules[i].end2.count;
	while (cap < 2 * items)
		cap *= 2;
	return cap;
}

int plan_compile(const struct policy *p, const struct plan_host *host, struct report *r, struct plan **ret)
{
	SCOPED(plan_freep) struct plan *plan = mem_new(1, sizeof *plan);
	SCOPED(compiler_wipe) struct compiler c = { .policy = p, .host = host, .report = r, .plan = plan };
	const struct rule *rules;
	size_t n = policy_rules(p, &rules);
	uint32_t outside;
	int e = 0;

	plan->references = 1;
	plan->policy = policy_ref(p);
	take_locals(plan, host);
	c.seen = conflict_seen_new();
	c.by_set_cap = sets_named(rules, n);
	c.by_set = mem_new(c.by_set_cap, sizeof *c.by_set);
	c.best = mem_new(2 * n, sizeof *c.best);
	resolve_keywords(&c);
	resolve_outside(&c);
	outside = group_of(&c, &c.outside, c.outside, c.outside_count); /* the first: group 0 */
	c.groups[outside].outside = true;
	for (size_t i = 0; i < plan->local_count && e != -E2BIG; i++) {
		int one = compile_local(&c, &plan->locals[i]);

		e = one < 0 ? one : e;
	}
	if (e == -E2BIG)
		(void)report_add(
			r, SEVERITY_ERROR, "too-large", (struct place){ 0 },
			"the rules that concern this host make more than %d entries; name zones instead of many "
			"overlapping rules",
			ENTRIES_MOST);
	if (e < 0)
		return e;
	*ret = TAKE(plan);
	return 0;
}
