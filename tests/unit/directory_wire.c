/* Tasks for the directory and what it says arrive as they were, and nothing that is not well-formed does. */
#include "tests/unit/unit.h"

#include "base/mem.h"
#include "daemon/messages/directory_wire.h"

#include <stdlib.h>
#include <string.h>

enum { ROOM = 1 << 16 };

static size_t task(uint8_t *buf)
{
	struct directory_question questions[] = { { QUESTION_GROUP, "CORP\\trusted" },
						  { QUESTION_UPN_ACCOUNT, "a@b" } };
	const struct directory_task t = { .realm = "CORP.EXAMPLE",
					  .servers = { "dc1", "10.0.0.1" },
					  .server_count = 2,
					  .credential = 7,
					  .questions = questions,
					  .question_count = 2 };
	struct wire_out out = wire_out(buf, ROOM);

	directory_task_put(&out, &t);
	assert_false(out.failed);
	return out.len;
}

static size_t replies(uint8_t *buf)
{
	struct sid_list sids = { 0 };
	const struct sid one = { .authority = 5, .count = 2, .sub = { 32, 544 } };
	struct directory_reply all[] = { { .state = DIRECTORY_FOUND, .sid = one },
					 { .state = DIRECTORY_MISSING },
					 { .state = DIRECTORY_FOUND, .sids = &sids } };
	struct wire_out out = wire_out(buf, ROOM);

	assert_true(sid_list_add(&sids, &one));
	directory_replies_put(
		&out, &(struct directory_replies){ all, 3, .local = { .family = 4, .octets = { 10, 0, 0, 9 } } });
	assert_false(out.failed);
	return out.len;
}

static void they_arrive_as_they_were(void **state)
{
	uint8_t *buf = mem_new(1, ROOM);
	struct wire_in in = wire_in(buf, task(buf));
	struct directory_task t;
	struct directory_replies r;

	(void)state;
	assert_int_equal(directory_task_get(&in, &t, NULL), 0);
	assert_string_equal(t.servers[1], "10.0.0.1");
	assert_int_equal(t.credential, 7);
	assert_int_equal(t.questions[1].kind, QUESTION_UPN_ACCOUNT);
	assert_string_equal(t.questions[0].text, "CORP\\trusted");
	directory_task_wipe(&t);
	in = wire_in(buf, replies(buf));
	assert_int_equal(directory_replies_get(&in, &r, NULL), 0);
	assert_int_equal(r.count, 3);
	assert_int_equal(r.local.family, 4);
	assert_int_equal(r.local.octets[3], 9);
	assert_int_equal(r.replies[0].sid.sub[1], 544);
	assert_int_equal(r.replies[1].state, DIRECTORY_MISSING);
	assert_int_equal(sid_list_count(r.replies[2].sids), 1);
	directory_replies_wipe(&r);
	free(buf);
}

static void try_both(const uint8_t *buf, size_t n)
{
	struct wire_in in = wire_in(buf, n);
	struct directory_task t = { 0 };
	struct directory_replies r = { 0 };

	(void)directory_task_get(&in, &t, NULL);
	directory_task_wipe(&t);
	in = wire_in(buf, n);
	(void)directory_replies_get(&in, &r, NULL);
	directory_replies_wipe(&r);
}

static void broken_ones_do_no_harm(void **state)
{
	uint8_t *buf = mem_new(1, ROOM);

	(void)state;
	for (int which = 0; which < 2; which++) {
		size_t len = which ? task(buf) : replies(buf);

		for (size_t i = 0; i < len; i++) {
			try_both(buf, i);
			for (unsigned v = 1; v < 256; v = v * 3 + 1) {
				buf[i] ^= (uint8_t)v;
				try_both(buf, len);
				buf[i] ^= (uint8_t)v;
			}
		}
	}
	free(buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(they_arrive_as_they_were),
		cmocka_unit_test(broken_ones_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
