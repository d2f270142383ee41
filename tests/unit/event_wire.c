/* Events between processes: what was sent arrives, and nothing that is not an event does. */
#include "observe/event_wire.h"
#include "tests/unit/unit.h"

#include <string.h>

static struct event full(void)
{
	struct event e = {
		.id = EVENT_QUICK_MODE_FAILED,
		.time_ms = 0x0123456789abcdef,
		.local = addr_v4(10, 77, 1, 10),
		.remote = { .family = 6, .octets = { 0x20, 1, 0xd, 0xb8, [15] = 1 } },
		.spi = 0xfedcba98,
		.failure = FAILURE_COUNT - 1,
		.by = SIDE_NOBODY,
		.left_out = 77,
		.direction = EVENT_OUT,
		.protocol = 6,
		.local_port = 49152,
		.remote_port = 445,
		.packets = 1ull << 40,
		.octets = 1ull << 50,
	};

	/* Every text as long as it may be. */
	memset(e.rule, 'r', sizeof e.rule - 1);
	memset(e.peer, 0xff, sizeof e.peer - 1);
	memset(e.text, 't', sizeof e.text - 1);
	memset(e.step, 's', sizeof e.step - 1);
	memset(e.reason, 'n', sizeof e.reason - 1);
	memset(e.suite, 'u', sizeof e.suite - 1);
	memset(e.method, 'm', sizeof e.method - 1);
	memset(e.user, 'w', sizeof e.user - 1);
	return e;
}

static size_t encode(const struct event *e, uint8_t buf[EVENT_WIRE_MOST])
{
	struct wire_out out = wire_out(buf, EVENT_WIRE_MOST);

	event_encode(&out, e);
	assert_false(out.failed);
	return out.len;
}

static int decode(const uint8_t *octets, size_t n, struct event *ret)
{
	struct wire_in in = wire_in(octets, n);

	return event_decode(&in, ret, NULL);
}

static void what_was_sent_arrives(void **state)
{
	struct event rows[] = { full(), { .id = EVENT_STARTED }, { .id = EVENT_SA_DROP, .text = "because", .spi = 1 } };
	uint8_t buf[EVENT_WIRE_MOST];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct event got;

		memset(&got, 0x55, sizeof got);
		assert_int_equal(decode(buf, encode(&rows[i], buf), &got), 0);
		assert_int_equal(got.id, rows[i].id);
		assert_true(got.time_ms == rows[i].time_ms);
		assert_true(addr_equal(&got.local, &rows[i].local));
		assert_true(addr_equal(&got.remote, &rows[i].remote));
		assert_string_equal(got.rule, rows[i].rule);
		assert_string_equal(got.peer, rows[i].peer);
		assert_string_equal(got.text, rows[i].text);
		assert_int_equal(got.spi, rows[i].spi);
		assert_int_equal(got.failure, rows[i].failure);
		assert_int_equal(got.by, rows[i].by);
		assert_string_equal(got.step, rows[i].step);
		assert_int_equal(got.left_out, rows[i].left_out);
		assert_int_equal(got.direction, rows[i].direction);
		assert_int_equal(got.protocol, rows[i].protocol);
		assert_int_equal(got.local_port, rows[i].local_port);
		assert_int_equal(got.remote_port, rows[i].remote_port);
		assert_true(got.packets == rows[i].packets && got.octets == rows[i].octets);
		assert_string_equal(got.reason, rows[i].reason);
		assert_string_equal(got.suite, rows[i].suite);
		assert_string_equal(got.method, rows[i].method);
		assert_string_equal(got.user, rows[i].user);
	}
}

static void a_short_or_a_long_one_is_none(void **state)
{
	struct event e = full(), got = { .spi = 4711 };
	uint8_t buf[EVENT_WIRE_MOST + 1];
	size_t n = encode(&e, buf);

	(void)state;
	for (size_t i = 0; i < n; i++)
		if (decode(buf, i, &got) == 0)
			fail_msg("%zu of %zu octets were taken for an event", i, n);
	buf[n] = 0;
	assert_true(decode(buf, n + 1, &got) < 0);
	assert_int_equal(got.spi, 4711); /* untouched */
}

/* Offsets in the event that encode() makes of an empty one: id 0, local's family 10, remote's 11, failure 16, by 17,
 * direction 22, the first text's length 44. */
static void numbers_of_no_enum_are_refused(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
		const char *what;
	} rows[] = {
		{ 0, 0xff, "an event that there is not" },
		{ 1, EVENT_COUNT, "the first event that there is not" },
		{ 10, 5, "an address of no family" },
		{ 11, 255, "an address of no family" },
		{ 16, FAILURE_COUNT, "a failure that there is not" },
		{ 17, SIDE_NOBODY + 1, "a side that there is not" },
		{ 22, EVENT_DIRECTIONS, "a direction that there is not" },
	};
	struct event e = { .id = EVENT_STARTED }, got;
	uint8_t buf[EVENT_WIRE_MOST];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		size_t n = encode(&e, buf);

		buf[rows[i].at] = rows[i].value;
		if (decode(buf, n, &got) == 0)
			fail_msg("row %zu: %s was taken", i, rows[i].what);
	}
}

static void a_text_that_is_too_long_or_ends_within_is_refused(void **state)
{
	struct event e = { .id = EVENT_STARTED, .rule = "abc" }, got;
	uint8_t buf[EVENT_WIRE_MOST];
	size_t n = encode(&e, buf), at = 44;

	(void)state;
	assert_int_equal(buf[at + 1], 3); /* the offset is right */
	buf[at + 3] = 0;
	assert_true(decode(buf, n, &got) < 0);

	memset(e.rule, 'r', sizeof e.rule - 1);
	n = encode(&e, buf);
	assert_int_equal(buf[at + 1], EVENT_NAME - 1);
	memmove(&buf[at + 2 + EVENT_NAME], &buf[at + 2 + EVENT_NAME - 1], n - at - 2 - EVENT_NAME + 1);
	buf[at + 1] = EVENT_NAME;
	buf[at + 2 + EVENT_NAME - 1] = 'r';
	assert_true(decode(buf, n + 1, &got) < 0);
}

static void each_process_tells_of_its_own_work(void **state)
{
	(void)state;
	assert_true(event_may_tell(EVENT_MAIN_MODE_UP, TELLER_KEYING));
	assert_false(event_may_tell(EVENT_POLICY_APPLIED, TELLER_KEYING));
	assert_false(event_may_tell(EVENT_DISABLED, TELLER_DATAPLANE));
	assert_false(event_may_tell(EVENT_MAIN_MODE_UP, TELLER_SOURCES));
	for (int i = 0; i < EVENT_COUNT; i++)
		assert_true(event_may_tell((enum event_id)i,
					   TELLER_PARENT | TELLER_KEYING | TELLER_DATAPLANE | TELLER_SOURCES));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_sent_arrives),
		cmocka_unit_test(a_short_or_a_long_one_is_none),
		cmocka_unit_test(numbers_of_no_enum_are_refused),
		cmocka_unit_test(a_text_that_is_too_long_or_ends_within_is_refused),
		cmocka_unit_test(each_process_tells_of_its_own_work),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
