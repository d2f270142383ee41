/* The state folder: what a restart finds after a crash at any moment, and when probation is over. */
#include "base/diag.h"
#include "base/scope.h"
#include "daemon/force/state.h"
#include "tests/unit/unit.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct folder {
	char path[64];
};

static int start(void **state)
{
	struct folder *f = calloc(1, sizeof *f);

	assert_non_null(f);
	(void)snprintf(f->path, sizeof f->path, "/tmp/cordon-state.XXXXXX");
	assert_non_null(mkdtemp(f->path));
	*state = f;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int finish(void **state)
{
	struct folder *f = *state;

	assert_int_equal(nftw(f->path, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
	free(f);
	return 0;
}

static struct state *open_state(const struct folder *f)
{
	struct state *s = NULL;
	struct diag d = { 0 };

	if (state_open(f->path, &s, &d) < 0)
		fail_msg("%s", d.text);
	return s;
}

static uint32_t add(struct state *s, const char *policy)
{
	struct text *t = text_new("p.yaml", policy, strlen(policy));
	struct state_version v = { .by = "root", .path = "/etc/cordon/p.yaml" };
	struct diag d = { 0 };

	if (state_add(s, t, &v, &d) < 0)
		fail_msg("%s", d.text);
	text_free(t);
	return v.number;
}

static void new_folder_holds_nothing(void **state)
{
	struct state *s = open_state(*state);

	assert_int_equal(s->current, 0);
	assert_int_equal(s->pending.version, 0);
	assert_false(s->disabled);
	state_free(s);
}

static void version_is_there_after_a_restart_only_if_it_was_put_in_force(void **state)
{
	struct state *s = open_state(*state);
	struct state_version v;
	struct text *t = NULL;
	struct diag d = { 0 };

	s->current = add(s, "one");
	assert_int_equal(state_save(s, &d), 0);
	(void)add(s, "two"); /* and here it dies */
	state_free(s);
	s = open_state(*state);
	assert_int_equal(s->current, 1);
	assert_int_equal(state_policy(s, s->current, &t, &d), 0);
	assert_string_equal(t->octets, "one");
	text_free(t);
	assert_int_equal(state_version_read(s, 1, &v, &d), 0);
	assert_string_equal(v.by, "root");
	assert_int_equal(v.previous, 0);
	assert_int_equal(add(s, "two again"), 2); /* the number is given once more, the file replaced */
	state_free(s);
}

static void history_is_bounded_but_keeps_what_is_in_force(void **state)
{
	struct state *s = open_state(*state);
	struct state_version v;
	struct diag d;

	s->current = add(s, "keep me");
	for (int i = 0; i < STATE_HISTORY_MOST + 5; i++)
		(void)add(s, "another");
	assert_int_equal(state_version_read(s, 1, &v, &d), 0);
	assert_true(state_version_read(s, 2, &v, &d) < 0);
	assert_int_equal(state_version_read(s, 6 + STATE_HISTORY_MOST, &v, &d), 0);
	state_free(s);
}

static void probation_ends_by_the_clock_that_can_be_trusted(void **state)
{
	static const struct {
		struct state_clock now;
		uint64_t left_ms;
	} rows[] = {
		{ { 1000, 500000, "boot-a" }, 60000 },
		{ { 31000, 500000, "boot-a" }, 30000 }, /* the wall clock does not count within one boot */
		{ { 31000, 9000000, "boot-a" }, 30000 },
		{ { 61000, 500000, "boot-a" }, 0 },
		{ { 5, 530000, "boot-b" }, 30000 }, /* after a reboot the wall clock does */
		{ { 5, 560000, "boot-b" }, 0 },
		{ { 5, 499999, "boot-b" }, 0 }, /* set back: nothing is known, so the safe side */
	};
	struct state *s = open_state(*state);
	struct diag d = { 0 };

	state_pend(s, 2, 1, 60000, &rows[0].now);
	assert_int_equal(state_save(s, &d), 0);
	state_free(s);
	s = open_state(*state);
	assert_int_equal(s->pending.version, 2);
	assert_int_equal(s->pending.previous, 1);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (state_pending_left_ms(s, &rows[i].now) != rows[i].left_ms)
			fail_msg("row %zu", i);
	state_free(s);
}

static void disabled_flag_outlives_the_process(void **state)
{
	struct state *s = open_state(*state);
	struct diag d = { 0 };

	assert_int_equal(state_disable(s, "storm", &d), 0);
	state_free(s);
	s = open_state(*state);
	assert_true(s->disabled);
	assert_int_equal(state_enable(s, &d), 0);
	assert_int_equal(state_enable(s, &d), 0);
	assert_false(s->disabled);
	state_free(s);
}

static void unreadable_state_is_an_error_and_not_a_guess(void **state)
{
	static const char *const bad[] = { "", "{", "[]", "\xff\xfe", "{\"current\":1} and more" };
	struct folder *f = *state;
	char path[96];

	(void)snprintf(path, sizeof path, "%s/state.json", f->path);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		FILE *file = fopen(path, "w");
		struct state *s = NULL;
		struct diag d = { 0 };

		assert_non_null(file);
		(void)fputs(bad[i], file);
		(void)fclose(file);
		if (state_open(f->path, &s, &d) == 0)
			fail_msg("row %zu", i);
		assert_non_null(strstr(d.text, "state.json"));
	}
}

static void values_of_the_wrong_type_are_nothing(void **state)
{
	struct folder *f = *state;
	char path[96];
	struct state *s;
	FILE *file;

	(void)snprintf(path, sizeof path, "%s/state.json", f->path);
	file = fopen(path, "w");
	assert_non_null(file);
	(void)fputs("{\"current\":-7,\"newest\":\"x\",\"pending\":3,\"source_digest\":[]}", file);
	(void)fclose(file);
	s = open_state(f);
	assert_int_equal(s->current, 0);
	assert_int_equal(s->pending.version, 0);
	state_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(new_folder_holds_nothing, start, finish),
		cmocka_unit_test_setup_teardown(version_is_there_after_a_restart_only_if_it_was_put_in_force, start,
						finish),
		cmocka_unit_test_setup_teardown(history_is_bounded_but_keeps_what_is_in_force, start, finish),
		cmocka_unit_test_setup_teardown(probation_ends_by_the_clock_that_can_be_trusted, start, finish),
		cmocka_unit_test_setup_teardown(disabled_flag_outlives_the_process, start, finish),
		cmocka_unit_test_setup_teardown(unreadable_state_is_an_error_and_not_a_guess, start, finish),
		cmocka_unit_test_setup_teardown(values_of_the_wrong_type_are_nothing, start, finish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
