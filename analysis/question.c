#include "analysis/question.h"

#include "base/diag.h"
#include "base/str.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int question_parse(struct why *w, const struct alike *a, const char *from, const char *to, const char *traffic,
		   struct arena *memory, struct question *ret, struct diag *d)
{
	const struct policy *p = why_policy(w);
	int r;

	*ret = (struct question){ .traffic = arena_string(memory, traffic, strlen(traffic)) };
	if ((r = party_parse(p, a, from, memory, &ret->from, d)) < 0 ||
	    (r = party_parse(p, a, to, memory, &ret->to, d)) < 0 ||
	    (r = policy_traffic_parse(p, traffic, strlen(traffic), ret->services, QUESTION_SERVICES,
				      &ret->service_count, d)) < 0)
		return r;
	return 0;
}

/* Traffic. */

void question_service_text(int16_t protocol, uint16_t lo, uint16_t hi, struct str *out)
{
	static const struct {
		int16_t number;
		const char *name;
	} names[] = {
		{ PROTOCOL_ANY, "any" }, { 1, "icmp" }, { 2, "igmp" }, { 6, "tcp" },     { 17, "udp" },
		{ 47, "gre" },           { 50, "esp" }, { 51, "ah" },  { 58, "icmpv6" }, { 132, "sctp" },
	};
	const char *name = NULL;

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (names[i].number == protocol)
			name = names[i].name;
	if (name)
		str_add(out, name);
	else
		str_addf(out, "%d", protocol);
	if (lo == 0 && hi == 65535)
		return;
	str_addf(out, "/%u", lo);
	if (hi != lo)
		str_addf(out, "-%u", hi);
}

/* Where rules begin or end to speak: a bit for each port. */
struct borders {
	uint64_t at[65536 / 64];
};

static void border(struct borders *b, uint32_t at)
{
	b->at[at / 64] |= UINT64_C(1) << at % 64;
}

/* The first one from `from` on; 65536: there is none. */
static uint32_t border_next(const struct borders *b, uint32_t from)
{
	while (from < 65536) {
		uint64_t word = b->at[from / 64] >> from % 64;

		if (word)
			return from + (uint32_t)__builtin_ctzll(word);
		from = (from / 64 + 1) * 64;
	}
	return from;
}

static void border_ports(struct borders *b, struct port_range r, const struct service *s)
{
	if (r.lo > s->port2.lo && r.lo <= s->port2.hi)
		border(b, r.lo);
	if (r.hi >= s->port2.lo && r.hi < s->port2.hi)
		border(b, r.hi + 1u);
}

static bool same_protocol(int16_t a, int16_t b)
{
	return a == PROTOCOL_ANY || b == PROTOCOL_ANY || a == b;
}

static void firewall_borders(const struct policy *p, const struct service *s, struct borders *b)
{
	const struct firewall *sections;
	size_t n = policy_firewalls(p, &sections);

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < sections[i].count; k++)
			for (size_t m = 0; m < sections[i].rules[k].service_count; m++) {
				const struct service *f = &sections[i].rules[k].services[m];

				if (!same_protocol(f->protocol, s->protocol))
					continue;
				border_ports(b, f->port1, s);
				border_ports(b, f->port2, s);
			}
}

/* The ports of a service, cut where some rule that speaks of the two addresses begins or ends. */
static void port_borders(struct why *w, const struct ends_who *from, const struct ends_who *to, const struct service *s,
			 struct borders *b)
{
	border(b, s->port2.lo);
	if (s->port2.lo == s->port2.hi)
		return;
	for (unsigned side = 0; side < 2; side++) {
		const struct plan *plan = why_plan(w, side ? to : from);
		struct plan_list list;

		if (!plan)
			continue;
		list = plan_meet(plan, side ? &to->addr : &from->addr, side ? &from->addr : &to->addr);
		for (size_t i = 0; i < list.count; i++)
			if (same_protocol(list.entries[i].protocol, s->protocol))
				border_ports(b, side ? list.entries[i].local_port : list.entries[i].remote_port, s);
	}
	firewall_borders(why_policy(w), s, b);
}

size_t question_ports(struct why *w, const struct ends_who *from, const struct ends_who *to, const struct service *s,
		      uint16_t *ret, size_t cap, bool *ret_more)
{
	struct borders b = { .at = { 0 } };
	uint32_t at;
	size_t n = 0;

	port_borders(w, from, to, s, &b);
	for (at = border_next(&b, 0); at < 65536 && n < cap; at = border_next(&b, at + 1))
		ret[n++] = (uint16_t)at;
	if (ret_more && at < 65536)
		*ret_more = true;
	return n;
}

/* Putting together. */

struct span {
	int16_t protocol;
	uint16_t lo, hi;
};

enum { SPANS_MOST = 16, PAIRS_SHOWN = 6, FORKS_MOST = 24 };

struct heap { /* a case while it grows */
	struct why_verdict verdict;
	size_t points, pairs;
	struct span spans[SPANS_MOST];
	size_t span_count;
	bool spans_left_out;
	struct ends_who shown[PAIRS_SHOWN][2];
	struct addr last[2];
};

struct asking {
	struct why *w;
	const struct question *q;
	struct heap *heaps;
	size_t count, cap, points, pairs;
	bool bounded;
};

static bool fares_alike(const struct why_verdict *a, const struct why_verdict *b)
{
	return a->verdict == b->verdict && a->guaranteed == b->guaranteed && a->cause == b->cause &&
	       a->rule == b->rule && a->firewall == b->firewall && a->negotiation.result == b->negotiation.result &&
	       a->negotiation.at == b->negotiation.at && a->tunnel.rule == b->tunnel.rule &&
	       a->tunnel.negotiation.result == b->tunnel.negotiation.result &&
	       a->meeting.stopped_at == b->meeting.stopped_at && facts_equal(&a->point.facts[0], &b->point.facts[0]) &&
	       facts_equal(&a->point.facts[1], &b->point.facts[1]);
}

static int by_strength(const struct why_verdict *a, const struct why_verdict *b)
{
	if (a->verdict != b->verdict)
		return a->verdict < b->verdict ? -1 : 1;
	return a->guaranteed == b->guaranteed ? 0 : a->guaranteed < b->guaranteed ? -1 : 1;
}

/* Of too many cases the weakest stay, and one of the strongest, so that nobody takes the weak ones for all there are.
 * One that had to go does not come back, so what stays has all of its points. NULL: it is this one that has to go. */
static struct heap *make_room(struct asking *k, const struct why_verdict *v)
{
	struct heap *top = &k->heaps[0], *next = NULL;

	for (size_t i = 1; i < k->count; i++) {
		struct heap *h = &k->heaps[i];

		if (by_strength(&h->verdict, &top->verdict) > 0) {
			next = top;
			top = h;
		} else if (!next || by_strength(&h->verdict, &next->verdict) > 0) {
			next = h;
		}
	}
	assert(next); /* there are many */
	if (by_strength(v, &top->verdict) > 0)
		next = top;
	else if (by_strength(v, &next->verdict) >= 0)
		return NULL;
	*next = (struct heap){ .verdict = *v };
	return next;
}

static struct heap *heap_for(struct asking *k, const struct why_verdict *v)
{
	for (size_t i = 0; i < k->count; i++)
		if (fares_alike(&k->heaps[i].verdict, v))
			return &k->heaps[i];
	if (k->count == CASES_MOST)
		return make_room(k, v);
	k->heaps = mem_grow(k->heaps, k->count, &k->cap, sizeof *k->heaps);
	k->heaps[k->count] = (struct heap){ .verdict = *v };
	return &k->heaps[k->count++];
}

static void add_span(struct heap *h, int16_t protocol, uint16_t lo, uint16_t hi)
{
	for (size_t i = 0; i < h->span_count; i++) {
		struct span *s = &h->spans[i];

		if (s->protocol != protocol)
			continue;
		if (s->lo <= lo && hi <= s->hi)
			return;
		if (lo > 0 && s->hi == lo - 1) {
			s->hi = hi;
			return;
		}
	}
	if (h->span_count == SPANS_MOST) {
		h->spans_left_out = true;
		return;
	}
	h->spans[h->span_count++] = (struct span){ protocol, lo, hi };
}

/* Points of one pair come one after the other, so the last one tells whether it is a new pair. */
static void add_pair(struct heap *h, const struct why_point *point)
{
	if (h->pairs && addr_equal(&h->last[0], &point->from.addr) && addr_equal(&h->last[1], &point->to.addr))
		return;
	h->last[0] = point->from.addr;
	h->last[1] = point->to.addr;
	if (h->pairs < PAIRS_SHOWN) {
		h->shown[h->pairs][0] = point->from;
		h->shown[h->pairs][1] = point->to;
	}
	h->pairs++;
}

static void note_case(struct asking *k, const struct why_verdict *v, const struct why_point *asked, uint16_t hi)
{
	struct heap *h = heap_for(k, v);

	k->points++;
	if (!h)
		return;
	h->points++;
	add_span(h, asked->protocol, asked->port, hi);
	add_pair(h, asked);
}

/* Up to the port `hi`, which fares as the point's does. Where a firewall rule asks for what was not said, each answer
 * is a case of its own. */
static int ask_point(struct asking *k, const struct why_point *asked, uint16_t hi, struct diag *d)
{
	struct why_point open[FORKS_MOST] = { *asked };
	size_t count = 1;

	while (count) {
		struct why_point point = open[--count], *fork = &open[count];
		struct why_verdict v;
		int r, side;

		if ((r = why_judge(k->w, &point, &v, d)) < 0)
			return r;
		side = why_undecided(&v);
		if (side >= 0 && count + 2 <= FORKS_MOST) {
			const struct firewall_rule *rule = v.sides[side].firewall.undecided;

			fork[0] = fork[1] = point;
			if (facts_assume(&point.facts[side], rule, false, &fork[0].facts[side]) &&
			    facts_assume(&point.facts[side], rule, true, &fork[1].facts[side])) {
				count += 2;
				continue;
			}
		}
		k->bounded |= side >= 0;
		note_case(k, &v, asked, hi);
	}
	return 0;
}

static int ask_service(struct asking *k, const struct ends_who *from, const struct ends_who *to,
		       const struct service *s, struct diag *d)
{
	struct borders b = { .at = { 0 } };
	int r;

	port_borders(k->w, from, to, s, &b);
	for (uint32_t at = border_next(&b, 0), next; at < 65536; at = next) {
		struct why_point point = { .from = *from,
					   .to = *to,
					   .protocol = s->protocol,
					   .port = (uint16_t)at,
					   .icmp_type = s->icmp_type,
					   .icmp_code = s->icmp_code };

		if (k->points >= QUESTION_POINTS) {
			k->bounded = true;
			return 0;
		}
		next = border_next(&b, at + 1);
		point.facts[0] = point.facts[1] = k->q->facts;
		if ((r = ask_point(k, &point, (uint16_t)(next < 65536 ? next - 1 : s->port2.hi), d)) < 0)
			return r;
	}
	return 0;
}

static int ask_pair(struct asking *k, const struct ends_who *from, const struct ends_who *to, struct diag *d)
{
	int r;

	if (k->points >= QUESTION_POINTS) {
		k->bounded = true;
		return 0;
	}
	k->pairs++;
	for (size_t i = 0; i < k->q->service_count; i++)
		if ((r = ask_service(k, from, to, &k->q->services[i], d)) < 0)
			return r;
	return 0;
}

static bool same_party(const struct ends_who *a, const struct ends_who *b)
{
	return (a->host && a->host == b->host) || addr_equal(&a->addr, &b->addr);
}

static int ask_all(struct asking *k, struct diag *d)
{
	const struct party *from = &k->q->from, *to = &k->q->to;
	bool zones = from->zone || to->zone;
	int r;

	for (size_t i = 0; i < from->count; i++)
		for (size_t j = 0; j < to->count; j++) {
			const struct ends_who *a = &from->members[i], *b = &to->members[j];

			if (a->addr.family != b->addr.family || (zones && same_party(a, b)))
				continue;
			if ((r = ask_pair(k, a, b, d)) < 0)
				return r;
		}
	/* Nothing in common: one pair tells what is the matter. */
	return k->pairs ? 0 : ask_pair(k, &from->members[0], &to->members[0], d);
}

static int by_weakness(const void *x, const void *y)
{
	const struct heap *a = x, *b = y;
	int r = by_strength(&a->verdict, &b->verdict);

	if (r)
		return r;
	return a->points > b->points ? -1 : a->points < b->points;
}

static const char *text_kept(struct arena *memory, struct str *s)
{
	const char *copy = arena_string(memory, str_text(s), s->len);

	str_wipe(s);
	return copy;
}

static const char *spans_text(const struct heap *h, const struct question *q, bool whole, struct arena *memory)
{
	struct str s = { 0 };

	if (whole)
		return q->traffic;
	for (size_t i = 0; i < h->span_count; i++) {
		if (i)
			str_add(&s, ", ");
		question_service_text(h->spans[i].protocol, h->spans[i].lo, h->spans[i].hi, &s);
	}
	if (h->spans_left_out)
		str_add(&s, ", ...");
	return text_kept(memory, &s);
}

static const char *pairs_text(const struct heap *h, const struct question *q, struct arena *memory)
{
	bool zones = q->from.zone || q->to.zone;
	struct str s = { 0 };

	for (size_t i = 0; i < h->pairs && i < PAIRS_SHOWN; i++) {
		char buf[2][ADDR_TEXT];
		const struct ends_who *pair = h->shown[i];

		str_addf(&s, "%s%s -> %s", i ? ", " : "",
			 zones ? why_name(&pair[0], buf[0]) : addr_text(&pair[0].addr, buf[0]),
			 zones ? why_name(&pair[1], buf[1]) : addr_text(&pair[1].addr, buf[1]));
	}
	if (h->pairs > PAIRS_SHOWN)
		str_addf(&s, " and %zu more", h->pairs - PAIRS_SHOWN);
	return text_kept(memory, &s);
}

/* "at srv1 on interface eth1" */
static const char *when_text(const struct why_verdict *v, struct arena *memory)
{
	struct str s = { 0 };

	for (unsigned side = 0; side < 2; side++) {
		SCOPED(str_wipe) struct str facts = { 0 };
		char buf[ADDR_TEXT];

		facts_text(&v->point.facts[side], &facts);
		if (facts.len)
			str_addf(&s, "%sat %s %s", s.len ? "; " : "",
				 why_name(side ? &v->point.to : &v->point.from, buf), str_text(&facts));
	}
	return s.len ? text_kept(memory, &s) : NULL;
}

int question_ask(struct why *w, const struct question *q, struct arena *memory, struct answer *ret, struct diag *d)
{
	struct asking k = { .w = w, .q = q };
	int r;

	if ((r = ask_all(&k, d)) < 0) {
		free(k.heaps);
		return r;
	}
	if (k.count)
		qsort(k.heaps, k.count, sizeof *k.heaps, by_weakness);
	*ret = (struct answer){
		.cases = arena_new(memory, k.count, sizeof *ret->cases),
		.count = k.count,
		.points = k.points,
		.left = k.points,
		.pairs = k.pairs,
		.bounded = k.bounded || q->from.bounded || q->to.bounded,
	};
	for (size_t i = 0; i < k.count; i++) {
		const struct heap *h = &k.heaps[i];

		ret->left -= h->points;
		ret->cases[i] = (struct answer_case){
			.verdict = h->verdict,
			.points = h->points,
			.traffic = spans_text(h, q, k.count == 1, memory),
			.pairs = h->pairs == k.pairs ? NULL : pairs_text(h, q, memory),
			.when = when_text(&h->verdict, memory),
		};
	}
	free(k.heaps);
	return 0;
}
