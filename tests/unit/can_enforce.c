#include "tests/unit/unit.h"

#include "base/diag.h"
#include "base/scope.h"
#include "enforce/gate.h"
#include "tests/unit/plan_double.h"

#include <string.h>

/* One rule towards one host. */
struct fixture {
	struct rule rule;
	struct auth_method methods[2];
	struct auth_set auth;
	struct child_suite suites[2];
	struct protection_set protection;
	struct plan_entry entry;
	struct plan_list list;
	struct addr local;
	struct firewall firewall;
	struct plan plan;
};

static void fixture_start(struct fixture *f)
{
	memset(f, 0, sizeof *f);
	f->methods[0].kind = AUTH_KERBEROS;
	f->methods[1].kind = AUTH_PSK;
	f->auth = (struct auth_set){ .name = "default", .methods = f->methods, .count = 2 };
	f->suites[0].protocol = PROTO_AH;
	f->suites[1].protocol = PROTO_ESP;
	f->protection = (struct protection_set){ .name = "default", .suites = f->suites, .count = 2 };
	f->rule =
		(struct rule){ .name = "office", .mode = MODE_REQUIRE, .auth = &f->auth, .protection = &f->protection };
	f->entry = (struct plan_entry){ .rule = &f->rule, .protocol = PROTOCOL_ANY, .initiators = INITIATOR_EITHER };
	f->list = (struct plan_list){ &f->entry, 1 };
	f->local = addr_v4(10, 0, 0, 1);
	f->plan = (struct plan){ .policy = { .rules = &f->rule, .rule_count = 1 },
				 .locals = &f->local,
				 .local_count = 1,
				 .lists = &f->list,
				 .list_count = 1 };
}

static void refused(const struct fixture *f, const char *word)
{
	struct diag d = { 0 };

	assert_int_equal(gate_can_enforce(&f->plan, &d), -ERR_UNSUPPORTED);
	if (!strstr(d.text, word))
		fail_msg("'%s' says nothing of '%s'", d.text, word);
}

static void a_rule_with_one_choice_that_we_can_is_enforced(void **state)
{
	struct fixture f;

	(void)state;
	fixture_start(&f);
	assert_int_equal(gate_can_enforce(&f.plan, NULL), 0);
}

static void what_we_cannot_is_refused_by_name(void **state)
{
	struct fixture f;

	(void)state;
	fixture_start(&f);
	f.auth.count = 1;
	refused(&f, "Kerberos");
}

static void a_rule_that_is_not_of_this_plan_does_not_count(void **state)
{
	struct fixture f;

	(void)state;
	fixture_start(&f);
	f.auth.count = 1;
	f.plan.list_count = 0;
	assert_int_equal(gate_can_enforce(&f.plan, NULL), 0);
}

static void a_firewall_section_is_enforced(void **state)
{
	struct fixture f;

	(void)state;
	fixture_start(&f);
	f.plan.policy.firewalls = &f.firewall;
	f.plan.policy.firewall_count = 1;
	f.plan.ruled = true;
	assert_int_equal(gate_can_enforce(&f.plan, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rule_with_one_choice_that_we_can_is_enforced),
		cmocka_unit_test(what_we_cannot_is_refused_by_name),
		cmocka_unit_test(a_rule_that_is_not_of_this_plan_does_not_count),
		cmocka_unit_test(a_firewall_section_is_enforced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
