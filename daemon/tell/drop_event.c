#include "daemon/tell/drop_event.h"

#include "dataplane/esp/ip.h"
#include "enforce/counters.h"

#include <linux/netfilter.h>
#include <stdio.h>
#include <string.h>

static const struct {
	enum gate_count count;
	const char *name; /* NULL: the counter's */
	enum event_id event;
	enum event_direction way; /* EVENT_NO_WAY: as the hook says */
	const char *words;
} kinds[] = {
	{ GATE_COUNT_CLEAR_IN, NULL, EVENT_PACKET_DROPPED, EVENT_IN,
	  "came in clear, and the rule does not accept that" },
	{ GATE_COUNT_LEAK, NULL, EVENT_PACKET_DROPPED, EVENT_OUT, "would have left around the protection" },
	{ GATE_COUNT_BLOCKED_IN, NULL, EVENT_PACKET_DROPPED, EVENT_IN, "the rule blocks it" },
	{ GATE_COUNT_BLOCKED_OUT, NULL, EVENT_PACKET_DROPPED, EVENT_OUT, "the rule blocks it" },
	{ GATE_COUNT_OTHER_SA, NULL, EVENT_PACKET_DROPPED, EVENT_IN,
	  "came under an SA that does not do for the rule of its traffic" },
	{ GATE_COUNT_FIREWALL_BLOCKED, NULL, EVENT_PACKET_DROPPED, EVENT_NO_WAY, "the firewall rule blocks it" },
	{ GATE_COUNT_DEFAULT_IN, NULL, EVENT_PACKET_DROPPED, EVENT_IN, "no firewall rule lets it in" },
	{ GATE_COUNT_DEFAULT_OUT, NULL, EVENT_PACKET_DROPPED, EVENT_OUT, "no firewall rule lets it out" },
	{ GATE_COUNT_EXEMPT, NULL, EVENT_CONNECTION_CLEAR, EVENT_NO_WAY, "begins in clear: the rule exempts it" },
	{ GATE_COUNT_CLEAR_OUT, NULL, EVENT_CONNECTION_CLEAR, EVENT_OUT,
	  "begins in clear: the rule only requests protection, and the peer has none" },
	{ GATE_COUNTS, GATE_CLEAR_ACCEPTED, EVENT_CONNECTION_CLEAR, EVENT_IN,
	  "begins in clear: the rule only requests protection, and the peer does not ask for any" },
};

static const char *kind_name(size_t i)
{
	return kinds[i].name ? kinds[i].name : gate_counts[kinds[i].count].name;
}

static const char *firewall_rule_name(const struct policy *policy, uint32_t number)
{
	const struct firewall *sections = NULL;
	size_t n = policy ? policy_firewalls(policy, &sections) : 0, at = number;

	for (size_t i = 0; i < n; at -= sections[i++].count)
		if (at < sections[i].count)
			return sections[i].rules[at].name;
	return NULL;
}

static const char *rule_name(const struct policy *policy, uint32_t index)
{
	const struct rule *rules = NULL;
	size_t n = policy ? policy_rules(policy, &rules) : 0;

	return index < n ? rules[index].name : NULL;
}

/* Of rules that share a chain, the first that matches and does what was done. An ICMP error is about another packet,
 * and a packet that was judged by the plan before may match none: then the one rule that does it between these two, and
 * of several nobody knows which. */
static const struct rule *rule_of_packet(const struct plan *plan, unsigned modes, const struct plan_packet *packet)
{
	struct plan_list l = plan_meet(plan, &packet->local, &packet->remote);
	const struct rule *only = NULL;
	bool several = false;

	for (size_t i = 0; i < l.count; i++) {
		const struct rule *rule = rule_as_written(l.entries[i].rule);

		if (!(modes & 1u << rule->mode))
			continue;
		if (plan_entry_matches(&l.entries[i], packet))
			return rule;
		several |= only && only != rule;
		only = rule;
	}
	return several ? NULL : only;
}

static void put_rule_of_packet(const struct plan *plan, enum gate_count kind, const struct ip_packet *ip,
			       struct event *e)
{
	unsigned modes = kind < GATE_COUNTS ? gate_counts[kind].modes : 1u << MODE_REQUEST;
	const struct rule *rule = NULL;
	struct plan_packet packet;

	ip_flow(ip, e->direction == EVENT_OUT, &packet);
	if (plan && modes)
		rule = rule_of_packet(plan, modes, &packet);
	if (rule)
		(void)snprintf(e->rule, sizeof e->rule, "%s", rule->name);
}

static void put_rule(const struct policy *policy, enum gate_count kind, uint32_t index, uint32_t mark, struct event *e)
{
	bool firewall = kind < GATE_COUNTS && gate_counts[kind].firewall;
	const char *name = firewall ? firewall_rule_name(policy, index) : rule_name(policy, index);

	if (name && gate_rule_mark(name) == mark)
		(void)snprintf(e->rule, sizeof e->rule, "%s", name);
}

static bool is_out(const struct nflog_packet *p)
{
	return p->hook == NF_INET_LOCAL_OUT || p->hook == NF_INET_POST_ROUTING;
}

static void put_packet(const struct ip_packet *ip, struct event *e)
{
	bool out = e->direction == EVENT_OUT;

	e->local = out ? ip->source : ip->destination;
	e->remote = out ? ip->destination : ip->source;
	e->protocol = ip->protocol;
	if (!ip->has_ports)
		return;
	e->local_port = out ? ip->source_port : ip->destination_port;
	e->remote_port = out ? ip->destination_port : ip->source_port;
}

/* "tcp 10.77.1.66:49812 -> 10.77.1.21:445" */
static void put_text(const struct ip_packet *ip, const char *words, struct event *e)
{
	static const struct {
		uint8_t number;
		const char *name;
	} protocols[] = { { IP_ICMP, "icmp" }, { IP_TCP, "tcp" }, { IP_UDP, "udp" },
			  { IP_ESP, "esp" },   { IP_AH, "ah" },   { IP_ICMP6, "icmp6" } };
	char from[ADDR_TEXT], to[ADDR_TEXT], name[24];

	(void)snprintf(name, sizeof name, "protocol %u", ip->protocol);
	for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
		if (protocols[i].number == ip->protocol)
			(void)snprintf(name, sizeof name, "%s", protocols[i].name);
	(void)addr_text(&ip->source, from);
	(void)addr_text(&ip->destination, to);
	if (ip->has_ports)
		(void)snprintf(e->text, sizeof e->text, "%s %s port %u -> %s port %u %s", name, from, ip->source_port,
			       to, ip->destination_port, words);
	else
		(void)snprintf(e->text, sizeof e->text, "%s %s -> %s %s", name, from, to, words);
}

bool drop_event(const struct nflog_packet *p, const struct policy *policy, const struct plan *plan, struct event *ret)
{
	char name[32], rest;
	unsigned index, mark;
	struct ip_packet ip;
	struct event e = { 0 };
	size_t kind;

	if (sscanf(p->prefix, "cordon %31[a-z-] %9u %8x %c", name, &index, &mark, &rest) != 3)
		return false;
	for (kind = 0; kind < ARRAY_LEN(kinds); kind++)
		if (strcmp(kind_name(kind), name) == 0)
			break;
	if (kind == ARRAY_LEN(kinds) || ip_parse_quoted(p->octets, p->len, &ip, NULL) < 0)
		return false;
	e.id = kinds[kind].event;
	e.direction = kinds[kind].way ? kinds[kind].way : is_out(p) ? EVENT_OUT : EVENT_IN;
	(void)snprintf(e.reason, sizeof e.reason, "%s", name);
	put_packet(&ip, &e);
	if (mark == GATE_NO_MARK)
		put_rule_of_packet(plan, kinds[kind].count, &ip, &e);
	else
		put_rule(policy, kinds[kind].count, index, mark, &e);
	put_text(&ip, kinds[kind].words, &e);
	*ret = e;
	return true;
}
