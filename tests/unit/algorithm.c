#include "tests/unit/unit.h"

#include "base/algorithm.h"
#include "base/diag.h"
#include "base/scope.h"

#include <string.h>

static void main_mode_proposals_parse_and_print(void **state)
{
	static const struct {
		const char *text, *error; /* error NULL: parses and prints the same */
	} rows[] = {
		{ "aes256-sha384-ecp384", NULL },
		{ "aes256gcm-sha256-x25519", NULL },
		{ "3des-sha1-modp1024", NULL },
		{ "chacha20poly1305-sha512-modp8192", NULL },
		{ "aes256-sha384-ecp385", "'ecp385' is no key exchange group" },
		{ "aes265-sha384-ecp384", "'aes265' is no encryption algorithm; known are aes128, " },
		{ "aes256-sha385-ecp384", "'sha385' is no hash" },
		{ "des-sha1-modp1024", "there is no des in Cordon, not even as legacy" },
		{ "aes256ccm12-aescmac-brainpool512", NULL },
		{ "camellia192-aesxcbc-modp2048s256", NULL },
		{ "aes256-ecp384", "'ecp384' stands where the hash should" },
		{ "aes256-sha384", "names no key exchange group" },
		{ "aes256", "names no hash" },
		{ "aes256-sha384-ecp384-x25519", "a part too many" },
		{ "null-sha256-ecp256", "always encrypted" },
		{ "aes256gmac-sha256-ecp256", "always encrypted" },
		{ "esp-aes256gcm", "is a quick mode proposal" },
		{ "", "a main mode proposal is" },
		{ "-", "a main mode proposal is" },
		{ "aes256--sha384-ecp384", "a main mode proposal is" },
		{ "a-b-c-d-e-f-g", "a main mode proposal is" },
		{ "AES256-sha384-ecp384", "'AES256' is no encryption algorithm" },
		{ "aes256\x1b[2J-sha384-ecp384", "'aes256?[2J'" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct ike_suite s;
		struct diag d = { 0 };
		char buf[SUITE_TEXT];
		int r = ike_suite_parse(rows[i].text, strlen(rows[i].text), &s, &d);

		if (rows[i].error) {
			if (r == 0 || !strstr(d.text, rows[i].error))
				fail_msg("'%s': %s", rows[i].text, d.text);
			continue;
		}
		if (r < 0)
			fail_msg("'%s': %s", rows[i].text, d.text);
		assert_string_equal(ike_suite_text(&s, buf), rows[i].text);
		assert_true(s.encr->aead == !s.integ);
	}
}

static void quick_mode_proposals_parse_and_print(void **state)
{
	static const struct {
		const char *text, *print; /* NULL: error */
		const char *error;
		bool encrypts, legacy;
	} rows[] = {
		{ "esp-aes256gcm", "esp-aes256gcm", NULL, true, false },
		{ "esp-aes128gcm-ecp384", "esp-aes128gcm-ecp384", NULL, true, false },
		{ "esp-aes256-sha256", "esp-aes256-sha256", NULL, true, false },
		{ "esp-sha256-aes256", "esp-aes256-sha256", NULL, true, false },
		{ "esp-sha256-null", "esp-sha256-null", NULL, false, false },
		{ "esp-null-sha256", "esp-sha256-null", NULL, false, false },
		{ "esp-aes256gmac", "esp-aes256gmac", NULL, false, false },
		{ "ah-aes256gmac", "ah-aes256gmac", NULL, false, false },
		{ "ah-sha256", "ah-sha256", NULL, false, false },
		{ "ah-sha1", "ah-sha1", NULL, false, true },
		{ "esp-3des-sha1-modp1024", "esp-3des-sha1-modp1024", NULL, true, true },
		{ "esp-aes256gcm-modp1024", "esp-aes256gcm-modp1024", NULL, true, true },
		{ "esp-aes256", NULL, "no integrity; use esp-aes256-sha256", false, false },
		{ "esp-null", NULL, "no integrity; use esp-sha256-null", false, false },
		{ "esp-sha256", NULL, "or esp-sha256-null for integrity only", false, false },
		{ "esp", NULL, "names no encryption algorithm", false, false },
		{ "ah", NULL, "names no integrity algorithm", false, false },
		{ "ah-aes256gcm", NULL, "AH does not encrypt; use esp-aes256gcm", false, false },
		{ "esp-aes256gcm-sha256", NULL, "leave sha256 out", false, false },
		{ "esp-aes256-sha256-sha384", NULL, "both sha256 and sha384", false, false },
		{ "esp-ecp384-aes256gcm", NULL, "the group comes last", false, false },
		{ "esp-aes256gcm-ecp999", NULL, "'ecp999' is no integrity algorithm or group", false, false },
		{ "aes256gcm", NULL, "begins with esp or ah", false, false },
		{ "", NULL, "begins with esp or ah", false, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct child_suite s;
		struct diag d = { 0 };
		char buf[SUITE_TEXT];
		int r = child_suite_parse(rows[i].text, strlen(rows[i].text), &s, &d);

		if (!rows[i].print) {
			if (r == 0 || !strstr(d.text, rows[i].error))
				fail_msg("'%s': %s", rows[i].text, d.text);
			continue;
		}
		if (r < 0)
			fail_msg("'%s': %s", rows[i].text, d.text);
		assert_string_equal(child_suite_text(&s, buf), rows[i].print);
		assert_true(child_suite_encrypts(&s) == rows[i].encrypts);
		assert_true(child_suite_legacy(&s) == rows[i].legacy);
	}
}

static void every_algorithm_is_found_by_its_name_and_number(void **state)
{
	(void)state;
	for (size_t i = 0; i < algorithms_count; i++) {
		const struct algorithm *a = &algorithms[i];

		assert_ptr_equal(algorithm_by_name(a->kind, a->name, strlen(a->name)), a);
		assert_ptr_equal(algorithm_by_ikev2(a->kind, a->ikev2, a->key_bits), a);
	}
	assert_null(algorithm_by_ikev2(ALG_ENCR, 12, 0));
	assert_null(algorithm_by_name(ALG_ENCR, "aes", 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(main_mode_proposals_parse_and_print),
		cmocka_unit_test(quick_mode_proposals_parse_and_print),
		cmocka_unit_test(every_algorithm_is_found_by_its_name_and_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
