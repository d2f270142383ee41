/* What the directory said of names. */
#include "tests/unit/unit.h"

#include "identity/directory.h"

#include <stdio.h>
#include <string.h>

static const struct sid trusted = { .authority = 5, .count = 5, .sub = { 21, 1, 2, 3, 1105 } };

static struct directory_names *three(void)
{
	struct directory_names *n = directory_names_new();

	assert_non_null(directory_names_add(n, "CORP\\other"));
	*directory_names_add(n, "CORP\\trusted") =
		(struct directory_name){ "CORP\\trusted", DIRECTORY_FOUND, trusted, 77 };
	directory_names_add(n, "ghosts@corp.example")->state = DIRECTORY_MISSING;
	return n;
}

static void names_are_found_whatever_their_case(void **state)
{
	SCOPED(directory_names_freep) struct directory_names *n = three();

	(void)state;
	assert_int_equal(directory_names_count(n), 3);
	assert_int_equal(directory_names_find(n, "corp\\TRUSTED")->learnt_s, 77);
	assert_int_equal(directory_names_find(n, "CORP\\other")->state, DIRECTORY_NOT_LEARNT);
	assert_int_equal(directory_names_find(n, "ghosts@corp.example")->state, DIRECTORY_MISSING);
	assert_null(directory_names_find(n, "trusted"));
	assert_null(directory_names_find(NULL, "trusted"));
	assert_ptr_equal(directory_names_add(n, "corp\\Trusted"), directory_names_find(n, "CORP\\trusted"));
	assert_int_equal(directory_names_count(n), 3);
}

static void names_have_their_bounds(void **state)
{
	SCOPED(directory_names_freep) struct directory_names *n = directory_names_new();
	char text[DIRECTORY_NAME + 1];

	(void)state;
	memset(text, 'a', sizeof text);
	text[DIRECTORY_NAME] = '\0';
	assert_null(directory_names_add(n, text));
	assert_null(directory_names_add(n, ""));
	text[DIRECTORY_NAME - 1] = '\0';
	assert_non_null(directory_names_add(n, text));
	for (int i = 1; i < DIRECTORY_NAMES_MOST; i++) {
		(void)snprintf(text, sizeof text, "%d", i);
		assert_non_null(directory_names_add(n, text));
	}
	assert_null(directory_names_add(n, "one more"));
}

static void they_arrive_as_they_were_and_broken_ones_do_not(void **state)
{
	SCOPED(directory_names_freep) struct directory_names *n = three();
	uint8_t buf[512];
	struct wire_out out = wire_out(buf, sizeof buf);
	struct wire_in in;

	(void)state;
	directory_names_put(&out, n);
	assert_false(out.failed);
	for (size_t len = 0; len <= out.len; len++) {
		SCOPED(directory_names_freep) struct directory_names *got = NULL;

		in = wire_in(buf, len);
		got = directory_names_get(&in);
		assert_int_equal(!!got, len == out.len);
		if (got) {
			assert_int_equal(directory_names_count(got), 3);
			assert_true(sid_equal(&directory_names_find(got, "corp\\trusted")->sid, &trusted));
		}
	}
	for (size_t i = 0; i < out.len; i++)
		for (unsigned v = 1; v < 256; v = v * 3 + 1) {
			buf[i] ^= (uint8_t)v;
			in = wire_in(buf, out.len);
			directory_names_free(directory_names_get(&in));
			buf[i] ^= (uint8_t)v;
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_found_whatever_their_case),
		cmocka_unit_test(names_have_their_bounds),
		cmocka_unit_test(they_arrive_as_they_were_and_broken_ones_do_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
