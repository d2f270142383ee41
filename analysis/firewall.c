#include "analysis/firewall.h"

static bool in_range(struct port_range r, uint16_t port)
{
	return r.lo <= port && port <= r.hi;
}

static bool service_fits(const struct service *s, const struct firewall_case *c)
{
	return (s->protocol == PROTOCOL_ANY || s->protocol == c->protocol) && in_range(s->port1, c->local_port) &&
	       in_range(s->port2, c->remote_port) && (s->icmp_type < 0 || s->icmp_type == c->icmp_type) &&
	       (s->icmp_code < 0 || s->icmp_code == c->icmp_code);
}

static bool speaks_of(const struct policy *p, const struct firewall_rule *r, const struct firewall_case *c)
{
	if (!(r->direction & c->direction))
		return false;
	if (r->local.count && !end_has(p, &r->local, &c->local, &c->local, NULL))
		return false;
	if (r->remote.count && !end_has(p, &r->remote, &c->remote, &c->local, NULL))
		return false;
	if (!r->service_count)
		return true;
	for (size_t i = 0; i < r->service_count; i++)
		if (service_fits(&r->services[i], c))
			return true;
	return false;
}

/* Was the traffic protected as `secure` asks? */
static bool secured_enough(const struct firewall_rule *r, const struct firewall_case *c)
{
	switch (r->secure) {
	case SECURE_NOT_ASKED:
		return true;
	case SECURE_AUTHENTICATED:
	case SECURE_NO_ENCAPSULATION:
	case SECURE_ENCRYPTED_ON_DEMAND: /* for what is negotiated, see policy/load_asks.c */
		return c->arrived == OUTCOME_AUTHENTICATED || c->arrived == OUTCOME_ENCRYPTED;
	case SECURE_ENCRYPTED:
		return c->arrived == OUTCOME_ENCRYPTED;
	}
	return false;
}

/* Without a security association nobody knows who the peer is, so a rule that names machines cannot match. */
static bool machine_fits(const struct firewall_rule *r, const struct firewall_case *c)
{
	if (!r->allow_count && !r->except_count)
		return true;
	if (c->arrived == OUTCOME_CLEAR)
		return false;
	if (r->allow_count && !groups_have(r->machines_allow, r->allow_count, c->remote.host))
		return false;
	return !groups_have(r->machines_except, r->except_count, c->remote.host);
}

/* A section that names one of a host's addresses rules the host, not that address alone. */
static bool rules_host(const struct policy *p, const struct firewall *f, const struct ends_who *who)
{
	bool ruled = !f->hosts.count || end_has(p, &f->hosts, who, who, NULL);

	for (size_t i = 0; !ruled && who->host && i < who->host->address_count; i++) {
		struct ends_who one = ends_who(p, &who->host->addresses[i].addr);

		ruled = end_has(p, &f->hosts, &one, &one, NULL);
	}
	return ruled;
}

struct firewall_answer firewall_judge(const struct policy *p, const struct firewall_case *c)
{
	static const enum firewall_action order[] = { FIREWALL_BYPASS, FIREWALL_BLOCK, FIREWALL_ALLOW };
	struct firewall_answer a = { 0 };
	const struct firewall_rule *first[3] = { 0 };
	const struct firewall *sections;
	size_t n = policy_firewalls(p, &sections);
	bool default_block = false;

	for (size_t i = 0; i < n; i++) {
		const struct firewall *f = &sections[i];

		if (!rules_host(p, f, &c->local))
			continue;
		a.ruled = true;
		default_block |= (c->direction == DIRECTION_IN ? f->inbound : f->outbound) == FIREWALL_BLOCK;
		for (size_t k = 0; k < f->count; k++) {
			const struct firewall_rule *r = &f->rules[k];

			if (first[r->action] || !speaks_of(p, r, c))
				continue;
			if (secured_enough(r, c) && machine_fits(r, c)) {
				first[r->action] = r;
			} else if (r->action != FIREWALL_BLOCK && !a.missed) {
				a.missed = r;
				a.missed_for_machine = secured_enough(r, c);
			}
		}
	}
	if (!a.ruled)
		return a;
	for (size_t i = 0; i < 3 && !a.rule; i++)
		a.rule = first[order[i]];
	a.blocked = a.rule ? a.rule->action == FIREWALL_BLOCK : default_block;
	if (a.rule && a.rule->action == FIREWALL_BYPASS)
		a.overridden = first[FIREWALL_BLOCK];
	return a;
}
