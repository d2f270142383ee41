#include "analysis/why.h"

#include "base/diag.h"
#include "base/str.h"

#include <errno.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

enum {
	ADDRESS_PLANS = 16,        /* of addresses that are no host's */
	RULES_IN_PLANS = 20000000, /* rules over all plans that are kept */
	EPHEMERAL = 49152,         /* the port that a client opens from */
	ICMP_ECHO = 8,
	ICMPV6_ECHO = 128,
	PROTOCOL_ICMP = 1,
	PROTOCOL_TCP = 6,
	PROTOCOL_UDP = 17,
	PROTOCOL_ICMPV6 = 58,
};

struct slot {
	struct plan *plan;
	bool tried; /* and if plan is NULL, in conflict */
};

struct why {
	const struct policy *policy;
	struct report *report;
	const struct host *hosts;
	size_t host_count;
	struct slot *slots; /* one for each host, then ADDRESS_PLANS */
	struct addr addresses[ADDRESS_PLANS];
	size_t next_address;
	size_t *kept; /* a ring of slots that hold a plan, oldest first */
	size_t kept_most, kept_count, kept_first;
	struct finding *seen; /* what has been reported, by code and place */
	size_t seen_count, seen_cap;
};

struct why *why_new(const struct policy *p, struct report *r)
{
	struct why *w = mem_new(1, sizeof *w);
	const struct rule *rules;

	w->policy = p;
	w->report = r;
	w->host_count = policy_hosts(p, &w->hosts);
	w->slots = mem_new(w->host_count + ADDRESS_PLANS, sizeof *w->slots);
	w->kept_most = RULES_IN_PLANS / (policy_rules(p, &rules) + 1) + 4;
	if (w->kept_most > w->host_count + ADDRESS_PLANS)
		w->kept_most = w->host_count + ADDRESS_PLANS;
	w->kept = mem_new(w->kept_most, sizeof *w->kept);
	return w;
}

void why_free(struct why *w)
{
	if (!w)
		return;
	for (size_t i = 0; i < w->host_count + ADDRESS_PLANS; i++)
		plan_free(w->slots[i].plan);
	free(w->slots);
	free(w->kept);
	free(w->seen);
	free(w);
}

const struct policy *why_policy(const struct why *w)
{
	return w->policy;
}

static bool reported(struct why *w, const struct finding *f)
{
	for (size_t i = 0; i < w->seen_count; i++)
		if (w->seen[i].code == f->code && memcmp(&w->seen[i].place, &f->place, sizeof f->place) == 0)
			return true;
	w->seen = mem_grow(w->seen, w->seen_count, &w->seen_cap, sizeof *w->seen);
	w->seen[w->seen_count++] = (struct finding){ .code = f->code, .place = f->place };
	return false;
}

/* The same two rules are in conflict on every host that they concern; say it once. */
static void hand_on(struct why *w, const struct report *from)
{
	const struct finding *const *all;
	size_t n = report_findings(from, &all);

	for (size_t i = 0; w->report && i < n; i++) {
		struct finding *f;

		if (reported(w, all[i]))
			continue;
		f = report_add(w->report, all[i]->severity, all[i]->code, all[i]->place, "%s", all[i]->message);
		if (all[i]->advice)
			finding_advise(f, "%s", all[i]->advice);
	}
}

static size_t slot_of(struct why *w, const struct ends_who *who)
{
	size_t slot;

	if (who->host)
		return (size_t)(who->host - w->hosts);
	for (size_t i = 0; i < ADDRESS_PLANS; i++)
		if (addr_equal(&w->addresses[i], &who->addr))
			return w->host_count + i;
	w->addresses[w->next_address] = who->addr;
	slot = w->host_count + w->next_address;
	w->next_address = (w->next_address + 1) % ADDRESS_PLANS;
	w->slots[slot].tried = false;
	plan_free(TAKE(w->slots[slot].plan));
	return slot;
}

/* Remember that the slot holds a plan; the one that was made longest ago gives way. */
static void keep(struct why *w, size_t slot)
{
	if (w->kept_count == w->kept_most) {
		struct slot *oldest = &w->slots[w->kept[w->kept_first]];

		plan_free(TAKE(oldest->plan));
		oldest->tried = false;
		w->kept_first = (w->kept_first + 1) % w->kept_most;
		w->kept_count--;
	}
	w->kept[(w->kept_first + w->kept_count++) % w->kept_most] = slot;
}

const struct plan *why_plan(struct why *w, const struct ends_who *who)
{
	size_t slot = slot_of(w, who);
	struct slot *s = &w->slots[slot];
	struct host_address bare = { who->addr, who->prefix };
	struct plan_host host = { .own = &bare, .own_count = 1, .contests = true };

	if (s->tried)
		return s->plan;
	if (who->host) {
		host.name = who->host->name;
		host.own = who->host->addresses;
		host.own_count = who->host->address_count;
	}
	SCOPED(report_freep) struct report *r = report_new();
	struct plan *plan = NULL;

	if (plan_compile(w->policy, &host, r, &plan) < 0)
		plan = NULL;
	hand_on(w, r);
	keep(w, slot);
	s->tried = true;
	s->plan = plan;
	return plan;
}

static bool is_icmp(int16_t protocol)
{
	return protocol == PROTOCOL_ICMP || protocol == PROTOCOL_ICMPV6;
}

/* What stands above all rules (design 3). Neighbour discovery is exempt whatever the policy says, or IPv6 hangs. */
static bool globally_exempt(const struct policy *p, const struct why_point *k)
{
	unsigned bits = policy_exemptions(p);
	bool v6 = k->to.addr.family == 6;

	if (is_icmp(k->protocol) && (bits & EXEMPT_ICMP))
		return true;
	if (k->protocol == PROTOCOL_ICMPV6 && v6 && k->icmp_type >= 135 && k->icmp_type <= 137)
		return true;
	if (k->protocol == PROTOCOL_ICMPV6 && v6 && (bits & EXEMPT_ROUTER_DISCOVERY) && k->icmp_type >= 133 &&
	    k->icmp_type <= 134)
		return true;
	return k->protocol == PROTOCOL_UDP && (bits & EXEMPT_DHCP) &&
	       (v6 ? k->port == 546 || k->port == 547 : k->port == 67 || k->port == 68);
}

static bool outside(const struct addr *a)
{
	return addr_is_loopback(a) || addr_is_link_local(a) || addr_is_multicast(a);
}

static bool same_host(const struct why_point *k)
{
	return k->from.host ? k->from.host == k->to.host : addr_equal(&k->from.addr, &k->to.addr);
}

/* The point in the words of its addresses' family, ICMP as a ping where no type is given. */
static struct why_point settled(const struct why_point *k)
{
	struct why_point p = *k;

	if (!is_icmp(p.protocol))
		return p;
	p.protocol = p.to.addr.family == 6 ? PROTOCOL_ICMPV6 : PROTOCOL_ICMP;
	p.port = 0;
	if (p.icmp_type < 0)
		p.icmp_type = p.to.addr.family == 6 ? ICMPV6_ECHO : ICMP_ECHO;
	if (p.icmp_code < 0)
		p.icmp_code = 0;
	return p;
}

static struct plan_packet packet_at(const struct why_point *k, unsigned side)
{
	bool ports = k->protocol == PROTOCOL_TCP || k->protocol == PROTOCOL_UDP || k->port;
	struct plan_packet packet = {
		.local = side ? k->to.addr : k->from.addr,
		.remote = side ? k->from.addr : k->to.addr,
		.initiator = side ? INITIATOR_REMOTE : INITIATOR_LOCAL,
		.protocol = k->protocol,
		.local_port = side ? k->port : EPHEMERAL,
		.remote_port = side ? EPHEMERAL : k->port,
	};

	if (is_icmp(k->protocol)) {
		packet.local_port = (uint16_t)((k->icmp_type & 255) << 8 | (k->icmp_code & 255));
		packet.remote_port = 0;
	} else if (!ports) {
		packet.local_port = packet.remote_port = 0;
	}
	return packet;
}

static int judge_side(struct why *w, const struct why_point *k, unsigned side, struct why_side *ret, struct diag *d)
{
	const struct ends_who *who = side ? &k->to : &k->from;
	struct plan_packet packet = packet_at(k, side);
	const struct plan_entry *e;
	const struct plan *plan;
	char name[ADDR_TEXT];

	*ret = (struct why_side){ .stance = STANCE_NONE, .agent = !who->host || who->host->agent != AGENT_NONE };
	if (!ret->agent)
		return 0;
	if (!(plan = why_plan(w, who)))
		return diag_fail(d, ERR_POLICY, "the rules that concern %s are in conflict; cordon check tells which",
				 why_name(who, name));
	ret->met = plan_meet(plan, &packet.local, &packet.remote).count > 0;
	if ((e = plan_lookup(plan, &packet))) {
		ret->entry = *e;
		ret->stance = (enum stance)e->rule->mode;
	}
	return 0;
}

static void judge_firewall(struct why *w, struct why_verdict *v)
{
	for (unsigned side = 0; side < 2; side++) {
		const struct why_point *k = &v->point;
		struct firewall_case c = {
			.local = side ? k->to : k->from,
			.remote = side ? k->from : k->to,
			.direction = side ? DIRECTION_IN : DIRECTION_OUT,
			.protocol = k->protocol,
			.local_port = side ? k->port : EPHEMERAL,
			.remote_port = side ? EPHEMERAL : k->port,
			.icmp_type = k->icmp_type,
			.icmp_code = k->icmp_code,
			.arrived = v->meeting.verdict,
			.can_encrypt = v->negotiation.can_encrypt,
		};
		struct firewall_answer *a = &v->sides[side].firewall;

		if (!v->sides[side].agent)
			continue; /* no Cordon there, so no section of ours rules it */
		*a = firewall_judge(w->policy, &c);
		if (!a->ruled)
			continue;
		if (a->rule)
			v->firewall = a->rule;
		if (a->asks_encryption)
			v->verdict = OUTCOME_ENCRYPTED;
		if (a->blocked) {
			v->cause = WHY_FIREWALL;
			v->verdict = v->guaranteed = v->sides[side].verdict = OUTCOME_BLOCKED;
			v->firewall = a->rule;
			return;
		}
	}
}

/* The rule that decided: of the end that stopped it, else of the end that has one. */
static const struct rule *deciding_rule(const struct why_verdict *v)
{
	const struct rule *a = v->sides[0].entry.rule, *b = v->sides[1].entry.rule;

	if (v->meeting.stopped_at >= 0)
		return v->sides[v->meeting.stopped_at].entry.rule;
	return a ? a : b;
}

int why_judge(struct why *w, const struct why_point *point, struct why_verdict *ret, struct diag *d)
{
	struct why_verdict v = { .point = settled(point), .meeting.stopped_at = -1 };
	int r;

	for (unsigned side = 0; side < 2; side++)
		v.sides[side] = (struct why_side){ .stance = STANCE_NONE, .agent = true };
	if (v.point.from.addr.family != v.point.to.addr.family) {
		v.cause = WHY_NO_COMMON_FAMILY;
		v.verdict = v.guaranteed = v.meeting.verdict = OUTCOME_BLOCKED;
		v.sides[0].verdict = v.sides[1].verdict = OUTCOME_BLOCKED;
	} else if (same_host(&v.point)) {
		v.cause = WHY_SAME_HOST;
	} else if (outside(&v.point.from.addr) || outside(&v.point.to.addr)) {
		v.cause = WHY_OUTSIDE;
	} else if (globally_exempt(w->policy, &v.point)) {
		v.cause = WHY_EXEMPTION;
		for (unsigned side = 0; side < 2; side++) {
			const struct ends_who *who = side ? &v.point.to : &v.point.from;

			v.sides[side].agent = !who->host || who->host->agent != AGENT_NONE;
		}
		judge_firewall(w, &v);
	} else {
		for (unsigned side = 0; side < 2; side++)
			if ((r = judge_side(w, &v.point, side, &v.sides[side], d)) < 0)
				return r;
		v.negotiation = negotiate((const struct negotiate_end[2]){
			{ v.point.from.host, v.sides[0].entry.rule },
			{ v.point.to.host, v.sides[1].entry.rule },
		});
		v.meeting = outcome_meet(v.sides[0].stance, v.sides[1].stance, &v.negotiation);
		v.verdict = v.meeting.verdict;
		v.guaranteed = v.meeting.guaranteed;
		v.sides[0].verdict = v.meeting.ends[0];
		v.sides[1].verdict = v.meeting.ends[1];
		v.rule = deciding_rule(&v);
		if (v.verdict != OUTCOME_BLOCKED)
			judge_firewall(w, &v);
	}
	*ret = v;
	return 0;
}

/* The contest. */

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

		if (!end_has(w->policy, end, whos[i], owner, &ret->ends[i]))
			ret->ends[i] = (struct addr_range){ whos[i]->addr, whos[i]->addr };
	}
}

static void say_element(const struct why *w, const struct addr_range *r, struct str *out)
{
	char text[ADDR_RANGE_TEXT];
	addr_count n = addr_range_count(r);
	int prefix = addr_range_prefix(r);
	const struct host *h = n == 1 ? policy_host_by_address(w->policy, &r->lo) : NULL;

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
	} else if (x->rule->mode != y->rule->mode) {
		str_addf(out, "%s is the more protective of two that are equally specific", winner);
	} else if (memcmp(&x->local_port, &y->local_port, sizeof x->local_port) ||
		   memcmp(&x->remote_port, &y->remote_port, sizeof x->remote_port)) {
		str_addf(out, "%s names fewer ports than %s", winner, loser);
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
	struct plan_packet packet = packet_at(&v->point, side);
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
		if (listed(c, seat.entry->rule))
			continue;
		if (!won) {
			(void)snprintf(winner, sizeof winner, "'%.150s'", first.entry->rule->name);
			say_contrast(c->w, &first, &seat, winner, "this one", &reason);
			say_contrast(c->w, &first, &seat, "it", "the other", &contrast);
		}
		c->rows = mem_grow(c->rows, c->count, &c->cap, sizeof *c->rows);
		c->rows[c->count++] = (struct why_contender){
			.rule = seat.entry->rule,
			.winner = first.entry->rule,
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
