#include "tests/unit/unit.h"

#include "base/diag.h"
#include "base/mem.h"
#include "base/scope.h"
#include "base/str.h"
#include "enforce/gate.h"
#include "enforce/nft.h"
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

/* The kernel is the judge of its own grammar. Needs a namespace of our own. */
static void nft_takes_what_we_write(void **state)
{
	SCOPED(str_wipe) struct str text = { 0 };
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
		cmocka_unit_test(nft_takes_what_we_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
