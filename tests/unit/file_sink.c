/* Lines in files: whole, in order, not more than wanted, and nobody waits for them. */
#include "observe/file_sink.h"
#include "tests/unit/slow_disk.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { PATH = 256, LINES_MOST = 100000 };

static char folder[PATH] = "/tmp/cordon-file-sink-XXXXXX";

static const char *in_folder(const char *name)
{
	static char path[2 * PATH];

	(void)snprintf(path, sizeof path, "%s/%s", folder, name);
	return path;
}

static struct file_sink *sink(const char *name, uint64_t size, unsigned count)
{
	struct file_sink_config c = {
		.path = in_folder(name), .size = size, .count = count, .mode = 0640, .group = (gid_t)-1
	};
	struct file_sink *s = NULL;

	assert_int_equal(file_sink_new(&c, &s, NULL), 0);
	return s;
}

static void put(struct file_sink *s, unsigned number)
{
	char line[64];

	(void)snprintf(line, sizeof line, "{\"number\":%06u}", number);
	(void)file_sink_put(s, line, strlen(line));
}

static uint64_t lost(struct file_sink *s)
{
	char why[FILE_SINK_WHY];

	return file_sink_lost(s, why);
}

/* Numbers of the file's lines, in order; -1 for a line that is none of ours. */
static size_t lines_of(const char *name, int numbers[LINES_MOST])
{
	FILE *f = fopen(in_folder(name), "re");
	char line[256];
	size_t n = 0;
	unsigned number;

	if (!f)
		return 0;
	while (n < LINES_MOST && fgets(line, sizeof line, f))
		numbers[n++] =
			strlen(line) == 18 && sscanf(line, "{\"number\":%06u}\n", &number) == 1 ? (int)number : -1;
	(void)fclose(f);
	return n;
}

static int numbers[LINES_MOST];

/* An end waits a second at most for what is queued, which is not long on a busy machine. */
static void end_behind(struct file_sink *s, const char *name, int last)
{
	size_t n;

	while ((n = lines_of(name, numbers)) == 0 || numbers[n - 1] != last)
		(void)usleep(1000);
	file_sink_free(s);
}

static void lines_come_whole_and_in_order(void **state)
{
	struct file_sink *s = sink("order/events.json", 1 << 20, 1);
	struct stat st;

	(void)state;
	for (unsigned i = 0; i < 5000; i++)
		put(s, i);
	end_behind(s, "order/events.json", 4999);
	assert_int_equal(lines_of("order/events.json", numbers), 5000);
	for (int i = 0; i < 5000; i++)
		assert_int_equal(numbers[i], i);
	assert_int_equal(stat(in_folder("order/events.json"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(stat(in_folder("order"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0750);
}

static void files_do_not_grow_and_the_oldest_goes(void **state)
{
	static const char *const names[] = { "turn.json.2", "turn.json.1", "turn.json" };
	struct file_sink *s = sink("turn.json", 180, 2); /* ten lines */
	int next = 95 - 25;
	struct stat st;

	(void)state;
	for (unsigned i = 0; i < 95; i++)
		put(s, i);
	end_behind(s, "turn.json", 94);
	for (size_t i = 0; i < 3; i++) {
		size_t n = lines_of(names[i], numbers);

		assert_int_equal(n, i == 2 ? 5 : 10);
		for (size_t k = 0; k < n; k++)
			assert_int_equal(numbers[k], next++);
	}
	assert_int_equal(next, 95);
	assert_int_not_equal(stat(in_folder("turn.json.3"), &st), 0);
	/* And it goes on in the file that there is. */
	s = sink("turn.json", 180, 2);
	for (unsigned i = 95; i < 100; i++)
		put(s, i);
	end_behind(s, "turn.json", 99);
	assert_int_equal(lines_of("turn.json", numbers), 10);
}

static void without_older_files_the_file_begins_anew(void **state)
{
	struct file_sink *s = sink("alone.json", 180, 0);
	struct stat st;

	(void)state;
	for (unsigned i = 0; i < 25; i++)
		put(s, i);
	end_behind(s, "alone.json", 24);
	assert_int_equal(lines_of("alone.json", numbers), 5);
	assert_int_not_equal(stat(in_folder("alone.json.1"), &st), 0);
}

static double seconds(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void a_disk_that_hangs_holds_up_nobody(void **state)
{
	struct file_sink *s = sink("hung.json", 1 << 30, 1);
	double begun;
	uint64_t left_out;

	(void)state;
	atomic_store(&disk.hung, true);
	begun = seconds();
	for (unsigned i = 0; i < 900000; i++)
		put(s, i % 1000000);
	assert_true(seconds() - begun < 20); /* it would be for ever */
	left_out = lost(s);
	assert_true(left_out >= 900000 - (FILE_SINK_QUEUE + 65536) / 18 - 1);
	atomic_store(&disk.hung, false);
	file_sink_free(s);
	assert_int_equal(lines_of("hung.json", numbers) + left_out, 900000);
}

static void an_end_does_not_wait_for_a_disk_that_hangs(void **state)
{
	struct file_sink *s = sink("end.json", 1 << 30, 1);
	double begun = seconds();

	(void)state;
	atomic_store(&disk.hung, true);
	put(s, 1);
	file_sink_free(s);
	assert_true(seconds() - begun < 10);
	atomic_store(&disk.hung, false);
	(void)usleep(50000); /* the thread cleans up behind itself */
}

static void a_full_disk_loses_lines_but_never_halves_of_them(void **state)
{
	struct file_sink *s = sink("full.json", 1 << 30, 1);
	char why[FILE_SINK_WHY];
	size_t n, whole = 0;
	uint64_t left_out;

	(void)state;
	atomic_store(&disk.room, 18 * 3 + 5);
	atomic_store(&disk.error, ENOSPC);
	for (unsigned i = 0; i < 10; i++)
		put(s, i);
	while (lost(s) == 0)
		(void)usleep(1000);
	(void)usleep(20000);
	atomic_store(&disk.error, 0);
	(void)usleep((FILE_SINK_RETRY_MS + 100) * 1000);
	put(s, 77);
	left_out = file_sink_lost(s, why);
	file_sink_free(s);
	assert_non_null(strstr(why, "No space left"));
	n = lines_of("full.json", numbers);
	for (size_t i = 0; i < n; i++)
		whole += numbers[i] >= 0;
	assert_true(n - whole <= 1); /* the half of one, ended */
	assert_int_equal(numbers[n - 1], 77);
	assert_true(whole + left_out >=
		    11); /* a line of which not all came counts as lost, and so do those behind it */
	assert_true(left_out >= 7);
}

static void what_is_no_file_is_not_waited_for(void **state)
{
	struct file_sink *s;

	(void)state;
	assert_int_equal(mkfifo(in_folder("pipe.json"), 0600), 0);
	s = sink("pipe.json", 1 << 20, 1);
	put(s, 1);
	while (lost(s) == 0)
		(void)usleep(1000);
	file_sink_free(s);
}

static void a_file_that_somebody_moved_is_made_again(void **state)
{
	struct file_sink *s = sink("moved.json", 1 << 20, 1);
	char to[2 * PATH];

	(void)state;
	put(s, 1);
	while (lines_of("moved.json", numbers) == 0)
		(void)usleep(1000);
	(void)snprintf(to, sizeof to, "%s", in_folder("away.json"));
	assert_int_equal(rename(in_folder("moved.json"), to), 0);
	put(s, 2);
	end_behind(s, "moved.json", 2);
	assert_int_equal(lines_of("away.json", numbers), 1);
	assert_int_equal(lines_of("moved.json", numbers), 1);
	assert_int_equal(numbers[0], 2);
}

static void a_line_that_is_too_long_is_left_out(void **state)
{
	struct file_sink *s = sink("long.json", 1 << 20, 1);
	static char line[FILE_SINK_LINE_MOST];

	(void)state;
	memset(line, 'x', sizeof line);
	assert_false(file_sink_put(s, line, sizeof line));
	assert_true(file_sink_put(s, line, sizeof line - 1));
	assert_int_equal(lost(s), 1);
	file_sink_free(s);
}

static int begin(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int end(void **state)
{
	char command[2 * PATH];

	(void)state;
	(void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_come_whole_and_in_order),
		cmocka_unit_test(files_do_not_grow_and_the_oldest_goes),
		cmocka_unit_test(without_older_files_the_file_begins_anew),
		cmocka_unit_test(a_disk_that_hangs_holds_up_nobody),
		cmocka_unit_test(an_end_does_not_wait_for_a_disk_that_hangs),
		cmocka_unit_test(a_full_disk_loses_lines_but_never_halves_of_them),
		cmocka_unit_test(what_is_no_file_is_not_waited_for),
		cmocka_unit_test(a_file_that_somebody_moved_is_made_again),
		cmocka_unit_test(a_line_that_is_too_long_is_left_out),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
