/* Route aggregation as Draves, King, Venkatachary and Zill have it ("Constructing optimal IP routing tables", 1999):
 * from the leaves up each node gathers the labels that would do for it, from the root down each takes one, and only
 * where its own differs from the one above it is there a row. */
#include "dataplane/xfrm/cover.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LABELS = 4 }; /* that a node remembers; with fewer the rows are more, never wrong */

struct node {
	uint32_t children[2]; /* 0: a leaf */
	uint32_t labels[LABELS];
	unsigned count;
};

struct maker {
	const struct cover_range *ranges;
	struct node *nodes;
	size_t count, cap;
	bool too_many;
	struct cover_row *rows;
	size_t row_count, row_cap;
};

static struct addr with_bit(const struct addr *a, unsigned bit)
{
	struct addr to = *a;

	to.octets[bit / 8] |= (uint8_t)(0x80u >> bit % 8);
	return to;
}

static bool has_label(const struct node *n, uint32_t label)
{
	for (unsigned i = 0; i < n->count; i++)
		if (n->labels[i] == label)
			return true;
	return false;
}

static void add_label(struct node *n, uint32_t label)
{
	if (n->count < LABELS && !has_label(n, label))
		n->labels[n->count++] = label;
}

/* What both children would do with; else what one would. */
static void gather(struct node *to, const struct node *a, const struct node *b)
{
	for (unsigned i = 0; i < a->count; i++)
		if (has_label(b, a->labels[i]))
			add_label(to, a->labels[i]);
	if (to->count)
		return;
	for (unsigned i = 0; i < LABELS; i++) {
		if (i < a->count)
			add_label(to, a->labels[i]);
		if (i < b->count)
			add_label(to, b->labels[i]);
	}
}

static uint32_t new_node(struct maker *m)
{
	if (m->count >= COVER_NODES_MOST) {
		m->too_many = true;
		return 0;
	}
	m->nodes = mem_grow(m->nodes, m->count, &m->cap, sizeof *m->nodes);
	m->nodes[m->count] = (struct node){ 0 };
	return (uint32_t)m->count++;
}

/* The node of a prefix; the ranges from first to last (not itself) are those that may reach into it. At most as deep as
 * an address has bits. */
static uint32_t grow(struct maker *m, const struct prefix *p, size_t first, size_t last) /* NOLINT(misc-no-recursion) */
{
	struct addr_range all = addr_prefix_range(&p->addr, p->bits);
	uint32_t self, children[2];
	struct prefix half = { p->addr, p->bits + 1 };
	struct node gathered = { 0 };

	while (first < last && addr_compare(&m->ranges[first].range.hi, &all.lo) < 0)
		first++;
	while (last > first && addr_compare(&m->ranges[last - 1].range.lo, &all.hi) > 0)
		last--;
	self = new_node(m);
	if (m->too_many)
		return 0;
	if (first == last) {
		add_label(&m->nodes[self], COVER_NONE);
		return self;
	}
	if (last - first == 1 && addr_compare(&m->ranges[first].range.lo, &all.lo) <= 0 &&
	    addr_compare(&m->ranges[first].range.hi, &all.hi) >= 0) {
		add_label(&m->nodes[self], m->ranges[first].label);
		return self;
	}
	children[0] = grow(m, &half, first, last);
	half.addr = with_bit(&p->addr, p->bits);
	children[1] = m->too_many ? 0 : grow(m, &half, first, last);
	if (m->too_many)
		return 0;
	gather(&gathered, &m->nodes[children[0]], &m->nodes[children[1]]);
	memcpy(gathered.children, children, sizeof children);
	m->nodes[self] = gathered;
	return self;
}

static void pick(struct maker *m, uint32_t self, const struct prefix *p, uint32_t above,
		 bool within) /* NOLINT(misc-no-recursion) */
{
	const struct node n = m->nodes[self];
	struct prefix half = { p->addr, p->bits + 1 };
	uint32_t own = above;

	if (!has_label(&n, above)) {
		own = n.labels[0];
		m->rows = mem_grow(m->rows, m->row_count, &m->row_cap, sizeof *m->rows);
		m->rows[m->row_count++] = (struct cover_row){ *p, own, within };
		within = true;
	}
	if (!n.children[0])
		return;
	pick(m, n.children[0], &half, own, within);
	half.addr = with_bit(&p->addr, p->bits);
	pick(m, n.children[1], &half, own, within);
}

int cover_make(const struct cover_range *ranges, size_t count, unsigned family, struct cover_row **ret,
	       size_t *ret_count)
{
	struct prefix root = { .addr = { .family = (uint8_t)family } };
	struct maker m = { .ranges = ranges };
	size_t first = 0, last = count;
	uint32_t top;

	while (first < last && ranges[first].range.lo.family != family)
		first++;
	while (last > first && ranges[last - 1].range.lo.family != family)
		last--;
	top = grow(&m, &root, first, last);
	if (!m.too_many)
		pick(&m, top, &root, COVER_NONE, false);
	free(m.nodes);
	*ret = m.rows;
	*ret_count = m.row_count;
	return m.too_many ? -E2BIG : 0;
}
