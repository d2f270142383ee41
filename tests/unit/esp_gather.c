/* Small datagrams of the TUN: which of them wait for more. */
#include "tests/unit/unit.h"

#include "dataplane/esp/gather.h"

#include <string.h>

enum { UDP = 17, TCP = 6, LEN = 92 };

static uint8_t octets[65535];

static void take(struct gather *g, unsigned n, uint8_t version, uint8_t protocol, size_t len)
{
	memset(octets, 0, sizeof octets);
	octets[0] = (uint8_t)(version << 4);
	octets[version == 4 ? 9 : 6] = protocol;
	while (n-- > 0)
		gather_take(g, octets, len);
}

static bool turn(struct gather *g, unsigned n, uint64_t now_ms)
{
	bool waits;

	gather_begin(g);
	take(g, n, 4, UDP, LEN);
	waits = gather_waits(g, now_ms);
	gather_end(g, now_ms);
	return waits;
}

static void one_never_waits(void **state)
{
	struct gather g = { 0 };

	(void)state;
	assert_false(turn(&g, 1, 5));
	assert_true(turn(&g, GATHER_MANY, 6));
	assert_false(turn(&g, 1, 6));
	assert_false(turn(&g, 0, 6));
}

static void many_wait_once(void **state)
{
	struct gather g = { 0 };

	(void)state;
	gather_begin(&g);
	take(&g, GATHER_MANY - 1, 6, UDP, LEN);
	assert_false(gather_waits(&g, 1));
	take(&g, 1, 6, UDP, LEN);
	assert_true(gather_waits(&g, 1));
	assert_false(gather_waits(&g, 1));
	take(&g, GATHER_MANY, 6, UDP, LEN);
	assert_false(gather_waits(&g, 1));
	gather_end(&g, 1);
}

static void few_wait_while_many_come(void **state)
{
	struct gather g = { 0 };

	(void)state;
	assert_false(turn(&g, 2, 1));
	assert_true(turn(&g, GATHER_MANY, 10));
	assert_true(turn(&g, 2, 10 + GATHER_WITHIN_MS));
	assert_false(turn(&g, 2, 10 + GATHER_WITHIN_MS + 1));
}

static void others_hurry(void **state)
{
	static const struct {
		uint8_t version, protocol;
		size_t len;
	} rows[] = { { 4, TCP, 40 }, { 6, TCP, 60 }, { 4, UDP, GATHER_SMALL + 1 },
		     { 6, 58, 104 }, { 4, UDP, 1 },  { 4, UDP, 0 } };

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct gather g = { 0 };

		gather_begin(&g);
		take(&g, GATHER_MANY, 4, UDP, LEN);
		take(&g, 1, rows[i].version, rows[i].protocol, rows[i].len);
		assert_false(gather_waits(&g, 1));
		gather_end(&g, 1);
		assert_false(turn(&g, 2, 1));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_never_waits),
		cmocka_unit_test(many_wait_once),
		cmocka_unit_test(few_wait_while_many_come),
		cmocka_unit_test(others_hurry),
	};

	return cmocka_run_group_tests_name("esp_gather", tests, NULL, NULL);
}
