/* The lab's bad wire: what is asked of it, and what becomes of a frame. */
#include "base/diag.h"
#include "base/scope.h"
#include "tests/unit/unit.h"
#include "tools/lab/wire.h"
#include <string.h>

static void faults_are_what_the_words_say(void **state)
{
	struct wire_faults f;
	struct diag d = { 0 };

	(void)state;
	assert_int_equal(wire_faults_parse("loss=20%,duplicate=5%,delay=10ms,jitter=200ms,seed=7,only=ike", &f, &d), 0);
	assert_true(f.bad && f.only_ike);
	assert_int_equal(f.loss, 200);
	assert_int_equal(f.duplicate, 50);
	assert_int_equal(f.delay_ms, 10);
	assert_int_equal(f.jitter_ms, 200);
	assert_int_equal(f.seed, 7);
}

static void other_words_are_refused_by_name(void **state)
{
	static const char *const wrong[] = {
		"",           "loss",      "loss=",           "loss=101%", "loss=5",
		"loss=-5%",   "jitter=5s", "jitter=ms",       "only=esp",  "seed=99999999999",
		"reorder=5%", "loss=5%,",  "loss=5%,,seed=1", "loss=5%%",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct wire_faults f = { .seed = 42 };
		struct diag d = { 0 };

		if (wire_faults_parse(wrong[i], &f, &d) == 0 || f.seed != 42 || !strstr(d.text, "loss=20%"))
			fail_msg("'%s': %s", wrong[i], d.text);
	}
}

static void a_seed_gives_the_same_fates_again_and_the_shares_asked_for(void **state)
{
	const struct wire_faults f = {
		.bad = true, .loss = 200, .duplicate = 100, .delay_ms = 5, .jitter_ms = 50, .seed = 3
	};
	unsigned lost = 0, twice = 0, differ = 0;
	uint32_t longest = 0;

	(void)state;
	for (uint64_t n = 0; n < 10000; n++) {
		uint32_t a[2] = { 0 }, b[2] = { 0 };
		unsigned copies = wire_fate(&f, 1, 2, n, a);

		assert_int_equal(copies, wire_fate(&f, 1, 2, n, b));
		assert_memory_equal(a, b, sizeof a);
		differ += copies != wire_fate(&f, 2, 1, n, b); /* the other way has a fate of its own */
		lost += copies == 0;
		twice += copies == 2;
		for (unsigned i = 0; i < copies; i++) {
			assert_in_range(a[i], 5, 55);
			longest = a[i] > longest ? a[i] : longest;
		}
	}
	assert_in_range(lost, 1800, 2200);
	assert_in_range(twice, 650, 950); /* a tenth of what is not lost */
	assert_int_equal(longest, 55);
	assert_true(differ > 1000);
}

static void ike_is_known_by_port_and_marker(void **state)
{
	uint8_t frame[64] = { [12] = 8, [14] = 0x45, [23] = 17, [34] = 1, [35] = 0xf4 };

	(void)state;
	assert_true(wire_is_ike(frame, sizeof frame)); /* from port 500 */
	frame[34] = frame[35] = 0;
	frame[36] = 0x11;
	frame[37] = 0x94;
	assert_true(wire_is_ike(frame, sizeof frame)); /* to 4500, with the marker */
	frame[45] = 1;
	assert_false(wire_is_ike(frame, sizeof frame)); /* ESP in UDP */
	frame[45] = 0;
	frame[21] = 1;
	assert_false(wire_is_ike(frame, sizeof frame)); /* not the first fragment: no ports there */
	frame[21] = 0;
	frame[23] = 6;
	assert_false(wire_is_ike(frame, sizeof frame));
	frame[23] = 17;
	for (size_t len = 0; len < 46; len++)
		assert_false(wire_is_ike(frame, len));
	frame[14] = 0x41; /* a header shorter than a header */
	assert_false(wire_is_ike(frame, sizeof frame));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(faults_are_what_the_words_say),
		cmocka_unit_test(other_words_are_refused_by_name),
		cmocka_unit_test(a_seed_gives_the_same_fates_again_and_the_shares_asked_for),
		cmocka_unit_test(ike_is_known_by_port_and_marker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
