/* What `cordon support` takes out, and what it leaves. */
#include "tests/unit/unit.h"

#include "base/str.h"
#include "tools/cli/redact.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char key[] = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----\n";

static char folder[64];

static void write_file(const char *name, const char *text, mode_t mode)
{
	char path[128];
	FILE *f;

	(void)snprintf(path, sizeof path, "%s/%s", folder, name);
	f = fopen(path, "w");
	assert_non_null(f);
	(void)fputs(text, f);
	(void)fclose(f);
	assert_int_equal(chmod(path, mode), 0);
}

static int make_folder(void **state)
{
	(void)state;
	(void)snprintf(folder, sizeof folder, "/tmp/cordon-redact-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	write_file("psk", "  open \"sesame\" now\n", 0600);
	write_file("short", "abc\n", 0600);
	write_file("key.pem", key, 0600);
	write_file("page", "what everybody may read\n", 0644);
	write_file("policy", "a policy of the administrator\n", 0600);
	return 0;
}

static int remove_folder(void **state)
{
	static const char *const names[] = { "psk", "short", "key.pem", "page", "policy" };
	char path[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		(void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
		(void)unlink(path);
	}
	return rmdir(folder);
}

static void what_stands_in_secret_files_is_taken_out(void **state)
{
	static const struct {
		const char *text, *want;
		size_t times;
	} rows[] = {
		{ "", "", 0 },
		{ "# it is open \"sesame\" now, by the way", "# it is [removed], by the way", 1 },
		{ "{\"reason\":\"open \\\"sesame\\\" now\"}", "{\"reason\":\"[removed]\"}", 1 },
		{ "6f70656e2022736573616d6522206e6f77", "[removed]", 1 },
		{ "open \"sesame\" nowopen \"sesame\" now", "[removed][removed]", 2 },
		{ "MIGHAgEAMBMGByqGSM49 without its frame", "[removed] without its frame", 1 },
		{ "abc is too short to be looked for", "abc is too short to be looked for", 0 },
		{ "what everybody may read", "what everybody may read", 0 },
		{ "a policy of the administrator", "a policy of the administrator", 0 },
	};
	SCOPED(redactor_freep) struct redactor *r = redactor_new();
	char policy[128];
	const char *except[] = { policy, NULL };

	(void)state;
	(void)snprintf(policy, sizeof policy, "%s/policy", folder);
	redactor_learn_folder(r, folder, except);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		SCOPED(str_wipe) struct str out = { 0 };
		size_t n = redactor_copy(r, rows[i].text, strlen(rows[i].text), &out);

		if (n != rows[i].times || strcmp(str_text(&out), rows[i].want) != 0)
			fail_msg("row %zu: %zu times: %s", i, n, str_text(&out));
	}
}

static void secrets_are_known_by_their_shape(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ "a -----BEGIN EC PRIVATE KEY-----\nabc\n-----END EC PRIVATE KEY----- b", "a [removed] b" },
		{ "-----BEGIN PRIVATE KEY-----\nthe end is lost", "[removed]" },
		{ "-----BEGIN PRIVATE KEY-----", "[removed]" },
		{ "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----",
		  "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----" },
		{ "http://bob:pass@crl.example/x", "http://[removed]@crl.example/x" },
		{ "http://crl.example/x@y", "http://crl.example/x@y" },
		{ "Password: \"hunter2\" then", "Password: \"[removed] then" },
		{ "secret=", "secret=" },
		{ "://", "://" },
	};
	SCOPED(redactor_freep) struct redactor *r = redactor_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		SCOPED(str_wipe) struct str out = { 0 };

		(void)redactor_copy(r, rows[i].text, strlen(rows[i].text), &out);
		if (strcmp(str_text(&out), rows[i].want) != 0)
			fail_msg("row %zu: %s", i, str_text(&out));
	}
}

static void files_that_a_policy_names_are_found(void **state)
{
	static const struct {
		const char *before, *behind;
	} rows[] = { { "file: ", "" }, { "{ file: \"", "\" }" }, { "[", ", x]" }, { "", "\n" } };
	static const char text[] = "open \"sesame\" now";

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		SCOPED(redactor_freep) struct redactor *r = redactor_new();
		SCOPED(str_wipe) struct str out = { 0 }, page = { 0 };

		str_addf(&page, "%s%s/psk%s", rows[i].before, folder, rows[i].behind);
		redactor_learn_named(r, page.text, page.len);
		if (redactor_copy(r, text, sizeof text - 1, &out) != 1)
			fail_msg("%s", page.text);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_stands_in_secret_files_is_taken_out),
		cmocka_unit_test(secrets_are_known_by_their_shape),
		cmocka_unit_test(files_that_a_policy_names_are_found),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
