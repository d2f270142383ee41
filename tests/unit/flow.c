/* The flow ledger: sums are right, memory has its bound, and what is forgotten is counted. */
#include "observe/flow.h"
#include "tests/unit/unit.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>

static struct flow_row row(uint8_t host, const char *rule, enum flow_outcome outcome, uint64_t packets, uint64_t octets)
{
	struct flow_row r = {
		.remote = addr_v4(10, 0, 0, host), .outcome = outcome, .packets_in = packets, .octets_in = octets
	};

	(void)snprintf(r.rule, sizeof r.rule, "%s", rule);
	return r;
}

static void note(struct flow_ledger *l, struct flow_row r, uint64_t now_ms)
{
	flow_note(l, &r, now_ms);
}

static void rows_are_by_host_rule_and_outcome(void **state)
{
	struct flow_ledger *l = flow_ledger_new(10);
	struct flow_row rows[10];

	(void)state;
	note(l, row(1, "a", FLOW_ENCRYPTED, 1, 100), 1000);
	note(l, row(1, "a", FLOW_BLOCKED, 1, 0), 2000);
	note(l, row(1, "b", FLOW_ENCRYPTED, 1, 7), 3000);
	note(l, row(2, "a", FLOW_ENCRYPTED, 1, 9), 4000);
	note(l, row(1, "a", FLOW_ENCRYPTED, 2, 50), 5000);
	assert_int_equal(flow_rows(l, rows, 10), 4);
	assert_string_equal(rows[0].rule, "a"); /* the latest first */
	assert_int_equal(rows[0].packets_in, 3);
	assert_int_equal(rows[0].octets_in, 150);
	assert_int_equal(rows[0].first_ms, 1000);
	assert_int_equal(rows[0].last_ms, 5000);
	assert_int_equal(rows[1].remote.octets[3], 2);
	assert_int_equal(flow_rows(l, rows, 2), 4); /* as many as there are */
	flow_ledger_free(l);
	flow_ledger_free(NULL);
}

static void pass(struct flow_ledger *l, const uint64_t *pairs, const uint64_t *totals, size_t n, uint64_t now_ms)
{
	flow_pass_begin(l);
	for (size_t i = 0; i < n; i++) {
		struct flow_row r = row(1, "a", FLOW_ENCRYPTED, totals[i], 10 * totals[i]);

		flow_pass_pair(l, pairs[i], &r, now_ms);
	}
	flow_pass_end(l);
}

/* Rekeyed SAs, SAs that end, and numbers that are given again. */
static void totals_of_sas_are_added_once(void **state)
{
	struct flow_ledger *l = flow_ledger_new(10);
	struct flow_row r;

	(void)state;
	pass(l, (uint64_t[]){ 7 }, (uint64_t[]){ 5 }, 1, 1000);
	pass(l, (uint64_t[]){ 7 }, (uint64_t[]){ 5 }, 1, 2000);
	assert_int_equal(flow_rows(l, &r, 1), 1);
	assert_int_equal(r.packets_in, 5);
	assert_int_equal(r.last_ms, 1000); /* nothing came since */
	pass(l, (uint64_t[]){ 7, 8 }, (uint64_t[]){ 9, 1 }, 2, 3000);
	(void)flow_rows(l, &r, 1);
	assert_int_equal(r.packets_in, 10);
	assert_int_equal(r.octets_in, 100);
	pass(l, (uint64_t[]){ 8 }, (uint64_t[]){ 1 }, 1, 4000); /* 7 is gone */
	pass(l, (uint64_t[]){ 8, 7 }, (uint64_t[]){ 1, 20 }, 2, 5000);
	(void)flow_rows(l, &r, 1);
	assert_int_equal(r.packets_in, 30);
	pass(l, (uint64_t[]){ 8, 7 }, (uint64_t[]){ 1, 3 }, 2, 6000); /* fewer than before: another SA */
	(void)flow_rows(l, &r, 1);
	assert_int_equal(r.packets_in, 33);
	flow_ledger_free(l);
}

static void event(struct flow_ledger *l, enum event_id id, uint8_t host, const char *reason, unsigned left_out)
{
	struct event e = { .id = id,
			   .remote = addr_v4(10, 0, 0, host),
			   .rule = "a",
			   .peer = "CN=one",
			   .direction = EVENT_IN,
			   .left_out = left_out };

	(void)snprintf(e.reason, sizeof e.reason, "%s", reason);
	flow_event(l, &e, 1000);
}

static void events_say_who_was_blocked_exempt_or_in_clear(void **state)
{
	static const struct {
		enum event_id id;
		const char *reason;
		unsigned left_out;
		enum flow_outcome want;
		uint64_t packets;
	} rows[] = {
		{ EVENT_PACKET_DROPPED, "clear-in", 9, FLOW_BLOCKED, 10 },
		{ EVENT_CONNECTION_CLEAR, "exempt", 0, FLOW_EXEMPT, 1 },
		{ EVENT_CONNECTION_CLEAR, "clear-accepted", 0, FLOW_CLEAR, 1 },
		{ EVENT_CONNECTION_CLEAR, "clear-out", 0, FLOW_CLEAR, 1 },
		{ EVENT_FALLBACK, "", 0, FLOW_CLEAR, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct flow_ledger *l = flow_ledger_new(10);
		struct flow_row r;

		event(l, rows[i].id, 1, rows[i].reason, rows[i].left_out);
		assert_int_equal(flow_rows(l, &r, 1), 1);
		if (r.outcome != rows[i].want || r.packets_in != rows[i].packets)
			fail_msg("row %zu: %s", i, flow_outcome_name(r.outcome));
		flow_ledger_free(l);
	}
}

static void an_identity_is_the_hosts_and_comes_first_or_last(void **state)
{
	struct flow_ledger *l = flow_ledger_new(10);
	struct flow_row r;

	(void)state;
	event(l, EVENT_MAIN_MODE_UP, 1, "", 0);
	assert_string_equal(flow_identity(l, &(struct addr){ 4, { 10, 0, 0, 1 } }), "CN=one");
	assert_int_equal(flow_rows(l, &r, 1), 0);
	note(l, row(1, "a", FLOW_ENCRYPTED, 1, 1), 1000);
	note(l, row(2, "a", FLOW_BLOCKED, 1, 1), 1001);
	event(l, EVENT_MAIN_MODE_UP, 2, "", 0);
	(void)flow_rows(l, &r, 1);
	assert_string_equal(r.identity, "CN=one");
	event(l, EVENT_STARTED, 3, "", 0); /* nothing of it */
	assert_int_equal(flow_rows(l, &r, 1), 2);
	flow_ledger_free(l);
}

static void hosts_are_counted_once_and_only_while_they_are_recent(void **state)
{
	struct flow_ledger *l = flow_ledger_new(10);
	size_t n[FLOW_OUTCOMES];

	(void)state;
	note(l, row(1, "a", FLOW_ENCRYPTED, 1, 1), 1000);
	note(l, row(1, "b", FLOW_ENCRYPTED, 1, 1), 1000);
	note(l, row(1, "c", FLOW_EXEMPT, 1, 1), 5000);
	note(l, row(2, "a", FLOW_ENCRYPTED, 1, 1), 5000);
	flow_peers(l, 0, n);
	assert_int_equal(n[FLOW_ENCRYPTED], 2);
	assert_int_equal(n[FLOW_EXEMPT], 1);
	assert_int_equal(n[FLOW_CLEAR], 0);
	flow_peers(l, 5000, n);
	assert_int_equal(n[FLOW_ENCRYPTED], 1);
	flow_ledger_free(l);
}

/* Somebody who sends from every address there is. */
static void memory_has_its_bound_and_the_quietest_go_first(void **state)
{
	struct flow_ledger *l = flow_ledger_new(1000);
	static struct flow_row rows[1000];
	size_t before = 0;

	(void)state;
	for (uint32_t i = 0; i < 200000; i++) {
		struct flow_row r = row(0, "flood", FLOW_BLOCKED, 1, 0);

		r.remote = addr_v4((uint8_t)(i >> 24), (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i);
		flow_note(l, &r, i + 1);
		if (i % 100 == 0)
			note(l, row(1, "kept", FLOW_ENCRYPTED, 1, 1), i + 1);
		if (i == 5000)
			before = mallinfo2().uordblks;
	}
	assert_in_range(mallinfo2().uordblks, 0, before + 65536);
	assert_int_equal(flow_rows(l, rows, 1000), 1000);
	assert_int_equal(flow_forgotten(l), 200001 - 1000);
	for (size_t i = 0;; i++) {
		assert_in_range(i, 0, 999);
		if (strcmp(rows[i].rule, "kept") == 0)
			break;
	}
	flow_ledger_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_by_host_rule_and_outcome),
		cmocka_unit_test(totals_of_sas_are_added_once),
		cmocka_unit_test(events_say_who_was_blocked_exempt_or_in_clear),
		cmocka_unit_test(an_identity_is_the_hosts_and_comes_first_or_last),
		cmocka_unit_test(hosts_are_counted_once_and_only_while_they_are_recent),
		cmocka_unit_test(memory_has_its_bound_and_the_quietest_go_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
