/* What `why` says of firewall rules that ask for what it may not know: the peer's groups, the interface, the profile,
 * the program. */
#include "tests/unit/unit.h"

#include "analysis/tests.h"
#include "tests/unit/ask.h"

#define HOSTS \
	"hosts:\n  web: { address: 10.0.0.1 }\n  ops: { address: 10.0.0.2, groups: [staff] }\n" \
	"  other: { address: 10.0.0.3 }\n"
#define RULE "connection-security:\n  - { name: all, endpoint1: [any], endpoint2: [web], mode: request }\n"
#define WALL "firewall:\n  hosts: [web]\n  inbound: block\n  outbound: allow\n  rules:\n"
#define STAFF WALL "    - { name: staff, action: allow, secure: authenticated, machines: { allow: [staff] } }\n"
#define NOT_STAFF WALL "    - { name: staff, action: allow, secure: authenticated, machines: { except: [staff] } }\n"
#define ACCOUNT "groups: { staff: [ { directory-group: 'C\\s' } ] }\n"
#define SUBJECT "groups: { staff: [ { certificate: 'CN=o*' } ] }\n"
#define HOST "groups: { staff: [ ops ] }\n"
#define BY(method) "authentication: { default: [ " method " ] }\n"
#define KEY "{ pre-shared-key: { file: /k } }"
#define CERTIFICATE "{ certificate: { issuer: 'CN=CA' } }"
#define MAPPED "{ certificate: { issuer: 'CN=CA', map-to-account: true } }"
#define KERBEROS "{ kerberos: { realm: X.Y } }"

static void a_group_is_known_by_what_the_proof_tells(void **state)
{
	static const struct {
		const char *policy, *from;
		enum outcome verdict;
		const char *words;
	} rows[] = {
		{ HOSTS ACCOUNT BY(KERBEROS) RULE STAFF, "ops", OUTCOME_ENCRYPTED, NULL },
		{ HOSTS ACCOUNT BY(KERBEROS) RULE STAFF, "other", OUTCOME_BLOCKED, "not known as a member of staff" },
		{ HOSTS ACCOUNT BY(MAPPED) RULE STAFF, "ops", OUTCOME_ENCRYPTED, NULL },
		{ HOSTS ACCOUNT BY(CERTIFICATE) RULE STAFF, "ops", OUTCOME_BLOCKED, "its groups cannot be learnt" },
		{ HOSTS ACCOUNT BY(CERTIFICATE) RULE STAFF, "ops", OUTCOME_BLOCKED, "map-to-account: true" },
		{ HOSTS ACCOUNT BY(KEY) RULE STAFF, "ops", OUTCOME_BLOCKED, "a pre-shared key" },
		{ HOSTS ACCOUNT BY(KEY) RULE NOT_STAFF, "other", OUTCOME_BLOCKED, "its groups cannot be learnt" },
		{ HOSTS ACCOUNT BY(KERBEROS) RULE NOT_STAFF, "other", OUTCOME_ENCRYPTED, NULL },
		{ HOSTS ACCOUNT BY(KERBEROS) RULE NOT_STAFF, "ops", OUTCOME_BLOCKED, "it excepts ops" },
		{ HOSTS SUBJECT BY(CERTIFICATE) RULE STAFF, "ops", OUTCOME_ENCRYPTED, NULL },
		{ HOSTS SUBJECT BY(KERBEROS) RULE STAFF, "ops", OUTCOME_BLOCKED, "no certificate" },
		{ HOSTS HOST BY(KEY) RULE STAFF, "ops", OUTCOME_ENCRYPTED, NULL },
		{ HOSTS HOST BY(KEY) RULE NOT_STAFF, "other", OUTCOME_ENCRYPTED, NULL },
		/* of two methods the first that both have */
		{ HOSTS ACCOUNT BY(CERTIFICATE ", " KERBEROS) RULE STAFF, "ops", OUTCOME_BLOCKED, NULL },
		{ HOSTS ACCOUNT BY(KERBEROS ", " CERTIFICATE) RULE STAFF, "ops", OUTCOME_ENCRYPTED, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct asked_policy p;
		struct str words = { 0 };
		struct answer a;

		ask_open(&p, rows[i].policy);
		a = ask(&p, rows[i].from, "web", "tcp/80");
		why_reason(p.why, &a.cases[0].verdict, &words);
		if (a.cases[0].verdict.verdict != rows[i].verdict ||
		    (rows[i].words && !strstr(str_text(&words), rows[i].words)))
			fail_msg("row %zu: %s: %s", i, outcome_name(a.cases[0].verdict.verdict), str_text(&words));
		str_wipe(&words);
		ask_close(&p);
	}
}

static void authorised_machines_are_known_the_same_way(void **state)
{
	static const char policy[] = HOSTS ACCOUNT BY(
		KEY) "connection-security:\n  - { name: all, endpoint1: [any], endpoint2: [web], mode: "
		     "require, machines: staff }\n";
	struct asked_policy p;
	struct str words = { 0 };
	struct answer a;

	(void)state;
	ask_open(&p, policy);
	a = ask(&p, "ops", "web", "tcp/80");
	assert_int_equal(a.cases[0].verdict.verdict, OUTCOME_BLOCKED);
	why_reason(p.why, &a.cases[0].verdict, &words);
	assert_non_null(strstr(str_text(&words), "cannot be learnt"));
	why_advice(p.why, &a.cases[0].verdict, &words);
	assert_non_null(strstr(str_text(&words), "name hosts"));
	str_wipe(&words);
	ask_close(&p);
}

/* What lets it in is named, so that who looks for the hole in the firewall finds it. */
static void the_rule_that_lets_it_through_is_named(void **state)
{
	static const char policy[] = HOSTS HOST BY(
		KEY) "connection-security:\n"
		     "  - { name: web, endpoint1: [any], endpoint2: [web], protocol: tcp, port2: 80, mode: require }\n"
		     "firewall:\n  - hosts: [web]\n    inbound: block\n    outbound: allow\n    rules:\n"
		     "      - { name: SSH in, action: allow, traffic: [tcp/22] }\n"
		     "      - { name: Web in, action: allow, traffic: [tcp/80] }\n"
		     "  - hosts: [other]\n    inbound: block\n    outbound: block\n    rules:\n"
		     "      - { name: SSH out, action: allow, direction: out, traffic: [tcp/22] }\n";
	static const struct {
		const char *from, *to, *traffic, *words, *here, *there;
	} rows[] = {
		{ "ops", "web", "tcp/22",
		  "no connection security rule speaks of this traffic between them. Firewall rule 'SSH in' of web lets "
		  "it in.",
		  "no rule, sent clear", "firewall, accepted" },
		{ "ops", "web", "tcp/80", "agree on esp-aes256gcm. Firewall rule 'Web in' of web lets it in.",
		  "require, sent encrypted", "require, accepted" },
		{ "other", "web", "tcp/22",
		  "Firewall rule 'SSH out' of other lets it out. Firewall rule 'SSH in' of web lets it in.",
		  "firewall, sent clear", "firewall, accepted" },
		{ "web", "ops", "tcp/22", "no rule speaks of this traffic between them.", "no rule, sent clear",
		  "no rule, accepted" },
	};
	struct asked_policy p;

	(void)state;
	ask_open(&p, policy);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct str words = { 0 }, here = { 0 }, there = { 0 };
		struct answer a = ask(&p, rows[i].from, rows[i].to, rows[i].traffic);

		why_reason(p.why, &a.cases[0].verdict, &words);
		why_side_words(&a.cases[0].verdict, 0, &here);
		why_side_words(&a.cases[0].verdict, 1, &there);
		if (!strstr(str_text(&words), rows[i].words) || strcmp(str_text(&here), rows[i].here) != 0 ||
		    strcmp(str_text(&there), rows[i].there) != 0)
			fail_msg("row %zu: %s; %s; %s", i, str_text(&words), str_text(&here), str_text(&there));
		str_wipe(&words);
		str_wipe(&here);
		str_wipe(&there);
	}
	ask_close(&p);
}

#define PLACES \
	HOSTS "groups: { staff: [ ops ] }\n" WALL \
	      "    - { name: shut, action: block, traffic: [tcp/80], interface: eth1 }\n" \
	      "    - { name: open, action: allow, traffic: [tcp/22, tcp/80], profiles: [domain, private] }\n" \
	      "    - { name: served, action: allow, traffic: [tcp/23], program: nginx.service }\n" \
	      "    - { name: shells, action: allow, traffic: [tcp/24], program: user.slice }\n" \
	      "    - { name: below, action: allow, traffic: [tcp/24], program: /system.slice/a.service }\n" \
	      "    - { name: here, action: allow, traffic: [tcp/25], interface: eth1 }\n" \
	      "    - { name: there, action: allow, traffic: [tcp/25], interface: eth2 }\n" \
	      "    - { name: all the same, action: allow, traffic: [tcp/26] }\n" \
	      "    - { name: all the same on eth1, action: allow, traffic: [tcp/26], interface: eth1 }\n" \
	      "    - { name: shut in vain, action: block, traffic: [tcp/27], interface: eth1 }\n"

static void what_the_host_alone_knows_is_said_or_makes_cases(void **state)
{
	static const struct {
		const char *traffic;
		struct facts facts;
		const char *cases; /* "verdict when|verdict when": in the order of the answer */
	} rows[] = {
		{ "tcp/80",
		  { 0 },
		  "clear at web not on interface eth1, in profile domain or private|"
		  "blocked at web on interface eth1, in profile domain or private|blocked at web in profile public" },
		{ "tcp/80", { .interface = "eth1" }, "blocked" },
		{ "tcp/80",
		  { .interface = "eth0" },
		  "clear at web in profile domain or private|blocked at web in profile public" },
		{ "tcp/80", { .profiles = PROFILE_PUBLIC }, "blocked" },
		{ "tcp/80", { .interface = "eth0", .profiles = PROFILE_PRIVATE }, "clear" },
		{ "tcp/22", { .interface = "eth1", .profiles = PROFILE_DOMAIN }, "clear" },
		{ "tcp/23", { 0 }, "clear at web by nginx.service|blocked at web not by nginx.service" },
		{ "tcp/23", { .program = "nginx.service" }, "clear" },
		{ "tcp/23", { .program = "/system.slice/nginx.service" }, "clear" },
		{ "tcp/23", { .program = "/system.slice/nginx.service.d" }, "blocked" },
		{ "tcp/23", { .program = "sshd.service" }, "blocked" },
		/* a unit's name does not say in which slice it is */
		{ "tcp/24", { .program = "b.service" }, "clear at web by user.slice|blocked at web not by user.slice" },
		{ "tcp/24", { .program = "/user.slice/user-1.slice/b.service" }, "clear" },
		{ "tcp/24", { .program = "/system.slice/a.service/sub" }, "clear" },
		{ "tcp/24", { .program = "a.service" }, "clear" },
		{ "tcp/25",
		  { 0 },
		  "clear at web on interface eth1|clear at web on interface eth2|"
		  "blocked at web not on interface eth1 or eth2" },
		/* where it makes no difference nothing is asked */
		{ "tcp/26", { 0 }, "clear" },
		{ "tcp/27", { 0 }, "blocked" },
	};
	struct asked_policy p;

	(void)state;
	ask_open(&p, PLACES);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct question *q = arena_new(&p.memory, 1, sizeof *q);
		struct str got = { 0 };
		struct answer a;

		assert_int_equal(question_parse(p.why, p.alike, "other", "web", rows[i].traffic, &p.memory, q, NULL),
				 0);
		q->facts = rows[i].facts;
		assert_int_equal(question_ask(p.why, q, &p.memory, &a, NULL), 0);
		for (size_t k = 0; k < a.count; k++)
			str_addf(&got, "%s%s%s%s", k ? "|" : "", outcome_name(a.cases[k].verdict.verdict),
				 a.cases[k].when ? " " : "", a.cases[k].when ? a.cases[k].when : "");
		if (strcmp(str_text(&got), rows[i].cases) != 0)
			fail_msg("row %zu: %s\nwant %s", i, str_text(&got), rows[i].cases);
		assert_false(a.bounded);
		str_wipe(&got);
	}
	ask_close(&p);
}

/* A policy's own tests say it too; what they leave open must not matter. */
static void tests_of_a_policy_say_which_interface(void **state)
{
	static const char tests[] =
		PLACES "tests:\n  - { from: other, to: web, traffic: tcp/80, interface: eth1, expect: blocked }\n"
		       "  - { from: other, to: web, traffic: tcp/22, profile: private, expect: clear }\n"
		       "  - { from: other, to: web, traffic: tcp/23, program: nginx.service, expect: clear }\n"
		       "  - { from: other, to: web, traffic: tcp/26, expect: clear }\n"
		       "  - { from: other, to: web, traffic: tcp/23, program: sshd.service, expect: clear }\n"
		       "  - { from: other, to: web, traffic: tcp/23, expect: clear }\n";
	struct test_result *results;
	struct asked_policy p;
	size_t n;

	(void)state;
	ask_open(&p, tests);
	assert_int_equal(tests_run(p.why, &p.memory, &results, &n, NULL), 0);
	assert_int_equal(n, 6);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(results[i].passed, i < 4);
	assert_non_null(strstr(results[5].reason, "at web not by nginx.service: "));
	ask_close(&p);
}

/* More interfaces than are told apart: said, not guessed. */
static void too_many_conditions_are_told(void **state)
{
	struct str policy = { 0 };
	struct asked_policy p;
	struct answer a;

	(void)state;
	str_add(&policy, HOSTS "groups: { staff: [ ops ] }\n" WALL);
	for (unsigned i = 0; i < 40; i++)
		str_addf(&policy, "    - { name: r%u, action: allow, traffic: [tcp/80], interface: eth%u }\n", i, i);
	ask_open(&p, str_text(&policy));
	a = ask(&p, "other", "web", "tcp/80");
	assert_true(a.bounded);
	assert_true(a.count > 1);
	ask_close(&p);
	str_wipe(&policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_group_is_known_by_what_the_proof_tells),
		cmocka_unit_test(authorised_machines_are_known_the_same_way),
		cmocka_unit_test(the_rule_that_lets_it_through_is_named),
		cmocka_unit_test(what_the_host_alone_knows_is_said_or_makes_cases),
		cmocka_unit_test(tests_of_a_policy_say_which_interface),
		cmocka_unit_test(too_many_conditions_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
