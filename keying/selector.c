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
	       addr_equal(&a->remote, &b->remote) && addr_equal(&a->local_last, &b->local_last) &&
	       addr_equal(&a->remote_last, &b->remote_last);
}

struct ike_ts selector_ts(const struct sa_selector *s, bool local)
{
	/* Type and code belong to neither end: both say them. */
	struct port_range p = local || selector_is_icmp(s->protocol) ? s->local_port : s->remote_port;

	return (struct ike_ts){
		.protocol = (uint8_t)(s->protocol == PROTOCOL_ANY ? 0 : s->protocol),
		.port_lo = p.lo,
		.port_hi = p.hi,
		.range = local ? sa_selector_locals(s) : sa_selector_remotes(s),
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

static bool range_covers(struct addr_range wide, struct addr_range narrow)
{
	return addr_range_has(&wide, &narrow.lo) && addr_range_has(&wide, &narrow.hi);
}

bool selector_covers(const struct sa_selector *wide, const struct sa_selector *narrow)
{
	return range_covers(sa_selector_locals(wide), sa_selector_locals(narrow)) &&
	       range_covers(sa_selector_remotes(wide), sa_selector_remotes(narrow)) &&
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
	return rule_mode_protects(e->rule->mode) && e->rule->auth && e->rule->protection && e->rule->key_exchange;
}

/* ---- what two addresses can negotiate about ---------------------------------------------------------------------- */

static bool ends_at(const struct plan_tunnel *t, const struct addr *local, const struct addr *remote)
{
	return (!t->local.family || addr_equal(&t->local, local)) &&
	       (!t->remote.family || addr_equal(&t->remote, remote));
}

/* Does the tunnel go between these two? An end that is any stands for each machine on that side. */
static bool tunnel_joins(const struct plan_tunnel *t, const struct addr *local, const struct addr *remote)
{
	struct addr_range here = { *local, *local }, there = { *remote, *remote }, one;
	const struct plan_entry *e = &t->entry;
	bool in_here = t->local.family, in_there = t->remote.family;

	for (size_t i = 0; !in_here && plan_tunnel_element(e, true, i, &one); i++)
		in_here = range_covers(one, here);
	for (size_t i = 0; !in_there && plan_tunnel_element(e, false, i, &one); i++)
		in_there = range_covers(one, there);
	return in_here && in_there && ends_at(t, local, remote);
}

/* The next pair of elements of a tunnel; each machine that is its own end has but itself. */
static bool next_pair(struct selector_walk *w, const struct plan_tunnel *t, struct addr_range *near,
		      struct addr_range *far)
{
	for (; plan_tunnel_element(&t->entry, true, w->near, near); w->near++, w->far = 0) {
		if (!t->local.family && w->near > 0)
			return false;
		while (plan_tunnel_element(&t->entry, false, w->far, far)) {
			if (!t->remote.family && w->far > 0)
				break;
			w->far++;
			if (!t->local.family)
				near->lo = near->hi = *w->local;
			if (!t->remote.family)
				far->lo = far->hi = *w->remote;
			if (near->lo.family == far->lo.family)
				return true;
		}
	}
	return false;
}

bool selector_next(struct selector_walk *w, struct candidate *ret)
{
	struct plan_list list = plan_meet(w->plan, w->local, w->remote);
	const struct plan_tunnel *tunnels;
	size_t n = plan_tunnels(w->plan, &tunnels);
	struct addr_range near, far;

	while (w->entry < list.count) {
		const struct plan_entry *e = &list.entries[w->entry++];

		if (!selector_negotiable(e) || e->rule->tunnel)
			continue;
		*ret = (struct candidate){ e, sa_selector_of(e, w->local, w->remote), w->entry - 1 };
		return true;
	}
	for (; w->tunnel < n; w->tunnel++, w->near = w->far = 0) {
		const struct plan_tunnel *t = &tunnels[w->tunnel];

		if (!selector_negotiable(&t->entry) || !tunnel_joins(t, w->local, w->remote) ||
		    !next_pair(w, t, &near, &far))
			continue;
		ret->entry = &t->entry;
		ret->whole = (struct sa_selector){ .protocol = PROTOCOL_ANY,
						   .local_port = PORT_ANY,
						   .remote_port = PORT_ANY };
		ret->place = 0;
		sa_selector_set_ranges(&ret->whole, &near, &far);
		return true;
	}
	return false;
}

bool selector_any(const struct plan *plan, const struct addr *local, const struct addr *remote, struct candidate *ret)
{
	struct selector_walk w = { .plan = plan, .local = local, .remote = remote };

	return selector_next(&w, ret);
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

static bool ranges_meet(struct addr_range a, struct addr_range b, struct addr_range *ret)
{
	if (!addr_range_overlap(&a, &b))
		return false;
	ret->lo = addr_compare(&a.lo, &b.lo) > 0 ? a.lo : b.lo;
	ret->hi = addr_compare(&a.hi, &b.hi) < 0 ? a.hi : b.hi;
	return true;
}

/* What of `s` one pair of traffic selectors asks for. */
static bool meet(const struct sa_selector *s, const struct ike_ts *mine, const struct ike_ts *theirs,
		 struct sa_selector *ret)
{
	const uint8_t asked = mine->protocol ? mine->protocol : theirs->protocol;
	struct sa_selector both = *s;
	struct addr_range local, remote;

	if ((mine->protocol && theirs->protocol && mine->protocol != theirs->protocol) ||
	    !ranges_meet(mine->range, sa_selector_locals(s), &local) ||
	    !ranges_meet(theirs->range, sa_selector_remotes(s), &remote))
		return false;
	sa_selector_set_ranges(&both, &local, &remote);
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

static bool is_single(const struct ike_ts *ts)
{
	return ts->protocol && ts->port_lo == ts->port_hi && addr_equal(&ts->range.lo, &ts->range.hi);
}

/* A peer that was woken by a packet may name it first, each end a single address and port (2.9). */
static bool packet_of(const struct asked *a, struct plan_packet *ret)
{
	const struct ike_ts *mine = &a->mine->at[0], *theirs = &a->theirs->at[0];

	if (a->mine->count < 2 || a->theirs->count < 2 || !is_single(mine) || !is_single(theirs) ||
	    mine->protocol != theirs->protocol)
		return false;
	*ret = (struct plan_packet){
		.local = mine->range.lo,
		.remote = theirs->range.lo,
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

/* Does an entry before this one take all of it? Then no packet in it is this one's. Of tunnels each packet tells. */
static bool is_taken(const struct asked *a, const struct candidate *c, const struct sa_selector *s)
{
	struct plan_list list = plan_meet(a->plan, a->local, a->remote);

	for (size_t i = 0; !c->entry->rule->tunnel && i < c->place; i++) {
		struct sa_selector earlier = sa_selector_of(&list.entries[i], a->local, a->remote);

		if (list.entries[i].initiators == INITIATOR_EITHER && selector_covers(&earlier, s))
			return true;
	}
	return false;
}

/* Does the request also ask for what some other entry, or a second CHILD SA, would give it? */
static bool asks_more(const struct asked *a, const struct sa_selector *given)
{
	struct selector_walk w = { .plan = a->plan, .local = a->local, .remote = a->remote };
	struct sa_selector one;
	struct candidate c;

	while (selector_next(&w, &c))
		for (size_t m = 0; m < a->mine->count; m++)
			for (size_t t = 0; t < a->theirs->count; t++)
				if (meet(&c.whole, &a->mine->at[m], &a->theirs->at[t], &one) &&
				    !selector_covers(given, &one) && !is_taken(a, &c, &one))
					return true;
	return false;
}

/* Is it the entry that the packet met? */
static bool is_of_packet(const struct plan_entry *e, const struct plan_entry *packet)
{
	return packet && (e == packet ||
			  (e->rule->tunnel && e->rule == packet->rule && e->local_is_end1 == packet->local_is_end1));
}

/* Of two tunnels the one between fewer addresses is the more specific; other entries come in the order of their rank.
 */
static bool is_smaller(const struct candidate *c, const struct narrowed *best)
{
	struct addr_range ranges[] = { sa_selector_locals(&c->whole), sa_selector_remotes(&c->whole),
				       sa_selector_locals(&best->whole), sa_selector_remotes(&best->whole) };
	addr_count n[ARRAY_LEN(ranges)];

	for (size_t i = 0; i < ARRAY_LEN(ranges); i++)
		n[i] = addr_range_count(&ranges[i]);
	addr_count small = n[0] < n[1] ? n[0] : n[1], large = n[0] < n[1] ? n[1] : n[0];
	addr_count its_small = n[2] < n[3] ? n[2] : n[3], its_large = n[2] < n[3] ? n[3] : n[2];
	return c->entry->rule->tunnel && (small < its_small || (small == its_small && large < its_large));
}

static bool narrow(const struct asked *a, bool tunnel, struct narrowed *ret)
{
	struct selector_walk w = { .plan = a->plan, .local = a->local, .remote = a->remote };
	struct plan_packet k;
	const struct plan_entry *packet = packet_of(a, &k) ? plan_lookup_protecting(a->plan, &k) : NULL;
	enum { NOTHING, PART, WHOLE } best = NOTHING, this;
	struct sa_selector s;
	struct candidate c;

	while (selector_next(&w, &c)) {
		bool named = is_of_packet(c.entry, packet);

		if (c.entry->rule->tunnel != tunnel || (a->rule && c.entry->rule != a->rule) ||
		    !widest(a, &c.whole, named ? &k : NULL, &s))
			continue;
		this = selector_same(&s, &c.whole) ? WHOLE : PART;
		named |= is_named(a, &c.whole);
		if (!named &&
		    (this < best || (this == best && !is_smaller(&c, ret)) || (this == PART && is_taken(a, &c, &s))))
			continue;
		*ret = (struct narrowed){ .entry = c.entry, .whole = c.whole, .selector = s };
		best = this;
		if (named)
			break;
	}
	if (best != NOTHING)
		ret->more = asks_more(a, &ret->selector);
	return best != NOTHING;
}

bool selector_narrow(const struct asked *a, struct narrowed *ret)
{
	return narrow(a, a->tunnel, ret) || narrow(a, !a->tunnel, ret);
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

/* near and far: the hosts that it must be between; NULL: whoever they are. */
static const struct plan_entry *find(const struct plan *plan, const struct sa_selector *s, const char *rule,
				     const struct addr *near, const struct addr *far)
{
	struct plan_list list = plan_meet(plan, &s->local, &s->remote);
	const struct plan_tunnel *tunnels;
	size_t n = plan_tunnels(plan, &tunnels);

	for (size_t i = 0; i < list.count; i++) {
		const struct plan_entry *e = &list.entries[i];
		struct sa_selector here = sa_selector_of(e, &s->local, &s->remote);
		if (selector_negotiable(e) && !e->rule->tunnel && selector_same(&here, s) &&
		    strcmp(e->rule->name, rule) == 0)
			return e;
	}
	for (size_t i = 0; i < n; i++) {
		const struct plan_entry *e = &tunnels[i].entry;
		struct addr_range local = sa_selector_locals(s), remote = sa_selector_remotes(s);
		if (selector_negotiable(e) && strcmp(e->rule->name, rule) == 0 && plan_tunnel_has(e, &local, &remote) &&
		    (!near || ends_at(&tunnels[i], near, far)))
			return e;
	}
	return NULL;
}

const struct plan_entry *selector_find(const struct plan *plan, const struct sa_selector *s, const char *rule)
{
	return find(plan, s, rule, NULL, NULL);
}

const struct plan_entry *selector_find_again(const struct plan *plan, const struct sa_selector *s, const char *rule,
					     const struct addr *local, const struct addr *remote)
{
	return find(plan, s, rule, local, remote);
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
	const struct addr_range locals = sa_selector_locals(s), remotes = sa_selector_remotes(s);
	char local[ADDR_RANGE_TEXT], remote[ADDR_RANGE_TEXT], here[16], there[16], protocol[24] = "";

	port_text(here, sizeof here, s->local_port);
	port_text(there, sizeof there, s->remote_port);
	if (s->protocol == TCP || s->protocol == UDP)
		(void)snprintf(protocol, sizeof protocol, " %s", s->protocol == TCP ? "tcp" : "udp");
	else if (selector_is_icmp(s->protocol))
		(void)snprintf(protocol, sizeof protocol, " icmp");
	else if (s->protocol != PROTOCOL_ANY)
		(void)snprintf(protocol, sizeof protocol, " protocol %d", s->protocol);
	(void)snprintf(buf, SELECTOR_TEXT, "%s%s <-> %s%s%s", addr_range_text(&locals, local), here,
		       addr_range_text(&remotes, remote), there, protocol);
	return buf;
}
