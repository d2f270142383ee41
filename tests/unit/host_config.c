/* A host's own page. */
#include "policy/host_config.h"

#include "base/str.h"
#include "base/text.h"
#include "policy/policy.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/cordon-host-XXXXXX";

static int load(const char *octets, struct report *r, struct host_config **ret)
{
	SCOPED(str_wipe) struct str path = { 0 };
	int e;

	str_addf(&path, "%s/host.yaml", folder);
	assert_int_equal(text_replace(path.text, octets, strlen(octets), 0600, NULL), 0);
	e = host_config_load(path.text, r, ret);
	assert_int_equal(unlink(path.text), 0);
	return e;
}

static void a_version_alone_gives_the_defaults(void **state)
{
	SCOPED(report_freep) struct report *r = report_new();
	SCOPED(host_config_freep) struct host_config *c = NULL;

	(void)state;
	assert_int_equal(load("cordon: 1\n", r, &c), 0);
	assert_null(c->name);
	assert_null(c->keytab);
	assert_int_equal(c->certificate_count, 0);
	assert_int_equal(c->trust_count, 0);
	assert_int_equal(c->policy_file_count, 1);
	assert_string_equal(c->policy_files[0], "/etc/cordon/policy.yaml");
	assert_int_equal(c->interface_count, 0);
	assert_int_equal(c->data_plane, DATA_PLANE_AUTO);
	assert_int_equal(c->workers, 0);
	assert_int_equal(c->nat_keepalive_ms, 20000);
	assert_int_equal(c->longest_exemption_ms, 24 * 3600 * 1000);
	assert_null(c->events.file);
	assert_false(c->events.none);
	assert_int_equal(c->events.size, 10000000);
	assert_int_equal(c->events.count, 5);
}

static void every_key_is_taken_and_paths_begin_in_the_folder(void **state)
{
	SCOPED(report_freep) struct report *r = report_new();
	SCOPED(host_config_freep) struct host_config *c = NULL;
	SCOPED(str_wipe) struct str want = { 0 };

	(void)state;
	assert_int_equal(load("cordon: 1\n"
			      "name: srv1\n"
			      "certificates:\n"
			      "  - { certificate: srv1.pem, key: /secret/srv1.key }\n"
			      "trust: [ca.pem, /etc/other.pem]\n"
			      "revocation-lists: [crls, /var/lib/crls/root.crl]\n"
			      "keytab: /etc/krb5.keytab\n"
			      "kerberos: { CORP.EXAMPLE: { kdc: [10.0.0.1, 2001:db8::1] }, B: { kdc: 10.0.0.2 } }\n"
			      "policy: [ { file: office.yaml }, /etc/cordon/more.yaml ]\n"
			      "interfaces: { eth0: domain, wlan0: public }\n"
			      "data-plane: userspace\n"
			      "workers: 16\n"
			      "nat-keepalive: 2m\n"
			      "longest-exemption: 90m\n"
			      "directory: { realm: CORP.EXAMPLE, servers: [dc1.corp.example, 10.0.0.1], refresh: 1h }\n"
			      "ikev1-kerberos: [token-bare, hash-octets]\n"
			      "events: { file: events.json, size: 200MB, count: 0 }\n",
			      r, &c),
			 0);
	assert_string_equal(c->name, "srv1");
	assert_int_equal(c->certificate_count, 1);
	str_addf(&want, "%s/srv1.pem", folder);
	assert_string_equal(c->certificates[0].certificate, want.text);
	assert_string_equal(c->certificates[0].key, "/secret/srv1.key");
	assert_int_equal(c->certificates[0].place.line, 4);
	assert_int_equal(c->trust_count, 2);
	assert_string_equal(c->trust[1], "/etc/other.pem");
	assert_int_equal(c->revocation_list_count, 2);
	assert_string_equal(c->revocation_lists[1], "/var/lib/crls/root.crl");
	assert_string_equal(c->keytab, "/etc/krb5.keytab");
	assert_int_equal(c->realm_count, 2);
	assert_string_equal(c->realms[0].name, "CORP.EXAMPLE");
	assert_int_equal(c->realms[0].kdc_count, 2);
	assert_int_equal(c->realms[0].kdcs[1].family, 6);
	assert_int_equal(c->realms[1].kdc_count, 1);
	assert_int_equal(c->nat_keepalive_ms, 120000);
	assert_string_equal(c->directory.realm, "CORP.EXAMPLE");
	assert_int_equal(c->directory.server_count, 2);
	assert_string_equal(c->directory.servers[1], "10.0.0.1");
	assert_int_equal(c->directory.refresh_ms, 3600000);
	assert_int_equal(c->longest_exemption_ms, 90 * 60 * 1000);
	assert_int_equal(c->ikev1_kerberos, HOST_KERBEROS_TOKEN_BARE | HOST_KERBEROS_HASH_OCTETS);
	assert_true(strstr(c->events.file, "/events.json") && c->events.file[0] == '/');
	assert_int_equal(c->events.size, 200000000);
	assert_int_equal(c->events.count, 0);
	assert_int_equal(c->policy_file_count, 2);
	assert_string_equal(c->policy_files[1], "/etc/cordon/more.yaml");
	assert_int_equal(c->interface_count, 2);
	assert_string_equal(c->interfaces[0].name, "eth0");
	assert_int_equal(c->interfaces[0].profile, PROFILE_DOMAIN);
	assert_int_equal(c->data_plane, DATA_PLANE_USERSPACE);
	assert_int_equal(c->workers, 16);
}

static void a_profile_may_be_left_open(void **state)
{
	static const char *const texts[] = { "cordon: 1\ninterfaces: { eth0: auto, wlan0: private }\n",
					     "cordon: 1\ninterfaces: auto\n" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		SCOPED(report_freep) struct report *r = report_new();
		struct host_config *c = NULL;

		assert_int_equal(load(texts[i], r, &c), 0);
		assert_int_equal(c->interfaces_auto, i == 1);
		assert_int_equal(c->interface_count, i == 1 ? 0 : 2);
		if (i == 0) {
			assert_true(c->interfaces[0].automatic && !c->interfaces[1].automatic);
			assert_int_equal(c->interfaces[0].profile, PROFILE_PUBLIC);
			assert_int_equal(c->interfaces[1].profile, PROFILE_PRIVATE);
		}
		host_config_free(c);
	}
}

static void a_zone_stands_for_a_profile_or_leaves_it_open(void **state)
{
	SCOPED(report_freep) struct report *r = report_new();
	SCOPED(host_config_freep) struct host_config *c = NULL;

	(void)state;
	assert_int_equal(load("cordon: 1\nzones: { home: private, Work-1: auto, dmz: domain }\n", r, &c), 0);
	assert_int_equal(c->zone_count, 3);
	assert_string_equal(c->zones[0].name, "home");
	assert_true(c->zones[0].profile == PROFILE_PRIVATE && !c->zones[0].automatic);
	assert_string_equal(c->zones[1].name, "Work-1");
	assert_true(c->zones[1].profile == PROFILE_PUBLIC && c->zones[1].automatic);
	assert_true(c->zones[2].profile == PROFILE_DOMAIN && !c->zones[2].automatic);
	assert_true(!c->interfaces_auto && c->interface_count == 0);
}

static void mistakes_are_named(void **state)
{
	static const struct {
		const char *octets, *want;
	} rows[] = {
		{ "name: x\n", "host.yaml:1:1: error: the page does not say its version\n" },
		{ "cordon: 2\n", ":1:9: error: this program knows version 1 of the page: cordon: 1\n" },
		{ "cordon: 1\ncertificate: x\n",
		  ":2:1: error: a host's page has no 'certificate'\n"
		  "    certificate: x\n    ^~~~~~~~~~~\n  did you mean 'certificates'?\n" },
		{ "cordon: 1\ncertificates: x.pem\n",
		  ":2:15: error: certificates is a list of { certificate: FILE, key: FILE }" },
		{ "cordon: 1\ncertificates: [ { certificate: x } ]\n", ":2:17: error: a certificate needs 'key'\n" },
		{ "cordon: 1\nikev1-kerberos: raccoon\n", "name-terminated, name-octets" },
		{ "cordon: 1\nnat-keepalive: 999ms\n", "nat-keepalive is 1s to 1h, or 0 for never" },
		{ "cordon: 1\ndirectory: { refresh: 59s }\n", "the directory is asked again after 1m to 24h" },
		{ "cordon: 1\ndirectory: { server: x }\n", "server" },
		{ "cordon: 1\ndirectory: { servers: { a: b } }\n", "the servers of the directory are a list" },
		{ "cordon: 1\nevents: { size: 99kB }\n", "the file of events is of 100kB to 100GB" },
		{ "cordon: 1\nevents: { size: 101GB }\n", "the file of events is of 100kB to 100GB" },
		{ "cordon: 1\nevents: { count: 101 }\n", "count" },
		{ "cordon: 1\nevents: { path: /x }\n", "path" },
		{ "cordon: 1\nevents: [x]\n", "events" },
		{ "cordon: 1\nencapsulation: udp\n", "it belongs in the policy, on its top level" },
		{ "cordon: 1\ndata-plane:\n", "data-plane is empty; it is auto, kernel or userspace" },
		{ "cordon: 1\nworkers: 0\n", "workers is auto, or a number from 1 to 16" },
		{ "cordon: 1\nworkers: 17\n", "workers is auto, or a number from 1 to 16" },
		{ "cordon: 1\nworkers: [2]\n", "workers is auto, or a number from 1 to 16" },
		{ "cordon: 1\nnat-keepalive: 2h\n", "nat-keepalive is 1s to 1h, or 0 for never" },
		{ "cordon: 1\nlongest-exemption: 59s\n", "longest-exemption is 1m to 168h, or 0 for none" },
		{ "cordon: 1\nlongest-exemption: 169h\n", "longest-exemption is 1m to 168h, or 0 for none" },
		{ "cordon: 1\nkerberos: { R: { kdc: [dc1] } }\n", "kdc takes addresses" },
		{ "cordon: 1\nkerberos: { R: { kdc: [] } }\n", "kdc is a list of 1 to 16 addresses" },
		{ "cordon: 1\nkerberos: { R: { } }\n", "a Kerberos realm needs 'kdc'" },
		{ "cordon: 1\nkerberos: { R: { kdc: 10.0.0.1 }, r: { kdc: 10.0.0.1 } }\n", "realm 'r' is there twice" },
		{ "cordon: 1\nkerberos: [R]\n", "kerberos" },
		{ "cordon: 1\ndata-plane: kernal\n", "did you mean 'kernel'?\n" },
		{ "cordon: 1\ninterfaces: { eth0: home }\n",
		  "the profile of an interface is domain, private, public or auto" },
		{ "cordon: 1\ninterfaces: public\n", "interfaces:" },
		{ "cordon: 1\nzones: auto\n",
		  ":2:8: error: zones is a mapping of zones, as NetworkManager's connections name them, to profiles" },
		{ "cordon: 1\nzones: [home]\n", "such as zones: { home: private, work: auto }" },
		{ "cordon: 1\nzones: {}\n", "leave it out if zones shall not count" },
		{ "cordon: 1\nzones: { home: privat }\n", "did you mean 'private'?\n" },
		{ "cordon: 1\nzones: { home: [private] }\n", "the profile of a zone" },
		{ "cordon: 1\nzones: { home: private, home: public }\n", "zone 'home' is there twice" },
		{ "cordon: 1\nzones: { 'my home': private }\n", "'my home' cannot be a zone" },
		{ "cordon: 1\nzones: { '': private }\n", "the name of a zone" },
		{ "cordon: 1\nzones: { 0123456789012345678901234567890123456789012345678901234567890123: auto }\n",
		  "a name has up to 63 letters, digits and signs of ASCII, no space" },
		{ "cordon: 1\ntrust: { a: b }\n", "trust is a list" },
		{ "cordon: 1\nname: [a]\n", "name is a single value, not a list" },
		{ "cordon: 1\npolicy: []\n", "policy names at least one source" },
		{ "", "host.yaml: error: the file is empty" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		SCOPED(report_freep) struct report *r = report_new();
		SCOPED(host_config_freep) struct host_config *c = NULL;
		SCOPED(str_wipe) struct str out = { 0 };

		assert_true(load(rows[i].octets, r, &c) < 0);
		assert_null(c);
		report_text(r, false, &out);
		if (!strstr(str_text(&out), rows[i].want))
			fail_msg("row %zu: %s", i, str_text(&out));
	}
}

static void a_missing_page_is_an_error(void **state)
{
	SCOPED(report_freep) struct report *r = report_new();
	struct host_config *c = NULL;

	(void)state;
	assert_true(host_config_load("/nonexistent/host.yaml", r, &c) < 0);
	assert_int_equal(report_count(r, SEVERITY_ERROR), 1);
}

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_version_alone_gives_the_defaults),
		cmocka_unit_test(every_key_is_taken_and_paths_begin_in_the_folder),
		cmocka_unit_test(mistakes_are_named),
		cmocka_unit_test(a_missing_page_is_an_error),
		cmocka_unit_test(a_profile_may_be_left_open),
		cmocka_unit_test(a_zone_stands_for_a_profile_or_leaves_it_open),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
