#include "tests/unit/unit.h"

#include "base/crypto.h"
#include "base/diag.h"
#include "base/scope.h"
#include "identity/handle.h"
#include "identity/name.h"

#include <string.h>

static void names_are_compared_as_people_write_them(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} rows[] = {
		{ "CN=GAS Root CA", "CN=GAS Root CA", true },
		{ "CN=GAS Root CA", "cn=gas root ca", true },
		{ "CN=GAS  Root CA ", " CN = GAS Root CA", true },
		{ "CN=x,O=y", "O=y, CN=x", true },
		{ "CN=x,O=y,C=DE", "C=DE,O=y,CN=x", true },
		{ "CN=x,O=y,C=DE", "O=y,C=DE,CN=x", false },
		{ "CN=x;O=y", "CN=x,O=y", true },
		{ "CN=x,O=y", "CN=x", false },
		{ "CN=x", "O=x", false },
		{ "CN=x", "CN=y", false },
		{ "CN=a\\,b", "CN=\"a,b\"", true },
		{ "CN=M\xc3\xbcller", "CN=M\\C3\\BCller", true },
		{ "CN=dc1,DC=corp,DC=example", "DC=example,DC=corp,CN=dc1", true },
		{ "CN=x,S=Berlin", "CN=x,ST=Berlin", true },
		{ "2.5.4.3=x", "CN=x", true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		SCOPED(x509_name_freep) X509_NAME *a = NULL;
		SCOPED(x509_name_freep) X509_NAME *b = NULL;
		struct diag d = { 0 };

		if (name_parse(rows[i].a, &a, &d) < 0 || name_parse(rows[i].b, &b, &d) < 0)
			fail_msg("row %zu: %s", i, d.text);
		if (name_same(a, b) != rows[i].same)
			fail_msg("row %zu: %s, %s", i, rows[i].a, rows[i].b);
	}
}

static void malformed_names_are_refused(void **state)
{
	static const char *const rows[] = {
		"",       "GAS Root CA", "CN",    "CN=",       "=x",    "CN=x,",         "CN=x,,O=y",
		"CN=\"x", "CN=x\\",      "FOO=x", "CN=\"x\"y", "CN=x+", "1.2.3.4.5.x=y",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		X509_NAME *n = NULL;
		struct diag d = { 0 };

		if (name_parse(rows[i], &n, &d) == 0 || d.text[0] == '\0')
			fail_msg("'%s'", rows[i]);
	}
}

/* A name in a certificate is the peer's to choose. */
static void printed_names_hold_nothing_that_moves_a_cursor(void **state)
{
	static const char evil[] = "a\x1b[2J\xc2\x9b"
				   "b\r\n";
	SCOPED(x509_name_freep) X509_NAME *n = X509_NAME_new();
	char text[PEER_TEXT], longer[400];
	struct octets id = { evil, sizeof evil - 1 };

	(void)state;
	assert_int_equal(X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_UTF8, (const unsigned char *)evil, -1, -1, 0), 1);
	(void)name_text(n, text);
	for (const char *p = text; *p; p++)
		assert_true((unsigned char)*p >= 0x20 && *p != 0x7f && (unsigned char)*p != 0x9b);
	(void)name_identity_text(ID_FQDN, &id, text);
	assert_string_equal(text, "a?[2J?b??");
	for (size_t i = 0; i < sizeof longer; i += 2)
		memcpy(longer + i, "\xc3\xbc", 2);
	for (size_t shift = 0; shift < 2; shift++) { /* cut between characters */
		id = (struct octets){ longer + shift, sizeof longer - shift };
		(void)name_identity_text(ID_FQDN, &id, text);
		assert_true(strlen(text) > 250 && (unsigned char)text[strlen(text) - 1] == 0xbc);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_compared_as_people_write_them),
		cmocka_unit_test(malformed_names_are_refused),
		cmocka_unit_test(printed_names_hold_nothing_that_moves_a_cursor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
