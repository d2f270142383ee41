/* Who is in a group of the policy, and what is not known about it. */
#include "identity/groups.h"

#include "base/text.h"
#include "tests/unit/planned.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

static const char network[] =
	"cordon: 1\n"
	"hosts:\n"
	"  srv: { address: 10.0.0.1 }\n"
	"  one: { address: [10.0.0.2, 2001:db8::2] }\n"
	"  two: { address: 10.0.0.3 }\n"
	"groups:\n"
	"  hosts: [one]\n"
	"  certificates: [ { certificate: \"CN=*,OU=Servers,O=Big Firm\" }, { certificate: \"*.dmz.example\" } ]\n"
	"  parts: [ { certificate: \"OU=Servers\" } ]\n"
	"  directory: [ { directory-group: BIGFIRM\\trusted } ]\n"
	"  sids: [ { sid: S-1-5-21-1-2-3-1105 } ]\n"
	"  nested: [ { group: hosts }, { group: parts } ]\n"
	"  mixed: [ { group: directory }, { group: hosts } ]\n"
	"  unused: [two]\n"
	"authentication: { a: [ { certificate: {} } ] }\n"
	"firewall:\n"
	"  hosts: [srv]\n"
	"  inbound: block\n"
	"  outbound: allow\n"
	"  rules:\n"
	"    - { name: A, action: bypass, direction: in, secure: authenticated, machines: { allow: [hosts, nested], "
	"except: [mixed] } }\n"
	"    - { name: B, action: allow, direction: in, secure: authenticated, machines: { allow: [parts], except: "
	"[hosts] } }\n";

static void take_address(const char *text, struct addr *ret)
{
	assert_int_equal(addr_parse(text, strlen(text), ret, NULL), 0);
}

static struct host_address host(const char *address)
{
	struct host_address own = { .prefix = -1 };

	take_address(address, &own.addr);
	return own;
}

static const struct group *named(const struct policy *p, const char *name)
{
	const struct group *groups;
	size_t n = policy_groups(p, &groups);

	for (size_t i = 0; i < n; i++)
		if (strcmp(groups[i].name, name) == 0)
			return &groups[i];
	fail_msg("no group %s", name);
	return NULL;
}

static struct peer proven(enum peer_method method, const char *subject, const char *also)
{
	struct peer p = { .method = method };

	(void)snprintf(p.subject, sizeof p.subject, "%s", subject);
	(void)snprintf(p.names[0], sizeof p.names[0], "%s", also);
	p.name_count = *also != '\0';
	return p;
}

static void a_peer_is_in_the_groups_that_it_has_proven(void **state)
{
	static const struct {
		const char *group;
		enum peer_method method;
		const char *subject, *also, *from;
		enum member want;
	} rows[] = {
		{ "hosts", PEER_PSK, "", "", "10.0.0.2", MEMBER_YES },
		{ "hosts", PEER_PSK, "", "", "2001:db8::2", MEMBER_YES },
		{ "hosts", PEER_PSK, "", "", "10.0.0.3", MEMBER_NO },
		{ "hosts", PEER_UNPROVEN, "", "", "10.0.0.2", MEMBER_NO },
		{ "certificates", PEER_CERTIFICATE, "CN=x,OU=Servers,O=Big Firm", "", "10.0.0.9", MEMBER_YES },
		{ "certificates", PEER_CERTIFICATE, "O=Big Firm,OU=Servers,CN=x", "", "10.0.0.9", MEMBER_YES },
		{ "certificates", PEER_CERTIFICATE, "cn=x,ou=SERVERS,o=big firm", "", "10.0.0.9", MEMBER_YES },
		{ "certificates", PEER_CERTIFICATE, "CN=x,OU=Lab,OU=Servers,O=Big Firm", "", "10.0.0.9", MEMBER_NO },
		{ "certificates", PEER_CERTIFICATE, "CN=x\\,OU=Servers,O=Big Firm", "", "10.0.0.9", MEMBER_NO },
		{ "certificates", PEER_CERTIFICATE, "CN=x", "www.dmz.example", "10.0.0.9", MEMBER_YES },
		{ "certificates", PEER_CERTIFICATE, "CN=www.dmz.example", "", "10.0.0.9", MEMBER_NO },
		{ "certificates", PEER_CERTIFICATE, "CN=x", "CN=x,OU=Servers,O=Big Firm", "10.0.0.9", MEMBER_NO },
		{ "certificates", PEER_PSK, "", "", "10.0.0.9", MEMBER_MAYBE },
		{ "parts", PEER_CERTIFICATE, "CN=x,OU=Servers,O=Big Firm", "", "10.0.0.9", MEMBER_YES },
		{ "parts", PEER_CERTIFICATE, "CN=x+OU=Servers", "", "10.0.0.9", MEMBER_YES },
		{ "parts", PEER_CERTIFICATE, "CN=OU\\=Servers", "", "10.0.0.9", MEMBER_NO },
		{ "parts", PEER_CERTIFICATE, "CN=x\\,OU=Servers", "", "10.0.0.9", MEMBER_NO },
		{ "nested", PEER_CERTIFICATE, "CN=x,OU=Lab", "", "10.0.0.2", MEMBER_YES },
		{ "nested", PEER_CERTIFICATE, "CN=x,OU=Lab", "", "10.0.0.9", MEMBER_NO },
		{ "directory", PEER_CERTIFICATE, "CN=x", "", "10.0.0.9", MEMBER_MAYBE },
		{ "directory", PEER_KERBEROS, "", "", "10.0.0.9", MEMBER_MAYBE },
		{ "sids", PEER_PSK, "", "", "10.0.0.9", MEMBER_MAYBE },
		{ "mixed", PEER_KERBEROS, "", "", "10.0.0.2", MEMBER_YES },
		{ "mixed", PEER_KERBEROS, "", "", "10.0.0.9", MEMBER_MAYBE },
	};
	struct planned m = { 0 };

	(void)state;
	planned_make(&m, network, host("10.0.0.1"));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct peer peer = proven(rows[i].method, rows[i].subject, rows[i].also);
		struct addr from;
		enum member is;

		take_address(rows[i].from, &from);
		is = group_has(named(m.policy, rows[i].group),
			       &(struct group_asker){ .policy = m.policy, .peer = &peer, .remote = &from });
		if (is != rows[i].want)
			fail_msg("row %zu, %s: %d, not %d", i, rows[i].group, is, rows[i].want);
	}
	planned_wipe(&m);
}

/* What nobody could learn opens nothing: neither `allow`, which asks for a YES, nor `except`, which asks for a NO. */
static void of_an_account_only_what_was_learnt_is_known(void **state)
{
	static const struct {
		const char *sid;    /* the group's */
		const char *listed; /* of the account's, NULL: none is */
		uint64_t learnt_s;  /* 0: as of a ticket without a PAC, or of an account that is disabled */
		bool cut;
		enum member want;
	} rows[] = {
		{ "S-1-5-21-1-2-3-1105", "S-1-5-21-1-2-3-1105", 1, false, MEMBER_YES },
		{ "S-1-5-21-1-2-3-1105", "S-1-5-21-1-2-3-1105", 1, true, MEMBER_YES },
		{ "S-1-5-21-1-2-3-1105", "S-1-5-21-1-2-3-1106", 1, false, MEMBER_NO },
		{ "S-1-5-21-1-2-3-1105", "S-1-5-21-1-2-3-1106", 1, true, MEMBER_MAYBE },
		{ "S-1-5-21-1-2-3-1105", NULL, 1, false, MEMBER_NO },
		{ "S-1-5-21-1-2-3-1105", NULL, 0, false, MEMBER_MAYBE },
		/* A machine gives these itself: Everyone, Authenticated Users, an integrity level, Administrators. */
		{ "S-1-1-0", NULL, 1, false, MEMBER_MAYBE },
		{ "S-1-5-11", NULL, 1, false, MEMBER_MAYBE },
		{ "S-1-16-12288", NULL, 1, false, MEMBER_MAYBE },
		{ "S-1-5-32-544", NULL, 1, false, MEMBER_MAYBE },
		{ "S-1-5-32-544", "S-1-5-32-544", 1, false, MEMBER_MAYBE },
		{ "S-1-5-9", NULL, 1, false, MEMBER_NO }, /* Enterprise Domain Controllers: tickets have that */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct peer peer = { .method = PEER_KERBEROS, .learnt_s = rows[i].learnt_s };
		struct planned m = { 0 };
		struct addr from;
		struct sid sid;
		char text[200];
		enum member is;
		int n = snprintf(text, sizeof text, "cordon: 1\ngroups:\n  g: [ { sid: %s } ]\n", rows[i].sid);

		assert_true(n > 0 && (size_t)n < sizeof text);
		planned_make(&m, text, host("10.0.0.1"));
		if (rows[i].listed) {
			assert_int_equal(sid_parse(rows[i].listed, strlen(rows[i].listed), &sid, NULL), 0);
			assert_true(sid_list_add(&peer.sids, &sid));
		}
		peer.sids.cut = rows[i].cut;
		take_address("10.0.0.9", &from);
		is = group_has(named(m.policy, "g"),
			       &(struct group_asker){ .policy = m.policy, .peer = &peer, .remote = &from });
		if (is != rows[i].want)
			fail_msg("row %zu, %s: %d, not %d", i, rows[i].sid, is, rows[i].want);
		planned_wipe(&m);
	}
}

static void a_name_that_was_cut_is_nobody_for_sure(void **state)
{
	struct peer p = proven(PEER_CERTIFICATE, "OU=Servers,CN=", "");

	(void)state;
	memset(p.subject + strlen(p.subject), 'x', PEER_TEXT - 1 - strlen(p.subject));
	assert_int_equal(group_pattern_fits("OU=Servers", &p), MEMBER_MAYBE);
	assert_int_equal(group_pattern_fits("OU=Lab", &p), MEMBER_MAYBE);
	p.name_count = PEER_NAMES;
	for (size_t i = 0; i < PEER_NAMES; i++)
		(void)snprintf(p.names[i], PEER_TEXT, "n%zu.example", i);
	assert_int_equal(group_pattern_fits("n7.example", &p), MEMBER_YES);
	assert_int_equal(group_pattern_fits("n8.example", &p), MEMBER_MAYBE);
}

static void patterns_fit_as_people_expect(void **state)
{
	static const struct {
		const char *pattern, *subject;
		enum member want;
	} rows[] = {
		{ "CN=*", "CN=dc1", MEMBER_YES },
		{ "CN=dc?", "CN=dc1", MEMBER_YES },
		{ "CN=dc?", "CN=dc10", MEMBER_NO },
		{ "CN=*1", "CN=a1b1", MEMBER_YES },
		{ "CN=*a*b*", "CN=xaybz", MEMBER_YES },
		{ "CN=*a*b*", "CN=xbyaz", MEMBER_NO },
		{ "CN=a\\*", "CN=a*", MEMBER_YES },
		{ "CN=a\\*", "CN=ab", MEMBER_NO },
		{ "CN=a\\,b", "CN=a\\,b", MEMBER_YES },
		{ "CN=a\\2Cb", "CN=a\\,b", MEMBER_YES },
		{ "CN=*,OU=a", "CN=x\\,y,OU=a", MEMBER_YES },
		{ "CN=x, OU=a", "CN=x,OU=a", MEMBER_YES },
		{ "CN=", "CN=x", MEMBER_NO },
		{ "CN=*=*", "CN=x", MEMBER_NO },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct peer p = proven(PEER_CERTIFICATE, rows[i].subject, "");

		if (group_pattern_fits(rows[i].pattern, &p) != rows[i].want)
			fail_msg("row %zu: '%s' and '%s'", i, rows[i].pattern, rows[i].subject);
	}
}

static void the_plan_knows_whom_its_firewall_asks_about(void **state)
{
	static const struct {
		const char *name;
		bool sure, maybe;
	} want[] = {
		{ "hosts", true, true }, { "parts", true, false }, { "nested", true, false }, { "mixed", false, true }
	};
	const struct plan_group *groups;
	struct plan *other;
	struct planned m = { 0 };

	(void)state;
	planned_make(&m, network, host("10.0.0.1"));
	assert_true(plan_asks_who(m.plan));
	assert_int_equal(plan_groups(m.plan, &groups), 4);
	for (size_t i = 0; i < 4; i++) {
		assert_string_equal(groups[i].group->name, want[i].name);
		assert_int_equal(groups[i].sure, want[i].sure);
		assert_int_equal(groups[i].maybe, want[i].maybe);
		assert_int_equal(plan_group_number(m.plan, groups[i].group), i);
	}
	assert_int_equal(plan_group_number(m.plan, named(m.policy, "unused")), 4);
	other = planned_for(&m, host("10.0.0.2")); /* no section rules it */
	assert_false(plan_asks_who(other));
	assert_int_equal(plan_groups(other, &groups), 0);
	plan_free(other);
	planned_wipe(&m);
}

static void of_two_identities_only_what_is_common_lets_in(void **state)
{
	struct membership *a = membership_new(9), *b = membership_new(9);

	(void)state;
	membership_put(a, 0, MEMBER_YES);
	membership_put(b, 0, MEMBER_YES);
	membership_put(a, 1, MEMBER_YES);
	membership_put(b, 8, MEMBER_MAYBE);
	membership_meet(a, b);
	assert_int_equal(membership_get(a, 0), MEMBER_YES);
	assert_int_equal(membership_get(a, 1), MEMBER_MAYBE);
	assert_int_equal(membership_get(a, 2), MEMBER_NO);
	assert_int_equal(membership_get(a, 8), MEMBER_MAYBE);
	membership_free(a);
	membership_free(b);
}

static void membership_is_that_of_each_group(void **state)
{
	struct peer p = proven(PEER_CERTIFICATE, "CN=x,OU=Servers", "");
	struct membership *is;
	struct addr from;
	struct planned m = { 0 };

	(void)state;
	planned_make(&m, network, host("10.0.0.1"));
	take_address("10.0.0.9", &from);
	is = membership_of(m.plan, &p, &from, NULL);
	assert_int_equal(is->count, 4);
	assert_int_equal(membership_get(is, 0), MEMBER_NO);
	assert_int_equal(membership_get(is, 1), MEMBER_YES);
	assert_int_equal(membership_get(is, 2), MEMBER_YES);
	assert_int_equal(membership_get(is, 3), MEMBER_MAYBE);
	membership_free(is);
	planned_wipe(&m);
}

/* 32 deep, each naming the next one twice: 2^32 ways. */
static void groups_that_name_one_often_are_judged_once(void **state)
{
	enum { DEEP = 30 };
	char text[8192];
	size_t n = (size_t)snprintf(text, sizeof text,
				    "cordon: 1\nhosts:\n  one: { address: 10.0.0.2 }\ngroups:\n  g0: [one]\n");
	struct planned m = { 0 };
	struct peer p = { .method = PEER_PSK };
	struct addr from;

	(void)state;
	for (int i = 1; i <= DEEP; i++)
		n += (size_t)snprintf(text + n, sizeof text - n, "  g%d: [g%d, g%d]\n", i, i - 1, i - 1);
	planned_make(&m, text, host("10.0.0.1"));
	take_address("10.0.0.3", &from);
	assert_int_equal(group_has(named(m.policy, "g30"),
				   &(struct group_asker){ .policy = m.policy, .peer = &p, .remote = &from }),
			 MEMBER_NO);
	planned_wipe(&m);
}

static void a_circle_is_refused(void **state)
{
	static const char circle[] = "cordon: 1\ngroups:\n  a: [ { group: b } ]\n  b: [ { group: a } ]\n";
	struct report *r = report_new();
	struct policy *p = NULL;

	(void)state;
	assert_true(policy_parse(text_new("c.yaml", circle, strlen(circle)), NULL, r, &p) < 0);
	report_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_peer_is_in_the_groups_that_it_has_proven),
		cmocka_unit_test(of_an_account_only_what_was_learnt_is_known),
		cmocka_unit_test(a_name_that_was_cut_is_nobody_for_sure),
		cmocka_unit_test(patterns_fit_as_people_expect),
		cmocka_unit_test(the_plan_knows_whom_its_firewall_asks_about),
		cmocka_unit_test(of_two_identities_only_what_is_common_lets_in),
		cmocka_unit_test(membership_is_that_of_each_group),
		cmocka_unit_test(groups_that_name_one_often_are_judged_once),
		cmocka_unit_test(a_circle_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
