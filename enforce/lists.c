/* From a list of the plan to the rule that wins, and what each mode does. A list whose first entry takes everything
 * needs no chain. The others have three views: connections that we opened, that they opened, and packets of no
 * connection (untracked or invalid), where an exemption that follows the connection's direction cannot apply and
 * everything that might be protected is taken for protected. */
#include "enforce/ruleset.h"
#include "enforce/shows.h"

#include "base/scope.h"
#include "base/str.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

enum { PROTOCOL_DCCP = 33 };
static const int with_ports[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, PROTOCOL_DCCP, IPPROTO_UDPLITE };

static bool takes_ports(int protocol)
{
	for (size_t i = 0; i < ARRAY_LEN(with_ports); i++)
		if (with_ports[i] == protocol)
			return true;
	return false;
}

static bool has_ports(const struct plan_entry *e)
{
	return port_given(e->local_port) || port_given(e->remote_port);
}

static bool takes_all(const struct plan_entry *e)
{
	return e->protocol == PROTOCOL_ANY && !has_ports(e) && e->icmp_type < 0 && e->initiators == INITIATOR_EITHER;
}

/* Stopping too much is safe, letting through is not. */
static bool holds_back(const struct plan_entry *e)
{
	return e->rule->mode != MODE_EXEMPT;
}

/* A stand-in before the rule itself says here what the rule says. */
static bool says_nothing(struct plan_list l, size_t i)
{
	const struct rule *base = l.entries[i].rule->base;

	while (base && ++i < l.count && l.entries[i].rule->base == base)
		;
	return base && i < l.count && l.entries[i].rule == base;
}

static void use(struct ruleset *r, const struct plan_entry *e)
{
	r->used[rule_as_written(e->rule)->index] = true;
}

bool ruleset_list_target(struct ruleset *r, uint32_t list, char *buf, size_t cap)
{
	struct plan_list l = plan_list(r->plan, list);

	if (l.count == 0)
		return false;
	if (takes_all(&l.entries[0]))
		snprintf(buf, cap, "goto rule_%u", rule_as_written(l.entries[0].rule)->index);
	else
		snprintf(buf, cap, "goto list_%u", list);
	return true;
}

static void add_ports(struct ruleset *r, const char *what, struct port_range p)
{
	if (!port_given(p))
		return;
	str_addf(r->out, " %s %u", what, p.lo);
	if (p.hi != p.lo)
		str_addf(r->out, "-%u", p.hi);
}

static void add_goto(struct ruleset *r, const struct plan_entry *e)
{
	str_addf(r->out, " goto rule_%u\n", rule_as_written(e->rule)->index);
}

/* An ICMP error about a connection that the entry's ports are asked of. It quotes a packet that went the other way;
 * where the quote's header has options, its ports are not where we look: then whatever holds back is taken to match. */
static void add_quoted(struct ruleset *r, const char *tuple, int protocol, const struct plan_entry *e)
{
	static const struct {
		int icmp;
		const char *types, *source, *target, *plain, *unclear;
	} rows[] = {
		/* offsets in bits behind the ICMP header's 8 octets, into the quoted IP header of 20 or 40 */
		{ IPPROTO_ICMP, "icmp type @errors_ip", "@th,224,16", "@th,240,16", "@th,64,8 0x45",
		  "@th,64,8 != 0x45" },
		{ IPPROTO_ICMPV6, "icmpv6 type @errors_ip6", "@th,384,16", "@th,400,16", "@th,112,8 %d",
		  "@th,112,8 != %d" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (int arriving = 0; arriving <= 1; arriving++) {
			str_add(r->out, "\t\t");
			if (arriving)
				ruleset_add_ways(r, WAYS_ARRIVING);
			else
				str_addf(r->out, "meta mark & 0x%08x != 0x%08x",
					 ruleset_way_mark(r->config, WAYS_ARRIVING),
					 ruleset_way_mark(r->config, WAYS_ARRIVING));
			str_addf(r->out, " ct %s protocol %d %s ", tuple, protocol, rows[i].types);
			if (i == 0)
				str_add(r->out, rows[i].plain);
			else
				str_addf(r->out, "@th,112,8 %d", protocol);
			add_ports(r, arriving ? rows[i].source : rows[i].target, e->local_port);
			add_ports(r, arriving ? rows[i].target : rows[i].source, e->remote_port);
			add_goto(r, e);
		}
		if (!holds_back(e))
			continue;
		str_addf(r->out, "\t\tct %s protocol %d %s ", tuple, protocol, rows[i].types);
		if (i == 0)
			str_add(r->out, rows[i].unclear);
		else
			str_addf(r->out, "@th,112,8 != %d", protocol);
		add_goto(r, e);
	}
}

/* One entry for one protocol, where the connection's tuple is known; its source is the other end. */
static void add_tracked(struct ruleset *r, const char *tuple, int protocol, const struct plan_entry *e)
{
	if (protocol == PROTOCOL_ANY) {
		str_add(r->out, "\t\t");
		add_goto(r, e);
	} else if (has_ports(e)) {
		if (!takes_ports(protocol))
			return; /* such a packet has no ports to match */
		str_addf(r->out, "\t\tmeta l4proto %d", protocol);
		add_ports(r, strcmp(tuple, "reply") == 0 ? "ct reply proto-src" : "ct original proto-src",
			  e->remote_port);
		add_ports(r, strcmp(tuple, "reply") == 0 ? "ct reply proto-dst" : "ct original proto-dst",
			  e->local_port);
		add_goto(r, e);
		add_quoted(r, tuple, protocol, e);
	} else if (e->icmp_type >= 0) {
		const char *icmp = protocol == IPPROTO_ICMPV6 ? "icmpv6" : "icmp";

		str_addf(r->out, "\t\tmeta l4proto %d %s type %d", protocol, icmp, e->icmp_type);
		if (e->icmp_code >= 0)
			str_addf(r->out, " %s code %d", icmp, e->icmp_code);
		add_goto(r, e);
		if (holds_back(e)) {
			str_addf(r->out, "\t\tct state related ct %s protocol %d", tuple, protocol);
			add_goto(r, e);
		}
	} else {
		str_addf(r->out, "\t\tct %s protocol %d", tuple, protocol);
		add_goto(r, e);
	}
}

static void add_tracked_chain(struct ruleset *r, uint32_t list, struct plan_list l, unsigned initiator)
{
	const char *tuple = initiator == INITIATOR_LOCAL ? "reply" : "original";

	str_addf(r->out, "\tchain list_%u_%s {\n", list, initiator == INITIATOR_LOCAL ? "ours" : "theirs");
	for (size_t i = 0; i < l.count; i++) {
		const struct plan_entry *e = &l.entries[i];

		if (!(e->initiators & initiator) || says_nothing(l, i))
			continue;
		use(r, e);
		if (e->protocol == PROTOCOL_ANY && has_ports(e))
			for (size_t k = 0; k < ARRAY_LEN(with_ports); k++)
				add_tracked(r, tuple, with_ports[k], e);
		else
			add_tracked(r, tuple, e->protocol, e);
		if (e->protocol == PROTOCOL_ANY && !has_ports(e))
			break; /* nothing gets past it */
	}
	str_add(r->out, "\t}\n");
}

/* Packets of no connection. An ICMP error that quotes nothing known, and an IPv6 packet whose protocol hides behind
 * extension headers, might be anything. */
static void add_untracked(struct ruleset *r, struct plan_list l)
{
	bool first = true;

	for (size_t i = 0; i < l.count; i++) {
		const struct plan_entry *e = &l.entries[i];

		if ((!holds_back(e) && (has_ports(e) || e->initiators != INITIATOR_EITHER)) || says_nothing(l, i))
			continue;
		use(r, e);
		if (holds_back(e) && first) {
			static const char *const unclear[] = { "icmp type @errors_ip", "icmpv6 type @errors_ip6",
							       "ip6 nexthdr @extensions" };
			for (size_t k = 0; k < ARRAY_LEN(unclear); k++) {
				str_addf(r->out, "\t\t%s", unclear[k]);
				add_goto(r, e);
			}
			first = false;
		}
		str_add(r->out, "\t\t");
		if (e->protocol != PROTOCOL_ANY)
			str_addf(r->out, "meta l4proto %d", e->protocol);
		if (!holds_back(e) && e->icmp_type >= 0)
			str_addf(r->out, " %s type %d", e->protocol == IPPROTO_ICMPV6 ? "icmpv6" : "icmp",
				 e->icmp_type);
		add_goto(r, e);
		if (e->protocol == PROTOCOL_ANY)
			break;
	}
}

static void add_list(struct ruleset *r, uint32_t list, struct plan_list l)
{
	add_tracked_chain(r, list, l, INITIATOR_LOCAL);
	add_tracked_chain(r, list, l, INITIATOR_REMOTE);
	str_addf(r->out, "\tchain list_%u {\n\t\t", list);
	ruleset_add_ways(r, WAYS_ARRIVING);
	str_addf(r->out, " ct direction original goto list_%u_theirs\n\t\t", list);
	ruleset_add_ways(r, WAYS_ARRIVING);
	str_addf(r->out, " ct direction reply goto list_%u_ours\n", list);
	str_addf(r->out, "\t\tct direction original goto list_%u_ours\n", list);
	str_addf(r->out, "\t\tct direction reply goto list_%u_theirs\n", list);
	add_untracked(r, l);
	str_add(r->out, "\t}\n");
}

/* Rule names are free text; a comment in nft is not. */
static void add_comment(struct ruleset *r, const struct rule *rule)
{
	size_t n = 0;

	str_addf(r->out, "\t\tcomment \"%s: ", rule_mode_name(rule->mode));
	for (const char *at = rule->name; *at && n < 80; at++, n++) {
		char c = *at >= ' ' && *at < 0x7f && *at != '"' && *at != '\\' ? *at : '?';

		str_add_n(r->out, &c, 1);
	}
	str_add(r->out, "\"\n");
}

/* Some of what the conditions before it match goes to the group, for whoever reads it (observe/nflog.h). The rule's
 * number is of this table only, so a mark of its name is beside it. */
static void add_log(struct ruleset *r, const struct rule *rule, const char *name)
{
	str_addf(r->out,
		 " limit rate 50/second burst 100 packets log prefix \"cordon %s %u %08x \" group %u snaplen 128\n",
		 name, rule->index, gate_rule_mark(rule->name), r->config->nflog_group);
}

/* A connection that begins in clear, as the rule allows. The conditions stand before. */
static void add_log_new(struct ruleset *r, const struct rule *rule, const char *name)
{
	str_add(r->out, " ct state new");
	add_log(r, rule, name);
}

static void add_count(struct ruleset *r, const struct rule *rule, enum gate_count kind)
{
	char name[GATE_COUNTER_NAME];

	str_addf(r->out, " counter name %s", gate_counter_name(kind, rule->index, name));
}

/* Listeners need some of the packets to explain a drop, not all of a flood. */
static void add_drop(struct ruleset *r, const struct rule *rule, enum ruleset_way way, enum gate_count kind)
{
	for (int log = 1; log >= 0; log--) {
		str_add(r->out, "\t\t");
		if (way == WAYS_ARRIVING)
			ruleset_add_ways(r, way);
		else if (way)
			ruleset_add_way(r, way);
		if (log) {
			add_log(r, rule, gate_counts[kind].name);
			continue;
		}
		add_count(r, rule, kind);
		str_add(r->out, " drop\n");
	}
}

static void add_not_secured(struct ruleset *r)
{
	str_addf(r->out, " ct mark & 0x%08x == 0", r->config->ct_secured);
}

/* What is about to be routed, or to leave: into the TUN, unless the peer has fallen back. */
static void add_outward(struct ruleset *r, const struct rule *rule)
{
	if (rule->mode != MODE_REQUIRE) {
		str_add(r->out, "\t\tjump fallback\n\t\t");
		ruleset_add_way(r, WAY_LAST_FALLEN); /* counted when it leaves, not when it is judged first */
		add_log_new(r, rule, gate_counts[GATE_COUNT_CLEAR_OUT].name);
		str_add(r->out, "\t\t");
		ruleset_add_way(r, WAY_LAST_FALLEN);
		add_count(r, rule, GATE_COUNT_CLEAR_OUT);
		str_add(r->out, " return\n\t\t");
		ruleset_add_way(r, WAY_OUT_FALLEN);
		str_add(r->out, " return\n");
	}
	if (!rule->tunnel && shows_own_device(r->config)) { /* what a gateway forwards needs no address of ours */
		str_add(r->out, "\t\t");
		ruleset_add_way(r, WAY_LAST);
		str_add(r->out, " ct status snat goto masquerade_learn\n");
	}
	add_drop(r, rule, WAY_LAST, GATE_COUNT_LEAK);
	str_addf(r->out, "\t\tmeta mark set meta mark & 0x%08x | 0x%08x\n", ~r->config->mark_mask,
		 r->config->mark_protect);
}

static void add_rule(struct ruleset *r, const struct rule *rule)
{
	str_addf(r->out, "\tchain rule_%u {\n", rule->index);
	add_comment(r, rule);
	shows_add_class(r, rule);
	if (rule->mode != MODE_BLOCK) { /* counted already */
		str_add(r->out, "\t\t");
		ruleset_add_ways(r, WAYS_EXEMPTED);
		str_add(r->out, " return\n");
	}
	switch (rule->mode) {
	case MODE_EXEMPT:
		/* what leaves is counted at the end, not when it is judged first */
		for (int log = 1; log >= 0; log--) {
			str_addf(r->out, "\t\tmeta mark & 0x%08x != 0x%08x", r->config->mark_way,
				 ruleset_way_mark(r->config, WAY_OUT));
			if (log)
				add_log_new(r, rule, gate_counts[GATE_COUNT_EXEMPT].name);
		}
		add_count(r, rule, GATE_COUNT_EXEMPT);
		str_add(r->out, "\n");
		break;
	case MODE_BLOCK:
		add_drop(r, rule, WAYS_ARRIVING, GATE_COUNT_BLOCKED_IN);
		add_drop(r, rule, 0, GATE_COUNT_BLOCKED_OUT);
		break;
	case MODE_REQUIRE_INBOUND:
		/* answers to what we opened */
		str_add(r->out, "\t\t");
		ruleset_add_way(r, WAY_IN);
		str_add(r->out, " ct direction reply");
		add_not_secured(r);
		shows_add_clear(r);
		add_drop(r, rule, WAY_IN, GATE_COUNT_CLEAR_IN);
		add_outward(r, rule);
		break;
	case MODE_REQUEST:
		str_add(r->out, "\t\t");
		ruleset_add_way(r, WAY_IN);
		add_not_secured(r);
		add_log_new(r, rule, GATE_CLEAR_ACCEPTED);
		str_add(r->out, "\t\t");
		ruleset_add_way(r, WAY_IN);
		add_not_secured(r);
		shows_add_clear(r);
		str_add(r->out, "\t\t");
		/* with no connection there is no flow that could be a secured one */
		ruleset_add_way(r, WAY_IN);
		str_add(r->out, " ct state untracked");
		shows_add_clear(r);
		add_drop(r, rule, WAY_IN, GATE_COUNT_CLEAR_IN);
		add_outward(r, rule);
		break;
	case MODE_REQUIRE:
		if (rule->exempt_protected) /* what two machines have sealed themselves */
			str_add(r->out, "\t\tmeta l4proto esp return\n");
		add_drop(r, rule, WAY_IN, GATE_COUNT_CLEAR_IN);
		add_outward(r, rule);
		break;
	}
	str_add(r->out, "\t}\n");
}

void ruleset_lists(struct ruleset *r)
{
	const struct rule *rules;
	size_t lists = plan_lists(r->plan), n = policy_rules(plan_policy(r->plan), &rules);

	for (uint32_t i = 0; i < lists; i++) {
		struct plan_list l = plan_list(r->plan, i);

		if (l.count == 0)
			continue;
		if (takes_all(&l.entries[0]))
			use(r, &l.entries[0]);
		else
			add_list(r, i, l);
	}
	for (size_t i = 0; i < n; i++)
		if (r->used[rules[i].index])
			add_rule(r, &rules[i]);
}
