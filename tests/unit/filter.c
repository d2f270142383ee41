/* Which events are told at all, and which of them somebody wants to see. */
#include "observe/audit.h"
#include "observe/filter.h"
#include "tests/unit/unit.h"

#include <string.h>

static void audit_is_on_but_for_connections_that_may_be(void **state)
{
	struct audit a;

	(void)state;
	audit_default(&a);
	assert_true(audit_wants(&a, EVENT_MAIN_MODE_FAILED));
	assert_true(audit_wants(&a, EVENT_PACKET_DROPPED));
	assert_false(audit_wants(&a, EVENT_CONNECTION_CLEAR));
}

static void audit_is_switched_by_category_and_result(void **state)
{
	struct audit a;

	(void)state;
	audit_default(&a);
	assert_true(audit_set(&a, CATEGORY_MAIN, true, false, false));
	assert_false(audit_wants(&a, EVENT_MAIN_MODE_UP));
	assert_true(audit_wants(&a, EVENT_MAIN_MODE_FAILED));
	assert_false(audit_set(&a, CATEGORY_MAIN, true, false, false)); /* it was already */
	assert_true(audit_set(&a, CATEGORY_MAIN, false, false, false)); /* neither named: both */
	assert_false(audit_wants(&a, EVENT_MAIN_MODE_FAILED));
	assert_true(audit_wants(&a, EVENT_QUICK_MODE_UP));
	assert_true(audit_set(&a, CATEGORY_MAIN, true, true, true));
	assert_true(audit_wants(&a, EVENT_MAIN_MODE_UP));
}

static void nobody_can_switch_off_that_audit_was_changed(void **state)
{
	struct audit a;

	(void)state;
	audit_default(&a);
	(void)audit_set(&a, CATEGORY_POLICY, false, false, false);
	assert_false(audit_wants(&a, EVENT_POLICY_APPLIED));
	assert_true(audit_wants(&a, EVENT_AUDIT_CHANGED));
}

static void audit_survives_as_json(void **state)
{
	struct audit a, b;
	json_t *j;

	(void)state;
	audit_default(&a);
	(void)audit_set(&a, CATEGORY_DROP, false, true, false);
	(void)audit_set(&a, CATEGORY_CONNECTION, true, false, true);
	j = audit_json(&a);
	assert_int_equal(audit_from_json(j, &b, NULL), 0);
	assert_memory_equal(&a, &b, sizeof a);
	json_decref(j);
}

static void audit_that_makes_no_sense_is_refused(void **state)
{
	static const char *const rows[] = {
		"[]",
		"{\"Main Moed\": {\"success\": true, \"failure\": true}}",
		"{\"Main Mode\": true}",
		"{\"Main Mode\": {\"success\": true}}",
		"{\"Main Mode\": {\"success\": 1, \"failure\": 0}}",
		"{\"Main Mode\": {\"success\": true, \"failure\": true, \"both\": true}}",
	};
	struct audit a = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		json_t *j = json_loads(rows[i], 0, NULL);

		assert_non_null(j);
		if (audit_from_json(j, &a, NULL) == 0)
			fail_msg("'%s' was taken", rows[i]);
		json_decref(j);
	}
	assert_false(a.on[CATEGORY_POLICY][EVENT_SUCCESS]); /* untouched */
	json_t *j = json_object();
	assert_int_equal(audit_from_json(j, &a, NULL), 0);
	assert_true(a.on[CATEGORY_POLICY][EVENT_SUCCESS]);
	json_decref(j);
}

static void filters_let_through_what_they_name(void **state)
{
	static const struct {
		const char *categories, *events, *severity, *peer, *rule;
		uint64_t since_ms;
		bool want;
	} rows[] = {
		{ NULL, NULL, NULL, NULL, NULL, 0, true },
		{ "main-mode", NULL, NULL, NULL, NULL, 0, true },
		{ "quick-mode,main-mode", NULL, NULL, NULL, NULL, 0, true },
		{ "quick-mode", NULL, NULL, NULL, NULL, 0, false },
		{ NULL, "main-mode-failed", NULL, NULL, NULL, 0, true },
		{ NULL, "main-mode-up, main-mode-down", NULL, NULL, NULL, 0, false },
		{ "main-mode", "main-mode-up", NULL, NULL, NULL, 0, false }, /* all that is named */
		{ NULL, NULL, "warning", NULL, NULL, 0, true },
		{ NULL, NULL, "error", NULL, NULL, 0, true },
		{ NULL, NULL, NULL, "10.77.1.10", NULL, 0, true },
		{ NULL, NULL, NULL, "10.77.0.0/16", NULL, 0, true },
		{ NULL, NULL, NULL, "10.78.0.0/16", NULL, 0, false },
		{ NULL, NULL, NULL, "cn=DC1", NULL, 0, true }, /* an identity */
		{ NULL, NULL, NULL, "CN=dc2", NULL, 0, false },
		{ NULL, NULL, NULL, NULL, "servers", 0, true },
		{ NULL, NULL, NULL, NULL, "server", 0, false },
		{ NULL, NULL, NULL, NULL, NULL, 5000, true },
		{ NULL, NULL, NULL, NULL, NULL, 5001, false },
	};
	const struct event e = { .id = EVENT_MAIN_MODE_FAILED,
				 .time_ms = 5000,
				 .remote = addr_v4(10, 77, 1, 10),
				 .rule = "servers",
				 .peer = "CN=dc1" };

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct filter f = { .since_ms = rows[i].since_ms };

		if (rows[i].categories)
			assert_int_equal(filter_add_categories(&f, rows[i].categories, NULL), 0);
		if (rows[i].events)
			assert_int_equal(filter_add_events(&f, rows[i].events, NULL), 0);
		if (rows[i].severity)
			assert_int_equal(filter_set_severity(&f, rows[i].severity, NULL), 0);
		if (rows[i].peer && !filter_add_address(&f, rows[i].peer))
			filter_set_identity(&f, rows[i].peer);
		if (rows[i].rule)
			memcpy(f.rule, rows[i].rule, strlen(rows[i].rule) + 1);
		if (filter_has(&f, &e) != rows[i].want)
			fail_msg("row %zu", i);
	}
}

static void filters_refuse_what_there_is_not(void **state)
{
	struct filter f = { 0 };

	(void)state;
	assert_true(filter_add_categories(&f, "main-mode,middle-mode", NULL) < 0);
	assert_true(filter_add_events(&f, "main-mode-upp", NULL) < 0);
	assert_true(filter_set_severity(&f, "grave", NULL) < 0);
	for (int i = 0; i < 2 * FILTER_PEERS_MOST; i++)
		assert_true(filter_add_address(&f, "10.0.0.0/8"));
	assert_int_equal(f.peer_count, FILTER_PEERS_MOST);
}

/* An event without a peer is none of this peer's. */
static void events_without_a_peer_do_not_pass_for_one(void **state)
{
	struct filter f = { 0 };

	(void)state;
	assert_true(filter_add_address(&f, "0.0.0.0/0"));
	assert_false(filter_has(&f, &(struct event){ .id = EVENT_STARTED }));
	filter_set_identity(&f, "");
	assert_false(filter_has(&f, &(struct event){ .id = EVENT_STARTED }));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(audit_is_on_but_for_connections_that_may_be),
		cmocka_unit_test(audit_is_switched_by_category_and_result),
		cmocka_unit_test(nobody_can_switch_off_that_audit_was_changed),
		cmocka_unit_test(audit_survives_as_json),
		cmocka_unit_test(audit_that_makes_no_sense_is_refused),
		cmocka_unit_test(filters_let_through_what_they_name),
		cmocka_unit_test(filters_refuse_what_there_is_not),
		cmocka_unit_test(events_without_a_peer_do_not_pass_for_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
