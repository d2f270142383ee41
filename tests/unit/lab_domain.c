/* The lab's directory: which domain a policy speaks of, who is in it, and what is written there. */
#include "base/diag.h"
#include "base/str.h"
#include "base/text.h"
#include "tests/unit/unit.h"
#include "tools/lab/entries.h"

#include <string.h>

static struct policy *load(const char *text)
{
	SCOPED(report_freep) struct report *r = report_new();
	SCOPED(str_wipe) struct str words = { 0 };
	struct policy *p = NULL;

	if (policy_parse(text_new("policy.yaml", text, strlen(text)), &(struct policy_load_options){ 0 }, r, &p) < 0) {
		report_text(r, false, &words);
		fail_msg("%s", str_text(&words));
	}
	return p;
}

#define HOSTS \
	"cordon: 1\n" \
	"hosts:\n" \
	"  dc1: { address: 10.0.0.1, roles: [kdc, dns] }\n" \
	"  Web.bigfirm.com: { address: [10.0.0.2, \"2001:db8::2\"], groups: [outer] }\n" \
	"  plain: { address: 10.0.0.3, credentials: [cert] }\n" \
	"  rogue: { address: 10.0.0.4, agent: none }\n" \
	"  guest: { address: 10.0.0.5, agent: none, groups: [inner] }\n" \
	"groups:\n" \
	"  inner: [ { directory-group: 'BIG\\Domain Web, all' }, { directory-group: 'OTHER\\far' } ]\n" \
	"  outer: [ { group: inner } ]\n" \
	"authentication:\n" \
	"  cert: [ { certificate: { issuer: \"CN=x\" } } ]\n"
#define KERBEROS "  domain: [ { kerberos: { realm: BigFirm.com } } ]\n"

static void the_domain_is_what_the_policy_says(void **state)
{
	SCOPED(policy_freep) struct policy *p = load(HOSTS KERBEROS);
	const struct host *hosts;
	char name[DOMAIN_HOST];
	struct domain m;

	(void)state;
	assert_int_equal(policy_hosts(p, &hosts), 5);
	assert_int_equal(domain_of(p, &m, NULL), 0);
	assert_ptr_equal(m.controller, &hosts[0]);
	assert_true(m.dns);
	assert_string_equal(m.realm, "BIGFIRM.COM");
	assert_string_equal(m.name, "bigfirm.com");
	assert_string_equal(m.netbios, "BIG");
	/* The controller, who may prove itself so, and members of groups; not who has other credentials or none. */
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(domain_has(&m, &hosts[i]), i != 2 && i != 3);
	domain_host_name(&m, &hosts[1], name);
	assert_string_equal(name, "web.bigfirm.com");
	assert_string_equal(domain_group_name(&m, "big\\x"), "x");
	assert_string_equal(domain_group_name(&m, "x"), "x");
	assert_null(domain_group_name(&m, "BIGGER\\x"));
	assert_true(domain_group_has(&m, "domain web, all", &hosts[1]));
	assert_true(domain_group_has(&m, "Domain Web, all", &hosts[4]));
	assert_false(domain_group_has(&m, "far", &hosts[1]));
	assert_false(domain_group_has(&m, "Domain Web, all", &hosts[0]));
}

static void no_kerberos_or_nobody_to_answer_is_no_domain(void **state)
{
	SCOPED(policy_freep) struct policy *without = load(HOSTS);
	SCOPED(policy_freep)
	struct policy *alone = load("cordon: 1\nhosts: { a: { address: 10.0.0.1 } }\nauthentication: { d: [ { "
				    "kerberos: { realm: X.Y } } ] }\n");
	struct domain m;

	(void)state;
	assert_int_equal(domain_of(without, &m, NULL), 0);
	assert_null(m.controller);
	assert_int_equal(domain_of(alone, &m, NULL), 0);
	assert_null(m.controller);
}

static void a_policy_that_asks_for_what_is_not_there_is_told(void **state)
{
	static const struct {
		const char *text, *said; /* NULL: nothing */
	} rows[] = {
		{ HOSTS KERBEROS, NULL },
		{ "cordon: 1\nhosts: { a: { address: 10.0.0.1 } }\nauthentication: { d: [ { certificate: { issuer: "
		  "CN=x } } ] }\n",
		  NULL },
		{ "cordon: 1\nhosts: { a: { address: 10.0.0.1, roles: [dns] } }\nauthentication: { d: [ { kerberos: { "
		  "realm: X.Y } } ] }\n",
		  "roles: [dns, kdc]" },
		{ HOSTS, "who is in BIG\\Domain Web, all" },
		{ "cordon: 1\nhosts: { a: { address: 10.0.0.1, roles: [kdc] } }\nauthentication: { d: [ { certificate: "
		  "{ "
		  "issuer: CN=x, map-to-account: true } } ] }\n",
		  "a certificate stands for" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		SCOPED(policy_freep) struct policy *p = load(rows[i].text);
		SCOPED(str_wipe) struct str words = { 0 };
		struct domain m;

		assert_int_equal(domain_of(p, &m, NULL), 0);
		if (domain_lacks(&m, &words) != (rows[i].said != NULL) ||
		    (rows[i].said && !strstr(str_text(&words), rows[i].said)))
			fail_msg("row %zu: %s", i, str_text(&words));
	}
}

/* A certificate that stands for an account needs one. */
static void a_mapped_certificate_is_of_an_account(void **state)
{
	SCOPED(policy_freep)
	struct policy *p = load("cordon: 1\nhosts:\n  dc: { address: 10.0.0.1, roles: [kdc] }\n"
				"  a: { address: 10.0.0.2, credentials: [mapped] }\n"
				"  b: { address: 10.0.0.3, credentials: [plain] }\n"
				"authentication:\n  d: [ { kerberos: { realm: X.Y } } ]\n"
				"  mapped: [ { certificate: { issuer: CN=x, map-to-account: true } } ]\n"
				"  plain: [ { certificate: { issuer: CN=x } } ]\n");
	const struct host *hosts;
	struct domain m;

	(void)state;
	assert_int_equal(policy_hosts(p, &hosts), 3);
	assert_int_equal(domain_of(p, &m, NULL), 0);
	assert_true(domain_has(&m, &hosts[1]));
	assert_false(domain_has(&m, &hosts[2]));
}

static void what_one_controller_cannot_be_is_told(void **state)
{
	static const struct {
		const char *text, *said;
	} rows[] = {
		{ HOSTS KERBEROS "  far: [ { kerberos: { realm: FAR.COM } } ]\n", "one realm" },
		{ "cordon: 1\nhosts: { dc: { address: 10.0.0.1, roles: [kdc] }, \"a b\": { address: 10.0.0.2 } }\n"
		  "authentication: { d: [ { kerberos: { realm: X.Y } } ] }\n",
		  "letters, digits and -" },
		{ "cordon: 1\nhosts: { dc: { address: 10.0.0.1, roles: [kdc] }, a.x.y: { address: 10.0.0.2 }, A: { "
		  "address: "
		  "10.0.0.3 } }\nauthentication: { d: [ { kerberos: { realm: X.Y } } ] }\n",
		  "the same account A$" },
		{ "cordon: 1\nhosts: { dc: { address: 10.0.0.1, roles: [kdc] } }\n"
		  "authentication: { d: [ { kerberos: { realm: \"X Y/..\" } } ] }\n",
		  "no name of a domain" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		SCOPED(policy_freep) struct policy *p = load(rows[i].text);
		struct diag d = { 0 };
		struct domain m;

		if (domain_of(p, &m, &d) >= 0 || !strstr(d.text, rows[i].said))
			fail_msg("row %zu: %s", i, d.text);
	}
}

static void the_directory_holds_machines_groups_and_names(void **state)
{
	SCOPED(policy_freep) struct policy *p = load(HOSTS KERBEROS);
	struct entries_secret secrets[5] = { [1] = { "secret" } };
	SCOPED(str_wipe) struct str s = { 0 };
	struct domain m;
	/* The last: CN=Domain Web\, all,CN=Users,DC=bigfirm,DC=com */
	static const char *const wanted[] = {
		"sAMAccountName: WEB$\n",
		"servicePrincipalName: host/web.bigfirm.com\nservicePrincipalName: host/web\n",
		"unicodePwd:: IgBzAGUAYwByAGUAdAAiAA==\n", /* "secret", quoted, UTF-16 */
		"dn: DC=web,DC=bigfirm.com,CN=MicrosoftDNS,DC=DomainDnsZones,DC=bigfirm,DC=com\nobjectClass: dnsNode\n",
		"dnsRecord:: BAABAAXwAAABAAAAAAADhAAAAAAAAAAACgAAAg==\n",
		"dn: DC=rogue,DC=bigfirm.com",
		"dn:: Q049RG9tYWluIFdlYlwsIGFsbCxDTj1Vc2VycyxEQz1iaWdmaXJtLERDPWNvbQ==\nobjectClass: group\n",
	};

	(void)state;
	assert_int_equal(domain_of(p, &m, NULL), 0);
	entries_all(&m, secrets, &s);
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
		if (!strstr(str_text(&s), wanted[i]))
			fail_msg("row %zu: %s", i, str_text(&s));
	assert_null(strstr(str_text(&s), "DC1$"));
	assert_null(strstr(str_text(&s), "ROGUE$"));
	assert_null(strstr(str_text(&s), "PLAIN$"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_domain_is_what_the_policy_says),
		cmocka_unit_test(no_kerberos_or_nobody_to_answer_is_no_domain),
		cmocka_unit_test(a_policy_that_asks_for_what_is_not_there_is_told),
		cmocka_unit_test(a_mapped_certificate_is_of_an_account),
		cmocka_unit_test(what_one_controller_cannot_be_is_told),
		cmocka_unit_test(the_directory_holds_machines_groups_and_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
