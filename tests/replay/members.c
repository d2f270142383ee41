/* Rules that name the machines that they take, and who is behind an SA, for the firewall. */
#include "tests/replay/world.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

/* Host 0 is `one`, host 1 `two`; the rule "web" between them takes `machines`, "rest" takes all. */
static const char *policy(const char *members, const char *machines)
{
	static char text[4][2048];
	static unsigned next;
	char *to = text[next++ % 4];

	(void)snprintf(to, sizeof text[0],
		       "cordon: 1\n"
		       "hosts:\n"
		       "  one: { address: 10.0.0.1 }\n"
		       "  two: { address: 10.0.0.2 }\n"
		       "groups: { trusted: [%s], all: [one, two] }\n"
		       "authentication:\n"
		       "  password: [ { pre-shared-key: { file: /etc/cordon/psk } } ]\n"
		       "key-exchange:\n"
		       "  default: { proposals: [aes256gcm-sha256-x25519] }\n"
		       "connection-security:\n"
		       "  - { name: web, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], mode: require, protocol: tcp,\n"
		       "      port2: 80, authentication: password, machines: [%s] }\n"
		       "  - { name: rest, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], mode: require,\n"
		       "      authentication: password }\n"
		       "firewall:\n"
		       "  hosts: [one, two]\n"
		       "  inbound: block\n"
		       "  outbound: allow\n"
		       "  rules:\n"
		       "    - { name: in, action: bypass, direction: in, traffic: [tcp/80], secure: authenticated,\n"
		       "        machines: { allow: [trusted] } }\n",
		       members, machines);
	return to;
}

static void expect_failure(const struct world *w, unsigned host, enum failure_side by, const char *words)
{
	const struct event *e = &w->hosts[host].last[EVENT_QUICK_MODE_FAILED];

	assert_true(w->hosts[host].events[EVENT_QUICK_MODE_FAILED]);
	if (e->failure != FAILURE_NOT_MEMBER || e->by != by || !strstr(e->text, words))
		fail_msg("host %u: %s by %s: %s", host, failure_name(e->failure), failure_side_name(e->by), e->text);
}

static void web(struct world *w, unsigned from)
{
	world_packet(w, from, 6, from == 0 ? 50000 : 80, from == 0 ? 80 : 50000);
}

static void a_peer_outside_the_groups_gets_no_sa(void **state)
{
	(void)state;
	for (unsigned from = 0; from < 2; from++)                 /* who begins */
		for (unsigned strict = 0; strict < 2; strict++) { /* who refuses */
			const char *all = policy("one, two", "all");
			const char *none = policy(strict ? "two" : "one", "trusted");
			struct world *w = strict ? world_new_two(all, none) : world_new_two(none, all);

			web(w, from);
			world_run(w, 1900);
			assert_int_equal(world_children(w, 0), 0);
			assert_int_equal(world_children(w, 1), 0);
			assert_int_equal(world_sas(w, 0, true) + world_sas(w, 1, true), 0);
			expect_failure(w, strict, SIDE_HERE, "rule 'web' admits (machines: trusted)");
			expect_failure(w, !strict, SIDE_PEER, "this host is not known there to be in a group");
			world_free(w);
		}
}

static void other_rules_are_as_they_were(void **state)
{
	(void)state;
	for (unsigned from = 0; from < 2; from++) {
		const char *none = policy("one", "trusted");
		struct world *w = world_new_two(none, none);

		world_packet(w, from, 17, 5000, 5001);
		world_run(w, 3000);
		assert_int_equal(world_children(w, 0), 1);
		web(w, from); /* under the IKE SA that there is */
		world_run(w, 3900);
		assert_int_equal(world_ikes(w, 0), 1);
		assert_int_equal(world_children(w, 0), 1);
		assert_int_equal(world_children(w, 1), 1);
		assert_true(w->hosts[0].events[EVENT_QUICK_MODE_FAILED]);
		assert_int_equal(w->hosts[0].last[EVENT_QUICK_MODE_FAILED].failure, FAILURE_NOT_MEMBER);
		world_free(w);
	}
}

static void a_member_gets_one(void **state)
{
	const char *both = policy("one, two", "trusted");
	struct world *w = world_new_two(both, both);

	(void)state;
	web(w, 0);
	world_run(w, 3000);
	world_expect_one(w, 1);
	world_free(w);
}

static const struct world_sa *inbound(const struct world *w, unsigned host)
{
	for (size_t i = 0; i < SAS_MOST; i++)
		if (w->hosts[host].sas[i].used && w->hosts[host].sas[i].inbound)
			return &w->hosts[host].sas[i];
	fail_msg("host %u has no inbound SA", host);
	return NULL;
}

static void who_is_behind_an_sa_is_said_with_it(void **state)
{
	const char *one = policy("one", "all"), *two = policy("two", "all");
	struct world *w = world_new_two(one, one);

	(void)state;
	web(w, 0);
	world_run(w, 3000);
	world_expect_one(w, 1);
	assert_true(inbound(w, 0)->asked && inbound(w, 1)->asked);
	assert_int_equal(inbound(w, 0)->member, MEMBER_NO);
	assert_int_equal(inbound(w, 1)->member, MEMBER_YES);
	world_set_plan(w, 0, two); /* and again where that changes, under the same SAs */
	world_set_plan(w, 1, two);
	world_run(w, 5000);
	world_expect_one(w, 1);
	assert_int_equal(inbound(w, 0)->member, MEMBER_YES);
	assert_int_equal(inbound(w, 1)->member, MEMBER_NO);
	world_free(w);
}

static void who_is_no_longer_in_a_group_loses_its_sas(void **state)
{
	const char *both = policy("one, two", "trusted"), *one = policy("one", "trusted");
	struct world *w = world_new_two(both, both);

	(void)state;
	web(w, 0);
	world_run(w, 3000);
	world_expect_one(w, 1);
	world_set_plan(w, 0, one);
	world_run(w, 12000);
	assert_int_equal(world_children(w, 0), 0);
	assert_int_equal(world_children(w, 1), 0);
	expect_failure(w, 0, SIDE_HERE, "quick mode ends");
	expect_failure(w, 1, SIDE_PEER, "ended quick mode");
	world_free(w);
}

static void a_name_that_nobody_knows_admits_nobody(void **state)
{
	const char *unknown = policy("{ directory-group: \"CORP\\\\trusted\" }", "trusted");
	struct world *w = world_new_two(unknown, unknown);

	(void)state;
	web(w, 0);
	world_run(w, 1900);
	assert_int_equal(world_children(w, 0) + world_children(w, 1), 0);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_peer_outside_the_groups_gets_no_sa),
		cmocka_unit_test(other_rules_are_as_they_were),
		cmocka_unit_test(a_member_gets_one),
		cmocka_unit_test(who_is_behind_an_sa_is_said_with_it),
		cmocka_unit_test(who_is_no_longer_in_a_group_loses_its_sas),
		cmocka_unit_test(a_name_that_nobody_knows_admits_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
