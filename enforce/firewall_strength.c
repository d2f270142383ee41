/* What comes out of the TUN has come under an SA that satisfies the connection security rule of its traffic; it was
 * encrypted if that rule's set has nothing else. The same for what goes in. Where no rule of the firewall asks, none of
 * this is there. */
#include "enforce/firewall.h"
#include "enforce/shows.h"

#include "base/mem.h"
#include "base/scope.h"
#include "base/str.h"
#include "policy/reqid.h"

#include <netinet/in.h>
#include <stdlib.h>

static const struct {
	const char *name, *type;
	uint8_t number;
} families[FIREWALL_FAMILIES] = { { "ip", "ipv4_addr", 4 }, { "ip6", "ipv6_addr", 6 } };

bool firewall_asks_encryption(const struct firewall_rulings *f, unsigned direction)
{
	for (size_t i = 0; i < f->count; i++)
		if (f->rules[i].rule->secure == SECURE_ENCRYPTED && f->rules[i].rule->direction & direction)
			return true;
	return false;
}

static bool takes_all(const struct plan_entry *e, unsigned initiator)
{
	return e->protocol == PROTOCOL_ANY && !port_given(e->local_port) && !port_given(e->remote_port) &&
	       e->icmp_type < 0 && e->initiators & initiator;
}

/* Of a list: nothing of it is, all of it is, or it has to be looked at. */
enum strength { STRENGTH_NONE, STRENGTH_ALL, STRENGTH_SOME };

static enum strength strength_of(struct plan_list l, unsigned initiator)
{
	size_t yes = 0, no = 0;

	for (size_t i = 0; i < l.count; i++) {
		if (!(l.entries[i].initiators & initiator))
			continue;
		if (rule_always_encrypts(l.entries[i].rule))
			yes++;
		else
			no++;
		if (takes_all(&l.entries[i], initiator))
			return !yes ? STRENGTH_NONE : no ? STRENGTH_SOME : STRENGTH_ALL;
	}
	return yes ? STRENGTH_SOME : STRENGTH_NONE;
}

static unsigned initiator_of(const struct firewall_view *v)
{
	return v->direction == DIRECTION_IN ? INITIATOR_REMOTE : INITIATOR_LOCAL;
}

static void add_ports(struct str *out, const char *port, struct port_range p)
{
	if (port_given(p))
		str_addf(out, "th %s %u-%u ", port, p.lo, p.hi);
}

/* The first entry that matches decides, as everywhere. */
static void add_entry(struct ruleset *r, const struct firewall_view *v, const struct plan_entry *e)
{
	static const int with_ports[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, 33, IPPROTO_UDPLITE };
	bool ports = port_given(e->local_port) || port_given(e->remote_port);
	size_t n = e->protocol == PROTOCOL_ANY && ports ? ARRAY_LEN(with_ports) : 1;

	for (size_t i = 0; i < n; i++) {
		str_add(r->out, "\t\t");
		if (n > 1)
			str_addf(r->out, "meta l4proto %d ", with_ports[i]);
		else if (e->protocol != PROTOCOL_ANY)
			str_addf(r->out, "meta l4proto %d ", e->protocol);
		add_ports(r->out, v->port[SIDE_LOCAL], e->local_port);
		add_ports(r->out, v->port[SIDE_REMOTE], e->remote_port);
		if (e->icmp_type >= 0)
			str_addf(r->out, "%s type %d ", e->protocol == IPPROTO_ICMPV6 ? "icmpv6" : "icmp",
				 e->icmp_type);
		if (e->icmp_code >= 0)
			str_addf(r->out, "%s code %d ", e->protocol == IPPROTO_ICMPV6 ? "icmpv6" : "icmp",
				 e->icmp_code);
		if (rule_always_encrypts(e->rule))
			str_addf(r->out, "goto %s_encrypted\n", v->name);
		else
			str_add(r->out, "return\n");
	}
}

static void add_list(struct ruleset *r, const struct firewall_view *v, uint32_t number)
{
	struct plan_list l = plan_list(r->plan, number);

	str_addf(r->out, "\tchain %s_list_%u {\n", v->name, number);
	for (size_t i = 0; i < l.count; i++) {
		if (!(l.entries[i].initiators & initiator_of(v)))
			continue;
		add_entry(r, v, &l.entries[i]);
		if (takes_all(&l.entries[i], initiator_of(v)))
			break;
	}
	str_add(r->out, "\t}\n");
}

/* The regions of one local address in which something is encrypted. */
static void add_local(struct ruleset *r, const struct firewall_view *v, size_t local, const struct addr *self,
		      const enum strength *strengths)
{
	const struct plan_region *regions;
	size_t n = plan_regions(r->plan, local, &regions), added = 0;
	const char *family = families[self->family == 6].name;
	char range[ADDR_RANGE_TEXT];

	str_addf(r->out, "\tmap %s_regions_%zu {\n\t\ttype %s : verdict\n\t\tflags interval\n", v->name, local,
		 families[self->family == 6].type);
	for (size_t i = 0; i < n; i++) {
		if (regions[i].remote.lo.family != self->family || strengths[regions[i].list] == STRENGTH_NONE)
			continue;
		str_addf(r->out, "%s%s : goto ", added++ ? ",\n" : "\t\telements = {\n",
			 addr_range_text(&regions[i].remote, range));
		if (strengths[regions[i].list] == STRENGTH_ALL)
			str_addf(r->out, "%s_encrypted", v->name);
		else
			str_addf(r->out, "%s_list_%u", v->name, regions[i].list);
	}
	str_add(r->out, added ? "\n\t\t}\n\t}\n" : "\t}\n");
	str_addf(r->out, "\tchain %s_local_%zu {\n\t\t%s %s vmap @%s_regions_%zu\n\t}\n", v->name, local, family,
		 v->address[SIDE_REMOTE], v->name, local);
}

static void add_locals(struct ruleset *r, const struct firewall_view *v, const struct addr *own, size_t n)
{
	char text[ADDR_TEXT];

	for (size_t f = 0; f < FIREWALL_FAMILIES; f++) {
		size_t added = 0;

		str_addf(r->out, "\tmap %s_locals_%s {\n\t\ttype %s : verdict\n", v->name, families[f].name,
			 families[f].type);
		for (size_t i = 0; i < n; i++)
			if (own[i].family == families[f].number)
				str_addf(r->out, "%s%s : goto %s_local_%zu", added++ ? ",\n" : "\t\telements = {\n",
					 addr_text(&own[i], text), v->name, i);
		str_add(r->out, added ? "\n\t\t}\n\t}\n" : "\t}\n");
	}
}

void firewall_strength(struct ruleset *r, const struct firewall_view *v)
{
	const struct gate_config *c = r->config;
	const struct addr *own;
	size_t n = plan_locals(r->plan, &own), lists = plan_lists(r->plan);
	enum strength *strengths = mem_new(lists + 1, sizeof *strengths);

	str_addf(r->out, "\tchain %s_encrypted {\n\t\tmeta mark set meta mark & 0x%08x | 0x%08x\n\t}\n", v->name,
		 ~c->mark_way, ruleset_way_mark(c, (enum ruleset_way)WAY_ENCRYPTED));
	for (uint32_t i = 0; i < lists; i++)
		if ((strengths[i] = strength_of(plan_list(r->plan, i), initiator_of(v))) == STRENGTH_SOME)
			add_list(r, v, i);
	for (size_t i = 0; i < n; i++)
		add_local(r, v, i, &own[i], strengths);
	add_locals(r, v, own, n);
	str_addf(r->out, "\tchain %s_strength {\n", v->name);
	if (v->arriving)
		str_addf(r->out, "\t\tiifname != \"%s\" return\n", c->tun);
	else
		str_addf(r->out, "\t\tmeta mark & 0x%08x != 0x%08x return\n", c->mark_mask, c->mark_protect);
	for (size_t f = 0; f < FIREWALL_FAMILIES; f++)
		str_addf(r->out, "\t\t%s %s vmap @%s_locals_%s\n", families[f].name, v->address[SIDE_LOCAL], v->name,
			 families[f].name);
	str_add(r->out, "\t}\n");
	free(strengths);
}
