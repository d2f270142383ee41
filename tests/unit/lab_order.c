#include "tests/unit/unit.h"

#include "tools/lab/order.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add(struct order *o, size_t port, uint64_t stamp_us, const char *text, uint64_t now_ms)
{
	order_add(o, port, stamp_us, text, strlen(text) + 1, now_ms);
}

static void expect(struct order *o, uint64_t now_ms, const char *want)
{
	struct order_frame f;

	assert_int_equal(order_take(o, now_ms, &f), want != NULL);
	if (!want)
		return;
	assert_string_equal((char *)f.octets, want);
	free(f.octets);
}

/* The first port is read first, and has the answer; the question's port was read a moment later. */
static void order_puts_a_question_before_its_answer(void **state)
{
	SCOPED(order_freep) struct order *o = order_new();

	(void)state;
	add(o, 0, 9834, "answer", 100);
	add(o, 1, 9832, "question", 100);
	expect(o, 100 + ORDER_HOLD_MS - 1, NULL);
	expect(o, 100 + ORDER_HOLD_MS, "question");
	expect(o, 100 + ORDER_HOLD_MS, "answer");
	expect(o, UINT64_MAX, NULL);
}

/* Its port was read before it came, so it is found in the next reading only. */
static void order_waits_for_what_another_reading_brings(void **state)
{
	SCOPED(order_freep) struct order *o = order_new();

	(void)state;
	add(o, 1, 9834, "answer", 100);
	add(o, 0, 9832, "question", 105);
	expect(o, 100 + ORDER_HOLD_MS, NULL); /* the earliest is not due yet, and nothing overtakes it */
	expect(o, 105 + ORDER_HOLD_MS, "question");
	expect(o, 105 + ORDER_HOLD_MS, "answer");
}

static void order_keeps_what_has_one_stamp_as_it_was_read(void **state)
{
	SCOPED(order_freep) struct order *o = order_new();
	char text[8];

	(void)state;
	for (int i = 0; i < 100; i++) {
		(void)snprintf(text, sizeof text, "%d", i);
		add(o, 0, (uint64_t)(i / 10), text, 1);
	}
	for (int i = 0; i < 100; i++) {
		(void)snprintf(text, sizeof text, "%d", i);
		expect(o, UINT64_MAX, text);
	}
}

static void order_sorts_any_mixture(void **state)
{
	SCOPED(order_freep) struct order *o = order_new();
	uint64_t before = 0;
	uint32_t random = 1;
	struct order_frame f;

	(void)state;
	for (size_t i = 0; i < 1000; i++)
		add(o, i % 7, (random = random * 1664525u + 1013904223u) >> 22, "", 1);
	for (size_t i = 0; i < 1000; i++) {
		assert_int_equal(order_take(o, UINT64_MAX, &f), 1);
		assert_true(f.stamp_us >= before);
		before = f.stamp_us;
		free(f.octets);
	}
	assert_int_equal(order_held(o), 0);
}

static void order_is_bounded(void **state)
{
	SCOPED(order_freep) struct order *o = order_new();

	(void)state;
	for (uint64_t i = 0; i <= ORDER_HELD_MOST; i++)
		add(o, 0, i, i ? "later" : "first", 1);
	expect(o, 1, "first");
	expect(o, 1, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(order_puts_a_question_before_its_answer),
		cmocka_unit_test(order_waits_for_what_another_reading_brings),
		cmocka_unit_test(order_keeps_what_has_one_stamp_as_it_was_read),
		cmocka_unit_test(order_sorts_any_mixture),
		cmocka_unit_test(order_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
