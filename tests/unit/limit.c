/* What is said too often is left out and counted, whoever says it and however many there are. */
#include "base/limit.h"
#include "tests/unit/unit.h"

#include <string.h>

static void a_bucket_gives_its_burst_and_then_its_rate(void **state)
{
	static const struct {
		uint64_t at_ms;
		bool want;
	} rows[] = {
		{ 1000, true }, { 1000, true },  { 1000, true }, { 1000, false }, { 1499, false },
		{ 1500, true }, { 1501, false }, { 2000, true }, { 900, false }, /* the clock went back */
		{ 901, false }, { 9000, true },  { 9000, true }, { 9000, true },  { 9000, false },
	};
	struct limit_bucket b = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (limit_bucket_take(&b, &(struct limit_rate){ 2, 3 }, rows[i].at_ms) != rows[i].want)
			fail_msg("row %zu at %llu ms", i, (unsigned long long)rows[i].at_ms);
}

static void what_was_left_out_of_a_key_is_told_with_its_next(void **state)
{
	struct limit l = { .each = { 1, 1 }, .all = { 100, 100 } };
	uint32_t left_out = 99;

	(void)state;
	assert_true(limit_take(&l, 7, 0, &left_out));
	assert_int_equal(left_out, 0);
	for (int i = 0; i < 5; i++)
		assert_false(limit_take(&l, 7, 10, &left_out));
	assert_true(limit_take(&l, 8, 10, &left_out)); /* another is not to blame */
	assert_int_equal(left_out, 0);
	assert_true(limit_take(&l, 7, 1010, &left_out));
	assert_int_equal(left_out, 5);
	assert_int_equal(limit_forgotten(&l), 0);
}

static void many_keys_share_what_there_is_for_all(void **state)
{
	struct limit l = { .each = { 1, 1 }, .all = { 10, 10 } };
	uint32_t left_out;
	unsigned told = 0;

	(void)state;
	for (uint64_t key = 0; key < 50; key++)
		told += limit_take(&l, key * 0x9e3779b97f4a7c15, 5, &left_out);
	assert_int_equal(told, 10);
}

/* A flood of forged addresses: nothing of it is lost from the count. */
static void every_offer_is_told_left_out_or_forgotten(void **state)
{
	struct limit l = { .each = { 1, 2 }, .all = { 50, 50 } };
	uint64_t told = 0, counted = 0, waiting = 0, offers = 100000;
	uint32_t left_out;

	(void)state;
	for (uint64_t i = 0; i < offers; i++)
		if (limit_take(&l, (i * 0x9e3779b97f4a7c15) % 1009 + 1, i / 10, &left_out)) {
			told++;
			counted += left_out;
		}
	for (size_t i = 0; i < LIMIT_SETS; i++)
		for (size_t j = 0; j < LIMIT_WAYS; j++)
			waiting += l.rows[i][j].left_out;
	assert_true(told <= 50 + 10 * 50);
	assert_true(told >= 10 * 50);
	assert_true(told + counted + waiting + limit_forgotten(&l) == offers);
}

/* Each of two tellers has a limit of its own, and they share one behind those: what both left out is told. */
static void what_limits_before_left_out_counts(void **state)
{
	struct limit first[2] = { { .each = { 1, 2 }, .all = { 10, 20 } }, { .each = { 1, 2 }, .all = { 10, 20 } } };
	struct limit shared = { .each = { 1, 2 }, .all = { 10, 20 } };
	uint32_t left_out, told = 0, counted = 0, waiting = 0, offers = 0;

	(void)state;
	for (uint64_t ms = 0; ms < 10000; ms += 10)
		for (size_t i = 0; i < 2; i++, offers++)
			if (limit_take(&first[i], 7, ms, &left_out) &&
			    limit_take_after(&shared, 7, ms, left_out, &left_out)) {
				told++;
				counted += left_out;
			}
	for (size_t i = 0; i < LIMIT_SETS; i++)
		for (size_t j = 0; j < LIMIT_WAYS; j++)
			waiting += first[0].rows[i][j].left_out + first[1].rows[i][j].left_out +
				   shared.rows[i][j].left_out;
	assert_in_range(told, 10, 11);
	assert_true(told + counted + waiting == offers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bucket_gives_its_burst_and_then_its_rate),
		cmocka_unit_test(what_was_left_out_of_a_key_is_told_with_its_next),
		cmocka_unit_test(many_keys_share_what_there_is_for_all),
		cmocka_unit_test(what_limits_before_left_out_counts),
		cmocka_unit_test(every_offer_is_told_left_out_or_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
