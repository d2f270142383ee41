/* The contest: every rule that matched, and in the order of the comparison (plan.h) why it lost. */
#include "analysis/why.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct seat {
	const struct plan_entry *entry;
	struct addr_range ends[2]; /* the smallest elements that matched, at `from` and at `to` */
};

static void seat_fill(const struct why *w, const struct why_verdict *v, unsigned side, const struct plan_entry *e,
		      struct seat *ret)
{
	const struct ends_who *whos[2] = { &v->point.from, &v->point.to };
	const struct ends_who *owner = whos[side];
	/* end 1 is at this side, or at the other */
	unsigned end1_at = e->local_is_end1 ? side : !side;

	ret->entry = e;
	for (unsigned i = 0; i < 2; i++) {
		const struct end *end = i == end1_at ? &e->rule->end1 : &e->rule->end2;

		if (!end_has(why_policy(w), end, whos[i], owner, &ret->ends[i]))
			ret->ends[i] = (struct addr_range){ whos[i]->addr, whos[i]->addr };
	}
}

static void say_element(const struct why *w, const struct addr_range *r, struct str *out)
{
	char text[ADDR_RANGE_TEXT];
	addr_count n = addr_range_count(r);
	int prefix = addr_range_prefix(r);
	const struct host *h = n == 1 ? policy_host_by_address(why_policy(w), &r->lo) : NULL;

	if (n == 1)
		str_addf(out, "%s alone", h ? h->name : addr_text(&r->lo, text));
	else if (prefix == 0)
		str_add(out, "any address");
	else if (n >> 32 && prefix > 0)
		str_addf(out, "the network %s", addr_range_text(r, text));
	else if (n >> 32)
		str_addf(out, "the range %s", addr_range_text(r, text));
	else
		str_addf(out, "a %s of %u", prefix > 0 ? "network" : "range", (unsigned)n);
}

static unsigned ports_given(const struct plan_entry *e)
{
	return (unsigned)port_given(e->local_port) + (unsigned)port_given(e->remote_port);
}

static unsigned port_spans(const struct plan_entry *e)
{
	return (unsigned)(port_given(e->local_port) && e->local_port.lo != e->local_port.hi) +
	       (unsigned)(port_given(e->remote_port) && e->remote_port.lo != e->remote_port.hi);
}

/* "it names dc1 alone, the other a network of 256": why w won over l, in the order of the comparison (plan.h). */
static void say_contrast(const struct why *w, const struct seat *won, const struct seat *lost, const char *winner,
			 const char *loser, struct str *out)
{
	const struct plan_entry *x = won->entry, *y = lost->entry;
	bool small = x->small != y->small;

	if (small || x->large != y->large) {
		/* The element that decided, of each: the smaller one, or the larger. */
		bool x_first = addr_range_count(&won->ends[0]) <= addr_range_count(&won->ends[1]);
		bool y_first = addr_range_count(&lost->ends[0]) <= addr_range_count(&lost->ends[1]);

		str_addf(out, "%s%s names ", small ? "" : "at the wider end ", winner);
		say_element(w, &won->ends[x_first == small ? 0 : 1], out);
		str_addf(out, ", %s ", loser);
		say_element(w, &lost->ends[y_first == small ? 0 : 1], out);
	} else if ((x->protocol == PROTOCOL_ANY) != (y->protocol == PROTOCOL_ANY)) {
		str_addf(out, "%s names a protocol, %s none", winner, loser);
	} else if (ports_given(x) != ports_given(y)) {
		str_addf(out, "%s names %s, %s %s", winner, ports_given(x) == 2 ? "both ports" : "a port", loser,
			 ports_given(y) ? "one" : "none");
	} else if (x->icmp_type != y->icmp_type || x->icmp_code != y->icmp_code) {
		str_addf(out, "%s names an ICMP type or code, %s %s", winner, loser,
			 y->icmp_type < 0 ? "none" : "no code");
	} else if (port_spans(x) != port_spans(y)) {
		str_addf(out, "%s names a single port, %s a range", winner, loser);
	} else if (x->rule->mode != y->rule->mode) {
		str_addf(out, "%s is the more protective of two that are equally specific", winner);
	} else {
		str_add(out, "both are equally specific and to the same effect");
	}
}

struct contest {
	struct why *w;
	const struct why_verdict *v;
	struct arena *memory;
	struct why_contender *rows;
	size_t count, cap;
};

static bool listed(const struct contest *c, const struct rule *r)
{
	for (size_t i = 0; i < c->count; i++)
		if (c->rows[i].rule == r)
			return true;
	return false;
}

static const char *kept_text(struct arena *memory, struct str *s)
{
	const char *copy = arena_string(memory, str_text(s), s->len);

	str_wipe(s);
	return copy;
}

enum { CONTENDERS_MOST = 200 };

static void contest_side(struct contest *c, unsigned side)
{
	const struct why_verdict *v = c->v;
	struct plan_packet packet = why_packet(&v->point, side);
	const struct plan *plan = why_plan(c->w, side ? &v->point.to : &v->point.from);
	struct plan_list list = plan ? plan_meet(plan, &packet.local, &packet.remote) : (struct plan_list){ 0 };
	struct seat first = { 0 };
	char winner[160];

	for (size_t i = 0; i < list.count && c->count < CONTENDERS_MOST; i++) {
		struct str reason = { 0 }, contrast = { 0 };
		struct seat seat;
		bool won;

		if (!plan_entry_matches(&list.entries[i], &packet))
			continue;
		seat_fill(c->w, v, side, &list.entries[i], &seat);
		won = !first.entry;
		if (won)
			first = seat;
		if (listed(c, rule_as_written(seat.entry->rule)))
			continue;
		if (!won) {
			(void)snprintf(winner, sizeof winner, "'%.150s'", first.entry->rule->name);
			say_contrast(c->w, &first, &seat, winner, "this one", &reason);
			say_contrast(c->w, &first, &seat, "it", "the other", &contrast);
		}
		c->rows = mem_grow(c->rows, c->count, &c->cap, sizeof *c->rows);
		c->rows[c->count++] = (struct why_contender){
			.rule = rule_as_written(seat.entry->rule),
			.winner = rule_as_written(first.entry->rule),
			.won = won,
			.reason = won ? NULL : kept_text(c->memory, &reason),
			.contrast = won ? NULL : kept_text(c->memory, &contrast),
		};
	}
}

size_t why_contest(struct why *w, const struct why_verdict *v, struct arena *memory, const struct why_contender **ret)
{
	struct contest c = { .w = w, .v = v, .memory = memory };
	struct why_contender *copy;
	size_t winners = 0;

	if (v->cause == WHY_RULES || v->cause == WHY_FIREWALL)
		for (unsigned side = 0; side < 2; side++)
			if (v->sides[side].agent)
				contest_side(&c, side);
	for (size_t i = 0; i < c.count; i++)
		winners += c.rows[i].won;
	for (size_t i = 0; i < c.count; i++)
		if (c.rows[i].won)
			c.rows[i].reason = c.count == 1   ? "the only rule that matches"
					   : winners == 1 ? "the most specific rule that matches"
							  : "the most specific rule that matches at one of the ends";
	copy = arena_new(memory, c.count, sizeof *copy);
	if (c.count)
		memcpy(copy, c.rows, c.count * sizeof *copy);
	free(c.rows);
	*ret = copy;
	return c.count;
}
