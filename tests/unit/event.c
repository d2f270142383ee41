/* Events: the table is whole, the ring keeps the newest in order. */
#include "observe/event.h"
#include "observe/event_json.h"
#include "tests/unit/unit.h"

#include <string.h>

static void every_event_has_a_name_of_its_own(void **state)
{
	(void)state;
	for (int i = 0; i < EVENT_COUNT; i++) {
		assert_non_null(event_name((enum event_id)i));
		assert_non_null(event_category((enum event_id)i));
		for (int j = 0; j < i; j++)
			assert_string_not_equal(event_name((enum event_id)i), event_name((enum event_id)j));
	}
}

static void ring_keeps_the_newest_by_number(void **state)
{
	struct event_ring *r = event_ring_new(3);

	(void)state;
	assert_int_equal(event_ring_next(r), 1);
	assert_null(event_ring_get(r, 0));
	assert_null(event_ring_get(r, 1));
	for (uint32_t i = 1; i <= 5; i++)
		event_ring_add(r, &(struct event){ .id = EVENT_STARTED, .spi = i });
	assert_int_equal(event_ring_next(r), 6);
	assert_null(event_ring_get(r, 2));
	assert_null(event_ring_get(r, 6));
	for (uint32_t i = 3; i <= 5; i++) {
		assert_int_equal(event_ring_get(r, i)->spi, i);
		assert_true(event_ring_get(r, i)->time_ms > 0);
	}
	event_ring_free(r);
	event_ring_free(NULL);
}

static void json_leaves_out_what_does_not_apply(void **state)
{
	struct event e = { .id = EVENT_MAIN_MODE_FAILED, .time_ms = 5, .text = "because" };
	json_t *j = event_json(&e, 7);

	(void)state;
	assert_string_equal(json_string_value(json_object_get(j, "event")), "main-mode-failed");
	assert_string_equal(json_string_value(json_object_get(j, "severity")), "error");
	assert_null(json_object_get(j, "remote"));
	assert_null(json_object_get(j, "rule"));
	json_decref(j);
}

static void json_survives_octets_that_are_no_text(void **state)
{
	struct event e = { .id = EVENT_STARTED, .peer = "CN=\xff" };
	json_t *j = event_json(&e, 1);

	(void)state;
	assert_string_equal(json_string_value(json_object_get(j, "peer")), "434e3dff");
	json_decref(j);
}

static void an_absent_sink_is_no_error(void **state)
{
	(void)state;
	observe(NULL, &(struct event){ .id = EVENT_STARTED });
	observe(&(struct observer){ 0 }, &(struct event){ .id = EVENT_STARTED });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_event_has_a_name_of_its_own),
		cmocka_unit_test(ring_keeps_the_newest_by_number),
		cmocka_unit_test(json_leaves_out_what_does_not_apply),
		cmocka_unit_test(json_survives_octets_that_are_no_text),
		cmocka_unit_test(an_absent_sink_is_no_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
