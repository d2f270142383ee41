/* Failures as codes, as words, and how often they are told. */
#include "tests/unit/unit.h"

#include "base/diag.h"
#include "base/scope.h"
#include "base/text.h"
#include "keying/failure.h"

#include <stdio.h>
#include <string.h>

static const char *page; /* docs/troubleshooting.md */

static void every_code_has_a_name_and_a_row_in_the_documentation(void **state)
{
	SCOPED(text_freep) struct text *t = NULL;
	char row[80];

	(void)state;
	assert_int_equal(text_read(page, 1 << 20, &t, NULL), 0);
	for (int i = 1; i < FAILURE_COUNT; i++) {
		(void)snprintf(row, sizeof row, "\n| `%s` |", failure_name((enum failure_code)i));
		assert_true(*failure_name((enum failure_code)i) && *failure_brief((enum failure_code)i));
		if (!memmem(t->octets, t->len, row, strlen(row)))
			fail_msg("%s has no row for %s", page, failure_name((enum failure_code)i));
		for (int j = 1; j < i; j++)
			assert_string_not_equal(failure_name((enum failure_code)i), failure_name((enum failure_code)j));
	}
	assert_string_equal(failure_name(FAILURE_NONE), "");
}

static void a_code_travels_as_an_error(void **state)
{
	struct diag d = { 0 };

	(void)state;
	for (int i = 1; i < FAILURE_COUNT; i++) {
		int r = diag_fail(&d, failure_error((enum failure_code)i), "x");
		assert_true(r < 0);
		assert_int_equal(failure_of(r), i);
		assert_int_equal(failure_of(d.code), i);
	}
	assert_int_equal(failure_of(0), FAILURE_NONE);
	assert_int_equal(failure_of(-ERR_SYNTAX), FAILURE_MALFORMED);
	assert_int_equal(failure_of(-ERR_AUTH), FAILURE_NOT_ACCEPTED);
	assert_int_equal(failure_of(-5), FAILURE_INTERNAL);
	assert_int_equal(failure_of(-(failure_error(FAILURE_INTERNAL) + 1)), FAILURE_INTERNAL);
}

static void a_refusal_says_what_it_means_there(void **state)
{
	static const struct {
		uint8_t exchange;
		uint16_t notify;
		enum failure_code code;
		const char *words;
	} rows[] = {
		{ IKE_SA_INIT, N_NO_PROPOSAL_CHOSEN, FAILURE_NO_PROPOSAL, "another main mode" },
		{ IKE_AUTH, N_NO_PROPOSAL_CHOSEN, FAILURE_NO_PROPOSAL, "another quick mode" },
		{ CREATE_CHILD_SA, N_NO_PROPOSAL_CHOSEN, FAILURE_NO_PROPOSAL, "OURS" },
		{ IKE_SA_INIT, N_INVALID_KE_PAYLOAD, FAILURE_NO_GROUP, "OURS" },
		{ IKE_AUTH, N_AUTHENTICATION_FAILED, FAILURE_NOT_ACCEPTED, "its own log" },
		{ IKE_AUTH, N_TS_UNACCEPTABLE, FAILURE_SELECTORS, "OURS" },
		{ CREATE_CHILD_SA, N_SINGLE_PAIR_REQUIRED, FAILURE_SELECTORS, "pair" },
		{ CREATE_CHILD_SA, N_NO_ADDITIONAL_SAS, FAILURE_BUSY, "another quick mode" },
		{ CREATE_CHILD_SA, N_TEMPORARY_FAILURE, FAILURE_BUSY, "asked again" },
		{ IKE_AUTH, N_FAILED_CP_REQUIRED, FAILURE_ADDRESS_REQUEST, "between two hosts" },
		{ IKE_AUTH, N_INTERNAL_ADDRESS_FAILURE, FAILURE_ADDRESS_REQUEST, "between two hosts" },
		{ IKE_SA_INIT, N_INVALID_SYNTAX, FAILURE_MALFORMED, "capture" },
		{ IKE_SA_INIT, N_INVALID_MAJOR_VERSION, FAILURE_UNSUPPORTED, "IKEv2" },
		{ IKE_AUTH, N_WINDOWS_STATUS, FAILURE_NOT_ACCEPTED, "Security log" },
		{ IKE_AUTH, 8191, FAILURE_REFUSED, "8191" },
	};
	char buf[REFUSAL_TEXT];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fault f = fault_of_notify(rows[i].exchange, rows[i].notify);
		const char *words = refusal_words(rows[i].exchange, rows[i].notify, "OURS", buf);
		if (f.code != rows[i].code || f.by != SIDE_PEER || f.notify != rows[i].notify ||
		    !strstr(words, rows[i].words) || strlen(words) + 1 >= REFUSAL_TEXT)
			fail_msg("row %zu: %s: %s", i, failure_name(f.code), words);
	}
}

static bool told(struct failure_record *r, enum failure_code code, const char *text, bool stranger, uint64_t now_ms)
{
	r->last.code = code;
	(void)snprintf(r->last.text, sizeof r->last.text, "%s", text);
	return failure_may_be_told(r, stranger, now_ms);
}

static void the_same_failure_is_told_once_in_ten_minutes(void **state)
{
	struct failure_record r = { 0 };

	(void)state;
	assert_true(told(&r, FAILURE_WRONG_KEY, "a", false, 1000));
	assert_false(told(&r, FAILURE_WRONG_KEY, "a", false, 1001));
	assert_true(told(&r, FAILURE_NO_ANSWER, "b", false, 1002)); /* the two may take turns */
	assert_false(told(&r, FAILURE_WRONG_KEY, "a", false, 70000));
	assert_false(told(&r, FAILURE_NO_ANSWER, "b", false, 70001));
	assert_false(told(&r, FAILURE_WRONG_KEY, "a", false, 600999));
	assert_true(told(&r, FAILURE_WRONG_KEY, "a", false, 601000));
	assert_false(told(&r, FAILURE_WRONG_KEY, "a", false, 601001));
}

static void strangers_cannot_silence_what_is_certain(void **state)
{
	struct failure_record r = { 0 };
	unsigned n = 0;
	char text[32];

	(void)state;
	for (unsigned i = 0; i < 1000; i++) { /* each says something else */
		(void)snprintf(text, sizeof text, "%u", i);
		n += told(&r, FAILURE_NO_PROPOSAL, text, true, 1000 + i);
	}
	assert_int_equal(n, 5);
	assert_true(told(&r, FAILURE_WRONG_KEY, "ours", false, 3000));
	for (unsigned i = 0; i < 1000; i++) {
		(void)snprintf(text, sizeof text, "x%u", i);
		n += told(&r, FAILURE_NO_PROPOSAL, text, false, 3000 + i);
	}
	assert_int_equal(n, 7);
	assert_true(told(&r, FAILURE_NO_PROPOSAL, "a minute later", true, 61000));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_has_a_name_and_a_row_in_the_documentation),
		cmocka_unit_test(a_code_travels_as_an_error),
		cmocka_unit_test(a_refusal_says_what_it_means_there),
		cmocka_unit_test(the_same_failure_is_told_once_in_ten_minutes),
		cmocka_unit_test(strangers_cannot_silence_what_is_certain),
	};

	assert_true(argc == 2);
	page = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
