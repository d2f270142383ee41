/* Why a firewall rule is not in force, in words. */
#include "tests/unit/unit.h"

#include "base/mem.h"
#include "daemon/tell/standing.h"

#include <string.h>

static bool only_eth0(const char *interface)
{
	return strcmp(interface, "eth0") == 0;
}

static void each_rule_that_is_not_in_force_says_why(void **state)
{
	static struct plan_interface known[] = { { "eth0", PROFILE_PRIVATE }, { "eht0", PROFILE_DOMAIN } };
	static const struct row {
		struct firewall_rule rule;
		struct {
			bool disabled, tells, has, no_page;
		} s;
		const char *why, *waits_for;
	} rows[] = {
		{ { .profiles = PROFILE_ALL }, { 0 }, "", NULL },
		{ { .profiles = PROFILE_ALL }, { .disabled = true }, "protection is disabled", NULL },
		{ { .profiles = PROFILE_ALL, .interface = "eth0" }, { 0 }, "", NULL },
		{ { .profiles = PROFILE_ALL, .interface = "eth9" }, { 0 }, "there is no interface eth9", "eth9" },
		{ { .profiles = PROFILE_PRIVATE }, { 0 }, "", NULL },
		{ { .profiles = PROFILE_DOMAIN }, { 0 }, "no interface is in the profile domain", NULL },
		{ { .profiles = PROFILE_DOMAIN | PROFILE_PUBLIC },
		  { 0 },
		  "no interface is in the profile domain or public",
		  NULL },
		{ { .profiles = PROFILE_DOMAIN }, { .no_page = true }, "", NULL },
		{ { .profiles = PROFILE_DOMAIN, .interface = "eth0" },
		  { 0 },
		  "its interface is not in the profile domain",
		  NULL },
		{ { .profiles = PROFILE_ALL, .program = "x.service" }, { .tells = true, .has = true }, "", NULL },
		{ { .profiles = PROFILE_ALL, .program = "x.service" },
		  { .tells = true },
		  "there is no control group x.service: it does not run",
		  NULL },
		{ { .profiles = PROFILE_ALL, .program = "x.service" },
		  { 0 },
		  "programs cannot be told apart here: that takes control groups of version 2, Linux 5.13 and an "
		  "nftables that knows them",
		  NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *r = &rows[i];
		struct host_facts with = { .interfaces = known, .interface_count = 2, .profiles = PROFILE_PRIVATE };
		struct host_facts without = { 0 };
		const struct standing s = { .facts = r->s.no_page ? &without : &with,
					    .disabled = r->s.disabled,
					    .tells_programs = r->s.tells,
					    .has_program = r->s.has,
					    .exists = only_eth0 };
		char buf[STANDING_TEXT];
		const char *waits_for = "?", *why = standing_why(&s, &r->rule, &waits_for, buf);

		if (strcmp(why, r->why) != 0)
			fail_msg("row %zu: %s", i, why);
		assert_true(!waits_for == !r->waits_for && (!waits_for || strcmp(waits_for, r->waits_for) == 0));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(each_rule_that_is_not_in_force_says_why) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
