/* keying/selector.c - which traffic a CHILD SA is for: plan entries as traffic selectors, narrowing (RFC 7296 2.9). */
#include "keying/selector.h"
#include <stdio.h>
#include <string.h>

enum { ICMP = 1, TCP = 6, UDP = 17, ICMPV6 = 58 };

bool selector_is_icmp(int16_t protocol)
{
	return protocol == ICMP || protocol == ICMPV6;
}

static bool ports_same(struct port_range a, struct port_range b)
{
	return a.lo == b.lo && a.hi == b.hi;
}

bool selector_same(const struct sa_selector *a, const struct sa_selector *b)
{
	return a->protocol == b->protocol && ports_same(a->local_port, b->local_port) &&
	       ports_same(a->remote_port, b->remote_port) && addr_equal(&a->local, &b->local) &&
	       addr_equal(&a->remote, &b->remote);
}

struct ike_ts selector_ts(const struct sa_selector *s, bool local)
{
	const struct addr *a = local ? &s->local : &s->remote;
	/* Type and code belong to neither end: both say them. */
	struct port_range p = local || selector_is_icmp(s->protocol) ? s->local_port : s->remote_port;

	return (struct ike_ts){
		.protocol = (uint8_t)(s->protocol == PROTOCOL_ANY ? 0 : s->protocol),
		.port_lo = p.lo,
		.port_hi = p.hi,
		.range = { *a, *a },
	};
}

static bool covers(const struct ike_ts *wide, const struct ike_ts *narrow)
{
	return (wide->protocol == 0 || wide->protocol == narrow->protocol) && wide->port_lo <= narrow->port_lo &&
	       wide->port_hi >= narrow->port_hi && addr_range_has(&wide->range, &narrow->range.lo) &&
	       addr_range_has(&wide->range, &narrow->range.hi);
}

static bool ports_cover(struct port_range wide, struct port_range narrow)
{
	return wide.lo <= narrow.lo && wide.hi >= narrow.hi;
}

bool selector_covers(const struct sa_selector *wide, const struct sa_selector *narrow)
{
	return addr_equal(&wide->local, &narrow->local) && addr_equal(&wide->remote, &narrow->remote) &&
	       (wide->protocol == PROTOCOL_ANY || wide->protocol == narrow->protocol) &&
	       ports_cover(wide->local_port, narrow->local_port) && ports_cover(wide->remote_port, narrow->remote_port);
}

bool selector_holds(const struct sa_selector *s, const struct plan_packet *k)
{
	struct sa_selector of_packet = {
		.local = k->local,
		.remote = k->remote,
		.protocol = k->protocol,
		.local_port = { k->local_port, k->local_port },
		.remote_port = { k->remote_port, k->remote_port },
	};

	return selector_covers(s, &of_packet);
}

bool selector_negotiable(const struct plan_entry *e)
{
	return rule_mode_protects(e->rule->mode) && !e->rule->tunnel && e->rule->auth && e->rule->protection &&
	       e->rule->key_exchange;
}

/* ---- narrowing --------------------------------------------------------------------------------------------------- */

static bool ports_meet(struct port_range a, struct port_range b, struct port_range *ret)
{
	struct port_range both = { a.lo > b.lo ? a.lo : b.lo, a.hi < b.hi ? a.hi : b.hi };

	if (a.lo > a.hi || b.lo > b.hi || both.lo > both.hi) /* lo > hi: OPAQUE, no ports to speak of */
		return false;
	*ret = both;
	return true;
}

static struct port_range ports_of(const struct ike_ts *ts)
{
	return (struct port_range){ ts->port_lo, ts->port_hi };
}

/* What of `s` one pair of traffic selectors asks for. */
static bool meet(const struct sa_selector *s, const struct ike_ts *mine, const struct ike_ts *theirs,
		 struct sa_selector *ret)
{
	const uint8_t asked = mine->protocol ? mine->protocol : theirs->protocol;
	struct sa_selector both = *s;

	if ((mine->protocol && theirs->protocol && mine->protocol != theirs->protocol) ||
	    !addr_range_has(&mine->range, &s->local) || !addr_range_has(&theirs->range, &s->remote))
		return false;
	if (asked && s->protocol != PROTOCOL_ANY && s->protocol != asked)
		return false;
	if (asked)
		both.protocol = asked;
	if (!ports_meet(s->local_port, ports_of(mine), &both.local_port))
		return false;
	if (selector_is_icmp(both.protocol)) { /* both ends say type and code */
		both.remote_port = PORT_ANY;
		if (!ports_meet(both.local_port, ports_of(theirs), &both.local_port))
			return false;
	} else if (!ports_meet(s->remote_port, ports_of(theirs), &both.remote_port)) {
		return false;
	}
	*ret = both;
	return true;
}

static bool is_single(const struct ike_ts *ts, const struct addr *a)
{
	return ts->protocol && ts->port_lo == ts->port_hi && addr_equal(&ts->range.lo, a) &&
	       addr_equal(&ts->range.hi, a);
}

/* A peer that was woken by a packet may name it first, each end a single address and port (2.9). */
static bool packet_of(const struct asked *a, struct plan_packet *ret)
{
	const struct ike_ts *mine = &a->mine->at[0], *theirs = &a->theirs->at[0];

	if (a->mine->count < 2 || a->theirs->count < 2 || !is_single(mine, a->local) || !is_single(theirs, a->remote) ||
	    mine->protocol != theirs->protocol)
		return false;
	*ret = (struct plan_packet){
		.local = *a->local,
		.remote = *a->remote,
		.initiator = INITIATOR_EITHER,
		.protocol = mine->protocol,
		.local_port = mine->port_lo,
		.remote_port = selector_is_icmp(mine->protocol) ? 0 : theirs->port_lo,
	};
	return true;
}

/* The widest that the request has in common with `s`; if it names a packet, or there is a least, that holds it. */
static bool widest(const struct asked *a, const struct sa_selector *s, const struct plan_packet *packet,
		   struct sa_selector *ret)
{
	struct sa_selector one;
	bool found = false;

	for (size_t i = 0; i < a->mine->count; i++)
		for (size_t k = 0; k < a->theirs->count; k++) {
			if (!meet(s, &a->mine->at[i], &a->theirs->at[k], &one) ||
			    (packet && !selector_holds(&one, packet)) || (a->least && !selector_covers(&one, a->least)))
				continue;
			if (!found || selector_covers(&one, ret))
				*ret = one;
			found = true;
		}
	return found;
}

/* Is it one that the request names with exactly these bounds? */
static bool is_named(const struct asked *a, const struct sa_selector *s)
{
	struct ike_ts here = selector_ts(s, true), there = selector_ts(s, false);
	bool mine = false, theirs = false;

	for (size_t i = 0; i < a->mine->count; i++)
		mine |= covers(&a->mine->at[i], &here) && covers(&here, &a->mine->at[i]);
	for (size_t i = 0; i < a->theirs->count; i++)
		theirs |= covers(&a->theirs->at[i], &there) && covers(&there, &a->theirs->at[i]);
	return mine && theirs;
}

/* Does an entry before this one take all of it? Then no packet in it is this one's. */
static bool is_taken(const struct plan_list *list, size_t before, const struct sa_selector *s)
{
	for (size_t i = 0; i < before; i++) {
		struct sa_selector earlier = sa_selector_of(&list->entries[i], &s->local, &s->remote);

		if (list->entries[i].initiators == INITIATOR_EITHER && selector_covers(&earlier, s))
			return true;
	}
	return false;
}

/* Does the request also ask for what some other entry, or a second CHILD SA, would give it? */
static bool asks_more(const struct asked *a, const struct plan_list *list, const struct sa_selector *given)
{
	for (size_t i = 0; i < list->count; i++) {
		struct sa_selector whole = sa_selector_of(&list->entries[i], a->local, a->remote), one;

		if (!selector_negotiable(&list->entries[i]))
			continue;
		for (size_t m = 0; m < a->mine->count; m++)
			for (size_t t = 0; t < a->theirs->count; t++)
				if (meet(&whole, &a->mine->at[m], &a->theirs->at[t], &one) &&
				    !selector_covers(given, &one) && !is_taken(list, i, &one))
					return true;
	}
	return false;
}

bool selector_narrow(const struct plan *plan, const struct asked *a, struct narrowed *ret)
{
	struct plan_list list = plan_meet(plan, a->local, a->remote);
	struct plan_packet k;
	const struct plan_entry *packet = packet_of(a, &k) ? plan_lookup_protecting(plan, &k) : NULL;
	enum { NOTHING, PART, WHOLE } best = NOTHING;

	for (size_t i = 0; i < list.count; i++) {
		const struct plan_entry *e = &list.entries[i];
		struct sa_selector whole = sa_selector_of(e, a->local, a->remote), s;

		if (!selector_negotiable(e) || (a->rule && e->rule != a->rule) ||
		    !widest(a, &whole, e == packet ? &k : NULL, &s))
			continue;
		bool decides = e == packet || is_named(a, &whole), all = selector_same(&s, &whole);
		if (!decides && (all ? best == WHOLE : best != NOTHING || is_taken(&list, i, &s)))
			continue;
		*ret = (struct narrowed){ .entry = e, .whole = whole, .selector = s };
		best = all ? WHOLE : PART;
		if (decides)
			break;
	}
	if (best != NOTHING)
		ret->more = asks_more(a, &list, &ret->selector);
	return best != NOTHING;
}

/* ---- the answer to our own request ------------------------------------------------------------------------------- */

static const struct ike_ts *covering_all(const struct ike_ts_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		bool all = true;

		for (size_t k = 0; k < list->count; k++)
			all &= covers(&list->at[i], &list->at[k]);
		if (all)
			return &list->at[i];
	}
	return NULL;
}

bool selector_accept(const struct sa_selector *asked, const struct ike_ts_list *mine, const struct ike_ts_list *theirs,
		     struct sa_selector *ret)
{
	struct ike_ts here = selector_ts(asked, true), there = selector_ts(asked, false);
	const struct ike_ts *a = covering_all(mine), *b = covering_all(theirs);

	return a && b && covers(&here, a) && covers(&there, b) && a->protocol == b->protocol && meet(asked, a, b, ret);
}

const struct plan_entry *selector_find(const struct plan *plan, const struct sa_selector *s, const char *rule)
{
	struct plan_list list = plan_meet(plan, &s->local, &s->remote);

	for (size_t i = 0; i < list.count; i++) {
		const struct plan_entry *e = &list.entries[i];
		struct sa_selector here = sa_selector_of(e, &s->local, &s->remote);
		if (selector_negotiable(e) && selector_same(&here, s) && strcmp(e->rule->name, rule) == 0)
			return e;
	}
	return NULL;
}

static void port_text(char *buf, size_t cap, struct port_range p)
{
	if (!port_given(p))
		buf[0] = '\0';
	else if (p.lo == p.hi)
		(void)snprintf(buf, cap, ":%u", p.lo);
	else
		(void)snprintf(buf, cap, ":%u-%u", p.lo, p.hi);
}

const char *selector_text(const struct sa_selector *s, char buf[SELECTOR_TEXT])
{
	char local[ADDR_TEXT], remote[ADDR_TEXT], here[16], there[16], protocol[24] = "";

	port_text(here, sizeof here, s->local_port);
	port_text(there, sizeof there, s->remote_port);
	if (s->protocol == TCP || s->protocol == UDP)
		(void)snprintf(protocol, sizeof protocol, " %s", s->protocol == TCP ? "tcp" : "udp");
	else if (selector_is_icmp(s->protocol))
		(void)snprintf(protocol, sizeof protocol, " icmp");
	else if (s->protocol != PROTOCOL_ANY)
		(void)snprintf(protocol, sizeof protocol, " protocol %d", s->protocol);
	(void)snprintf(buf, SELECTOR_TEXT, "%s%s <-> %s%s%s", addr_text(&s->local, local), here,
		       addr_text(&s->remote, remote), there, protocol);
	return buf;
}
