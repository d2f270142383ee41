#include "tests/unit/unit.h"

#include "base/scope.h"
#include "dataplane/esp/replay.h"
#include "tests/unit/random.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static void replay_window_takes_each_number_once(void **state)
{
	static const struct {
		uint64_t seq;
		int want;
	} rows[] = {
		{ 1, 0 },          { 1, -EALREADY },  { 70, 0 },          { 7, 0 },          { 7, -EALREADY },
		{ 6, -ESTALE },    { 70, -EALREADY }, { 0, -ESTALE },     { 1000, 0 },       { 937, 0 },
		{ 936, -ESTALE },  { 999, 0 },        { 999, -EALREADY }, { UINT64_MAX, 0 }, { UINT64_MAX, -EALREADY },
		{ 1001, -ESTALE },
	};
	SCOPED(replay_wipe) struct replay w;

	(void)state;
	replay_init(&w, 64);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (replay_accept(&w, rows[i].seq) != rows[i].want)
			fail_msg("row %zu: seq %" PRIu64, i, rows[i].seq);
}

/* The plainest window there is: remember everything. */
static void replay_windows_of_all_sizes_agree_with_a_list(void **state)
{
	static const uint32_t sizes[] = { 64, 65, 100, 128, 1000, 1024, 4095, 4096 };
	enum { NUMBERS = 60000, TRIES = 40000 };
	static bool seen[NUMBERS + 1];
	uint64_t seed = 7;

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(sizes); n++) {
		SCOPED(replay_wipe) struct replay w;
		uint64_t top = 0;

		replay_init(&w, sizes[n]);
		memset(seen, 0, sizeof seen);
		for (unsigned i = 0; i < TRIES; i++) {
			uint64_t around = top + random_below(&seed, 40);
			uint64_t back = random_below(&seed, sizes[n] + sizes[n] / 4);
			uint64_t seq = random_below(&seed, 2) || back > around ? around : around - back;
			int want;

			if (random_below(&seed, 500) == 0)
				seq += random_below(&seed, 9000);
			if (seq == 0 || seq > NUMBERS)
				continue;
			want = seq + sizes[n] <= top ? -ESTALE : seen[seq] ? -EALREADY : 0;
			if (replay_check(&w, seq) != want || replay_accept(&w, seq) != want)
				fail_msg("window %u, top %" PRIu64 ", seq %" PRIu64, sizes[n], top, seq);
			seen[seq] = true;
			top = seq > top ? seq : top;
		}
		assert_true(top > NUMBERS / 2);
	}
}

static void replay_extend_finds_the_number_nearest_to_the_window(void **state)
{
	static const struct {
		uint64_t top, low, want;
		bool none;
	} rows[] = {
		{ 0, 1, 1, false },
		{ 100, 101, 101, false },
		{ 100, 50, 50, false },
		{ 10, 0xfffffff0, 0, true }, /* before the first packet */
		{ 0xfffffff0, 5, UINT64_C(0x100000005), false },
		{ 0xfffffff0, 0xffffffe0, 0xffffffe0, false },
		{ UINT64_C(0x100000005), 0xfffffff0, 0xfffffff0, false },
		{ UINT64_C(0x100000005), 6, UINT64_C(0x100000006), false },
		{ UINT64_C(0x1ffffffff), 0, UINT64_C(0x200000000), false },
		{ UINT64_C(0x200000000), 0xffffffff, UINT64_C(0x1ffffffff), false },
		{ UINT64_C(0x280000000), 0x10000000, UINT64_C(0x310000000), false }, /* far left: taken as far right */
		{ 100, 37, 37, false },                                              /* the window's two ends */
		{ 100, 36, UINT64_C(0x100000024), false },
		{ UINT64_C(0x100000005), 0xffffffc6, 0xffffffc6, false },
		{ UINT64_C(0x100000005), 0xffffffc5, UINT64_C(0x1ffffffc5), false },
		{ UINT64_MAX, 1, 0, true }, /* a high half beyond the last */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct replay w = { .bits = 64, .top = rows[i].top };
		uint64_t seq = 0;
		bool found = replay_extend(&w, (uint32_t)rows[i].low, &seq);

		if (found == rows[i].none || (found && seq != rows[i].want))
			fail_msg("row %zu: %d, %" PRIx64, i, found, seq);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replay_window_takes_each_number_once),
		cmocka_unit_test(replay_windows_of_all_sizes_agree_with_a_list),
		cmocka_unit_test(replay_extend_finds_the_number_nearest_to_the_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
