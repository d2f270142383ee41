#include "analysis/firewall.h"

#include "base/scope.h"

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
	case SECURE_ENCRYPTED_ON_DEMAND: /* for what is negotiated, see policy/load/asks.c */
		return c->arrived == OUTCOME_AUTHENTICATED || c->arrived == OUTCOME_ENCRYPTED;
	case SECURE_ENCRYPTED:
		return c->arrived == OUTCOME_ENCRYPTED;
	}
	return false;
}

static enum belongs belong(const struct group *const *groups, size_t n, const struct firewall_case *c)
{
	return c->known ? groups_known(groups, n, c->known) : groups_belong(groups, n, c->remote.host, c->proof);
}

/* Without a security association nobody knows who the peer is, so a rule that names machines cannot match. What the
 * peer's proof does not tell opens nothing. */
static bool machine_fits(const struct firewall_rule *r, const struct firewall_case *c, enum firewall_miss *ret)
{
	enum belongs allowed, excepted;

	*ret = MISS_MEMBER;
	if (!r->allow_count && !r->except_count)
		return true;
	if (c->arrived == OUTCOME_CLEAR)
		return false;
	allowed = r->allow_count ? belong(r->machines_allow, r->allow_count, c) : BELONGS_YES;
	excepted = belong(r->machines_except, r->except_count, c);
	if (allowed != BELONGS_YES)
		*ret = allowed == BELONGS_MAYBE ? MISS_UNLEARNT : MISS_MEMBER;
	else if (excepted != BELONGS_NO)
		*ret = excepted == BELONGS_MAYBE ? MISS_UNLEARNT : MISS_EXCEPTED;
	return allowed == BELONGS_YES && excepted == BELONGS_NO;
}

bool firewall_rules_host(const struct policy *p, const struct firewall *f, const struct ends_who *who)
{
	bool ruled = !f->hosts.count || end_has(p, &f->hosts, who, who, NULL);

	for (size_t i = 0; !ruled && who->host && i < who->host->address_count; i++) {
		struct ends_who one = ends_who(p, &who->host->addresses[i].addr);

		ruled = end_has(p, &f->hosts, &one, &one, NULL);
	}
	return ruled;
}

/* What is found while rules are gone through: of each action the first that matches, and the first that may. */
struct found {
	const struct firewall_rule *first[3], *maybe[3];
	bool default_block;
};

static void go_through(const struct policy *p, const struct firewall *f, const struct firewall_case *c,
		       struct found *found, struct firewall_answer *a)
{
	for (size_t k = 0; k < f->count; k++) {
		const struct firewall_rule *r = &f->rules[k];
		enum firewall_miss miss = MISS_SECURE;
		enum belongs there;

		if (r == c->without || found->first[r->action] || !speaks_of(p, r, c) ||
		    (there = facts_fit(c->facts, r)) == BELONGS_NO)
			continue;
		if (secured_enough(r, c) && machine_fits(r, c, &miss)) {
			if (there == BELONGS_YES)
				found->first[r->action] = r;
			else if (!found->maybe[r->action])
				found->maybe[r->action] = r;
		} else if (r->action != FIREWALL_BLOCK && !a->missed) {
			a->missed = r;
			a->miss = miss;
		}
	}
}

static void decide(const struct found *f, struct firewall_answer *a)
{
	static const enum firewall_action order[] = { FIREWALL_BYPASS, FIREWALL_BLOCK, FIREWALL_ALLOW };
	bool blocked = f->default_block, lets_in = false;
	size_t end = ARRAY_LEN(order);

	for (size_t i = 0; i < end; i++) {
		if (!f->first[order[i]])
			continue;
		a->rule = f->first[order[i]];
		blocked = order[i] == FIREWALL_BLOCK;
		end = i;
	}
	for (size_t i = 0; i < end && !a->undecided; i++)
		if (f->maybe[order[i]] && (order[i] == FIREWALL_BLOCK) != blocked)
			a->undecided = f->maybe[order[i]];
	lets_in = a->undecided && a->undecided->action != FIREWALL_BLOCK;
	if (lets_in)
		a->rule = a->undecided;
	a->blocked = blocked && !lets_in;
	if (a->rule && a->rule->action == FIREWALL_BYPASS)
		a->overridden = f->first[FIREWALL_BLOCK];
}

struct firewall_answer firewall_judge(const struct policy *p, const struct firewall_case *c)
{
	struct firewall_answer a = { .proof = c->proof, .known = c->known };
	const struct firewall *sections;
	size_t n = policy_firewalls(p, &sections);
	struct found found = { 0 };

	for (size_t i = 0; i < n; i++) {
		const struct firewall *f = &sections[i];

		if (!firewall_rules_host(p, f, &c->local))
			continue;
		a.ruled = true;
		found.default_block |= (c->direction == DIRECTION_IN ? f->inbound : f->outbound) == FIREWALL_BLOCK;
		go_through(p, f, c, &found, &a);
	}
	if (a.ruled)
		decide(&found, &a);
	return a;
}
