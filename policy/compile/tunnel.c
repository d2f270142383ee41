/* Tunnel rules on a host that is one of their ends: which addresses lie behind it, and what meets what there. A host
 * that is none of the ends does not hold the rule at all: on its own wire the traffic is as other rules say.
 *
 * The addresses behind the host are cut where an element of a rule that could decide begins or ends, so that all
 * addresses of a piece meet the same regions; each piece is then compiled like an address of the host's own. */
#include "policy/compile/compile.h"

#include "base/diag.h"
#include "policy/keywords.h"
#include "policy/number.h"
#include "policy/outside.h"
#include "policy/rank.h"
#include "policy/tunnel_ends.h"

#include <stdlib.h>
#include <string.h>

enum { BEHIND_MOST = 4096, BORDERS_MOST = 65536 };

static bool is_own(const struct plan_host *h, const struct addr *a)
{
	for (size_t i = 0; a->family && i < h->own_count; i++)
		if (addr_equal(&h->own[i].addr, a))
			return true;
	return false;
}

static const struct addr *tunnel_end(const struct rule *r, bool end1)
{
	return end1 ? &r->tunnel1 : &r->tunnel2;
}

static const struct end *end_of(const struct rule *r, bool end1)
{
	return end1 ? &r->end1 : &r->end2;
}

bool compiler_is_gateway(const struct compiler *c, const struct rule *r, bool end1)
{
	return r->tunnel && is_own(c->host, tunnel_end(r, end1)) && !is_own(c->host, tunnel_end(r, !end1));
}

bool compiler_tunnels_itself(const struct compiler *c, const struct rule *r, bool end1, const struct addr *local)
{
	const struct addr *near = tunnel_end(r, end1), *far = tunnel_end(r, !end1);

	if (near->family)
		return compiler_is_gateway(c, r, end1);
	return !is_own(c->host, far) && (!far->family || far->family == local->family);
}

/* ---- the rules that have an end here ----------------------------------------------------------------------------- */

/* Has the host an address in this end, so that it is its own tunnel end there? */
static bool stands_in(const struct plan_host *h, const struct end *e)
{
	for (size_t i = 0; i < h->own_count; i++)
		if (tunnel_element_with(e, &h->own[i].addr))
			return true;
	return false;
}

static void add_tunnel(struct compiler *c, const struct rule *r, bool end1)
{
	struct plan *p = c->plan;
	struct plan_tunnel *t;

	p->tunnels = mem_grow(p->tunnels, p->tunnel_count, &p->tunnel_cap, sizeof *p->tunnels);
	t = &p->tunnels[p->tunnel_count++];
	*t = (struct plan_tunnel){ .local = *tunnel_end(r, end1), .remote = *tunnel_end(r, !end1) };
	entry_make(r, &r->services[0], end1, &t->entry);
}

void compiler_find_tunnels(struct compiler *c)
{
	for (size_t i = 0; i < c->p->rule_count; i++) {
		const struct rule *r = &c->p->rules[i];

		if (!r->tunnel || !(r->profiles & c->profiles))
			continue;
		for (int side = 0; side < 2; side++) {
			bool end1 = side == 0, any = !tunnel_end(r, end1)->family;

			if (compiler_is_gateway(c, r, end1) ||
			    (any && !is_own(c->host, tunnel_end(r, !end1)) && stands_in(c->host, end_of(r, end1))))
				add_tunnel(c, r, end1);
		}
	}
}

/* ---- what lies behind -------------------------------------------------------------------------------------------- */

struct borders {
	addr_count *at;
	size_t count, cap;
};

static int compare_numbers(const void *x, const void *y)
{
	const addr_count *a = x, *b = y;

	return *a < *b ? -1 : *a > *b;
}

static void add_border(struct borders *b, addr_count at)
{
	b->at = mem_grow(b->at, b->count, &b->cap, sizeof *b->at);
	b->at[b->count++] = at;
}

static void add_borders(const struct compiler *c, struct borders *b, const struct addr_range *r)
{
	if (r->lo.family != c->family)
		return;
	add_border(b, addr_number(&r->lo));
	if (addr_number(&r->hi) != family_last(c->family))
		add_border(b, addr_number(&r->hi) + 1);
}

static void add_end_borders(const struct compiler *c, struct borders *b, const struct end *e)
{
	for (size_t i = 0; i < e->count; i++) {
		const struct address_set *set = compiler_item_set(c, &e->items[i]);

		for (size_t k = 0; k < set->count; k++)
			add_borders(c, b, &set->elements[k]);
	}
}

bool compiler_decides_behind(const struct compiler *c, const struct rule *r)
{
	if (!(r->profiles & c->profiles))
		return false;
	return r->tunnel || !rule_mode_protects(r->mode);
}

static void collect_borders(const struct compiler *c, struct borders *b)
{
	struct addr_range outside[OUTSIDE];

	add_border(b, 0);
	for (size_t i = 0; i < c->p->rule_count && b->count <= BORDERS_MOST; i++)
		if (compiler_decides_behind(c, &c->p->rules[i])) {
			add_end_borders(c, b, &c->p->rules[i].end1);
			add_end_borders(c, b, &c->p->rules[i].end2);
		}
	outside_ranges(outside);
	for (size_t i = 0; i < OUTSIDE; i++)
		add_borders(c, b, &outside[i]);
	for (size_t i = 0; i < c->host->own_count; i++)
		add_borders(c, b, &(struct addr_range){ c->host->own[i].addr, c->host->own[i].addr });
	qsort(b->at, b->count, sizeof *b->at, compare_numbers);
}

/* Behind us: within an end whose tunnel end we are, none of our own addresses, and one that rules speak of. */
static bool is_behind(const struct compiler *c, const struct addr *a)
{
	struct addr_range outside[OUTSIDE];

	outside_ranges(outside);
	for (size_t i = 0; i < OUTSIDE; i++)
		if (addr_range_has(&outside[i], a))
			return false;
	if (is_own(c->host, a))
		return false;
	for (size_t i = 0; i < c->plan->tunnel_count; i++) {
		const struct plan_tunnel *t = &c->plan->tunnels[i];

		if (t->local.family && tunnel_element_with(end_of(t->entry.rule, t->entry.local_is_end1), a))
			return true;
	}
	return false;
}

/* The last piece again, when it lies next to it and meets the same. */
static bool goes_on(const struct plan *p, const struct addr *lo)
{
	size_t n = p->behind_count;
	const struct plan_local *a = &p->local_regions[p->local_count + n - 1], *b = a + 1;
	struct addr before = *lo;

	if (n == 0 || !addr_previous(&before) || !addr_equal(&p->behind[n - 1].hi, &before) || a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		const struct plan_region *x = &p->regions[a->first + i], *y = &p->regions[b->first + i];

		if (x->list != y->list || !addr_equal(&x->remote.lo, &y->remote.lo) ||
		    !addr_equal(&x->remote.hi, &y->remote.hi))
			return false;
	}
	return true;
}

static int add_piece(struct compiler *c, const struct addr *lo, const struct addr *hi, struct diag *d)
{
	struct plan *p = c->plan;
	size_t at = p->local_count + p->behind_count;
	int r;

	if (p->behind_count == BEHIND_MOST)
		return diag_fail(d, ERR_POLICY,
				 "what lies behind this host's tunnels falls into over %d pieces that rules treat "
				 "differently",
				 BEHIND_MOST);
	p->local_regions = mem_resize(p->local_regions, at + 1, sizeof *p->local_regions);
	memset(&p->local_regions[at], 0, sizeof *p->local_regions);
	if ((r = compiler_compile_at(c, at, lo, d)) < 0)
		return r;
	if (p->local_regions[at].count == 0)
		return 0;
	if (goes_on(p, lo)) {
		p->region_count -= p->local_regions[at].count;
		memset(&p->local_regions[at], 0, sizeof *p->local_regions);
		p->behind[p->behind_count - 1].hi = *hi;
		return 0;
	}
	p->behind = mem_grow(p->behind, p->behind_count, &p->behind_cap, sizeof *p->behind);
	p->behind[p->behind_count++] = (struct addr_range){ *lo, *hi };
	return 0;
}

static int compile_family(struct compiler *c, uint8_t family, struct diag *d)
{
	struct borders b = { 0 };
	int r = 0;

	c->family = family;
	collect_borders(c, &b);
	if (b.count > BORDERS_MOST)
		r = diag_fail(d, ERR_POLICY, "over %d elements cut what lies behind this host's tunnels", BORDERS_MOST);
	for (size_t i = 0; r == 0 && i < b.count; i++) {
		struct addr lo, hi;

		if (i + 1 < b.count && b.at[i + 1] == b.at[i])
			continue;
		lo = number_addr(family, b.at[i]);
		hi = number_addr(family, i + 1 < b.count ? b.at[i + 1] - 1 : family_last(family));
		if (is_behind(c, &lo))
			r = add_piece(c, &lo, &hi, d);
	}
	free(b.at);
	return r;
}

int compiler_compile_behind(struct compiler *c, struct diag *d)
{
	bool gateway = false;
	int r = 0;

	for (size_t i = 0; i < c->plan->tunnel_count; i++)
		gateway |= c->plan->tunnels[i].local.family != 0;
	c->behind = true;
	for (uint8_t family = 4; r == 0 && gateway && family <= 6; family = (uint8_t)(family + 2))
		r = compile_family(c, family, d);
	c->behind = false;
	return r;
}

/* ---- questions --------------------------------------------------------------------------------------------------- */

size_t plan_tunnels(const struct plan *p, const struct plan_tunnel **ret)
{
	*ret = p->tunnels;
	return p->tunnel_count;
}

size_t plan_behind(const struct plan *p, const struct addr_range **ret)
{
	*ret = p->behind;
	return p->behind_count;
}
