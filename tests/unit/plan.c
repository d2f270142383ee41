/* Which rule wins: the semantics of the model, one promise a test. */
#include "policy/plan.h"

#include "base/mem.h"
#include "base/str.h"
#include "base/text.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *folder; /* of the examples */

static struct addr address(const char *text)
{
	struct addr a;

	if (addr_parse(text, strlen(text), &a, NULL) < 0)
		fail_msg("%s is no address", text);
	return a;
}

static void fail_report(const struct report *r)
{
	SCOPED(str_wipe) struct str out = { 0 };

	report_text(r, false, &out);
	fail_msg("%s", str_text(&out));
}

/* A policy of rules on one line each, with what every policy needs. */
static struct policy *policy_of(const char *rules, struct report *r)
{
	SCOPED(str_wipe) struct str text = { 0 };
	struct policy *p = NULL;

	str_addf(&text,
		 "cordon: 1\n"
		 "authentication: { default: { certificate: {} }, other: { certificate: { issuer: CN=x } } }\n"
		 "protection: { sign: { proposals: [esp-sha256-null] } }\n"
		 "%s",
		 rules);
	(void)policy_parse(text_new("test.yaml", text.text, text.len), NULL, r, &p);
	return p;
}

static struct plan *plan_for(const struct policy *p, const char *local, struct report *r)
{
	struct host_address own = { address(local), 24 };
	struct plan_host host = { .own = &own, .own_count = 1 };
	struct plan *plan = NULL;

	if (!p || plan_compile(p, &host, r, &plan) < 0)
		fail_report(r);
	return plan;
}

/* "tcp/40000>445" is a packet from local port 40000 to remote port 445 of a connection that local opened; with '<' the
 * other side opened it. "icmp" has no ports, and either may have begun. */
static struct plan_packet packet(const char *local, const char *remote, const char *what)
{
	struct plan_packet k = { .local = address(local), .remote = address(remote), .initiator = INITIATOR_EITHER };
	unsigned from = 0, to = 0;
	char protocol[8] = "", way = 0;

	if (sscanf(what, "%7[a-z]/%u%c%u", protocol, &from, &way, &to) == 4)
		k.initiator = way == '>' ? INITIATOR_LOCAL : INITIATOR_REMOTE;
	k.protocol = strcmp(protocol, "tcp") == 0 ? 6 : strcmp(protocol, "udp") == 0 ? 17 : 1;
	k.local_port = (uint16_t)from;
	k.remote_port = (uint16_t)to;
	return k;
}

static const char *winner(const struct plan *plan, const char *local, const char *remote, const char *what)
{
	struct plan_packet k = packet(local, remote, what);
	const struct plan_entry *e = plan_lookup(plan, &k);

	return e ? e->rule->name : "none";
}

struct row {
	const char *local, *remote, *what, *want;
};

static void check_rows(const struct policy *p, const struct row *rows, size_t n)
{
	SCOPED(report_freep) struct report *r = report_new();

	for (size_t i = 0; i < n; i++) {
		SCOPED(plan_freep) struct plan *plan = plan_for(p, rows[i].local, r);
		const char *got = winner(plan, rows[i].local, rows[i].remote, rows[i].what);

		if (strcmp(got, rows[i].want) != 0)
			fail_msg("%s - %s %s: '%s' wins, not '%s'", rows[i].local, rows[i].remote, rows[i].what, got,
				 rows[i].want);
	}
}

static void check_example(const char *name, const struct row *rows, size_t n)
{
	SCOPED(report_freep) struct report *r = report_new();
	SCOPED(str_wipe) struct str path = { 0 };
	SCOPED(policy_freep) struct policy *p = NULL;

	str_addf(&path, "%s/%s", folder, name);
	if (policy_load(str_text(&path), NULL, r, &p) < 0)
		fail_report(r);
	check_rows(p, rows, n);
}

static void check_rules(const char *rules, const struct row *rows, size_t n)
{
	SCOPED(report_freep) struct report *r = report_new();
	SCOPED(policy_freep) struct policy *p = policy_of(rules, r);

	if (!p)
		fail_report(r);
	check_rows(p, rows, n);
}

static void domain_isolation_protects_all_but_names_and_the_emergency(void **state)
{
	static const char require[] = "All Server/PAW Require IPsec", dns[] = "Server/PAW to DC DNS exception",
			  emergency[] = "Emergency PAW exception";
	static const struct row rows[] = {
		{ "10.77.1.10", "10.77.1.11", "tcp/40000>389", require },
		{ "10.77.1.11", "10.77.1.10", "tcp/389<40000", require },
		{ "10.77.1.21", "10.77.1.10", "tcp/40000>389", require },
		{ "10.77.2.31", "10.77.1.10", "udp/40000>53", dns },
		{ "10.77.1.10", "10.77.2.31", "udp/53<40000", dns },
		{ "10.77.2.31", "10.77.1.10", "tcp/40000>53", dns },
		{ "10.77.2.31", "10.77.1.10", "udp/53<40000", require }, /* the paw is no DNS server */
		{ "10.77.1.10", "10.77.2.31", "udp/53>40000", require }, /* a source port opens nothing */
		{ "10.77.1.21", "10.77.2.31", "udp/40000>53", require }, /* nor is srv1 one */
		{ "10.77.9.5", "10.77.1.10", "tcp/40000>3389", emergency },
		{ "10.77.1.10", "10.77.9.5", "tcp/3389<40000", emergency },
		{ "10.77.9.5", "10.77.1.21", "tcp/40000>445", "none" },
		{ "10.77.1.66", "10.77.1.21", "tcp/40000>445", require },
		{ "10.77.1.21", "10.77.1.66", "icmp", require },
		{ "10.77.1.21", "8.8.8.8", "icmp", "none" },
	};

	(void)state;
	check_example("domain-isolation.yaml", rows, ARRAY_LEN(rows));
}

static void as_published_it_exempts_the_controllers_and_no_name(void **state)
{
	static const char require[] = "All Server/PAW Require IPsec", dns[] = "Server/PAW to DC DNS exception",
			  emergency[] = "Emergency PAW Exception";
	static const struct row rows[] = {
		{ "10.77.1.10", "10.77.1.11", "tcp/40000>389", emergency },
		{ "10.77.2.31", "10.77.1.10", "udp/40000>53", require },
		{ "10.77.1.10", "10.77.2.31", "udp/40000>53", dns }, /* the one connection that it exempts */
		{ "10.77.2.31", "10.77.1.10", "udp/53<40000", dns },
		{ "10.77.9.5", "10.77.1.10", "tcp/40000>3389", emergency },
	};

	(void)state;
	check_example("domain-isolation-as-published.yaml", rows, ARRAY_LEN(rows));
}

static void classic_filters_take_direction_from_ports(void **state)
{
	static const struct row rows[] = {
		{ "10.79.0.20", "1.2.3.4", "tcp/80<40000", "Digitally sign web traffic" },
		{ "1.2.3.4", "10.79.0.20", "tcp/40000>80", "Digitally sign web traffic" },
		{ "10.79.0.20", "1.2.3.4", "tcp/107<40000", "Block port 107" },
		{ "10.79.0.20", "1.2.3.4", "tcp/107>40000", "none" },
		{ "10.79.0.20", "1.2.3.4", "icmp", "Permit ping" },
		{ "10.79.0.99", "10.79.0.20", "udp/40000>514", "One way only" },
		{ "10.79.0.20", "10.79.0.99", "udp/514<40000", "One way only" },
		{ "10.79.0.20", "10.79.0.99", "udp/40000>514", "none" },
		{ "10.79.0.99", "10.79.0.20", "udp/514<40000", "none" },
		{ "10.79.0.98", "10.79.0.20", "udp/40000>514", "none" },
	};

	(void)state;
	check_example("classic-filters.yaml", rows, ARRAY_LEN(rows));
}

static void bypass_signs_only_the_web_site(void **state)
{
	static const struct row rows[] = {
		{ "10.78.0.30", "10.78.0.20", "tcp/40000>80", "Sign web traffic to the secure site" },
		{ "10.78.0.20", "10.78.0.40", "tcp/80<40000", "Sign web traffic to the secure site" },
		{ "10.78.0.30", "10.78.0.20", "tcp/40000>22", "none" },
		{ "10.78.0.40", "10.78.0.10", "udp/40000>88", "none" },
	};

	(void)state;
	check_example("ipsec-bypass.yaml", rows, ARRAY_LEN(rows));
}

static void the_smaller_element_wins_then_protocol_then_ports(void **state)
{
	static const char rules[] =
		"connection-security:\n"
		"- { name: wide, endpoint1: 10.0.0.0/8, endpoint2: 10.0.0.0/8, mode: require }\n"
		"- { name: any, endpoint1: any, endpoint2: any, mode: request }\n"
		"- { name: net, endpoint1: 10.1.0.0/16, endpoint2: 10.0.0.0/8, mode: exempt }\n"
		"- { name: pair, endpoint1: 10.1.0.0/16, endpoint2: 10.2.0.0/16, mode: block }\n"
		"- { name: host, endpoint1: 10.1.0.1, endpoint2: any, mode: require, protection: sign }\n"
		"- { name: tcp, endpoint1: 10.0.0.0/8, endpoint2: 10.0.0.0/8, protocol: tcp, mode: request }\n"
		"- { name: range, endpoint1: 10.0.0.0/8, endpoint2: 10.0.0.0/8, traffic: [tcp/1-99], mode: block }\n"
		"- { name: port, endpoint1: 10.0.0.0/8, endpoint2: 10.0.0.0/8, traffic: [tcp/80], mode: exempt }\n"
		"- { name: both, endpoint1: 10.0.0.0/8, endpoint2: 10.0.0.0/8, protocol: tcp, port1: 9, port2: 80, "
		"mode: require }\n";
	static const struct row rows[] = {
		{ "11.0.0.1", "12.0.0.1", "tcp/5>80", "any" },    { "10.9.0.1", "10.8.0.1", "udp/5>80", "wide" },
		{ "10.9.0.1", "10.8.0.1", "tcp/5>700", "tcp" },   { "10.9.0.1", "10.8.0.1", "tcp/700>8", "range" },
		{ "10.9.0.1", "10.8.0.1", "tcp/700>80", "port" }, { "10.9.0.1", "10.8.0.1", "tcp/9>80", "both" },
		{ "10.8.0.1", "10.9.0.1", "tcp/80<9", "both" },   { "10.9.0.1", "10.1.0.9", "tcp/700>80", "net" },
		{ "10.2.0.1", "10.1.0.9", "tcp/700>80", "pair" }, { "10.2.0.1", "10.1.0.1", "tcp/700>80", "host" },
		{ "10.1.0.1", "99.0.0.1", "udp/700>80", "host" },
	};

	(void)state;
	check_rules(rules, rows, ARRAY_LEN(rows));
}

static void loopback_link_local_multicast_and_own_addresses_are_outside(void **state)
{
	static const char rules[] = "connection-security:\n"
				    "- { name: all, endpoint1: any, endpoint2: any, mode: require }\n";
	static const struct row rows[] = {
		{ "10.0.0.1", "127.0.0.1", "icmp", "none" },       { "10.0.0.1", "169.254.3.3", "icmp", "none" },
		{ "10.0.0.1", "224.0.0.1", "icmp", "none" },       { "10.0.0.1", "255.255.255.255", "icmp", "none" },
		{ "10.0.0.1", "10.0.0.255", "icmp", "none" },      { "10.0.0.1", "10.0.0.1", "icmp", "none" },
		{ "10.0.0.1", "10.0.0.2", "icmp", "all" },         { "10.0.0.1", "2001:db8::1", "icmp", "none" },
		{ "2001:db8::1", "fe80::1", "icmp", "none" },      { "2001:db8::1", "ff02::1", "icmp", "none" },
		{ "2001:db8::1", "::1", "icmp", "none" },          { "2001:db8::1", "2001:db8::2", "icmp", "all" },
		{ "2001:db8::1", "ffff:ffff::1", "icmp", "none" },
	};

	(void)state;
	check_rules(rules, rows, ARRAY_LEN(rows));
}

static void keywords_mean_the_hosts_with_the_role(void **state)
{
	static const char rules[] =
		"hosts: { ns: { address: 10.0.9.9, roles: dns }, h: { address: 10.0.0.7 } }\n"
		"connection-security:\n"
		"- { name: dns, endpoint1: any, endpoint2: dns-servers, traffic: [dns], mode: exempt }\n"
		"- { name: lan, endpoint1: self, endpoint2: local-subnet, mode: require }\n"
		"- { name: gw, endpoint1: self, endpoint2: default-gateway, mode: block }\n";
	static const struct row rows[] = {
		{ "10.0.0.7", "10.0.9.9", "udp/40000>53", "dns" },
		{ "10.0.0.7", "10.0.9.8", "udp/40000>53", "none" },
		{ "10.0.0.7", "10.0.0.8", "udp/40000>53", "lan" },
		{ "10.0.0.7", "10.0.1.8", "udp/40000>53", "none" },
	};
	SCOPED(report_freep) struct report *r = report_new();
	SCOPED(policy_freep) struct policy *p = policy_of(rules, r);
	SCOPED(plan_freep) struct plan *plan = NULL;
	struct addr gateway = address("10.0.0.1"), unused = address("10.0.0.3");
	struct host_address own = { address("10.0.0.7"), 24 };
	struct plan_host host = { .own = &own, .own_count = 1 };

	(void)state;
	check_rules(rules, rows, ARRAY_LEN(rows));
	host.servers[KEYWORD_DEFAULT_GATEWAY] = &gateway;
	host.server_counts[KEYWORD_DEFAULT_GATEWAY] = 1;
	host.servers[KEYWORD_DNS_SERVERS] = &unused; /* the policy knows better */
	host.server_counts[KEYWORD_DNS_SERVERS] = 1;
	assert_int_equal(plan_compile(p, &host, r, &plan), 0);
	assert_string_equal(winner(plan, "10.0.0.7", "10.0.0.1", "icmp"), "gw");
	assert_string_equal(winner(plan, "10.0.0.7", "10.0.0.3", "udp/40000>53"), "lan");
}

static void profiles_decide_whether_a_rule_is_in_force(void **state)
{
	static const char rules[] =
		"connection-security:\n"
		"- { name: work, endpoint1: any, endpoint2: any, mode: require, profiles: [domain, private] }\n"
		"- { name: cafe, endpoint1: any, endpoint2: any, mode: exempt, profiles: public }\n";
	SCOPED(report_freep) struct report *r = report_new();
	SCOPED(policy_freep) struct policy *p = policy_of(rules, r);
	struct host_address own = { address("10.0.0.7"), 24 };
	static const struct {
		unsigned profiles;
		const char *want;
	} rows[] = { { PROFILE_DOMAIN, "work" }, { PROFILE_PRIVATE, "work" }, { PROFILE_PUBLIC, "cafe" } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct plan_host host = { .own = &own, .own_count = 1, .profiles = rows[i].profiles };
		SCOPED(plan_freep) struct plan *plan = NULL;

		assert_int_equal(plan_compile(p, &host, r, &plan), 0);
		assert_string_equal(winner(plan, "10.0.0.7", "10.0.0.8", "icmp"), rows[i].want);
	}
}

static void losers_are_kept_only_for_contests(void **state)
{
	static const char rules[] = "connection-security:\n"
				    "- { name: wide, endpoint1: any, endpoint2: any, mode: request }\n"
				    "- { name: pair, endpoint1: 10.0.0.7, endpoint2: 10.0.0.8, mode: require }\n"
				    "- { name: ssh, endpoint1: 10.0.0.7, endpoint2: 10.0.0.8, traffic: [tcp/22], "
				    "mode: exempt }\n";
	SCOPED(report_freep) struct report *r = report_new();
	SCOPED(policy_freep) struct policy *p = policy_of(rules, r);
	struct host_address own = { address("10.0.0.7"), 24 };
	struct addr other = address("10.0.0.8");

	(void)state;
	for (int contests = 0; contests < 2; contests++) {
		struct plan_host host = { .own = &own, .own_count = 1, .contests = contests };
		SCOPED(plan_freep) struct plan *plan = NULL;
		struct plan_list l;

		assert_int_equal(plan_compile(p, &host, r, &plan), 0);
		l = plan_meet(plan, &own.addr, &other);
		assert_int_equal(l.count, contests ? 3 : 2);
		assert_string_equal(l.entries[0].rule->name, "ssh");
		assert_string_equal(l.entries[1].rule->name, "pair");
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(domain_isolation_protects_all_but_names_and_the_emergency),
		cmocka_unit_test(as_published_it_exempts_the_controllers_and_no_name),
		cmocka_unit_test(classic_filters_take_direction_from_ports),
		cmocka_unit_test(bypass_signs_only_the_web_site),
		cmocka_unit_test(the_smaller_element_wins_then_protocol_then_ports),
		cmocka_unit_test(loopback_link_local_multicast_and_own_addresses_are_outside),
		cmocka_unit_test(keywords_mean_the_hosts_with_the_role),
		cmocka_unit_test(profiles_decide_whether_a_rule_is_in_force),
		cmocka_unit_test(losers_are_kept_only_for_contests),
	};

	folder = argc > 1 ? argv[1] : "examples";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
