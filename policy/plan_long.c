#include "policy/plan_long.h"

#include "base/mem.h"

#include <stdlib.h>

/* Numbers of entries count within the list, plus one; 0 ends a chain. */
struct plan_long {
	uint32_t first, count; /* the list */
	uint32_t mask;
	uint32_t *heads; /* by hash of protocol and port: the first entry */
	uint32_t *next;  /* by entry: the next with that hash; chains are in the order of the list */
	uint32_t *rest;  /* those without a single port, in order */
	uint32_t rest_count;
};

static uint32_t slot(const struct plan_long *g, int protocol, bool remote, uint16_t port)
{
	uint32_t key = (uint32_t)port | (uint32_t)(protocol & 0xff) << 16 | (uint32_t)remote << 24;

	return (key * 0x9e3779b1u >> 7) & g->mask;
}

static bool single(struct port_range r)
{
	return r.lo == r.hi;
}

static void make_one(const struct plan_match *m, struct plan_long *g)
{
	for (g->mask = 31; g->mask < g->count; g->mask = 2 * g->mask + 1)
		;
	g->heads = mem_new(g->mask + 1, sizeof *g->heads);
	g->next = mem_new(g->count, sizeof *g->next);
	g->rest = mem_new(g->count, sizeof *g->rest);
	for (uint32_t i = g->count; i-- > 0;) {
		const struct plan_match *e = &m[g->first + i];
		bool remote = single(e->remote_port);
		uint32_t *head;

		if (e->protocol < 0 || e->icmp_type >= 0 || (!remote && !single(e->local_port)))
			continue;
		head = &g->heads[slot(g, e->protocol, remote, remote ? e->remote_port.lo : e->local_port.lo)];
		g->next[i] = *head;
		*head = i + 1;
	}
	for (uint32_t i = 0; i < g->count; i++) {
		const struct plan_match *e = &m[g->first + i];

		if (e->protocol < 0 || e->icmp_type >= 0 || (!single(e->remote_port) && !single(e->local_port)))
			g->rest[g->rest_count++] = i + 1;
	}
}

void plan_long_make(struct plan_lists *l)
{
	size_t cap = 0;

	for (size_t i = 0; i < l->count; i++) {
		uint32_t count = l->firsts[i + 1] - l->firsts[i];

		if (count < PLAN_LONG_FROM)
			continue;
		l->longs = mem_grow(l->longs, l->long_count, &cap, sizeof *l->longs);
		l->longs[l->long_count] = (struct plan_long){ .first = l->firsts[i], .count = count };
		make_one(l->matches, &l->longs[l->long_count++]);
	}
}

void plan_long_wipe(struct plan_lists *l)
{
	for (size_t i = 0; i < l->long_count; i++) {
		free(l->longs[i].heads);
		free(l->longs[i].next);
		free(l->longs[i].rest);
	}
	free(l->longs);
}

static bool has(struct port_range r, uint16_t port)
{
	return r.lo <= port && port <= r.hi;
}

bool plan_match_packet(const struct plan_match *m, const struct plan_packet *k)
{
	if ((m->protocol != PROTOCOL_ANY && m->protocol != k->protocol) || !(m->initiators & k->initiator))
		return false;
	if (m->icmp_type >= 0)
		return m->icmp_type == k->local_port >> 8 &&
		       (m->icmp_code < 0 || m->icmp_code == (k->local_port & 0xff));
	return has(m->local_port, k->local_port) && has(m->remote_port, k->remote_port);
}

/* What is asked of a list: a packet, and whether only entries that protect count. */
struct question {
	const struct plan_match *matches; /* of the list */
	const struct plan_packet *packet;
	bool protecting;
};

static bool answers(const struct question *q, uint32_t entry)
{
	const struct plan_match *m = &q->matches[entry - 1];

	return (m->protects || !q->protecting) && plan_match_packet(m, q->packet);
}

static uint32_t walk_chain(const struct plan_long *g, const struct question *q, uint32_t at, uint32_t best)
{
	for (; at && at < best; at = g->next[at - 1])
		if (answers(q, at))
			return at;
	return best;
}

static const struct plan_long *long_at(const struct plan_lists *l, size_t first)
{
	size_t lo = 0, hi = l->long_count - 1;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (l->longs[mid].first < first)
			lo = mid + 1;
		else
			hi = mid;
	}
	return &l->longs[lo];
}

size_t plan_long_find(const struct plan_lists *l, size_t first, size_t count, const struct plan_packet *k,
		      bool protecting)
{
	const struct plan_long *g = long_at(l, first);
	const struct question q = { l->matches + first, k, protecting };
	uint32_t best = (uint32_t)count + 1;

	best = walk_chain(g, &q, g->heads[slot(g, k->protocol, true, k->remote_port)], best);
	best = walk_chain(g, &q, g->heads[slot(g, k->protocol, false, k->local_port)], best);
	for (uint32_t i = 0; i < g->rest_count && g->rest[i] < best; i++)
		if (answers(&q, g->rest[i]))
			best = g->rest[i];
	return best <= count ? first + best - 1 : SIZE_MAX;
}
