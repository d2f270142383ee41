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

static void every_row_of_the_table_is_whole(void **state)
{
	static const unsigned all = EVENT_FIELDS - 1;

	(void)state;
	for (unsigned i = 0; i < EVENT_COUNT; i++) {
		const struct event_row *r = &event_rows[i];

		if (!r->meaning || !*r->meaning || !r->tellers || r->fields & ~all || r->category >= CATEGORY_COUNT)
			fail_msg("the row of %s lacks something", r->name);
		assert_int_equal(event_by_name(r->name), i);
	}
	assert_int_equal(event_by_name("nonesuch"), EVENT_COUNT);
}

static void categories_are_found_however_they_are_written(void **state)
{
	static const struct {
		const char *name;
		enum event_category want;
	} rows[] = {
		{ "Main Mode", CATEGORY_MAIN },       { "main-mode", CATEGORY_MAIN },
		{ "IPsec Main Mode", CATEGORY_MAIN }, { "mainmode", CATEGORY_MAIN },
		{ "ipsec-driver", CATEGORY_DRIVER },  { "Filtering Platform Packet Drop", CATEGORY_DROP },
		{ "packet_drop", CATEGORY_DROP },     { "drop", CATEGORY_COUNT },
		{ "main-modes", CATEGORY_COUNT },     { "", CATEGORY_COUNT },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (event_category_by_name(rows[i].name) != rows[i].want)
			fail_msg("'%s'", rows[i].name);
}

static void windows_number_depends_on_the_proof(void **state)
{
	struct event e = { .id = EVENT_MAIN_MODE_UP, .method = "pre-shared-key" };

	(void)state;
	assert_int_equal(event_windows(&e), 4650);
	memcpy(e.method, "certificate", sizeof "certificate");
	assert_int_equal(event_windows(&e), 4651);
	e = (struct event){ .id = EVENT_MAIN_MODE_FAILED, .failure = FAILURE_USAGE };
	assert_int_equal(event_windows(&e), 4652);
	e.failure = FAILURE_NO_PROPOSAL;
	assert_int_equal(event_windows(&e), 4653);
	assert_int_equal(event_windows(&(struct event){ .id = EVENT_RULES_RESTORED }), 0);
}

static void json_has_the_fields_of_its_row_and_no_others(void **state)
{
	struct event e = { .id = EVENT_SA_DROP, .spi = 7, .left_out = 3, .reason = "policy", .user = "root" };
	json_t *j = event_json(&e, 1);

	(void)state;
	assert_int_equal(json_integer_value(json_object_get(j, "spi")), 7);
	assert_int_equal(json_integer_value(json_object_get(j, "left_out")), 3);
	assert_string_equal(json_string_value(json_object_get(j, "reason")), "policy");
	assert_string_equal(json_string_value(json_object_get(j, "result")), "success");
	assert_null(json_object_get(j, "user"));
	assert_null(json_object_get(j, "code"));
	json_decref(j);
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
	struct event e = { .id = EVENT_MAIN_MODE_UP, .peer = "CN=\xff" };
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
		cmocka_unit_test(every_row_of_the_table_is_whole),
		cmocka_unit_test(categories_are_found_however_they_are_written),
		cmocka_unit_test(windows_number_depends_on_the_proof),
		cmocka_unit_test(json_has_the_fields_of_its_row_and_no_others),
		cmocka_unit_test(ring_keeps_the_newest_by_number),
		cmocka_unit_test(json_leaves_out_what_does_not_apply),
		cmocka_unit_test(json_survives_octets_that_are_no_text),
		cmocka_unit_test(an_absent_sink_is_no_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
