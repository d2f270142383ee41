/* The frame: what is outside all rules, and the hooks at which the others are judged. A packet's way (in, out, last) is
 * three bits of the mark while it is being judged, and nobody outside the table sees them. */
#include "enforce/ruleset.h"

#include "enforce/firewall.h"
#include "enforce/pools.h"
#include "enforce/seen.h"
#include "enforce/shows.h"
#include "enforce/sure.h"

#include "base/mem.h"
#include "base/scope.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ESP with the longest padding and check value, in UDP: 8 + 8 + 16 + 17 + 32, rounded up to what GCM and CBC fit in. */
enum { ESP_MOST = 81, TCP_IP4 = 40, TCP_IP6 = 60, IP6_OUTER = 40 };

static const char *const families[] = { "ip", "ip6" };

/* Does anything behind us go through tunnels of ours? */
static bool is_gateway(const struct ruleset *r)
{
	const struct addr_range *behind;

	return plan_behind(r->plan, &behind) > 0;
}

uint32_t ruleset_way_mark(const struct gate_config *c, enum ruleset_way way)
{
	uint32_t low = c->mark_way & (~c->mark_way + 1);

	return low * (uint32_t)way;
}

void ruleset_add_way(struct ruleset *r, enum ruleset_way way)
{
	str_addf(r->out, "meta mark & 0x%08x == 0x%08x", r->config->mark_way, ruleset_way_mark(r->config, way));
}

void ruleset_add_ways(struct ruleset *r, enum ruleset_way bits)
{
	str_addf(r->out, "meta mark & 0x%08x == 0x%08x", ruleset_way_mark(r->config, bits),
		 ruleset_way_mark(r->config, bits));
}

static void add_judge(struct ruleset *r, enum ruleset_way way)
{
	str_addf(r->out,
		 "\t\tmeta mark set meta mark & 0x%08x | 0x%08x\n"
		 "\t\tjump judge\n",
		 ~r->config->mark_way, ruleset_way_mark(r->config, way));
}

static void add_judged(struct ruleset *r)
{
	str_addf(r->out, "\t\tmeta mark set meta mark & 0x%08x\n", ~r->config->mark_way);
}

void ruleset_add_judge(struct ruleset *r, enum ruleset_way way)
{
	add_judge(r, way);
	add_judged(r);
}

/* The same, where nothing comes behind it but the guard. */
static void add_judge_last(struct ruleset *r, enum ruleset_way way)
{
	add_judge(r, way);
	seen_add_end(r);
	add_judged(r);
}

/* Pairs of our address and another that the daemon adds and removes while the table is in force: peers that have no
 * IKE, for a time; and peers that we have an SA with, to whom what is sent is secured, answered or not. */
void ruleset_add_pair_set(struct ruleset *r, const char *name, const char *flags, int family,
			  const struct ruleset_pair *pairs, size_t count)
{
	const char *type = family == 4 ? "ipv4_addr" : "ipv6_addr";
	size_t added = 0;
	char local[ADDR_TEXT], remote[ADDR_TEXT];

	str_addf(r->out, "\tset %s_%s {\n\t\ttype %s . %s\n%s\t\tsize %d\n", name, family == 4 ? "ip" : "ip6", type,
		 type, flags, RULESET_PAIRS_MOST);
	for (size_t i = 0; i < count; i++) {
		if (pairs[i].local.family != family)
			continue;
		str_addf(r->out, "%s%s . %s", added++ ? ",\n" : "\t\telements = {\n", addr_text(&pairs[i].local, local),
			 addr_text(&pairs[i].remote, remote));
		if (pairs[i].left_s)
			str_addf(r->out, " timeout %us", pairs[i].left_s);
	}
	str_add(r->out, added ? "\n\t\t}\n\t}\n" : "\t}\n");
}

/* The remote addresses of the pairs that fell back. */
static void add_fallen_set(struct ruleset *r, int family, const struct ruleset_carry *carry)
{
	size_t added = 0;
	char remote[ADDR_TEXT];

	str_addf(r->out, "\tset fallen_%s {\n\t\ttype %s\n\t\tflags timeout\n\t\tsize %d\n", family == 4 ? "ip" : "ip6",
		 family == 4 ? "ipv4_addr" : "ipv6_addr", RULESET_PAIRS_MOST);
	for (size_t i = 0; carry && i < carry->fallback_count; i++)
		if (carry->fallback[i].remote.family == family)
			str_addf(r->out, "%s%s timeout %us", added++ ? ",\n" : "\t\telements = {\n",
				 addr_text(&carry->fallback[i].remote, remote), carry->fallback[i].left_s);
	str_add(r->out, added ? "\n\t\t}\n\t}\n" : "\t}\n");
}

static void write_counter(struct ruleset *r, enum gate_count kind, uint32_t rule, struct ruleset_count n)
{
	char name[GATE_COUNTER_NAME];

	str_addf(r->out, "\tcounter %s {\n\t\tpackets %llu bytes %llu\n\t}\n", gate_counter_name(kind, rule, name),
		 (unsigned long long)n.packets, (unsigned long long)n.octets);
}

static void add_counter(struct ruleset *r, enum gate_count kind, uint32_t rule, const struct ruleset_carry *carry)
{
	struct ruleset_count n = { 0 };

	if (carry && carry->counts)
		n = carry->counts[(size_t)rule * GATE_COUNTS + kind];
	write_counter(r, kind, rule, n);
}

static void add_firewall_counters(struct ruleset *r, const struct ruleset_carry *carry)
{
	const struct firewall *sections;
	size_t n = policy_firewalls(plan_policy(r->plan), &sections);
	uint32_t number = 0;

	for (size_t i = 0; i < n; number += (uint32_t)sections[i++].count)
		for (uint32_t k = 0; plan_firewall_rules(r->plan, &sections[i]) && k < sections[i].count; k++)
			write_counter(r, gate_firewall_count(sections[i].rules[k].action), number + k,
				      carry && carry->firewall_counts ? carry->firewall_counts[number + k]
								      : (struct ruleset_count){ 0 });
}

static void add_counters(struct ruleset *r, const struct ruleset_carry *carry)
{
	const struct rule *rules;
	size_t n = policy_rules(plan_policy(r->plan), &rules);

	add_firewall_counters(r, carry);
	for (enum gate_count k = 0; k < GATE_COUNTS && pools_together(r); k++)
		if (gate_counts[k].modes)
			write_counter(r, k, GATE_RULE_MANY,
				      carry && carry->counts ? carry->counts[n * GATE_COUNTS + k]
							     : (struct ruleset_count){ 0 });
	for (enum gate_count k = 0; k < GATE_COUNTS; k++) {
		if (!gate_counts[k].modes && !gate_counts[k].firewall && k != GATE_COUNT_GUARDED &&
		    shows_counts(r->config, k))
			add_counter(r, k, 0, carry);
		for (size_t i = 0; i < n; i++)
			if (r->used[rules[i].index] && gate_counts[k].modes & 1u << rules[i].mode)
				add_counter(r, k, rules[i].index, carry);
	}
}

/* ICMP errors, and IPv6's headers that hide a protocol. As sets with a name, because rules by the thousand ask. */
static const char icmp_errors[] =
	"\tset errors_ip {\n\t\ttype icmp_type\n"
	"\t\telements = { destination-unreachable, source-quench, redirect, time-exceeded, parameter-problem }\n\t}\n"
	"\tset errors_ip6 {\n\t\ttype icmpv6_type\n"
	"\t\telements = { destination-unreachable, packet-too-big, time-exceeded, parameter-problem }\n\t}\n"
	"\tset extensions {\n\t\ttype inet_proto\n\t\telements = { 0, 43, 44, 60, 135 }\n\t}\n";

static void add_clamp(struct ruleset *r)
{
	static const struct {
		const char *family;
		int headers;
	} rows[] = { { "ipv4", TCP_IP4 }, { "ipv6", TCP_IP6 } };
	const struct plan_tunnel *rules;
	bool tunnels = plan_tunnels(r->plan, &rules) > 0;

	str_add(r->out, "\tchain clamp {\n");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		str_addf(r->out, "\t\tmeta nfproto %s tcp option maxseg size set %d\n", rows[i].family,
			 r->config->mtu - rows[i].headers - ESP_MOST - (tunnels ? IP6_OUTER : 0));
	str_add(r->out, "\t}\n");
}

static const char clamp[] = "\t\ttcp flags & (syn|rst) == syn jump clamp\n";

/* Out of the TUN comes what an SA has carried. What the data plane itself says to an application (too big) is an ICMP
 * error, and does not make its connection a secured one. */
static void add_from_tun(struct ruleset *r)
{
	const struct gate_config *c = r->config;

	shows_add_classes(r);
	str_add(r->out, "\tchain from_tun {\n");
	if (!shows_own_device(c)) {
		sure_add_rules_in(r, "goto came");
		shows_add_compare(r);
		str_addf(r->out, "\t\tgoto came\n\t}\n\tchain came {\n\t\tmeta mark set meta mark & 0x%08x\n",
			 ~c->mark_mask);
	}
	if (shows_own_device(c))
		str_addf(r->out, "\t\tmeta mark set meta mark & 0x%08x | 0x%08x\n", ~c->mark_mask, c->mark_from_tun);
	str_add(r->out, clamp);
	if (!is_gateway(r))
		str_addf(r->out, "\t\tct mark & 0x%08x != 0 meta l4proto { tcp, udp } accept\n", c->ct_secured);
	str_add(r->out, "\t\ticmp type { destination-unreachable, time-exceeded, parameter-problem } accept\n"
			"\t\ticmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem } "
			"accept\n");
	str_addf(r->out, "\t\tct mark set ct mark | 0x%08x\n", c->ct_secured);
	if (is_gateway(r)) /* from one tunnel into another */
		for (size_t i = 0; i < ARRAY_LEN(families); i++)
			str_addf(r->out, "\t\t%s saddr @behind_%s goto forward_out\n", families[i], families[i]);
	str_add(r->out, "\t\taccept\n\t}\n");
}

static void add_to_tun(struct ruleset *r)
{
	str_add(r->out, "\tchain to_tun {\n");
	if (!shows_own_device(r->config))
		str_addf(r->out, "\t\tmeta mark set meta mark & 0x%08x\n", ~r->config->mark_mask);
	str_addf(r->out, "%s\t\tct mark & 0x%08x != 0 accept\n", clamp, r->config->ct_secured);
	for (size_t i = 0; i < ARRAY_LEN(families); i++)
		str_addf(r->out, "\t\t%s saddr . %s daddr @secured_%s ct mark set ct mark | 0x%08x\n", families[i],
			 families[i], families[i], r->config->ct_secured);
	str_add(r->out, "\t\taccept\n\t}\n");
}

/* Of a packet that leaves. The pair of addresses is the one on the wire, whatever NAT there is. */
void ruleset_ask_pair(struct ruleset *r, const char *name, const char *then)
{
	static const char *const pairs[] = {
		"ct direction original ct reply ip daddr . ct reply ip saddr @%s_ip %s",
		"ct direction original ct reply ip6 daddr . ct reply ip6 saddr @%s_ip6 %s",
		"ct direction reply ct original ip daddr . ct original ip saddr @%s_ip %s",
		"ct direction reply ct original ip6 daddr . ct original ip6 saddr @%s_ip6 %s",
		"ct state { invalid, untracked } ip saddr . ip daddr @%s_ip %s",
		"ct state { invalid, untracked } ip6 saddr . ip6 daddr @%s_ip6 %s",
	};

	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		str_add(r->out, "\t\t");
		str_addf(r->out, pairs[i], name, then);
		str_add(r->out, "\n");
	}
}

/* Request modes ask this before they protect: a peer that has no IKE gets clear text, but never in the middle of a flow
 * that has been secured. */
static void add_fallback(struct ruleset *r)
{
	const struct gate_config *c = r->config;

	str_addf(r->out, "\tchain fallback {\n\t\tct mark & 0x%08x != 0 return\n", c->ct_secured);
	ruleset_ask_pair(r, "fallback", "goto fallen");
	str_add(r->out, "\t}\n\tchain fallen {\n");
	for (enum ruleset_way way = WAY_OUT; way <= WAY_LAST; way++) {
		str_add(r->out, "\t\t");
		ruleset_add_way(r, way);
		if (way == WAY_LAST && shows_own_device(c)) {
			str_add(r->out, " ct status snat jump masquerade_forget\n\t\t");
			ruleset_add_way(r, way);
		}
		str_addf(r->out, " meta mark set meta mark & 0x%08x | 0x%08x return\n", ~c->mark_way,
			 ruleset_way_mark(c, way == WAY_OUT ? WAY_OUT_FALLEN : WAY_LAST_FALLEN));
	}
	str_add(r->out, "\t}\n");
}

/* nft and conntrack take an IPv6 packet's AH for one more extension header and look through it: to them it is what it
 * carries, readable as that is. So we know it by the header that names it, and track it not: else each packet would be
 * counted twice for its connection, once inside and once out of the TUN. */
static const char *const ah6[] = {
	"ip6 nexthdr ah", "ip6 nexthdr { 0, 43, 60 } @nh,320,8 51", /* behind one other header */
};

static bool by_ah(const struct rule *rule)
{
	const struct protection_set *set = rule->protection;

	for (size_t i = 0; set && i < set->count; i++)
		if (set->suites[i].protocol == PROTO_AH)
			return true;
	return false;
}

static bool has_ah6(const struct ruleset *r)
{
	const struct addr *own;
	const struct rule *rules;
	size_t n = policy_rules(plan_policy(r->plan), &rules), locals = plan_locals(r->plan, &own);
	bool ip6 = false;

	for (size_t i = 0; i < locals && !ip6; i++)
		ip6 = own[i].family == 6;
	for (size_t i = 0; ip6 && i < n; i++)
		if (r->used[rules[i].index] && by_ah(&rules[i]))
			return true;
	return false;
}

static void add_protect(struct ruleset *r)
{
	str_addf(r->out, "\tchain protect {\n\t\tmeta mark set meta mark & 0x%08x | 0x%08x\n\t}\n",
		 ~r->config->mark_mask, r->config->mark_protect);
}

static void add_untracked(struct ruleset *r)
{
	const struct gate_config *c = r->config;

	if (!has_ah6(r)) /* each packet would pass by */
		return;
	str_add(r->out, "\tchain untracked_in {\n\t\ttype filter hook prerouting priority -300; policy accept;\n");
	for (size_t i = 0; i < ARRAY_LEN(ah6); i++)
		str_addf(r->out, "\t\t%s ip6 daddr @own_ip6 notrack\n", ah6[i]);
	str_add(r->out, "\t}\n\tchain untracked_out {\n\t\ttype filter hook output priority -300; policy accept;\n");
	for (size_t i = 0; i < ARRAY_LEN(ah6); i++) {
		str_addf(r->out, "\t\tmeta mark & 0x%08x == 0x%08x %s notrack\n", c->mark_mask, c->mark_own, ah6[i]);
	}
	str_add(r->out, "\t}\n");
}

void ruleset_add_ah6(struct ruleset *r, bool arriving, const char *then)
{
	for (size_t i = 0; i < ARRAY_LEN(ah6); i++) {
		str_add(r->out, "\t\t");
		if (!arriving)
			str_addf(r->out, "meta mark & 0x%08x == 0x%08x ", r->config->mark_mask, r->config->mark_own);
		str_addf(r->out, "%s %s\n", ah6[i], then);
	}
}

/* What we forward for others: from behind us into a tunnel; and to there nothing clear that should have come by one. */
static void add_forwarding(struct ruleset *r)
{
	static const struct {
		const char *chain;
		enum ruleset_way way;
	} rows[] = { { "forward_out", WAY_OUT }, { "forward_in", WAY_IN } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		str_addf(r->out, "\tchain %s {\n", rows[i].chain);
		seen_add_exempt(r);
		ruleset_add_judge(r, rows[i].way);
		str_add(r->out, "\t}\n");
	}
	str_add(r->out, "\tchain forwarding {\n");
	for (size_t i = 0; i < ARRAY_LEN(families); i++)
		str_addf(r->out, "\t\t%s saddr @behind_%s jump forward_out\n", families[i], families[i]);
	str_addf(r->out, "\t\tmeta mark & 0x%08x == 0x%08x %s\n", r->config->mark_mask, r->config->mark_protect,
		 seen_pass(r));
	for (size_t i = 0; i < ARRAY_LEN(families); i++)
		str_addf(r->out, "\t\t%s daddr @behind_%s jump forward_in\n", families[i], families[i]);
	str_add(r->out, "\t}\n");
}

/* What routers say of our AH in IPv6. A userspace plane hears it before us, and the kernel, which looks through AH,
 * would make the connection inside send fragments; as the plane it is the kernel that has to know the path's MTU. */
static void add_ah6_errors(struct ruleset *r)
{
	static const char *const quotes[] = { "@th,112,8 51", "@th,112,8 { 0, 43, 44, 60 } @th,384,8 51" };

	for (size_t i = 0; i < ARRAY_LEN(quotes); i++) {
		if (!shows_own_device(r->config))
			str_addf(r->out, "\t\ticmpv6 type packet-too-big %s %s\n", quotes[i], seen_pass(r));
		str_addf(r->out, "\t\ticmpv6 type @errors_ip6 %s drop\n", quotes[i]);
	}
}

/* Before DNAT and before routing. */
static void add_prerouting(struct ruleset *r)
{
	const char *pass = seen_pass(r);
	char came[SHOWS_TEXT];

	str_addf(r->out,
		 "\tchain prerouting {\n"
		 "\t\ttype filter hook prerouting priority %d; policy accept;\n"
		 "\t\tiif lo accept\n"
		 "\t\t%sgoto from_tun\n"
		 "\t\tip daddr @own_ip goto arriving\n"
		 "\t\tip6 daddr @own_ip6 goto arriving\n"
		 /* the answer of something behind us whose port we publish; a connection that we masquerade */
		 "\t\tct direction reply ct original ip daddr @own_ip goto passing\n"
		 "\t\tct direction reply ct original ip6 daddr @own_ip6 goto passing\n"
		 "\t\tct direction original ct reply ip daddr @own_ip goto passing\n"
		 "\t\tct direction original ct reply ip6 daddr @own_ip6 goto passing\n"
		 "%s"
		 "\t\tjump newcomer_in\n"
		 "%s",
		 GATE_PRIORITY_IN - r->ahead, shows_came(r->config, came), is_gateway(r) ? "\t\tjump forwarding\n" : "",
		 shows_own_device(r->config) ? "\t\tjump masquerade_known\n" : "");
	seen_add_end(r);
	str_add(r->out, "\t}\n");
	/* Our own ESP, AH and IKE are admitted: ESP and AH by their protocol, which only our sockets hear; IKE only to
	 * a socket that has our mark. */
	str_add(r->out, "\tchain arriving {\n\t\tmeta l4proto { esp, ah } accept\n");
	ruleset_add_ah6(r, true, pass);
	add_ah6_errors(r);
	str_addf(r->out,
		 "\t\tudp dport { 500, 4500 } socket mark & 0x%08x == 0x%08x accept\n"
		 /* what a router says of our ESP and IKE: the path MTU, for one */
		 "\t\ticmp type @errors_ip ct original protocol { esp, ah } %s\n"
		 "\t\ticmpv6 type @errors_ip6 ct original protocol { esp, ah } %s\n"
		 "\t\ticmp type @errors_ip ct original protocol udp @th,64,8 0x45 @th,224,16 { 500, 4500 } %s\n"
		 "\t\ticmpv6 type @errors_ip6 ct original protocol udp @th,384,16 { 500, 4500 } %s\n",
		 r->config->mark_mask, r->config->mark_own, pass, pass, pass, pass);
	seen_add_exempt(r);
	add_judge_last(r, WAY_IN);
	str_add(r->out, "\t}\n\tchain passing {\n");
	seen_add_exempt(r);
	add_judge_last(r, WAY_OUT);
	str_add(r->out, "\t}\n");
}

/* Behind DNAT, so that the destination is the one on the wire. A mark that is set here makes the kernel route again. */
static void add_output(struct ruleset *r)
{
	const struct gate_config *c = r->config;
	char name[GATE_COUNTER_NAME], then[SHOWS_TEXT];

	str_addf(r->out,
		 "\tchain output {\n"
		 "\t\ttype %s hook output priority -90; policy accept;\n"
		 "\t\toif lo accept\n"
		 "\t\tmeta mark & 0x%08x == 0x%08x goto own\n",
		 shows_output(r), c->mark_mask, c->mark_own);
	str_add(r->out, "\t\tjump exempt\n");
	sure_add_rules(r, shows_protected(r, then));
	str_add(r->out, "\t\tfib daddr type { broadcast, multicast } accept\n");
	shows_add_judge_out(r);
	str_add(r->out, "\t}\n\tchain own {\n\t\tmeta l4proto { esp, ah } accept\n");
	ruleset_add_ah6(r, false, "accept");
	str_addf(r->out,
		 "\t\tct mark & 0x%08x == 0 accept\n"
		 "\t\tudp sport { 500, 4500 } accept\n"
		 /* what the data plane held while it negotiated, and now would let out in clear */
		 "\t\tcounter name %s drop\n"
		 "\t}\n",
		 c->ct_secured, gate_counter_name(GATE_COUNT_RELEASE_REFUSED, 0, name));
}

/* Behind SNAT: whatever would leave with our address around the TUN. */
static void add_postrouting(struct ruleset *r)
{
	char leaves[SHOWS_TEXT];

	str_addf(r->out,
		 "\tchain postrouting {\n"
		 "\t\ttype filter hook postrouting priority %d; policy accept;\n"
		 "\t\toif lo accept\n"
		 "\t\t%sgoto to_tun\n"
		 "\t\tmeta mark & 0x%08x == 0x%08x accept\n",
		 GATE_PRIORITY_LAST - r->ahead, shows_leaves(r->config, leaves), r->config->mark_mask,
		 r->config->mark_own);
	str_addf(r->out, "\t\tfib daddr type { broadcast, multicast } %s\n", seen_pass(r));
	seen_add_exempt(r);
	str_add(r->out, "\t\tjump newcomer_out\n");
	add_judge_last(r, WAY_LAST);
	str_add(r->out, "\t}\n");
}

void ruleset_write(const struct gate_config *c, const char *table, const struct plan *plan,
		   const struct ruleset_carry *carry, struct str *out)
{
	/* Lists come first because they say which rules are used, and last in the text, which lets nft find its sets.
	 */
	SCOPED(str_wipe) struct str chains = { 0 };
	struct ruleset r = { .config = c,
			     .plan = plan,
			     .out = &chains,
			     .ahead = strcmp(table, TABLE_NEXT) == 0,
			     .guarded = carry && carry->guard != RULESET_NO_GUARD };
	const struct rule *rules;

	str_addf(out, "table inet %s\ndelete table inet %s\ntable inet %s {\n", table, table, table);
	if (!plan) {
		str_add(out, "}\n");
		return;
	}
	r.used = mem_new(policy_rules(plan_policy(plan), &rules) + 1, sizeof *r.used);
	shows_classes_make(&r);
	pools_make(&r);
	ruleset_locals(&r);
	ruleset_lists(&r);

	r.out = out;
	for (int family = 4; family <= 6; family += 2) {
		ruleset_add_pair_set(&r, "fallback", "\t\tflags timeout\n", family, carry ? carry->fallback : NULL,
				     carry ? carry->fallback_count : 0);
		add_fallen_set(&r, family, carry);
		ruleset_add_pair_set(&r, "secured", "", family, carry ? carry->secured : NULL,
				     carry ? carry->secured_count : 0);
	}
	sure_add_sets(&r, carry);
	ruleset_exempted_sets(&r, carry);
	ruleset_identity_sets(&r, carry);
	str_add(out, icmp_errors);
	add_counters(&r, carry);
	ruleset_list_sets(&r);
	pools_add_maps(&r);
	str_add(out, str_text(&chains));
	ruleset_regions(&r);
	if (shows_own_device(c))
		ruleset_masquerade(&r);
	seen_add_chains(&r, carry && carry->guard == RULESET_GUARDED);
	ruleset_exempted(&r);
	ruleset_newcomer(&r);
	if (is_gateway(&r))
		add_forwarding(&r);
	add_clamp(&r);
	add_from_tun(&r);
	add_to_tun(&r);
	add_fallback(&r);
	add_protect(&r);
	add_untracked(&r);
	add_prerouting(&r);
	add_output(&r);
	add_postrouting(&r);
	ruleset_firewall(&r, carry);
	seen_add_unseen(&r);
	str_add(out, "}\n");
	ruleset_lists_wipe(&r);
	ruleset_locals_wipe(&r);
	pools_wipe(&r);
	shows_classes_wipe(&r);
	free(r.used);
}

void gate_ruleset(const struct gate_config *c, const struct plan *plan, struct str *out)
{
	ruleset_write(c, TABLE_NAME, plan, NULL, out);
}
