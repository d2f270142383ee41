/* Certificates that end are told of in time, each time once. */
#include "daemon/host/expiry.h"

#include "base/scope.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#define DAY UINT64_C(86400)
static const uint64_t end_s = UINT64_C(1800000000);

static struct credential_end end_of(const char *subject, uint8_t number)
{
	struct credential_end e = { .not_after_s = end_s, .digest = { number } };

	(void)snprintf(e.subject, sizeof e.subject, "%s", subject);
	return e;
}

static void each_step_is_told_once(void **state)
{
	static const struct {
		uint64_t before_s; /* the end */
		const char *words; /* NULL: nothing */
	} rows[] = {
		{ 31 * DAY, NULL },
		{ 30 * DAY + 1, NULL },
		{ 30 * DAY, "certificate CN=a expires in 30 days, on 2027-01-15" },
		{ 29 * DAY, NULL },
		{ 14 * DAY + 1, NULL },
		{ 14 * DAY - 5, "expires in 14 days" },
		{ 10 * DAY, NULL },
		{ 3 * DAY, "expires in 3 days" },
		{ 1, NULL },
		{ 0, "has expired" },
		{ 0, NULL },
	};
	SCOPED(expiry_wipe) struct expiry e = { 0 };
	const struct credential_end a = end_of("CN=a", 1);
	char text[EXPIRY_TEXT];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		bool told = expiry_tell(&e, &a, end_s - rows[i].before_s, text);

		if (told != (rows[i].words != NULL) || (told && !strstr(text, rows[i].words)))
			fail_msg("row %zu: %s", i, told ? text : "nothing");
	}
}

static void what_was_passed_over_is_not_told_later(void **state)
{
	SCOPED(expiry_wipe) struct expiry e = { 0 };
	const struct credential_end a = end_of("CN=a", 1);
	char text[EXPIRY_TEXT];

	(void)state;
	assert_true(expiry_tell(&e, &a, end_s - 2 * DAY, text)); /* loaded so late */
	assert_non_null(strstr(text, "in 2 days"));
	assert_false(expiry_tell(&e, &a, end_s - 2 * DAY, text));
	assert_false(expiry_tell(&e, &a, end_s - 20 * DAY, text)); /* a clock that went back */
	assert_true(expiry_tell(&e, &a, end_s + DAY, text));
}

static void certificates_and_authorities_are_told_apart(void **state)
{
	SCOPED(expiry_wipe) struct expiry e = { 0 };
	struct credential_end a = end_of("CN=Root", 1), b = end_of("CN=b", 2);
	char text[EXPIRY_TEXT];

	(void)state;
	a.authority = true;
	(void)snprintf(a.of, sizeof a.of, "CN=b");
	assert_true(expiry_tell(&e, &a, end_s - DAY, text));
	assert_non_null(
		strstr(text, "certificate CN=Root, an authority of our certificate CN=b, expires in 1 day, on"));
	assert_true(expiry_tell(&e, &b, end_s - DAY, text));
	for (unsigned i = 0; i < 3 * EXPIRY_KNOWN_MOST; i++) { /* memory is bounded */
		b.digest[1] = (uint8_t)i;
		b.digest[2] = (uint8_t)(i >> 8);
		b.digest[3] = 1;
		(void)expiry_tell(&e, &b, end_s, text);
	}
	assert_true(e.count <= EXPIRY_KNOWN_MOST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_step_is_told_once),
		cmocka_unit_test(what_was_passed_over_is_not_told_later),
		cmocka_unit_test(certificates_and_authorities_are_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
