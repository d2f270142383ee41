/* Where a firewall rule asks for encryption, the entry of a connection security rule that leaves it open is preceded by
 * its stand-in, for the services that both speak of. Both ends of a packet come to the same: of the firewall's rule
 * only the addresses and ports count, at the ruled end as at the other; not its profiles, interface or program, which
 * one end alone knows. */
#include "policy/compile/compile.h"
#include "policy/number.h"

static bool set_has(const struct address_set *s, const struct addr *a)
{
	for (size_t i = 0; i < s->count; i++)
		if (addr_range_has(&s->elements[i], a))
			return true;
	return false;
}

/* self and local-subnet are those of the ruled host, which only it can tell apart: elsewhere they are everything. */
static bool end_has(const struct compiler *c, const struct end *e, const struct addr *a, bool ruled)
{
	for (size_t i = 0; i < e->count; i++) {
		const struct end_item *item = &e->items[i];
		bool own = !item->set && (item->keyword == KEYWORD_SELF || item->keyword == KEYWORD_LOCAL_SUBNET);

		if ((!item->set && item->keyword == KEYWORD_ANY) || (own && !ruled) ||
		    set_has(compiler_item_set(c, item), a))
			return true;
	}
	return e->count == 0;
}

/* A section that names one of a host's addresses rules the host: ours are known, another's as the policy has them. */
static bool host_has(const struct compiler *c, const struct end *hosts, const struct addr *a, bool ruled)
{
	const struct host *h = ruled ? NULL : policy_host_by_address(c->p, a);
	bool has = end_has(c, hosts, a, ruled);

	for (size_t i = 0; !has && ruled && i < c->plan->local_count; i++)
		has = end_has(c, hosts, &c->plan->locals[i], true);
	for (size_t i = 0; !has && h && i < h->address_count; i++)
		has = end_has(c, hosts, &h->addresses[i].addr, false);
	return has;
}

static bool ruled_has(const struct compiler *c, const struct encryption_ask *k, const struct addr *a, bool ruled)
{
	return host_has(c, &k->section->hosts, a, ruled) && end_has(c, &k->rule->local, a, ruled);
}

static void add_border(struct compiler *c, const struct addr_range *r)
{
	if (r->lo.family != c->family)
		return;
	c->borders = mem_grow(c->borders, c->border_count, &c->border_cap, sizeof *c->borders);
	c->borders[c->border_count++] = *r;
}

static void mark_end(struct compiler *c, const struct end *e)
{
	for (size_t i = 0; i < e->count; i++) {
		const struct address_set *set = compiler_item_set(c, &e->items[i]);

		for (size_t k = 0; k < set->count; k++)
			add_border(c, &set->elements[k]);
	}
}

/* The addresses of hosts that the section may rule by another one. */
static void mark_hosts(struct compiler *c, const struct end *hosts)
{
	mark_end(c, hosts);
	for (size_t i = 0; i < c->p->host_count; i++) {
		const struct host *h = &c->p->hosts[i];

		for (size_t k = 0; h->address_count > 1 && k < h->address_count; k++)
			add_border(c, &(struct addr_range){ h->addresses[k].addr, h->addresses[k].addr });
	}
}

void compiler_find_asks(struct compiler *c)
{
	c->ask_count = c->border_count = 0;
	for (size_t i = 0; i < c->p->ask_count; i++) {
		const struct encryption_ask *k = &c->p->asks[i];
		bool ours = ruled_has(c, k, &c->local, true), theirs = end_has(c, &k->rule->remote, &c->local, false);

		if (!ours && !theirs)
			continue;
		c->asks = mem_grow(c->asks, c->ask_count, &c->ask_cap, sizeof *c->asks);
		c->asks[c->ask_count++] = (struct asked){ k, ours, theirs };
		if (ours)
			mark_end(c, &k->rule->remote);
		if (theirs) {
			mark_hosts(c, &k->section->hosts);
			mark_end(c, &k->rule->local);
		}
	}
}

static bool meet_ports(struct port_range *p, struct port_range q)
{
	p->lo = p->lo > q.lo ? p->lo : q.lo;
	p->hi = p->hi < q.hi ? p->hi : q.hi;
	return p->lo <= p->hi;
}

static bool meet_number(int16_t *a, int16_t b)
{
	if (*a >= 0 && b >= 0 && *a != b)
		return false;
	*a = *a >= 0 ? *a : b;
	return true;
}

/* One port here and another one there: only chance brings such a packet, and all pairs of rules would have an entry for
 * it. It follows the rule as written. */
static bool by_chance(const struct plan_entry *e, struct port_range local, struct port_range remote)
{
	bool here = port_given(e->local_port), there = port_given(e->remote_port);

	return here != there && port_given(local) == there && port_given(remote) == here;
}

/* What of `e` the service speaks of; ours: its port 1 is on this side. */
static bool meet_service(struct plan_entry *e, const struct service *s, bool ours)
{
	struct port_range local = ours ? s->port1 : s->port2, remote = ours ? s->port2 : s->port1;

	return !by_chance(e, local, remote) && meet_number(&e->protocol, s->protocol) &&
	       meet_number(&e->icmp_type, s->icmp_type) && meet_number(&e->icmp_code, s->icmp_code) &&
	       meet_ports(&e->local_port, local) && meet_ports(&e->remote_port, remote);
}

static bool same_match(const struct plan_entry *a, const struct plan_entry *b)
{
	return a->protocol == b->protocol && a->icmp_type == b->icmp_type && a->icmp_code == b->icmp_code &&
	       a->local_port.lo == b->local_port.lo && a->local_port.hi == b->local_port.hi &&
	       a->remote_port.lo == b->remote_port.lo && a->remote_port.hi == b->remote_port.hi;
}

static void add_entry(struct compiler *c, const struct plan_entry *e)
{
	c->split = mem_grow(c->split, c->split_count, &c->split_cap, sizeof *c->split);
	c->split[c->split_count++] = *e;
}

/* Entries for what `ask` asks of `e`; true: that is all of it. */
static bool add_asked(struct compiler *c, const struct encryption_ask *ask, bool ours, const struct plan_entry *e)
{
	static const struct service anything = { PROTOCOL_ANY, PORT_ANY, PORT_ANY, -1, -1 };
	const struct rule *in_place = ask->first ? e->rule->encrypted_first : e->rule->encrypted;
	size_t n = ask->rule->service_count;

	for (size_t i = 0; in_place && i < (n ? n : 1); i++) {
		struct plan_entry met = *e;

		met.rule = in_place;
		if (!meet_service(&met, n ? &ask->rule->services[i] : &anything, ours))
			continue;
		add_entry(c, &met);
		if (same_match(&met, e))
			return true;
	}
	return false;
}

static void swap_lists(struct compiler *c)
{
	struct plan_entry *list = c->list;
	size_t cap = c->list_cap;

	c->list = c->split;
	c->list_count = c->split_count;
	c->list_cap = c->split_cap;
	c->split = list;
	c->split_cap = cap;
}

void compiler_ask(struct compiler *c, addr_count at)
{
	struct addr remote = number_addr(c->family, at);

	if (c->ask_count == 0)
		return;
	c->split_count = 0;
	for (size_t i = 0; i < c->list_count; i++) {
		const struct plan_entry *e = &c->list[i];
		bool whole = false;

		for (size_t k = 0; !whole && k < c->ask_count; k++) {
			const struct asked *a = &c->asks[k];

			if (a->ours && end_has(c, &a->ask->rule->remote, &remote, true))
				whole = add_asked(c, a->ask, true, e);
			if (!whole && a->theirs && ruled_has(c, a->ask, &remote, false))
				whole = add_asked(c, a->ask, false, e);
		}
		if (!whole || c->host->contests)
			add_entry(c, e);
	}
	swap_lists(c);
}
