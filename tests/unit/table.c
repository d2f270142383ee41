/* Tables, and where their keys go. */
#include "base/table.h"

#include "tests/unit/unit.h"

#include <stdlib.h>

/* The vectors of the paper's reference implementation: key 00 .. 0f, octets 00, 01, 02, ... */
static void siphash_is_siphash(void **state)
{
	static const struct {
		size_t n;
		uint64_t want;
	} rows[] = {
		{ 0, UINT64_C(0x726fdb47dd0e0e31) },  { 1, UINT64_C(0x74f839c593dc67fd) },
		{ 7, UINT64_C(0xab0200f58b01d137) },  { 8, UINT64_C(0x93f5f5799a932462) },
		{ 15, UINT64_C(0xa129ca6149be45e5) },
	};
	static const uint64_t key[2] = { UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908) };
	uint8_t octets[16];

	(void)state;
	for (size_t i = 0; i < sizeof octets; i++)
		octets[i] = (uint8_t)i;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (table_siphash(key, octets, rows[i].n) != rows[i].want)
			fail_msg("row %zu", i);
}

/* Nobody can say beforehand which numbers meet. */
static void a_seed_moves_everything(void **state)
{
	uint64_t before = table_hash_secret("address", 7, 0), other;

	(void)state;
	assert_int_equal(table_hash_secret("address", 7, 0), before);
	assert_int_not_equal(table_hash_secret("address", 7, 1), before);
	assert_int_equal(table_seed(NULL), 0);
	other = table_hash_secret("address", 7, 0);
	assert_int_not_equal(other, before);
	assert_int_equal(table_seed(NULL), 0);
	assert_int_not_equal(table_hash_secret("address", 7, 0), other);
	assert_int_equal(table_hash("address", 7, 0), table_hash("address", 7, 0));
}

static void what_is_in_is_found_whatever_its_bucket(void **state)
{
	enum { MANY = 5000 };
	static int values[MANY];
	struct table t = { 0 };
	uint64_t key;

	(void)state;
	for (uint64_t i = 0; i < MANY; i++)
		table_add(&t, i << 48, &values[i]); /* numbers that differ in their high bits alone, and wrap */
	for (uint64_t i = 0; i < MANY; i++)
		assert_ptr_equal(table_find(&t, i << 48, NULL, NULL) != NULL, true);
	for (uint64_t i = 0; i < MANY; i++)
		table_remove(&t, i << 48, &values[i]);
	assert_int_equal(t.count, 0);
	assert_null(table_any(&t, &key));
	table_wipe(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_in_is_found_whatever_its_bucket),
		cmocka_unit_test(siphash_is_siphash),
		cmocka_unit_test(a_seed_moves_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
