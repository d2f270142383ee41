#include "tests/unit/unit.h"

#include "analysis/tests.h"
#include "tests/unit/ask.h"

#define HOSTS \
	"hosts:\n" \
	"  a: { address: [10.0.0.1, 'fd00::1'] }\n" \
	"  b: { address: [10.0.0.2, 'fd00::2'] }\n" \
	"  c: { address: 10.0.0.3, credentials: [psk] }\n" \
	"  out: { address: 10.0.0.9, agent: none }\n" \
	"  six: { address: 'fd00::6' }\n" \
	"  n: { address: 10.0.0.11, nat-address: 192.0.2.1 }\n"
#define NAT(setting) "nat-traversal: " setting "\n"
#define SETS \
	"authentication:\n" \
	"  default: [ { certificate: { issuer: 'CN=CA' } } ]\n" \
	"  psk: [ { pre-shared-key: { file: /k } } ]\n" \
	"protection:\n" \
	"  mixed: { proposals: [esp-aes256gcm, esp-sha256-null] }\n" \
	"  open: { proposals: [esp-sha256-null, esp-aes256gcm] }\n" \
	"  either: { proposals: [ah-sha256, esp-aes256gcm] }\n" \
	"  sign: { proposals: [ah-sha256] }\n"
#define RULE(name, rest) "  - { name: " name ", endpoint1: [any], endpoint2: [any], " rest " }\n"
#define POLICY(rest) HOSTS SETS rest

static void why_tells_the_fate_of_traffic(void **state)
{
	static const struct {
		const char *policy, *from, *to, *traffic;
		enum outcome verdict, guaranteed;
		const char *rule, *words; /* words: part of the reason */
	} rows[] = {
#define R "connection-security:\n"
		{ POLICY(R RULE("r", "mode: require")), "a", "b", "tcp/80", OUTCOME_ENCRYPTED, OUTCOME_ENCRYPTED, "r",
		  "agree on esp-aes256gcm" },
		{ POLICY(R RULE("r", "mode: require, protection: mixed")), "a", "b", "tcp/80", OUTCOME_ENCRYPTED,
		  OUTCOME_AUTHENTICATED, "r", "both also accept esp-sha256-null" },
		{ POLICY(R RULE("r", "mode: require, protection: open")), "a", "b", "tcp/80", OUTCOME_AUTHENTICATED,
		  OUTCOME_AUTHENTICATED, "r", "hides nothing" },
		{ POLICY(R RULE("r", "mode: request")), "a", "b", "tcp/80", OUTCOME_ENCRYPTED, OUTCOME_CLEAR, "r",
		  "send in clear after 1 s" },
		{ POLICY(R RULE("r", "mode: request")), "a", "out", "tcp/80", OUTCOME_CLEAR, OUTCOME_CLEAR, "r",
		  "out runs no IPsec" },
		{ POLICY(R RULE("r", "mode: request")), "out", "a", "tcp/80", OUTCOME_CLEAR, OUTCOME_CLEAR, "r",
		  "out runs no IPsec" },
		{ POLICY(R RULE("r", "mode: require")), "out", "a", "tcp/80", OUTCOME_BLOCKED, OUTCOME_BLOCKED, "r",
		  "a requires authentication of 10.0.0.9 ('r'), and out runs no IPsec" },
		{ POLICY(R RULE("r", "mode: require")), "a", "out", "tcp/80", OUTCOME_BLOCKED, OUTCOME_BLOCKED, "r",
		  "a requires authentication of 10.0.0.9" },
		{ POLICY(R RULE("r", "mode: require-inbound")), "a", "out", "tcp/80", OUTCOME_CLEAR, OUTCOME_CLEAR, "r",
		  "out runs no IPsec" },
		{ POLICY(R RULE("r", "mode: require-inbound")), "out", "a", "tcp/80", OUTCOME_BLOCKED, OUTCOME_BLOCKED,
		  "r", "out runs no IPsec" },
		{ POLICY(R RULE("r", "mode: require")), "a", "c", "tcp/80", OUTCOME_BLOCKED, OUTCOME_BLOCKED, "r",
		  "c holds nothing that satisfies 'default'" },
		{ POLICY(R RULE("r", "mode: require, authentication: psk")), "a", "c", "tcp/80", OUTCOME_ENCRYPTED,
		  OUTCOME_ENCRYPTED, "r", NULL },
		{ POLICY(R RULE("r", "mode: exempt")), "out", "a", "udp/53", OUTCOME_CLEAR, OUTCOME_CLEAR, "r",
		  "'r' exempts it" },
		{ POLICY(R RULE("r", "mode: block, protocol: tcp, port2: 80")), "a", "b", "tcp/80", OUTCOME_BLOCKED,
		  OUTCOME_BLOCKED, "r", "'r' blocks it" },
		{ POLICY(R RULE("r", "mode: block, protocol: tcp, port2: 80")), "a", "b", "tcp/81", OUTCOME_CLEAR,
		  OUTCOME_CLEAR, NULL, "no rule speaks of this traffic" },
		{ POLICY(""), "a", "b", "tcp/81", OUTCOME_CLEAR, OUTCOME_CLEAR, NULL, "no rule speaks of this pair" },
		{ POLICY("exempt: [icmp]\n" R RULE("r", "mode: require")), "a", "out", "icmp", OUTCOME_CLEAR,
		  OUTCOME_CLEAR, NULL, "global exemption" },
		{ POLICY(R RULE("r", "mode: require")), "a", "b", "icmp", OUTCOME_ENCRYPTED, OUTCOME_ENCRYPTED, "r",
		  NULL },
		{ POLICY(R RULE("r", "mode: require")), "fd00::1", "fd00::2", "icmpv6/135", OUTCOME_CLEAR,
		  OUTCOME_CLEAR, NULL, "global exemption" },
		{ POLICY(R RULE("r", "mode: require")), "a", "a", "tcp/80", OUTCOME_CLEAR, OUTCOME_CLEAR, NULL,
		  "never leaves a" },
		{ POLICY(R RULE("r", "mode: require")), "127.0.0.1", "a", "tcp/80", OUTCOME_CLEAR, OUTCOME_CLEAR, NULL,
		  "outside every rule" },
		{ POLICY(R RULE("r", "mode: require")), "c", "six", "tcp/80", OUTCOME_BLOCKED, OUTCOME_BLOCKED, NULL,
		  "no address family in common" },
		{ POLICY(R RULE("r", "mode: require")), "10.0.0.77", "a", "tcp/80", OUTCOME_ENCRYPTED,
		  OUTCOME_ENCRYPTED, "r", "10.0.0.77 is no host of the policy" },
		/* Who is behind a NAT, and may it? The AH that is preferred does not go through one. */
		{ NAT("never") POLICY(R RULE("r", "mode: require")), "n", "a", "tcp/80", OUTCOME_BLOCKED,
		  OUTCOME_BLOCKED, "r", "n is behind a NAT, and the policy says 'nat-traversal: never'" },
		{ NAT("server") POLICY(R RULE("r", "mode: require")), "n", "a", "tcp/80", OUTCOME_BLOCKED,
		  OUTCOME_BLOCKED, "r", "'nat-traversal: server'" },
		{ NAT("server") POLICY(R RULE("r", "mode: require")), "a", "n", "tcp/80", OUTCOME_ENCRYPTED,
		  OUTCOME_ENCRYPTED, "r", NULL },
		{ NAT("both") POLICY(R RULE("r", "mode: require")), "n", "a", "tcp/80", OUTCOME_ENCRYPTED,
		  OUTCOME_ENCRYPTED, "r", NULL },
		{ NAT("both") POLICY(R RULE("r", "mode: require, protection: either")), "n", "a", "tcp/80",
		  OUTCOME_ENCRYPTED, OUTCOME_ENCRYPTED, "r", NULL },
		{ NAT("both") POLICY(R RULE("r", "mode: require, protection: sign")), "n", "a", "tcp/80",
		  OUTCOME_BLOCKED, OUTCOME_BLOCKED, "r", "no quick mode proposal in common" },
		/* The weakest of the families is the verdict. */
		{ POLICY(R "  - { name: r, endpoint1: [10.0.0.0/8], endpoint2: [10.0.0.0/8], mode: require }\n"), "a",
		  "b", "tcp/80", OUTCOME_CLEAR, OUTCOME_CLEAR, NULL, "no rule speaks of this pair" },
		/* A rule for authorised machines only. */
		{ POLICY("groups: { ops: [ { host: a } ] }\n" R RULE("r", "mode: require, machines: [ops]")), "c", "a",
		  "tcp/80", OUTCOME_BLOCKED, OUTCOME_BLOCKED, "r", "holds nothing itself" },
		{ POLICY("groups: { ops: [ { host: a } ] }\n" R RULE("r", "mode: require, machines: [ops]")), "b", "a",
		  "tcp/80", OUTCOME_BLOCKED, OUTCOME_BLOCKED, "r", "b is not among the machines" },
		/* Two rules: the more specific one, and one that goes one way only. */
		{ POLICY(R RULE("r",
				"mode: require") "  - { name: e, endpoint1: [any], endpoint2: [b], mode: exempt }\n"),
		  "a", "b", "tcp/80", OUTCOME_CLEAR, OUTCOME_CLEAR, "e", NULL },
		{ POLICY(R RULE("r", "mode: require") "  - { name: e, endpoint1: [a], endpoint2: [b], mode: exempt, "
						      "mirrored: false }\n"),
		  "b", "a", "tcp/80", OUTCOME_ENCRYPTED, OUTCOME_ENCRYPTED, "r", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct asked_policy p;
		struct answer a;
		struct str reason = { 0 };
		const struct why_verdict *v;

		ask_open(&p, rows[i].policy);
		a = ask(&p, rows[i].from, rows[i].to, rows[i].traffic);
		v = &a.cases[0].verdict;
		why_reason(p.why, v, &reason);
		if (v->verdict != rows[i].verdict || v->guaranteed != rows[i].guaranteed)
			fail_msg("row %zu: %s (guaranteed %s): %s", i, outcome_name(v->verdict),
				 outcome_name(v->guaranteed), str_text(&reason));
		if (!v->rule != !rows[i].rule || (v->rule && strcmp(v->rule->name, rows[i].rule) != 0))
			fail_msg("row %zu: rule %s", i, v->rule ? v->rule->name : "none");
		if (rows[i].words && !strstr(str_text(&reason), rows[i].words))
			fail_msg("row %zu: reason: %s", i, str_text(&reason));
		str_wipe(&reason);
		ask_close(&p);
	}
}

#define SITES \
	"hosts:\n" \
	"  l: { address: 10.1.0.10 }\n" \
	"  r: { address: 10.2.0.10 }\n" \
	"  gl: { address: [192.0.2.1, 10.1.0.1] }\n" \
	"  gr: { address: [198.51.100.1, 10.2.0.1] }\n" \
	"  road: { address: 203.0.113.7 }\n" \
	"  out: { address: 203.0.113.9, agent: none }\n" \
	"  plain: { address: 10.1.0.20, agent: none }\n" \
	"authentication:\n  default: [ { pre-shared-key: { file: /k } } ]\n  other: [ { kerberos: { realm: R } } ]\n" \
	"connection-security:\n" \
	"  - { name: sites, endpoint1: [10.1.0.0/16], endpoint2: [10.2.0.0/16], mode: require,\n" \
	"      tunnel: { endpoint1: 192.0.2.1, endpoint2: 198.51.100.1 } }\n" \
	"  - { name: road, endpoint1: any, endpoint2: [10.1.0.0/16], mode: require,\n" \
	"      tunnel: { endpoint1: any, endpoint2: 192.0.2.1 } }\n"

static void why_of_tunnels_speaks_of_what_is_between_the_gateways(void **state)
{
	static const struct {
		const char *more, *from, *to, *traffic;
		enum outcome verdict;
		const char *rule, *words;
	} rows[] = {
		{ "", "l", "r", "tcp/443", OUTCOME_ENCRYPTED, "sites",
		  "a tunnel between gl and gr, which agree on esp-aes256gcm. Behind gl and gr it is clear." },
		{ "", "r", "l", "tcp/443", OUTCOME_ENCRYPTED, "sites", "between gr and gl" },
		{ "", "10.1.0.1", "r", "tcp/443", OUTCOME_ENCRYPTED, "sites", "Behind gr it is clear." },
		{ "", "10.1.0.77", "10.2.0.77", "udp/1", OUTCOME_ENCRYPTED, "sites", "Behind gl and gr" },
		{ "", "l", "10.1.0.9", "tcp/1", OUTCOME_CLEAR, NULL, "no rule speaks" },
		{ "", "road", "l", "tcp/1", OUTCOME_ENCRYPTED, "road", "between road and gl" },
		{ "", "road", "r", "tcp/1", OUTCOME_CLEAR, NULL, "no rule speaks" },
		{ "", "out", "l", "tcp/1", OUTCOME_BLOCKED, "road", "out runs no IPsec" },
		{ "", "l", "out", "tcp/1", OUTCOME_BLOCKED, "road", "out runs no IPsec" },
		{ "  - { name: e, endpoint1: [10.1.0.10], endpoint2: [10.2.0.10], mode: exempt, protocol: tcp, port2: "
		  "80 }\n",
		  "l", "r", "tcp/80", OUTCOME_CLEAR, "e", "exempts it" },
		{ "  - { name: b, endpoint1: [10.1.0.10], endpoint2: [10.2.0.0/24], mode: block }\n", "10.2.0.9", "l",
		  "tcp/80", OUTCOME_BLOCKED, "b", "blocks it" },
		/* What the machines protect themselves goes through the tunnel as it is. */
		{ "  - { name: t, endpoint1: [10.0.0.0/8], endpoint2: [10.0.0.0/8], mode: require }\n", "l", "r",
		  "tcp/80", OUTCOME_ENCRYPTED, "t", "as the two machines make it" },
		/* One that requires what its partner does not offer stops it, tunnel or not. */
		{ "  - { name: t, endpoint1: [10.1.0.0/24], endpoint2: [10.2.0.0/24], mode: require, tunnel: { "
		  "endpoint1: "
		  "192.0.2.1,\n      endpoint2: 198.51.100.1, exempt-protected: true } }\n"
		  "  - { name: u, endpoint1: [10.1.0.10], endpoint2: [10.2.0.10], mode: require, protection: sign }\n"
		  "protection:\n  sign: { proposals: [esp-sha256-null] }\n",
		  "l", "r", "tcp/80", OUTCOME_AUTHENTICATED, "u", "hides nothing" },
		{ "", "plain", "r", "tcp/80", OUTCOME_ENCRYPTED, "sites", "Behind gl and gr it is clear." },
		{ "  - { name: t, endpoint1: [10.2.0.10], endpoint2: any, mode: require }\n", "plain", "r", "tcp/80",
		  OUTCOME_BLOCKED, "t", "plain runs no IPsec" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct asked_policy p;
		struct str text = { 0 }, reason = { 0 };
		const struct why_verdict *v;
		struct answer a;

		str_addf(&text, "%s%s", SITES, rows[i].more);
		ask_open(&p, str_text(&text));
		a = ask(&p, rows[i].from, rows[i].to, rows[i].traffic);
		v = &a.cases[0].verdict;
		why_reason(p.why, v, &reason);
		if (v->verdict != rows[i].verdict || !strstr(str_text(&reason), rows[i].words) ||
		    !v->rule != !rows[i].rule || (v->rule && strcmp(v->rule->name, rows[i].rule) != 0))
			fail_msg("row %zu: %s by %s: %s", i, outcome_name(v->verdict), v->rule ? v->rule->name : "none",
				 str_text(&reason));
		str_wipe(&text);
		str_wipe(&reason);
		ask_close(&p);
	}
}

static void why_firewall_is_asked_after_protection(void **state)
{
	static const char policy[] =
		"hosts:\n  web: { address: 10.0.0.1 }\n  ops: { address: 10.0.0.2, groups: [staff] }\n"
		"  other: { address: 10.0.0.3 }\n  out: { address: 10.0.0.9, agent: none }\n"
		"groups: { staff: [ { host: ops } ] }\n"
		"authentication: { default: [ { certificate: { issuer: 'CN=CA' } } ] }\n"
		"protection: { sign: { proposals: [ah-sha256] }, both: { proposals: [esp-sha256-null, esp-aes256gcm] } "
		"}\n"
		"connection-security:\n"
		"  - { name: signed, endpoint1: [any], endpoint2: [web], protocol: tcp, port2: 80-89, mode: request, "
		"protection: sign }\n"
		"  - { name: either, endpoint1: [any], endpoint2: [web], protocol: tcp, port2: 90-99, mode: request, "
		"protection: both }\n"
		"firewall:\n"
		"  hosts: [web]\n  inbound: block\n  outbound: allow\n  rules:\n"
		"    - { name: shut, action: block, direction: in, traffic: [tcp/80] }\n"
		"    - { name: past, action: bypass, direction: in, traffic: [tcp/80, tcp/81], secure: authenticated, "
		"machines: { allow: [staff] } }\n"
		"    - { name: open, action: allow, direction: in, traffic: [tcp/22, tcp/80] }\n"
		"    - { name: signed only, action: allow, direction: in, traffic: [tcp/82], secure: authenticated }\n"
		"    - { name: hidden only, action: allow, direction: in, traffic: [tcp/83], secure: encrypted }\n"
		"    - { name: hide it, action: allow, direction: in, traffic: [tcp/90], secure: encrypted-on-demand "
		"}\n"
		"    - { name: hide all, action: allow, direction: in, traffic: [tcp/91], secure: encrypted }\n"
		"    - { name: prove it, action: allow, direction: in, traffic: [tcp/92], secure: authenticated }\n"
		"    - { name: hide or not, action: allow, direction: in, traffic: [tcp/84], secure: "
		"encrypted-on-demand "
		"}\n"
		"    - { name: not out, action: block, direction: out, traffic: [tcp/25] }\n";
	static const struct {
		const char *from, *to, *traffic;
		enum outcome verdict;
		const char *firewall;
	} rows[] = {
		{ "ops", "web", "tcp/80", OUTCOME_AUTHENTICATED, "past" }, /* bypass before block */
		{ "other", "web", "tcp/80", OUTCOME_BLOCKED, "shut" },     /* block before allow */
		{ "out", "web", "tcp/80", OUTCOME_BLOCKED, "shut" },
		{ "ops", "web", "tcp/81", OUTCOME_AUTHENTICATED, "past" },
		{ "other", "web", "tcp/81", OUTCOME_BLOCKED, NULL }, /* the default */
		{ "other", "web", "tcp/22", OUTCOME_CLEAR, "open" },
		{ "other", "web", "tcp/82", OUTCOME_AUTHENTICATED, "signed only" },
		{ "out", "web", "tcp/82", OUTCOME_BLOCKED, NULL }, /* clear does not satisfy `secure` */
		{ "other", "web", "tcp/83", OUTCOME_BLOCKED, NULL },
		{ "other", "web", "tcp/90", OUTCOME_ENCRYPTED, "hide it" },
		{ "other", "web", "tcp/91", OUTCOME_ENCRYPTED, "hide all" },
		{ "other", "web", "tcp/92", OUTCOME_AUTHENTICATED, "prove it" },
		{ "other", "web", "tcp/84", OUTCOME_AUTHENTICATED, "hide or not" }, /* the set has nothing better */
		{ "web", "other", "tcp/25", OUTCOME_BLOCKED, "not out" },
		{ "web", "other", "tcp/26", OUTCOME_CLEAR, NULL },
		{ "other", "ops", "tcp/25", OUTCOME_CLEAR, NULL }, /* no section names ops */
	};
	struct asked_policy p;

	(void)state;
	ask_open(&p, policy);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct answer a = ask(&p, rows[i].from, rows[i].to, rows[i].traffic);
		const struct why_verdict *v = &a.cases[0].verdict;
		struct str reason = { 0 };

		why_reason(p.why, v, &reason);
		if (v->verdict != rows[i].verdict)
			fail_msg("row %zu: %s: %s", i, outcome_name(v->verdict), str_text(&reason));
		if (!v->firewall != !rows[i].firewall ||
		    (v->firewall && strcmp(v->firewall->name, rows[i].firewall) != 0))
			fail_msg("row %zu: firewall %s", i, v->firewall ? v->firewall->name : "none");
		str_wipe(&reason);
	}
	ask_close(&p);
}

static void why_contest_lists_every_rule_that_matched_and_why_it_lost(void **state)
{
	static const struct {
		const char *name, *reason;
		bool won;
	} want[] = {
		{ "hosts", "the most specific rule that matches", true },
		{ "ports", "'hosts' names b alone, this one a network of 256", false },
		{ "port", "'hosts' names b alone, this one a network of 256", false },
		{ "protocol", "'hosts' names b alone, this one a network of 256", false },
		{ "net", "'hosts' names b alone, this one a network of 256", false },
		{ "all", "'hosts' names b alone, this one any address", false },
	};
	const struct why_contender *rows;
	struct asked_policy p;
	struct answer a;
	size_t n;

	(void)state;
	ask_open(&p,
		 "hosts: { a: { address: 10.0.0.1 }, b: { address: 10.0.0.2 } }\n"
		 "authentication: { default: [ { certificate: { issuer: 'CN=CA' } } ] }\n"
		 "zones: { net: [10.0.0.0/24] }\nconnection-security:\n"
		 "  - { name: all, endpoint1: [any], endpoint2: [any], mode: require }\n"
		 "  - { name: net, endpoint1: [net], endpoint2: [net], mode: require }\n"
		 "  - { name: protocol, endpoint1: [net], endpoint2: [net], protocol: tcp, mode: exempt }\n"
		 "  - { name: port, endpoint1: [net], endpoint2: [net], protocol: tcp, port2: 1-99, mode: require }\n"
		 "  - { name: ports, endpoint1: [net], endpoint2: [net], protocol: tcp, port2: 80, mode: block }\n"
		 "  - { name: hosts, endpoint1: [any], endpoint2: [b], mode: request }\n"
		 "  - { name: elsewhere, endpoint1: [10.9.9.0/24], endpoint2: [10.9.9.9], mode: block }\n");
	a = ask(&p, "a", "b", "tcp/80");
	n = why_contest(p.why, &a.cases[0].verdict, &p.memory, &rows);
	assert_int_equal(n, ARRAY_LEN(want));
	for (size_t i = 0; i < n; i++) {
		if (strcmp(rows[i].rule->name, want[i].name) != 0 || rows[i].won != want[i].won)
			fail_msg("place %zu: %s", i, rows[i].rule->name);
		if (strcmp(rows[i].reason, want[i].reason) != 0)
			fail_msg("%s: %s", want[i].name, rows[i].reason);
	}
	ask_close(&p);
}

static void why_zones_and_open_ports_are_answered_case_by_case(void **state)
{
	static const char policy[] =
		"hosts:\n  a: { address: 10.0.0.1 }\n  b: { address: 10.0.0.2 }\n  out: { address: 10.0.0.9, agent: "
		"none }\n"
		"zones: { net: [10.0.0.0/24] }\n"
		"authentication: { default: [ { certificate: { issuer: 'CN=CA' } } ] }\n"
		"connection-security:\n"
		"  - { name: r, endpoint1: [net], endpoint2: [net], mode: require }\n"
		"  - { name: e, endpoint1: [net], endpoint2: [b], traffic: [tcp/53], mode: exempt }\n";
	struct asked_policy p;
	struct answer a;

	(void)state;
	ask_open(&p, policy);
	a = ask(&p, "net", "b", "tcp/80");
	assert_int_equal(a.count, 2);
	assert_int_equal(a.cases[0].verdict.verdict, OUTCOME_ENCRYPTED);
	assert_string_equal(a.cases[0].pairs, "a -> b, 10.0.0.3 -> b");
	assert_int_equal(a.cases[1].verdict.verdict, OUTCOME_BLOCKED);
	assert_string_equal(a.cases[1].pairs, "out -> b");
	a = ask(&p, "a", "b", "tcp");
	assert_int_equal(a.count, 2);
	assert_int_equal(a.cases[0].verdict.verdict, OUTCOME_CLEAR);
	assert_string_equal(a.cases[0].traffic, "tcp/53");
	assert_string_equal(a.cases[1].traffic, "tcp/0-52, tcp/54-65535");
	a = ask(&p, "a", "b", "dns");
	assert_int_equal(a.count, 2); /* tcp/53 is exempt, udp/53 is not */
	ask_close(&p);
}

static void why_names_that_nobody_has_are_refused_with_the_nearest(void **state)
{
	static const struct {
		const char *from, *to, *traffic, *words;
	} rows[] = {
		{ "paw", "srv1", "tcp/80", "Did you mean 'paw1'" },
		{ "srv1", "server", "tcp/80", "Did you mean 'servers'" },
		{ "srv1", "10.0.0.300", "tcp/80", "10.0.0.300" },
		{ "srv1", "10.0.0.1/8", "tcp/80", "10.0.0." },
		{ "srv1", "www.example.org", "tcp/80", "no host or zone" },
		{ "srv1", "", "tcp/80", "no host or zone" },
		{ "srv1", "paw1", "tpc/80", "tpc/80" },
		{ "srv1", "paw1", "tcp/99999", "99999" },
		{ "srv1", "paw1", "", "''" },
	};
	struct asked_policy p;

	(void)state;
	ask_open(&p, "hosts: { srv1: { address: 10.0.0.1 }, paw1: { address: 10.0.0.2 } }\n"
		     "zones: { servers: [10.0.0.0/24] }\n");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct question q;
		struct diag d = { 0 };

		if (question_parse(p.why, p.alike, rows[i].from, rows[i].to, rows[i].traffic, &p.memory, &q, &d) == 0)
			fail_msg("row %zu is taken", i);
		if (!strstr(d.text, rows[i].words))
			fail_msg("row %zu: %s", i, d.text);
	}
	ask_close(&p);
}

/* "ping a -> b" is ping over IPv4 and over IPv6: a test that holds for one of them only has failed. */
static void why_a_test_of_two_hosts_holds_for_both_address_families(void **state)
{
	static const struct {
		const char *rule, *test;
		enum outcome got;
	} rows[] = {
		{ "protocol: icmp, mode: exempt", "traffic: icmp, expect: clear", OUTCOME_ENCRYPTED },
		{ "protocol: icmp, mode: exempt", "traffic: icmp, expect: encrypted", OUTCOME_CLEAR },
		{ "traffic: [icmp, icmpv6], mode: exempt", "traffic: icmp, expect: clear", OUTCOME_CLEAR },
		{ "protocol: icmp, mode: exempt", "traffic: tcp/80, expect: encrypted", OUTCOME_ENCRYPTED },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		SCOPED(str_wipe) struct str policy = { 0 };
		SCOPED(arena_wipe) struct arena memory = { 0 };
		struct test_result *results;
		struct asked_policy p;
		size_t n;

		str_addf(
			&policy,
			POLICY(R RULE("r", "mode: require")) "  - { name: e, endpoint1: [any], endpoint2: [any], %s }\n"
							     "tests: [ { from: a, to: b, %s } ]\n",
			rows[i].rule, rows[i].test);
		ask_open(&p, str_text(&policy));
		assert_int_equal(tests_run(p.why, &memory, &results, &n, NULL), 0);
		assert_int_equal(n, 1);
		if (results[0].got != rows[i].got || results[0].passed != (rows[i].got == results[0].test->expect))
			fail_msg("row %zu: %s, %s", i, outcome_name(results[0].got),
				 results[0].passed ? "passed" : "failed");
		ask_close(&p);
	}
}

/* A hole far behind a great many rules is what the answer is about, and the rest is not passed off as all there is. */
static void the_weakest_of_many_cases_is_the_answer(void **state)
{
	struct str policy = { 0 };
	struct asked_policy p;
	struct answer a;

	(void)state;
	str_add(&policy, HOSTS SETS "connection-security:\n"
				    "  - { name: rest, endpoint1: [any], endpoint2: [any], mode: require }\n");
	for (unsigned i = 0; i < 600; i++)
		str_addf(&policy,
			 "  - { name: r%u, endpoint1: [any], endpoint2: [any], traffic: [tcp/%u], mode: %s }\n", i,
			 1000 + 2 * i,
			 i == 590   ? "exempt"
			 : i == 595 ? "block"
				    : "require");
	ask_open(&p, str_text(&policy));
	a = ask(&p, "a", "b", "tcp");
	assert_int_equal(a.count, CASES_MOST);
	assert_false(a.bounded);
	assert_true(a.left > 500);
	assert_int_equal(a.cases[0].verdict.verdict, OUTCOME_CLEAR);
	assert_string_equal(a.cases[0].traffic, "tcp/2180");
	assert_int_equal(a.cases[1].verdict.verdict, OUTCOME_ENCRYPTED);
	assert_int_equal(a.cases[CASES_MOST - 1].verdict.verdict, OUTCOME_BLOCKED);
	assert_string_equal(a.cases[CASES_MOST - 1].traffic, "tcp/2190");
	a = ask(&p, "a", "b", "tcp/2180");
	assert_int_equal(a.count, 1);
	assert_int_equal(a.left, 0);
	ask_close(&p);
	str_wipe(&policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(why_tells_the_fate_of_traffic),
		cmocka_unit_test(why_of_tunnels_speaks_of_what_is_between_the_gateways),
		cmocka_unit_test(why_firewall_is_asked_after_protection),
		cmocka_unit_test(why_contest_lists_every_rule_that_matched_and_why_it_lost),
		cmocka_unit_test(why_zones_and_open_ports_are_answered_case_by_case),
		cmocka_unit_test(why_names_that_nobody_has_are_refused_with_the_nearest),
		cmocka_unit_test(why_a_test_of_two_hosts_holds_for_both_address_families),
		cmocka_unit_test(the_weakest_of_many_cases_is_the_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
