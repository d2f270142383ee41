/* By which number the kernel knows the SAs of a rule. */
#include "tests/unit/unit.h"

#include "base/report.h"
#include "base/scope.h"
#include "base/text.h"
#include "policy/reqid.h"

#include <stdio.h>
#include <string.h>

static struct child_suite gcm, null_sha;

static int parse_suites(void **state)
{
	static const char aead[] = "esp-aes256gcm", null[] = "esp-null-sha256";

	(void)state;
	assert_int_equal(child_suite_parse(aead, strlen(aead), &gcm, NULL), 0);
	assert_int_equal(child_suite_parse(null, strlen(null), &null_sha, NULL), 0);
	return 0;
}

static struct rule rule(const char *name, const struct protection_set *p)
{
	return (struct rule){ .name = name, .mode = MODE_REQUIRE, .protection = p };
}

static void reqid_says_whose_it_is_and_whether_it_encrypts(void **state)
{
	struct child_suite both[] = { null_sha, gcm };
	struct protection_set strong = { .suites = &gcm, .count = 1 }, mixed = { .suites = both, .count = 2 };
	struct rule a = rule("a", &strong), b = rule("a", &mixed), c = rule("c", &strong);

	(void)state;
	assert_true(reqid_is_ours(rule_reqid(&a)));
	assert_true(rule_reqid(&a) & REQID_ENCRYPTS);
	assert_false(rule_reqid(&b) & REQID_ENCRYPTS);
	assert_int_not_equal(rule_reqid(&a), rule_reqid(&c));
	assert_false(reqid_is_ours(1));
	assert_false(reqid_is_ours(16384));
	assert_false(reqid_is_ours(REQID_OURS + 0x10000000u));
}

static void reqid_of_a_rule_read_again_is_the_same(void **state)
{
	struct protection_set p = { .suites = &gcm, .count = 1 };
	char name[] = "office", again[] = "office";
	struct rule a = rule(name, &p), b = rule(again, &p);

	(void)state;
	b.index = 7;
	assert_int_equal(rule_reqid(&a), rule_reqid(&b));
}

/* A stand-in protects better than the rule as it is written: an SA of the one must not be taken for the other's. */
static void reqid_of_a_stand_in_is_its_own(void **state)
{
	struct child_suite both[] = { null_sha, gcm }, turned[] = { gcm, null_sha };
	struct protection_set mixed = { .suites = both, .count = 2 }, strong = { .suites = &gcm, .count = 1 },
			      first = { .suites = turned, .count = 2 };
	struct rule a = rule("a", &mixed), encrypted = rule("a", &strong), encrypted_first = rule("a", &first);

	(void)state;
	encrypted.base = encrypted_first.base = &a;
	a.encrypted = &encrypted;
	a.encrypted_first = &encrypted_first;
	assert_int_not_equal(rule_reqid(&a), rule_reqid(&encrypted));
	assert_int_not_equal(rule_reqid(&a), rule_reqid(&encrypted_first));
	assert_true(rule_reqid(&encrypted) & REQID_ENCRYPTS);
	assert_true(rule_always_satisfies(&encrypted, &a));
	assert_true(rule_always_satisfies(&encrypted_first, &a));
	assert_false(rule_always_satisfies(&a, &encrypted));
}

/* Names that come to the same number: the one that sorts behind has another, wherever it stands. */
static void no_two_rules_of_a_policy_have_the_same_reqid(void **state)
{
	static const struct {
		const char *stays, *moves;
	} rows[] = { { "rule-19920", "rule-6038" }, { "site-08061", "site-18010" } };
	struct protection_set p = { .suites = &gcm, .count = 1 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct rule stays = rule(rows[i].stays, &p), moves = rule(rows[i].moves, &p);
		uint32_t moved[2];

		assert_int_equal(rule_reqid(&stays), rule_reqid(&moves));
		for (unsigned turned = 0; turned < 2; turned++) {
			SCOPED(report_freep) struct report *report = report_new();
			SCOPED(policy_freep) struct policy *policy = NULL;
			const struct rule *rules;
			char text[1024];
			int n = snprintf(
				text, sizeof text,
				"cordon: 1\n"
				"authentication:\n"
				"  a: [ { certificate: { issuer: \"CN=A\" } } ]\n"
				"  b: [ { certificate: { issuer: \"CN=B\" } } ]\n"
				"protection: { p: { proposals: [esp-aes256gcm] } }\n"
				"connection-security:\n"
				"  - { name: %s, endpoint1: 10.0.0.0/24, endpoint2: 10.1.0.0/16, mode: require, "
				"authentication: a, protection: p }\n"
				"  - { name: %s, endpoint1: 10.0.0.0/24, endpoint2: 10.2.0.0/16, mode: require, "
				"authentication: b, protection: p }\n",
				turned ? rows[i].moves : rows[i].stays, turned ? rows[i].stays : rows[i].moves);

			assert_true(n > 0 && (size_t)n < sizeof text);
			assert_int_equal(policy_parse(text_new("t.yaml", text, (size_t)n), NULL, report, &policy), 0);
			assert_int_equal(policy_rules(policy, &rules), 2);
			assert_int_equal(rule_reqid(&rules[turned]), rule_reqid(&stays));
			assert_int_not_equal(rule_reqid(&rules[!turned]), rule_reqid(&stays));
			moved[turned] = rule_reqid(&rules[!turned]);
		}
		assert_int_equal(moved[0], moved[1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reqid_says_whose_it_is_and_whether_it_encrypts),
		cmocka_unit_test(reqid_of_a_rule_read_again_is_the_same),
		cmocka_unit_test(reqid_of_a_stand_in_is_its_own),
		cmocka_unit_test(no_two_rules_of_a_policy_have_the_same_reqid),
	};

	return cmocka_run_group_tests(tests, parse_suites, NULL);
}
