#include "tests/unit/unit.h"

#include "base/addr.h"
#include "base/diag.h"
#include "base/scope.h"

#include <string.h>

static void addr_ranges_parse_and_print(void **state)
{
	static const struct {
		const char *text, *want; /* NULL: refused */
	} rows[] = {
		{ "10.0.0.1", "10.0.0.1" },
		{ "10.0.0.0/8", "10.0.0.0/8" },
		{ "10.0.0.0-10.255.255.255", "10.0.0.0/8" },
		{ "10.0.0.1-10.0.0.9", "10.0.0.1-10.0.0.9" },
		{ "0.0.0.0/0", "0.0.0.0/0" },
		{ "2001:db8::/32", "2001:db8::/32" },
		{ "::/0", "::/0" },
		{ "10.0.0.1/32", "10.0.0.1" },
		{ "10.0.0.1/8", NULL },
		{ "10.0.0.0/33", NULL },
		{ "10.0.0.0/", NULL },
		{ "10.0.0.0/8x", NULL },
		{ "10.0.0.9-10.0.0.1", NULL },
		{ "10.0.0.1-::1", NULL },
		{ "10.0.0", NULL },
		{ "", NULL },
		{ "host.example", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct addr_range r;
		struct diag d;
		char buf[ADDR_RANGE_TEXT];
		int e = addr_range_parse(rows[i].text, strlen(rows[i].text), &r, &d);

		if ((e == 0) != (rows[i].want != NULL))
			fail_msg("row %zu: %s", i, rows[i].text);
		if (e == 0)
			assert_string_equal(addr_range_text(&r, buf), rows[i].want);
	}
}

static void addr_range_counts_all_of_ipv6_without_overflow(void **state)
{
	struct addr_range all, half;

	(void)state;
	assert_int_equal(addr_range_parse("::/0", 4, &all, NULL), 0);
	assert_int_equal(addr_range_parse("8000::/1", 8, &half, NULL), 0);
	assert_true(addr_range_count(&all) == ADDR_COUNT_ALL);
	assert_true(addr_range_count(&half) == (addr_count)1 << 127);
}

static void addr_neighbours_stop_at_the_ends_of_the_family(void **state)
{
	struct addr last = addr_v4(255, 255, 255, 255), a = addr_v4(10, 0, 0, 255), first = addr_v4(0, 0, 0, 0);
	struct addr want = addr_v4(10, 0, 1, 0);

	(void)state;
	assert_true(addr_next(&a));
	assert_true(addr_equal(&a, &want));
	assert_false(addr_next(&last));
	assert_false(addr_previous(&first));
	want = addr_v4(0, 0, 0, 0);
	assert_true(addr_equal(&first, &want));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addr_ranges_parse_and_print),
		cmocka_unit_test(addr_range_counts_all_of_ipv6_without_overflow),
		cmocka_unit_test(addr_neighbours_stop_at_the_ends_of_the_family),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
