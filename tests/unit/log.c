/* Lines on standard error: whoever reads them and stops to does not hold who says them. */
#include "tests/unit/unit.h"

#include "base/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINES = 2000, PATIENCE_MS = 5000 };

static int64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void nobody_reads(void **state)
{
	static char heard[1 << 17];
	int pipe_fds[2], own = dup(STDERR_FILENO), said = 0, again = 0;
	int64_t began = now_ms(), took;
	ssize_t len;

	(void)state;
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	assert_int_equal(dup2(pipe_fds[1], STDERR_FILENO), STDERR_FILENO);
	log_start("test");
	for (int i = 0; i < LINES; i++)
		said += log_say(LOG_LEVEL_INFO, "line %04d of sixty-four octets, so that they fill a pipe soon, X", i);
	took = now_ms() - began;
	len = read(pipe_fds[0], heard, sizeof heard - 1);
	again = log_say(LOG_LEVEL_INFO, "there is room again");
	assert_int_equal(dup2(own, STDERR_FILENO), STDERR_FILENO);
	assert_true(took < PATIENCE_MS);
	assert_in_range(said, 100, LINES - 1); /* some found room, and some did not */
	assert_true(again);
	assert_true(len > 0);
	for (int i = 0; i < said; i++) { /* those that did are whole */
		char want[32];

		(void)snprintf(want, sizeof want, "test: line %04d of", i);
		assert_non_null(strstr(heard, want));
	}
	(void)close(own);
	(void)close(pipe_fds[0]);
	(void)close(pipe_fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(nobody_reads) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
