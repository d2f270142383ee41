#include "tests/unit/folder.h"
#include "tests/unit/unit.h"

#include "base/diag.h"
#include "base/str.h"
#include "base/text.h"
#include "identity/handle.h"
#include "identity/pki.h"

#include <dirent.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DAY ((int64_t)86400)

static char dir[256];

static int setup(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof dir, "%s/cordon-pki-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	return folder_remove(dir);
}

static const char *in_dir(const char *name)
{
	static char paths[4][512];
	static unsigned next;
	char *p = paths[next++ % 4];

	(void)snprintf(p, 512, "%s/%s", dir, name);
	return p;
}

static unsigned mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 07777;
}

static size_t files_in(const char *path)
{
	DIR *d = opendir(path);
	size_t n = 0;

	if (!d)
		return 0;
	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	assert_int_equal(closedir(d), 0);
	return n;
}

static X509 *read_certificate(const char *path)
{
	FILE *f = fopen(path, "r");
	X509 *c;

	assert_non_null(f);
	c = PEM_read_X509(f, NULL, NULL, NULL);
	assert_int_equal(fclose(f), 0);
	assert_non_null(c);
	return c;
}

static void every_kind_of_key_makes_an_authority_and_hosts(void **state)
{
	(void)state;
	for (unsigned k = 0; k < PKI_KEYS; k++) {
		char ca[64];
		struct addr addresses[2] = { addr_v4(10, 0, 0, 1), { .family = 6, .octets = { 0x20, 1, 0xd, 0xb8 } } };
		struct pki_request r = {
			.name = "host", .addresses = addresses, .address_count = 2, .key = (enum pki_key)k, .days = 3
		};
		struct pki_issued out;
		struct diag d = { 0 };
		SCOPED(x509_freep) X509 *root = NULL;
		SCOPED(x509_freep) X509 *leaf = NULL;
		SCOPED(str_wipe) struct str shown = { 0 };

		(void)snprintf(ca, sizeof ca, "ca%u", k);
		if (pki_init(in_dir(ca), "CN=Test CA,O=Example", (enum pki_key)k, 30, &d) < 0 ||
		    pki_issue(in_dir(ca), &r, in_dir(ca), &out, &d) < 0)
			fail_msg("%s: %s", pki_key_name((enum pki_key)k), d.text);
		assert_int_equal(mode_of(in_dir(ca)), 0700);
		assert_int_equal(mode_of(out.key), 0600);
		assert_int_equal(mode_of(out.certificate), 0644);
		assert_int_equal(files_in(in_dir(ca)), 4); /* nothing unfinished is left */
		(void)snprintf(ca, sizeof ca, "ca%u/ca.key", k);
		assert_int_equal(mode_of(in_dir(ca)), 0600);
		(void)snprintf(ca, sizeof ca, "ca%u/ca.pem", k);
		root = read_certificate(in_dir(ca));
		leaf = read_certificate(out.certificate);
		assert_int_equal(X509_verify(leaf, X509_get0_pubkey(root)), 1);
		assert_int_equal(X509_check_issued(root, leaf), X509_V_OK);
		assert_int_equal(X509_check_ip_asc(leaf, "10.0.0.1", 0), 1);
		assert_int_equal(X509_check_ip_asc(leaf, "2001:db8::", 0), 1);
		assert_int_equal(X509_check_host(leaf, "host", 0, 0, NULL), 1);
		assert_true(X509_check_ca(root) && !X509_check_ca(leaf));
		assert_string_equal(out.issuer, "CN=Test CA,O=Example");
		assert_int_equal(pki_show(out.certificate, time(NULL) + 3600, &shown, &d), 0);
		assert_non_null(strstr(shown.text, "ike-intermediate, ipsecIKE, serverAuth, clientAuth"));
		assert_non_null(strstr(shown.text, "(2 days left)"));
		assert_int_equal(pki_show(out.certificate, time(NULL) + 4 * DAY, &shown, &d), 0);
		assert_non_null(strstr(shown.text, "EXPIRED"));
	}
}

static void serial_numbers_differ_and_hosts_do_not_outlive_their_authority(void **state)
{
	struct pki_request r = { .name = "a", .key = PKI_ECDSA_P256, .days = 9999 };
	struct pki_issued one, two;
	SCOPED(x509_freep) X509 *a = NULL;
	SCOPED(x509_freep) X509 *b = NULL;

	(void)state;
	assert_int_equal(pki_init(in_dir("short"), "CN=x", PKI_ECDSA_P256, 5, NULL), 0);
	assert_int_equal(pki_issue(in_dir("short"), &r, in_dir("out"), &one, NULL), 0);
	r.name = "b";
	assert_int_equal(pki_issue(in_dir("short"), &r, in_dir("out"), &two, NULL), 0);
	a = read_certificate(one.certificate);
	b = read_certificate(two.certificate);
	assert_true(ASN1_INTEGER_cmp(X509_get0_serialNumber(a), X509_get0_serialNumber(b)) != 0);
	assert_true(ASN1_STRING_length(X509_get0_serialNumber(a)) == 16);
	assert_true(one.not_after_s <= time(NULL) + 5 * DAY);
}

static void what_cannot_be_issued_is_refused_and_leaves_nothing(void **state)
{
	static const char *const bad_dns[] = { "a b", "", ".", "a..b", "a,IP:1.2.3.4" };
	static const char *const bad_eku[] = { "servreAuth" };
	static const struct {
		struct pki_request r;
		const char *error;
	} rows[] = {
		{ { .name = "../x", .days = 1 }, "is no name for a host" },
		{ { .name = "", .days = 1 }, "is no name for a host" },
		{ { .name = ".x", .days = 1 }, "is no name for a host" },
		{ { .name = "-x", .days = 1 }, "is no name for a host" },
		{ { .name = "ca", .days = 1 }, "is no name for a host" },
		{ { .name = "a\nb", .days = 1 }, "is no name for a host" },
		{ { .name = "x", .days = 0 }, "0 days" },
		{ { .name = "x", .days = 99999 }, "99999 days" },
		{ { .name = "x", .days = 1, .subject = "nonsense" }, "is no distinguished name" },
		{ { .name = "x", .days = 1, .dns = bad_dns, .dns_count = 1 }, "'a b' is no DNS name" },
		{ { .name = "x", .days = 1, .dns = bad_dns + 1, .dns_count = 1 }, "is no DNS name" },
		{ { .name = "x", .days = 1, .dns = bad_dns + 2, .dns_count = 1 }, "is no DNS name" },
		{ { .name = "x", .days = 1, .dns = bad_dns + 3, .dns_count = 1 }, "is no DNS name" },
		{ { .name = "x", .days = 1, .dns = bad_dns + 4, .dns_count = 1 }, "is no DNS name" },
		{ { .name = "x", .days = 1, .ekus = bad_eku, .eku_count = 1 }, "is no extended key usage" },
	};
	struct diag d = { 0 };
	struct pki_issued out;

	(void)state;
	assert_int_equal(pki_init(in_dir("ca"), "CN=x", PKI_ECDSA_P256, 5, &d), 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (pki_issue(in_dir("ca"), &rows[i].r, in_dir("ca"), &out, &d) == 0 || !strstr(d.text, rows[i].error))
			fail_msg("row %zu: %s", i, d.text);
	assert_int_equal(files_in(in_dir("ca")), 2);
	struct pki_request r = { .name = "x", .days = 1 };

	assert_true(pki_issue(in_dir("nowhere"), &r, in_dir("ca"), &out, &d) < 0);
	assert_non_null(strstr(d.text, "holds no authority"));
	assert_int_equal(pki_issue(in_dir("ca"), &r, in_dir("ca"), &out, &d), 0);
	assert_true(pki_issue(in_dir("ca"), &r, in_dir("ca"), &out, &d) < 0);
	assert_non_null(strstr(d.text, "--force"));
	r.replace = true;
	assert_int_equal(pki_issue(in_dir("ca"), &r, in_dir("ca"), &out, &d), 0);
	assert_true(pki_init(in_dir("ca"), "CN=x", PKI_ECDSA_P256, 5, &d) < 0);
	assert_non_null(strstr(d.text, "holds an authority already"));
	assert_true(pki_init(in_dir("new"), "x", PKI_ECDSA_P256, 5, &d) < 0);
	assert_int_equal(access(in_dir("new"), F_OK), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_kind_of_key_makes_an_authority_and_hosts, setup, teardown),
		cmocka_unit_test_setup_teardown(serial_numbers_differ_and_hosts_do_not_outlive_their_authority, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_cannot_be_issued_is_refused_and_leaves_nothing, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
