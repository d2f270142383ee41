#include "tests/unit/unit.h"

#include "base/diag.h"
#include "base/mem.h"
#include "base/scope.h"
#include "base/str.h"
#include "enforce/gate.h"
#include "enforce/nft.h"
#include "policy/reqid.h"
#include "tests/unit/plan_double.h"

#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOCALS_MOST = 4, REGIONS_MOST = 16, LISTS_MOST = 8, ENTRIES_MOST = 8, RULES_MOST = 8 };

/* Room for a small plan that tests fill in. */
struct sketch {
	struct plan plan;
	struct rule rules[RULES_MOST];
	struct addr locals[LOCALS_MOST];
	struct plan_region region[LOCALS_MOST][REGIONS_MOST];
	const struct plan_region *regions[LOCALS_MOST];
	size_t region_counts[LOCALS_MOST];
	struct plan_entry entries[LISTS_MOST][ENTRIES_MOST];
	struct plan_list lists[LISTS_MOST];
};

static struct addr_range range(const char *text)
{
	struct addr_range r = { 0 };

	assert_int_equal(addr_range_parse(text, strlen(text), &r, NULL), 0);
	return r;
}

static void sketch_start(struct sketch *s)
{
	memset(s, 0, sizeof *s);
	for (size_t i = 0; i < LOCALS_MOST; i++)
		s->regions[i] = s->region[i];
	for (size_t i = 0; i < LISTS_MOST; i++)
		s->lists[i].entries = s->entries[i];
	s->plan.locals = s->locals;
	s->plan.regions = s->regions;
	s->plan.region_counts = s->region_counts;
	s->plan.lists = s->lists;
	s->plan.policy.rules = s->rules;
	s->plan.policy.exemptions = EXEMPT_NEIGHBOR_DISCOVERY | EXEMPT_DHCP;
}

static const struct rule *add_rule(struct sketch *s, const char *name, enum rule_mode mode)
{
	size_t n = s->plan.policy.rule_count++;

	s->rules[n] = (struct rule){ .name = name, .mode = mode, .index = (uint32_t)n };
	return &s->rules[n];
}

static void add_local(struct sketch *s, const char *address)
{
	s->locals[s->plan.local_count++] = range(address).lo;
}

static void add_region(struct sketch *s, size_t local, const char *remote, uint32_t list)
{
	s->region[local][s->region_counts[local]++] = (struct plan_region){ range(remote), list };
	if (list >= s->plan.list_count)
		s->plan.list_count = list + 1;
}

static struct plan_entry *add_entry(struct sketch *s, size_t list, const struct rule *rule)
{
	struct plan_entry *e = &s->entries[list][s->lists[list].count++];

	*e = (struct plan_entry){ .rule = rule,
				  .protocol = PROTOCOL_ANY,
				  .local_port = PORT_ANY,
				  .remote_port = PORT_ANY,
				  .icmp_type = -1,
				  .icmp_code = -1,
				  .initiators = INITIATOR_EITHER };
	return e;
}

static bool has(const struct str *text, const char *what)
{
	return strstr(str_text(text), what) != NULL;
}

/* The text of one chain, for looking into. */
static void chain_of(const struct str *text, const char *name, struct str *ret)
{
	char head[64];
	const char *at, *end;

	snprintf(head, sizeof head, "\tchain %s {\n", name);
	at = strstr(str_text(text), head);
	if (!at) {
		fail_msg("no chain %s", name);
		return; /* what the analyser cannot know of fail_msg */
	}
	end = strstr(at, "\n\t}\n");
	assert_non_null(end);
	str_add_n(ret, at, (size_t)(end - at));
}

static void all_modes(struct sketch *s)
{
	struct plan_entry *e;

	sketch_start(s);
	add_local(s, "10.0.0.1");
	add_local(s, "2001:db8::1");
	add_region(s, 0, "10.0.0.2-10.0.0.9", 0);
	add_region(s, 0, "10.0.1.0/24", 1);
	add_region(s, 0, "10.0.2.0/24", 2);
	add_region(s, 0, "10.0.3.0/24", 3);
	add_region(s, 0, "10.0.4.0/24", 4);
	add_region(s, 0, "224.0.0.0-255.255.255.255", 5);
	add_region(s, 1, "2001:db8::2", 0);
	add_region(s, 1, "2001:db8:1::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 4);
	add_entry(s, 0, add_rule(s, "all", MODE_REQUIRE));
	add_entry(s, 1, add_rule(s, "in", MODE_REQUIRE_INBOUND));
	add_entry(s, 2, add_rule(s, "ask", MODE_REQUEST));
	add_entry(s, 3, add_rule(s, "open", MODE_EXEMPT));
	e = add_entry(s, 4, &s->rules[3]);
	e->protocol = IPPROTO_UDP;
	e->remote_port = (struct port_range){ 53, 53 };
	e->initiators = INITIATOR_LOCAL;
	e = add_entry(s, 4, add_rule(s, "closed", MODE_BLOCK));
	e->protocol = IPPROTO_TCP;
	e->local_port = (struct port_range){ 100, 200 };
	e = add_entry(s, 4, add_rule(s, "ping", MODE_REQUIRE));
	e->protocol = IPPROTO_ICMP;
	e->icmp_type = 8;
	add_entry(s, 4, &s->rules[0]);
}

static void a_disabled_gate_is_an_empty_table(void **state)
{
	SCOPED(str_wipe) struct str text = { 0 };

	(void)state;
	gate_ruleset(&gate_default, NULL, &text);
	assert_string_equal(str_text(&text), "table inet cordon\ndelete table inet cordon\ntable inet cordon {\n}\n");
}

static void a_list_that_takes_everything_needs_no_chain(void **state)
{
	SCOPED(str_wipe) struct str text = { 0 };
	struct sketch s;

	(void)state;
	all_modes(&s);
	gate_ruleset(&gate_default, &s.plan, &text);
	assert_true(has(&text, "10.0.0.2-10.0.0.9 : goto rule_0"));
	assert_true(has(&text, "10.0.4.0/24 : goto list_4"));
	assert_false(has(&text, "chain list_0 "));
	assert_false(has(&text, "224.0.0.0/3")); /* its list is empty */
}

static void an_exemption_with_ports_follows_the_connection(void **state)
{
	SCOPED(str_wipe) struct str text = { 0 }, ours = { 0 }, theirs = { 0 }, unknown = { 0 };
	struct sketch s;

	(void)state;
	all_modes(&s);
	gate_ruleset(&gate_default, &s.plan, &text);
	chain_of(&text, "list_4_ours", &ours);
	chain_of(&text, "list_4_theirs", &theirs);
	chain_of(&text, "list_4", &unknown);
	assert_true(has(&ours, "meta l4proto 17 ct reply proto-src 53 goto rule_3"));
	assert_false(has(&theirs, "rule_3"));
	assert_false(has(&unknown, "rule_3"));
}

static void what_holds_back_takes_packets_of_no_connection(void **state)
{
	SCOPED(str_wipe) struct str text = { 0 }, unknown = { 0 };
	struct sketch s;

	(void)state;
	all_modes(&s);
	gate_ruleset(&gate_default, &s.plan, &text);
	chain_of(&text, "list_4", &unknown);
	assert_true(has(&unknown, "meta l4proto 6 goto rule_4"));
	assert_true(has(&unknown, "ip6 nexthdr @extensions goto rule_4"));
	assert_true(has(&unknown, "\t\t goto rule_0") || has(&unknown, "\t\tgoto rule_0"));
}

static void addresses_with_the_same_regions_share_a_map(void **state)
{
	SCOPED(str_wipe) struct str text = { 0 };
	struct sketch s;

	(void)state;
	sketch_start(&s);
	add_local(&s, "10.0.0.1");
	add_local(&s, "10.0.0.2");
	add_local(&s, "10.0.0.3");
	add_region(&s, 0, "10.1.0.0/16", 0);
	add_region(&s, 1, "10.1.0.0/16", 0);
	add_region(&s, 2, "10.2.0.0/16", 0);
	add_entry(&s, 0, add_rule(&s, "all", MODE_REQUIRE));
	gate_ruleset(&gate_default, &s.plan, &text);
	assert_true(has(&text, "map remotes_0 {"));
	assert_false(has(&text, "map remotes_1 {"));
	assert_true(has(&text, "map remotes_2 {"));
	assert_true(has(&text, "10.0.0.2 : goto local_0_ours"));
}

static void a_rule_name_cannot_break_out_of_its_comment(void **state)
{
	SCOPED(str_wipe) struct str text = { 0 };
	struct sketch s;

	(void)state;
	sketch_start(&s);
	add_local(&s, "10.0.0.1");
	add_region(&s, 0, "10.1.0.0/16", 0);
	add_entry(&s, 0, add_rule(&s, "a\"\n}\nflush ruleset #\\ \xc3\xa9", MODE_REQUIRE));
	gate_ruleset(&gate_default, &s.plan, &text);
	assert_true(has(&text, "comment \"require: a??}?flush ruleset #? ??\""));
}

static void global_exemptions_are_those_of_the_policy(void **state)
{
	static const struct {
		unsigned given;
		const char *text;
		bool want;
	} rows[] = {
		{ 0, "nd-neighbor-solicit", true },
		{ 0, "udp sport . udp dport", false },
		{ EXEMPT_DHCP, "udp sport . udp dport", true },
		{ EXEMPT_NEIGHBOR_DISCOVERY, "meta l4proto { icmp, icmpv6 } accept", false },
		{ EXEMPT_ICMP, "meta l4proto { icmp, icmpv6 } accept", true },
		{ EXEMPT_ROUTER_DISCOVERY, "nd-router-advert", true },
		{ EXEMPT_DHCP, "nd-router-advert", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		SCOPED(str_wipe) struct str text = { 0 }, chain = { 0 };
		struct sketch s;

		all_modes(&s);
		s.plan.policy.exemptions = rows[i].given;
		gate_ruleset(&gate_default, &s.plan, &text);
		chain_of(&text, "exempt", &chain);
		if (has(&chain, rows[i].text) != rows[i].want)
			fail_msg("row %zu: %s", i, str_text(&chain));
	}
}

/* One rule of each kind: an allow that asks everything, a block, a bypass by group. */
struct walled {
	struct sketch s;
	struct service services[2];
	struct firewall_rule rules[3];
	struct firewall section;
	struct group trusted, banned;
	const struct group *allow[1], *except[1];
	struct plan_group asked[2];
	struct plan_interface interface;
};

static void wall(struct walled *w)
{
	memset(w, 0, sizeof *w);
	all_modes(&w->s);
	w->services[0] = (struct service){ IPPROTO_TCP, { 80, 80 }, PORT_ANY, -1, -1 };
	w->services[1] = (struct service){ IPPROTO_ICMP, PORT_ANY, PORT_ANY, 8, -1 };
	w->trusted.name = "trusted";
	w->banned.name = "banned";
	w->allow[0] = &w->trusted;
	w->except[0] = &w->banned;
	w->asked[0] = (struct plan_group){ .group = &w->trusted, .sure = true };
	w->asked[1] = (struct plan_group){ .group = &w->banned, .maybe = true };
	w->rules[0] = (struct firewall_rule){ .name = "all\"\n} flush",
					      .action = FIREWALL_ALLOW,
					      .direction = DIRECTION_IN | DIRECTION_OUT,
					      .services = w->services,
					      .service_count = 2,
					      .secure = SECURE_ENCRYPTED,
					      .profiles = PROFILE_DOMAIN,
					      .interface = "eth0" };
	w->rules[1] = (struct firewall_rule){ .name = "closed",
					      .action = FIREWALL_BLOCK,
					      .direction = DIRECTION_IN,
					      .services = w->services,
					      .service_count = 1,
					      .profiles = PROFILE_ALL };
	w->rules[2] = (struct firewall_rule){ .name = "friends",
					      .action = FIREWALL_BYPASS,
					      .direction = DIRECTION_IN,
					      .secure = SECURE_AUTHENTICATED,
					      .profiles = PROFILE_ALL,
					      .machines_allow = w->allow,
					      .allow_count = 1,
					      .machines_except = w->except,
					      .except_count = 1 };
	w->section = (struct firewall){ .inbound = FIREWALL_BLOCK, .rules = w->rules, .count = 3 };
	w->interface = (struct plan_interface){ "eth0", PROFILE_DOMAIN };
	w->s.plan.policy.firewalls = &w->section;
	w->s.plan.policy.firewall_count = 1;
	w->s.plan.ruled = true;
	w->s.plan.asks_who = true;
	w->s.plan.groups = w->asked;
	w->s.plan.group_count = 2;
	w->s.plan.interfaces = &w->interface;
	w->s.plan.interface_count = 1;
}

static void a_host_that_no_section_rules_has_no_firewall(void **state)
{
	SCOPED(str_wipe) struct str text = { 0 };
	struct walled w;

	(void)state;
	wall(&w);
	w.s.plan.ruled = false;
	gate_ruleset(&gate_default, &w.s.plan, &text);
	assert_false(has(&text, "firewall_in"));
	assert_false(has(&text, "firewall_out"));
}

/* Where the chain of one rule is asked: the number of the line, from the jumps of `fwi_ip`. */
static size_t place_of_first_jump_to(const struct str *chain, const struct str *text, const char *rule)
{
	size_t place = 0;

	for (const char *at = str_text(chain); (at = strstr(at, "jump ")); at++, place++) {
		SCOPED(str_wipe) struct str name = { 0 }, target = { 0 };
		size_t len = strcspn(at + 5, "\n");

		str_add_n(&name, at + 5, len);
		if (strcmp(str_text(&name), rule) == 0)
			return place;
		chain_of(text, str_text(&name), &target);
		if (has(&target, rule))
			return place;
	}
	fail_msg("nothing leads to %s", rule);
	return 0;
}

static void bypass_comes_before_block_before_allow_before_default(void **state)
{
	SCOPED(str_wipe) struct str text = { 0 }, chain = { 0 };
	struct walled w;

	(void)state;
	wall(&w);
	gate_ruleset(&gate_default, &w.s.plan, &text);
	chain_of(&text, "fwi_ip", &chain);
	assert_int_equal(place_of_first_jump_to(&chain, &text, "fwi_2"), 0);
	assert_int_equal(place_of_first_jump_to(&chain, &text, "fwi_1"), 1);
	assert_int_equal(place_of_first_jump_to(&chain, &text, "fwi_0"), 2);
	assert_true(has(&chain, "goto fwi_default"));
}

static void a_bypass_asks_for_an_sa_then_the_ban_then_the_group(void **state)
{
	SCOPED(str_wipe) struct str text = { 0 }, first = { 0 }, second = { 0 };
	struct walled w;
	const char *ban, *group;

	(void)state;
	wall(&w);
	gate_ruleset(&gate_default, &w.s.plan, &text);
	chain_of(&text, "fwi_2", &first);
	assert_true(has(&first, "iifname \"cordon0\"  goto fwi_2_1") ||
		    has(&first, "iifname \"cordon0\" goto fwi_2_1"));
	assert_false(has(&first, "accept"));
	chain_of(&text, "fwi_2_1", &second);
	ban = strstr(str_text(&second), "ip saddr . ip daddr @member_may_1_ip return");
	group = strstr(str_text(&second), "ip saddr . ip daddr @member_sure_0_ip goto fwi_2_2");
	assert_non_null(ban);
	assert_non_null(group);
	assert_true(ban < group);
	assert_false(has(&second, "accept"));
}

static void established_connections_are_not_passed_over(void **state)
{
	SCOPED(str_wipe) struct str text = { 0 }, chain = { 0 };
	struct walled w;

	(void)state;
	wall(&w);
	gate_ruleset(&gate_default, &w.s.plan, &text);
	chain_of(&text, "firewall_in", &chain);
	assert_true(has(&chain, "ct state established ct direction reply accept"));
	assert_false(has(&chain, "ct state established accept"));
	assert_false(has(&chain, "ct state { established"));
}

static void a_firewall_rules_name_cannot_break_out_either(void **state)
{
	SCOPED(str_wipe) struct str text = { 0 };
	struct walled w;

	(void)state;
	wall(&w);
	gate_ruleset(&gate_default, &w.s.plan, &text);
	assert_true(has(&text, "comment \"all??} flush\""));
}

/* ---- the kernel's data plane --------------------------------------------------------------------------------------
 */

static struct gate_config kernel_plane(void)
{
	struct gate_config c = gate_default;

	c.plane = GATE_PLANE_KERNEL;
	return c;
}

static void the_kernels_plane_has_no_device_and_no_ways_of_its_own(void **state)
{
	SCOPED(str_wipe) struct str text = { 0 }, chain = { 0 };
	const struct gate_config c = kernel_plane();
	struct walled w;

	(void)state;
	wall(&w);
	gate_ruleset(&c, &w.s.plan, &text);
	assert_false(has(&text, "cordon0"));
	assert_false(has(&text, "masquerade"));
	chain_of(&text, "output", &chain); /* what is protected is not sent another way */
	assert_true(has(&chain, "type filter hook output"));
	assert_true(has(&chain, "@sure_ip goto protect")); /* the firewall asks for the mark */
	str_wipe(&chain);
	chain_of(&text, "prerouting", &chain);
	assert_true(has(&chain, "ipsec in reqid & 0xf0000000 == 0xc0000000 goto from_tun"));
	str_wipe(&chain);
	chain_of(&text, "postrouting", &chain);
	assert_true(has(&chain, "ipsec out reqid & 0xf0000000 == 0xc0000000 goto to_tun"));
	/* It learns the path's MTU for AH in IPv6 from what routers say; the userspace plane does that itself. */
	str_wipe(&chain);
	chain_of(&text, "arriving", &chain);
	assert_true(has(&chain, "icmpv6 type packet-too-big @th,112,8 51 accept\n"));
	str_wipe(&text);
	gate_ruleset(&gate_default, &w.s.plan, &text);
	assert_false(has(&text, "packet-too-big @th"));
}

/* A port and a protocol are anybody's; the mark is only root's. Both ends of a hook: whoever is let out before it is
 * judged must bear it, also in the table that is kept for the next boot, which is this text. */
static void with_the_kernels_plane_only_the_mark_lets_esp_out(void **state)
{
	static const char *const chains[] = { "output", "postrouting", "untracked_out", "firewall_out" };
	static struct child_suite ah = { .protocol = PROTO_AH };
	static const struct protection_set by_ah = { .suites = &ah, .count = 1 };
	const struct gate_config c = kernel_plane();
	SCOPED(str_wipe) struct str text = { 0 };
	struct walled w;

	(void)state;
	wall(&w);
	gate_ruleset(&c, &w.s.plan, &text);
	assert_false(has(&text, "chain untracked")); /* no rule knows AH: a chain less for each packet */
	str_wipe(&text);
	w.s.rules[0].protection = &by_ah;
	gate_ruleset(&c, &w.s.plan, &text);
	for (size_t i = 0; i < ARRAY_LEN(chains); i++) {
		SCOPED(str_wipe) struct str chain = { 0 };
		char line[512];

		chain_of(&text, chains[i], &chain);
		assert_true(has(&chain, "meta mark & 0x1f000000 == 0x02000000 "));
		for (const char *at = str_text(&chain); *at; at += *at == '\n') {
			size_t n = strcspn(at, "\n");

			assert_true(n < sizeof line);
			memcpy(line, at, n);
			line[n] = '\0';
			at += n;
			if ((strstr(line, "esp") || strstr(line, "ah") || strstr(line, "4500")) &&
			    !strstr(line, "meta mark & 0x1f000000 == 0x02000000 "))
				fail_msg("%s: %s", chains[i], line);
		}
	}
}

/* What comes out of a TUN has been compared with its rule. Here the table has to. */
static void what_came_under_another_rules_sa_is_dropped(void **state)
{
	SCOPED(str_wipe) struct str text = { 0 }, chain = { 0 };
	const struct gate_config c = kernel_plane();
	struct auth_set auth = { .name = "a" }, other = { .name = "b", .count = 1 };
	struct child_suite gcm = { 0 }, null_sha = { 0 }, both[2];
	struct protection_set strong = { .suites = &gcm, .count = 1 }, mixed = { .suites = both, .count = 2 };
	char number[16];
	struct sketch s;

	(void)state;
	assert_int_equal(child_suite_parse("esp-aes256gcm", 13, &gcm, NULL), 0);
	assert_int_equal(child_suite_parse("esp-null-sha256", 15, &null_sha, NULL), 0);
	both[0] = gcm;
	both[1] = null_sha;
	all_modes(&s);
	s.rules[0].auth = s.rules[1].auth = s.rules[2].auth = &auth;
	s.rules[5].auth = &other;
	s.rules[0].protection = s.rules[5].protection = &strong; /* "all", "ping" */
	s.rules[1].protection = s.rules[2].protection = &mixed;  /* "in", "ask" */
	gate_ruleset(&c, &s.plan, &text);
	chain_of(&text, "under_1", &chain); /* "all": SAs of its own only, for others may be weaker */
	snprintf(number, sizeof number, "%u", rule_reqid(&s.rules[0]));
	assert_true(has(&chain, number));
	for (size_t i = 1; i <= 5; i++) {
		snprintf(number, sizeof number, "%u", rule_reqid(&s.rules[i]));
		assert_false(has(&chain, number));
	}
	assert_true(has(&chain, "drop"));
	str_wipe(&chain);
	chain_of(&text, "under_2", &chain); /* "in" and "ask": the stronger one does as well; another proof does not */
	for (size_t i = 0; i <= 5; i++) {
		bool does = i <= 2;

		snprintf(number, sizeof number, "%u", rule_reqid(&s.rules[i]));
		if (has(&chain, number) != does)
			fail_msg("rule %zu in %s", i, str_text(&chain));
	}
	str_wipe(&chain);
	chain_of(&text, "rule_0", &chain);
	assert_true(has(&chain, "meta priority set 0:1 return"));
	str_wipe(&chain);
	chain_of(&text, "rule_4", &chain); /* a block drops it, whatever it came under */
	assert_false(has(&chain, "meta priority"));
}

static void with_the_kernels_plane_a_firewall_rule_asks_the_sa_itself(void **state)
{
	SCOPED(str_wipe) struct str text = { 0 }, chain = { 0 };
	const struct gate_config c = kernel_plane();
	struct walled w;

	(void)state;
	wall(&w);
	gate_ruleset(&c, &w.s.plan, &text);
	chain_of(&text, "fwi_2", &chain); /* secure: authenticated */
	assert_true(has(&chain, "ipsec in reqid & 0xf0000000 == 0xc0000000 goto fwi_2_1") ||
		    has(&chain, "ipsec in reqid & 0xf0000000 == 0xc0000000  goto fwi_2_1"));
	str_wipe(&chain);
	chain_of(&text, "fwi_0", &chain); /* secure: encrypted */
	assert_true(has(&chain, "ipsec in reqid & 0xf8000000 == 0xc8000000 "));
	assert_false(has(&text, "fwi_strength"));
	assert_true(has(&text, "fwo_strength")); /* what goes out may have to wait for its SA first */
}

/* A request mode lets in what XFRM's policies would not. */
static void what_is_let_in_clear_is_marked_for_the_kernel(void **state)
{
	SCOPED(str_wipe) struct str text = { 0 }, chain = { 0 };
	const struct gate_config c = kernel_plane();
	struct sketch s;

	(void)state;
	all_modes(&s);
	gate_ruleset(&c, &s.plan, &text);
	chain_of(&text, "rule_2", &chain);
	assert_true(has(&chain, "meta mark set meta mark | 0x03000000 return"));
	str_wipe(&chain);
	chain_of(&text, "output", &chain);
	assert_true(has(&chain, "type route hook output"));
	assert_true(has(&chain, "@sure_ip meta mark set meta mark & 0xe0ffffff accept"));
	assert_true(has(&chain, "== 0x0c000000 meta mark set meta mark & 0xe0ffffff | 0x03000000 accept"));
	assert_true(has(&chain, "\t\tmeta mark set meta mark & 0xe0ffffff"));
	str_wipe(&chain);
	str_wipe(&text);
	gate_ruleset(&gate_default, &s.plan, &text);
	chain_of(&text, "rule_2", &chain);
	assert_false(has(&chain, "meta mark | 0x03000000"));
}

/* ---- many rules -------------------------------------------------------------------------------------------------- */

enum { MANY_MOST = 2000 };

/* As many rules as wanted, each about another peer. */
struct many {
	struct plan plan;
	struct rule rules[MANY_MOST];
	char names[MANY_MOST][16];
	struct addr local;
	struct plan_region region[MANY_MOST];
	const struct plan_region *regions[1];
	size_t region_counts[1];
	struct plan_entry entries[MANY_MOST][2];
	struct plan_list lists[MANY_MOST];
};

enum many_shape { BY_ADDRESS, BY_SERVICE, BY_PORT, MANY_SHAPES };

static struct port_range port(unsigned n)
{
	return (struct port_range){ (uint16_t)n, (uint16_t)n };
}

/* BY_PORT: all between the same two, each about another port. */
static struct many *many_new(enum many_shape shape, size_t count)
{
	struct many *m = mem_new(1, sizeof *m);

	m->local = range("10.0.0.1").lo;
	m->plan = (struct plan){ .policy = { .rules = m->rules, .rule_count = count },
				 .locals = &m->local,
				 .local_count = 1,
				 .regions = m->regions,
				 .region_counts = m->region_counts,
				 .lists = m->lists };
	m->regions[0] = m->region;
	for (size_t i = 0; i < count; i++) {
		char text[ADDR_TEXT];
		struct plan_entry *e = m->entries[i];

		snprintf(m->names[i], sizeof m->names[i], "r%zu", i);
		m->rules[i] = (struct rule){ .name = m->names[i], .mode = MODE_REQUIRE, .index = (uint32_t)i };
		snprintf(text, sizeof text, "10.1.%zu.%zu", i / 100, 2 * (i % 100));
		m->region[i] = (struct plan_region){ range(text), (uint32_t)i };
		for (int side = 0; side < 2; side++)
			e[side] = (struct plan_entry){ .rule = &m->rules[i],
						       .protocol = shape == BY_ADDRESS ? PROTOCOL_ANY : IPPROTO_TCP,
						       .local_port = PORT_ANY,
						       .remote_port = PORT_ANY,
						       .icmp_type = -1,
						       .icmp_code = -1,
						       .initiators = INITIATOR_EITHER };
		if (shape != BY_ADDRESS) {
			e[0].local_port = port(shape == BY_PORT ? 1000 + 2 * (unsigned)i : 445);
			e[1].remote_port = e[0].local_port;
		}
		m->lists[i] = (struct plan_list){ e, shape == BY_ADDRESS ? 1 : 2 };
	}
	m->plan.list_count = m->region_counts[0] = count;
	if (shape == BY_PORT) {
		m->plan.list_count = m->region_counts[0] = 1;
		m->lists[0] = (struct plan_list){ m->entries[0], 2 * count };
	}
	return m;
}

static size_t occurrences(const char *text, const char *what)
{
	size_t n = 0;

	for (; (text = strstr(text, what)); text++)
		n++;
	return n;
}

struct size_of_text {
	size_t chains, maps, sets, counters, lines_in_chains;
};

static struct size_of_text size_of(const struct str *text)
{
	const char *all = str_text(text);
	struct size_of_text s = { .chains = occurrences(all, "\tchain "),
				  .maps = occurrences(all, "\tmap "),
				  .sets = occurrences(all, "\tset "),
				  .counters = occurrences(all, "\tcounter ") };

	for (const char *at = all; (at = strstr(at, "\tchain ")); at++) {
		const char *end = strstr(at, "\n\t}\n");

		assert_non_null(end);
		for (const char *c = at; c < end; c++)
			s.lines_in_chains += *c == '\n';
	}
	return s;
}

/* What a packet meets, and what nft and the kernel take long for, is there once, however many rules do the same. */
static void more_rules_of_one_shape_are_no_more_chains_and_rules(void **state)
{
	static const enum gate_plane planes[] = { GATE_PLANE_TUN, GATE_PLANE_KERNEL };

	(void)state;
	for (size_t p = 0; p < ARRAY_LEN(planes); p++)
		for (enum many_shape shape = 0; shape < MANY_SHAPES; shape++) {
			struct gate_config c = gate_default;
			struct size_of_text sizes[2];

			c.plane = planes[p];
			for (size_t i = 0; i < 2; i++) {
				SCOPED(str_wipe) struct str text = { 0 };
				struct many *m = many_new(shape, i ? MANY_MOST : 100);

				gate_ruleset(&c, &m->plan, &text);
				sizes[i] = size_of(&text);
				free(m);
			}
			if (sizes[0].chains != sizes[1].chains || sizes[0].maps != sizes[1].maps ||
			    sizes[0].sets != sizes[1].sets || sizes[0].lines_in_chains != sizes[1].lines_in_chains)
				fail_msg("shape %d, plane %zu: %zu and %zu chains, %zu and %zu lines", (int)shape, p,
					 sizes[0].chains, sizes[1].chains, sizes[0].lines_in_chains,
					 sizes[1].lines_in_chains);
			assert_true(sizes[1].counters > sizes[0].counters + MANY_MOST); /* each still has its own */
		}
}

/* Few rules are apart, and their chains say which rule they are. */
static void few_rules_have_chains_of_their_own(void **state)
{
	SCOPED(str_wipe) struct str text = { 0 };
	struct many *m = many_new(BY_ADDRESS, 64);

	(void)state;
	gate_ruleset(&gate_default, &m->plan, &text);
	assert_int_equal(occurrences(str_text(&text), "\tchain rule_"), 64);
	assert_false(has(&text, "pool_"));
	free(m);
}

/* A rule that stands among many is counted by its own counter. */
static void rules_that_share_a_chain_are_counted_apart(void **state)
{
	SCOPED(str_wipe) struct str text = { 0 };
	struct many *m = many_new(BY_PORT, 100);

	(void)state;
	gate_ruleset(&gate_default, &m->plan, &text);
	assert_true(has(&text, "1002 : \"r1_0\""));
	assert_true(has(&text, "1198 : \"r99_2\""));
	assert_true(has(&text, "meta l4proto 6 ct reply proto-dst @ports_0 goto pool_1_p0"));
	str_wipe(&text);
	free(m);
	m = many_new(BY_ADDRESS, 100);
	gate_ruleset(&gate_default, &m->plan, &text);
	assert_true(has(&text, "10.1.0.198 : \"r99_0\""));
	assert_true(has(&text, "10.1.0.198 : goto pool_1_a0_0"));
	free(m);
}

/* Of very many not even that is left. Who is apart keeps his own. */
static void very_many_rules_are_counted_together(void **state)
{
	struct gate_config c = gate_default;

	(void)state;
	c.rules_counted = 500;
	for (enum many_shape shape = 0; shape < MANY_SHAPES; shape++) {
		struct size_of_text sizes[2];

		for (size_t i = 0; i < 2; i++) {
			SCOPED(str_wipe) struct str text = { 0 };
			struct many *m = many_new(shape, i ? MANY_MOST : 600);

			m->rules[7].mode = MODE_EXEMPT;
			gate_ruleset(&c, &m->plan, &text);
			sizes[i] = size_of(&text);
			assert_true(has(&text, "counter name r4294967295_0"));
			assert_true(has(&text, "counter r7_3 {"));
			assert_false(has(&text, "counter r8_0 {"));
			assert_false(has(&text, "chain count_"));
			free(m);
		}
		assert_int_equal(sizes[0].counters, sizes[1].counters);
		assert_int_equal(sizes[0].lines_in_chains, sizes[1].lines_in_chains);
	}
}

/* The kernel is the judge of its own grammar. Needs a namespace of our own. */
static void nft_takes_what_we_write(void **state)
{
	SCOPED(str_wipe) struct str text = { 0 };
	const struct gate_config kernel = kernel_plane();
	struct walled w;
	struct sketch s;
	struct diag d;

	(void)state;
	if (unshare(CLONE_NEWNET) < 0 || (access("/usr/sbin/nft", X_OK) < 0 && access("/sbin/nft", X_OK) < 0))
		skip();
	all_modes(&s);
	gate_ruleset(&gate_default, &s.plan, &text);
	if (getenv("RULESET_SHOW"))
		puts(str_text(&text));
	if (nft_try(str_text(&text), text.len, &d) < 0)
		fail_msg("%s", d.text);
	if (nft_load(str_text(&text), text.len, &d) < 0)
		fail_msg("%s", d.text);
	str_wipe(&text);
	wall(&w);
	gate_ruleset(&gate_default, &w.s.plan, &text);
	if (nft_load(str_text(&text), text.len, &d) < 0)
		fail_msg("%s", d.text);
	for (int i = 0; i < 2; i++) {
		str_wipe(&text);
		gate_ruleset(&kernel, i ? &w.s.plan : &s.plan, &text);
		if (getenv("RULESET_SHOW"))
			puts(str_text(&text));
		if (nft_load(str_text(&text), text.len, &d) < 0)
			fail_msg("%s", d.text);
	}
	for (enum many_shape shape = 0; shape < MANY_SHAPES; shape++) {
		struct many *m = many_new(shape, 200);

		for (int together = 0; together < 2; together++) {
			struct gate_config c = shape == BY_SERVICE ? kernel : gate_default;

			c.rules_counted = together ? 100 : c.rules_counted;
			str_wipe(&text);
			gate_ruleset(&c, &m->plan, &text);
			if (getenv("RULESET_SHOW"))
				puts(str_text(&text));
			if (nft_load(str_text(&text), text.len, &d) < 0)
				fail_msg("%s", d.text);
		}
		free(m);
	}
	if (nft_load("table inet cordon { nonsense", 28, &d) != -EINVAL)
		fail_msg("nonsense was taken");
	assert_non_null(strstr(d.text, "syntax error"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_disabled_gate_is_an_empty_table),
		cmocka_unit_test(a_list_that_takes_everything_needs_no_chain),
		cmocka_unit_test(an_exemption_with_ports_follows_the_connection),
		cmocka_unit_test(what_holds_back_takes_packets_of_no_connection),
		cmocka_unit_test(addresses_with_the_same_regions_share_a_map),
		cmocka_unit_test(a_rule_name_cannot_break_out_of_its_comment),
		cmocka_unit_test(global_exemptions_are_those_of_the_policy),
		cmocka_unit_test(a_host_that_no_section_rules_has_no_firewall),
		cmocka_unit_test(bypass_comes_before_block_before_allow_before_default),
		cmocka_unit_test(a_bypass_asks_for_an_sa_then_the_ban_then_the_group),
		cmocka_unit_test(established_connections_are_not_passed_over),
		cmocka_unit_test(a_firewall_rules_name_cannot_break_out_either),
		cmocka_unit_test(the_kernels_plane_has_no_device_and_no_ways_of_its_own),
		cmocka_unit_test(with_the_kernels_plane_only_the_mark_lets_esp_out),
		cmocka_unit_test(what_came_under_another_rules_sa_is_dropped),
		cmocka_unit_test(with_the_kernels_plane_a_firewall_rule_asks_the_sa_itself),
		cmocka_unit_test(what_is_let_in_clear_is_marked_for_the_kernel),
		cmocka_unit_test(more_rules_of_one_shape_are_no_more_chains_and_rules),
		cmocka_unit_test(few_rules_have_chains_of_their_own),
		cmocka_unit_test(rules_that_share_a_chain_are_counted_apart),
		cmocka_unit_test(very_many_rules_are_counted_together),
		cmocka_unit_test(nft_takes_what_we_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
