/* keying/selector.c - which traffic a CHILD SA is for: plan entries as traffic selectors, narrowing (RFC 7296 2.9). */
#include "keying/selector.h"
#include <stdio.h>
#include <string.h>

enum { ICMP = 1, TCP = 6, UDP = 17, ICMPV6 = 58 };

static bool is_icmp(int16_t protocol)
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

struct sa_selector selector_of_entry(const struct plan_entry *e, const struct addr *local, const struct addr *remote)
{
	struct sa_selector s = { *local, *remote, e->protocol, e->local_port, e->remote_port };

	if (is_icmp(e->protocol) && e->icmp_type >= 0) { /* type and code stand in the local port (3.13.1) */
		unsigned type = (unsigned)e->icmp_type << 8;
		s.local_port.lo = (uint16_t)(type | (e->icmp_code < 0 ? 0u : (unsigned)e->icmp_code));
		s.local_port.hi = (uint16_t)(type | (e->icmp_code < 0 ? 255u : (unsigned)e->icmp_code));
		s.remote_port = PORT_ANY;
	}
	return s;
}

struct ike_ts selector_ts(const struct sa_selector *s, bool local)
{
	const struct addr *a = local ? &s->local : &s->remote;
	/* Type and code belong to neither end: both say them. */
	struct port_range p = local || is_icmp(s->protocol) ? s->local_port : s->remote_port;

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

static bool some_covers(const struct ike_ts_list *list, const struct ike_ts *narrow)
{
	for (size_t i = 0; i < list->count; i++)
		if (covers(&list->at[i], narrow))
			return true;
	return false;
}

static bool some_equals(const struct ike_ts_list *list, const struct ike_ts *ts)
{
	for (size_t i = 0; i < list->count; i++)
		if (covers(&list->at[i], ts) && covers(ts, &list->at[i]))
			return true;
	return false;
}

bool selector_negotiable(const struct plan_entry *e)
{
	return rule_mode_protects(e->rule->mode) && !e->rule->tunnel && e->rule->auth && e->rule->protection &&
	       e->rule->key_exchange;
}

/* A peer that was woken by a packet may name it first, each end a single address and port (2.9). */
static const struct plan_entry *of_packet(const struct plan *plan, const struct addr *local, const struct addr *remote,
					  const struct ike_ts *mine, const struct ike_ts *theirs)
{
	struct plan_packet k = {
		.local = *local,
		.remote = *remote,
		.initiator = INITIATOR_EITHER,
		.protocol = mine->protocol,
		.local_port = mine->port_lo,
		.remote_port = theirs->port_lo,
	};

	if (mine->protocol == 0 || mine->protocol != theirs->protocol || mine->port_lo != mine->port_hi ||
	    theirs->port_lo != theirs->port_hi || !addr_equal(&mine->range.lo, local) ||
	    !addr_equal(&mine->range.hi, local) || !addr_equal(&theirs->range.lo, remote) ||
	    !addr_equal(&theirs->range.hi, remote))
		return NULL;
	if (is_icmp(k.protocol))
		k.remote_port = 0;
	return plan_lookup_protecting(plan, &k);
}

const struct plan_entry *selector_narrow(const struct plan *plan, const struct addr *local, const struct addr *remote,
					 const struct ike_ts_list *mine, const struct ike_ts_list *theirs)
{
	struct plan_list list = plan_meet(plan, local, remote);
	const struct plan_entry *first = NULL, *packet = NULL;

	if (mine->count > 1 && theirs->count > 1)
		packet = of_packet(plan, local, remote, &mine->at[0], &theirs->at[0]);
	for (size_t i = 0; i < list.count; i++) {
		const struct plan_entry *e = &list.entries[i];
		struct sa_selector s = selector_of_entry(e, local, remote);
		struct ike_ts here = selector_ts(&s, true), there = selector_ts(&s, false);

		if (!selector_negotiable(e) || !some_covers(mine, &here) || !some_covers(theirs, &there))
			continue;
		if (e == packet || (some_equals(mine, &here) && some_equals(theirs, &there)))
			return e;
		if (!first)
			first = e;
	}
	return first;
}

bool selector_accept(const struct sa_selector *asked, const struct ike_ts_list *mine, const struct ike_ts_list *theirs,
		     struct sa_selector *ret)
{
	struct ike_ts here = selector_ts(asked, true), there = selector_ts(asked, false);

	if (mine->count != 1 || theirs->count != 1 || !covers(&here, &mine->at[0]) || !covers(&there, &theirs->at[0]) ||
	    mine->at[0].protocol != theirs->at[0].protocol || mine->at[0].port_lo > mine->at[0].port_hi ||
	    theirs->at[0].port_lo > theirs->at[0].port_hi)
		return false;
	*ret = *asked;
	if (mine->at[0].protocol)
		ret->protocol = mine->at[0].protocol;
	ret->local_port = (struct port_range){ mine->at[0].port_lo, mine->at[0].port_hi };
	if (!is_icmp(ret->protocol))
		ret->remote_port = (struct port_range){ theirs->at[0].port_lo, theirs->at[0].port_hi };
	return true;
}

const struct plan_entry *selector_find(const struct plan *plan, const struct sa_selector *s, const char *rule)
{
	struct plan_list list = plan_meet(plan, &s->local, &s->remote);

	for (size_t i = 0; i < list.count; i++) {
		const struct plan_entry *e = &list.entries[i];
		struct sa_selector here = selector_of_entry(e, &s->local, &s->remote);
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
	else if (is_icmp(s->protocol))
		(void)snprintf(protocol, sizeof protocol, " icmp");
	else if (s->protocol != PROTOCOL_ANY)
		(void)snprintf(protocol, sizeof protocol, " protocol %d", s->protocol);
	(void)snprintf(buf, SELECTOR_TEXT, "%s%s <-> %s%s%s", addr_text(&s->local, local), here,
		       addr_text(&s->remote, remote), there, protocol);
	return buf;
}
