#include "analysis/why.h"

#include "analysis/plans.h"
#include "analysis/tunnel.h"
#include "base/diag.h"

#include <stdlib.h>

enum {
	EPHEMERAL = 49152, /* the port that a client opens from */
	ICMP_ECHO = 8,
	ICMPV6_ECHO = 128,
	PROTOCOL_ICMP = 1,
	PROTOCOL_TCP = 6,
	PROTOCOL_UDP = 17,
	PROTOCOL_ICMPV6 = 58,
};

struct why {
	const struct policy *policy;
	struct plans *plans;
	struct addr *gateways; /* of tunnels */
	size_t gateway_count;
};

struct why *why_new(const struct policy *p, struct report *r)
{
	struct why *w = mem_new(1, sizeof *w);

	w->policy = p;
	w->plans = plans_new(p, r);
	w->gateways = tunnel_gateways(p, &w->gateway_count);
	return w;
}

void why_free(struct why *w)
{
	if (!w)
		return;
	plans_free(w->plans);
	free(w->gateways);
	free(w);
}

void why_profiles(struct why *w, unsigned profiles)
{
	plans_profiles(w->plans, profiles);
}

const struct policy *why_policy(const struct why *w)
{
	return w->policy;
}

const struct plan *why_plan(struct why *w, const struct ends_who *who)
{
	return plans_get(w->plans, who);
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

struct plan_packet why_packet(const struct why_point *k, unsigned side)
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
	struct plan_packet packet = why_packet(k, side);
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

static bool tunnels(const struct why_verdict *v, unsigned side)
{
	return v->sides[side].entry.rule && v->sides[side].entry.rule->tunnel;
}

enum outcome why_arrives_as(const struct why_verdict *v)
{
	return tunnels(v, 1) ? v->tunnel.meeting.verdict : v->meeting.verdict;
}

/* By what the peer of this side has proven itself. */
static const struct auth_method *proof_of(const struct why_verdict *v, unsigned side)
{
	const struct negotiation *n = tunnels(v, side) ? &v->tunnel.negotiation : &v->negotiation;

	return n->result == NEGOTIATE_AGREED ? n->proof[!side] : NULL;
}

int why_undecided(const struct why_verdict *v)
{
	for (int side = 0; side < 2 && v->verdict != OUTCOME_BLOCKED; side++)
		if (v->sides[side].firewall.undecided)
			return side;
	return -1;
}

/* known[side]: what that side knows of the other; NULL: what the policy says. */
static void judge_firewall(struct why *w, struct why_verdict *v, const struct known_groups *const known[2])
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
			.arrived = why_arrives_as(v),
			.proof = proof_of(v, side),
			.facts = &k->facts[side],
			.known = known[side],
		};
		struct firewall_answer *a = &v->sides[side].firewall;

		if (!v->sides[side].agent)
			continue; /* no Cordon there, so no section of ours rules it */
		*a = firewall_judge(w->policy, &c);
		if (!a->ruled)
			continue;
		if (a->rule)
			v->firewall = a->rule;
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
	const struct rule *a = v->sides[0].entry.rule, *b = v->sides[1].entry.rule, *r = a ? a : b;

	if (v->meeting.stopped_at >= 0)
		r = v->sides[v->meeting.stopped_at].entry.rule;
	return r ? rule_as_written(r) : NULL;
}

/* What the two machines make of it. A tunnel that one of them is the end of leaves nothing to do between the two. */
static void judge_machines(const struct why *w, struct why_verdict *v)
{
	enum stance stances[2];
	const struct rule *rules[2];

	for (unsigned side = 0; side < 2; side++) {
		stances[side] = tunnels(v, side) ? STANCE_NONE : v->sides[side].stance;
		rules[side] = tunnels(v, side) ? NULL : v->sides[side].entry.rule;
	}
	v->negotiation = negotiate(
		(const struct negotiate_end[2]){
			{ v->point.from.host, rules[0] },
			{ v->point.to.host, rules[1] },
		},
		policy_nat_traversal(w->policy));
	v->meeting = outcome_meet(stances[0], stances[1], &v->negotiation);
	v->verdict = v->meeting.verdict;
	v->guaranteed = v->meeting.guaranteed;
	v->sides[0].verdict = v->meeting.ends[0];
	v->sides[1].verdict = v->meeting.ends[1];
	v->rule = deciding_rule(v);
}

/* What two machines seal by ESP themselves may go beside the tunnel. */
static bool goes_beside(const struct why_verdict *v)
{
	return v->tunnel.rule && v->tunnel.rule->exempt_protected && v->meeting.verdict > OUTCOME_CLEAR &&
	       v->meeting.verdict < OUTCOME_BLOCKED && v->negotiation.suite->protocol == PROTO_ESP;
}

/* Both must let it through; of what protects it, between the machines or around that, the stronger counts. */
static void add_tunnel(struct why_verdict *v)
{
	const struct meeting *t = &v->tunnel.meeting;

	if (goes_beside(v))
		v->tunnel = (struct why_tunnel){ 0 };
	if (v->verdict == OUTCOME_BLOCKED || !v->tunnel.rule)
		return;
	for (unsigned side = 0; side < 2; side++)
		if (tunnels(v, side))
			v->sides[side].verdict = t->ends[side];
	if (t->verdict == OUTCOME_BLOCKED || t->verdict > v->verdict) {
		v->verdict = t->verdict;
		v->rule = v->tunnel.rule;
	} else if (v->verdict == OUTCOME_CLEAR) {
		v->rule = v->tunnel.rule;
	}
	if (t->verdict == OUTCOME_BLOCKED || t->guaranteed > v->guaranteed)
		v->guaranteed = t->guaranteed;
}

static int judge(struct why *w, const struct why_point *point, const struct known_groups *const known[2],
		 struct why_verdict *ret, struct diag *d)
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
	} else {
		for (unsigned side = 0; side < 2; side++)
			if ((r = judge_side(w, &v.point, side, &v.sides[side], d)) < 0)
				return r;
		judge_machines(w, &v);
		if ((w->gateway_count || tunnels(&v, 0) || tunnels(&v, 1)) &&
		    tunnel_judge(w, w->gateways, w->gateway_count, &v.point, v.sides, &v.tunnel))
			add_tunnel(&v);
		if (v.verdict != OUTCOME_BLOCKED)
			judge_firewall(w, &v, known);
	}
	*ret = v;
	return 0;
}

int why_judge(struct why *w, const struct why_point *point, struct why_verdict *ret, struct diag *d)
{
	return judge(w, point, (const struct known_groups *const[2]){ NULL, NULL }, ret, d);
}

int why_judge_knowing(struct why *w, const struct why_point *point, unsigned side, const struct known_groups *known,
		      struct why_verdict *ret, struct diag *d)
{
	return judge(w, point, (const struct known_groups *const[2]){ side ? NULL : known, side ? known : NULL }, ret,
		     d);
}
