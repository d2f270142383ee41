/* A child that ends again and again, and when it is well again. */
#include "tests/unit/unit.h"

#include "base/scope.h"
#include "daemon/process/deaths.h"

enum { S = 1000, MIN = 60 * S };

static void three_in_ten_minutes_are_many_until_it_has_worked_for_two(void **state)
{
	static const struct {
		uint64_t deaths[4]; /* 0: no more */
		uint64_t since, now, well;
		bool ready, again;
	} rows[] = {
		{ { 0 }, 1 * S, 2 * S, 0, true, false },
		{ { 5 * S }, 5 * S, 5 * S, 0, false, false },
		{ { 5 * S, 6 * S }, 6 * S, 6 * S, 0, false, false },
		{ { 5 * S, 6 * S, 7 * S }, 7 * S, 8 * S, 0, false, true },
		{ { 5 * S, 6 * S, 7 * S }, 7 * S, 60 * MIN, 0, false, true }, /* away for long */
		{ { 5 * S, 6 * S, 7 * S }, 8 * S, 8 * S, 2 * MIN + 8 * S, true, true },
		{ { 5 * S, 6 * S, 7 * S }, 8 * S, 2 * MIN + 8 * S - 1, 2 * MIN + 8 * S, true, true },
		{ { 5 * S, 6 * S, 7 * S }, 8 * S, 2 * MIN + 8 * S, 0, true, false },
		{ { 1 * S, 2 * S, 10 * MIN + 1 * S }, 11 * MIN, 11 * MIN, 13 * MIN, true, true },
		{ { 1 * S, 2 * S, 10 * MIN + 1 * S + 1 }, 11 * MIN, 11 * MIN, 0, true, false },
		{ { 1 * S, 20 * MIN, 21 * MIN, 22 * MIN }, 22 * MIN, 22 * MIN, 24 * MIN, true, true },
		{ { 1 * S, 2 * S, 3 * S, 60 * MIN }, 60 * MIN, 60 * MIN, 0, true, false }, /* it had been well */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct deaths d = { { 0 } };
		uint64_t well = 0;

		for (size_t k = 0; k < ARRAY_LEN(rows[i].deaths) && rows[i].deaths[k]; k++)
			deaths_add(&d, rows[i].deaths[k]);
		if (deaths_again(&d, rows[i].ready, rows[i].since, rows[i].now, &well) != rows[i].again ||
		    well != rows[i].well)
			fail_msg("row %zu: well at %ju", i, (uintmax_t)well);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(three_in_ten_minutes_are_many_until_it_has_worked_for_two),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
