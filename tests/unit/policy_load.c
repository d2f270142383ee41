/* The policy language: what loads, and what every mistake is answered with. */
#include "policy/policy.h"

#include "base/str.h"
#include "base/text.h"
#include "tests/unit/unit.h"

#include <string.h>

static const char *folder; /* of the examples */

static struct policy *load(const char *name, struct report *r)
{
	SCOPED(str_wipe) struct str path = { 0 }, out = { 0 };
	struct policy *p = NULL;

	str_addf(&path, "%s/%s", folder, name);
	if (policy_load(str_text(&path), NULL, r, &p) < 0) {
		report_text(r, false, &out);
		fail_msg("%s", str_text(&out));
	}
	return p;
}

static void the_domain_isolation_example_loads(void **state)
{
	SCOPED(report_freep) struct report *r = report_new();
	SCOPED(policy_freep) struct policy *p = load("domain-isolation.yaml", r);
	const struct rule *rules;
	const struct policy_test *tests;
	const struct host *dc1 = policy_host_by_name(p, "dc1");
	struct addr a = addr_v4(10, 77, 1, 10);

	(void)state;
	assert_int_equal(policy_rules(p, &rules), 3);
	assert_string_equal(rules[0].name, "All Server/PAW Require IPsec");
	assert_int_equal(rules[0].mode, MODE_REQUIRE);
	assert_int_equal(rules[0].end1.count, 2);
	assert_string_equal(rules[0].auth->name, "machine-certificate");
	assert_string_equal(rules[0].auth->methods[0].both.ekus[0], "1.3.6.1.5.5.8.2.2");
	assert_true(rules[0].protection->require_encryption);
	assert_int_equal(rules[0].protection->lifetime_s, 3600);
	assert_int_equal(rules[0].protection->lifetime_octets, 100000000000);
	assert_int_equal(rules[0].key_exchange->lifetime_s, 8 * 3600);
	assert_int_equal(rules[0].key_exchange->reauthenticate_s, 0);
	assert_int_equal(rules[0].protection->idle_s, 300);
	assert_int_equal(rules[1].service_count, 2);
	assert_int_equal(rules[1].services[0].port2.lo, 53);
	assert_non_null(dc1);
	assert_ptr_equal(policy_host_by_address(p, &a), dc1);
	assert_int_equal(dc1->roles, ROLE_DNS | ROLE_KDC | ROLE_POLICY_SERVER);
	assert_int_equal(policy_tests(p, &tests), 10);
	assert_string_equal(tests[0].from, "dc1");
	assert_int_equal(tests[0].expect, OUTCOME_ENCRYPTED);
	assert_int_equal(policy_exemptions(p), EXEMPT_NEIGHBOR_DISCOVERY | EXEMPT_DHCP);
	assert_int_equal(policy_zone_by_name(p, "paws")->count, 1);
	assert_null(policy_zone_by_name(p, "dc1"));
}

static void the_other_examples_load(void **state)
{
	static const char *const names[] = { "domain-isolation-as-published.yaml", "classic-filters.yaml",
					     "ipsec-bypass.yaml" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		SCOPED(report_freep) struct report *r = report_new();
		SCOPED(policy_freep) struct policy *p = load(names[i], r);

		assert_string_equal(strrchr(policy_path(p), '/') + 1, names[i]);
		assert_int_equal(report_count(r, SEVERITY_WARNING), 0);
	}
}

/* Names as people may write them, and what they come to. */
static void quoted_words_say_what_they_say(void **state)
{
	static const char text[] = "cordon: 1\n"
				   "zones:\n"
				   "  'it''s': 10.0.0.1\n"
				   "  'a''''b': 10.0.0.2\n"
				   "  '''''': 10.0.0.3\n"
				   "  \"t\\tb \\\"q\\\" \\\\ \\u00e4\": 10.0.0.4\n"
				   "  plain words here: '10.0.0.5'\n"
				   "  ? 'question'\n"
				   "  : 10.0.0.6\n";
	static const char *const names[] = { "it's",    "a''b", "''", "t\tb \"q\" \\ \xc3\xa4", "plain words here",
					     "question" };
	SCOPED(report_freep) struct report *r = report_new();
	SCOPED(policy_freep) struct policy *p = NULL;
	SCOPED(str_wipe) struct str out = { 0 };

	(void)state;
	if (policy_parse(text_new("names.yaml", text, sizeof text - 1), NULL, r, &p) < 0) {
		report_text(r, false, &out);
		fail_msg("%s", str_text(&out));
	}
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const struct address_set *s = policy_zone_by_name(p, names[i]);

		if (!s || s->count != 1 || s->elements[0].lo.octets[3] != i + 1)
			fail_msg("%s", names[i]);
	}
}

static void encapsulation_is_auto_unless_it_is_said(void **state)
{
	static const struct {
		const char *setting;
		enum encapsulation want;
	} rows[] = {
		{ "", ENCAPSULATION_AUTO },
		{ "encapsulation: auto\n", ENCAPSULATION_AUTO },
		{ "encapsulation: native\n", ENCAPSULATION_NATIVE },
		{ "encapsulation: udp\n", ENCAPSULATION_UDP },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		SCOPED(report_freep) struct report *r = report_new();
		SCOPED(policy_freep) struct policy *p = NULL;
		SCOPED(str_wipe) struct str text = { 0 };

		str_addf(&text, "cordon: 1\n%s", rows[i].setting);
		assert_int_equal(policy_parse(text_new("e.yaml", str_text(&text), text.len), NULL, r, &p), 0);
		assert_int_equal(policy_encapsulation(p), rows[i].want);
		if (*rows[i].setting)
			assert_non_null(strstr(rows[i].setting, encapsulation_name(rows[i].want)));
	}
}

/* The NAT address is the host's, for whatever names the host; without leave to go through a NAT that is told. */
static void a_nat_address_is_its_hosts_and_needs_leave(void **state)
{
	static const struct {
		const char *setting;
		enum nat_traversal want;
		size_t warnings;
	} rows[] = {
		{ "", NAT_TRAVERSAL_NEVER, 1 },
		{ "nat-traversal: never\n", NAT_TRAVERSAL_NEVER, 1 },
		{ "nat-traversal: server\n", NAT_TRAVERSAL_SERVER, 0 },
		{ "nat-traversal: both\n", NAT_TRAVERSAL_BOTH, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		SCOPED(report_freep) struct report *r = report_new();
		SCOPED(policy_freep) struct policy *p = NULL;
		SCOPED(str_wipe) struct str text = { 0 };
		struct addr outside = addr_v4(203, 0, 113, 5);

		str_addf(&text,
			 "cordon: 1\n%shosts: { laptop: { address: 10.0.0.1, nat-address: 203.0.113.5 } }\n"
			 "zones: { all: [laptop] }\n",
			 rows[i].setting);
		assert_int_equal(policy_parse(text_new("nat.yaml", str_text(&text), text.len), NULL, r, &p), 0);
		assert_int_equal(policy_nat_traversal(p), rows[i].want);
		assert_int_equal(report_count(r, SEVERITY_WARNING), rows[i].warnings);
		const struct address_set *const sets[] = { policy_zone_by_name(p, "all"),
							   policy_host_by_name(p, "laptop")->set };
		for (size_t s = 0; s < ARRAY_LEN(sets); s++) {
			assert_int_equal(sets[s]->count, 2);
			assert_true(addr_equal(&sets[s]->elements[1].lo, &outside));
		}
	}
}

static void a_nat_address_names_the_only_host_behind_it(void **state)
{
	static const char text[] = "cordon: 1\nnat-traversal: both\nhosts:\n"
				   "  alone: { address: 10.0.0.1, nat-address: 203.0.113.5 }\n"
				   "  one: { address: 10.0.0.2, nat-address: 203.0.113.6 }\n"
				   "  two: { address: 10.0.0.3, nat-address: 203.0.113.6 }\n";
	static const struct {
		uint8_t last;
		const char *want;
	} rows[] = { { 5, "alone" }, { 6, NULL }, { 7, NULL } };
	SCOPED(report_freep) struct report *r = report_new();
	SCOPED(policy_freep) struct policy *p = NULL;

	(void)state;
	assert_int_equal(policy_parse(text_new("nat.yaml", text, strlen(text)), NULL, r, &p), 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct addr outside = addr_v4(203, 0, 113, rows[i].last);
		const struct host *h = policy_host_behind(p, &outside);

		assert_ptr_equal(h, rows[i].want ? policy_host_by_name(p, rows[i].want) : NULL);
		assert_null(policy_host_by_address(p, &outside));
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_domain_isolation_example_loads),
		cmocka_unit_test(the_other_examples_load),
		cmocka_unit_test(quoted_words_say_what_they_say),
		cmocka_unit_test(a_nat_address_is_its_hosts_and_needs_leave),
		cmocka_unit_test(encapsulation_is_auto_unless_it_is_said),
		cmocka_unit_test(a_nat_address_names_the_only_host_behind_it),
	};

	folder = argc > 1 ? argv[1] : "examples";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
