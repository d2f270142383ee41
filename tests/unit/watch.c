/* Files that change are noticed, however they change; what is written beside them is not. */
#include "daemon/host/watch.h"

#include "base/text.h"
#include "tests/unit/folder.h"
#include "tests/unit/unit.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH = 300, PATIENCE_MS = 5000 };

static char dir[128];
static uv_loop_t loop;
static unsigned seen;

static const char *path_of(const char *name)
{
	static char paths[8][PATH];
	static unsigned next;
	char *p = paths[next++ % 8];

	(void)snprintf(p, PATH, "%s/%s", dir, name);
	return p;
}

static void put(const char *name, const char *text)
{
	assert_int_equal(text_replace(path_of(name), text, strlen(text), 0600, NULL), 0);
}

static void changed(void *context)
{
	(void)context;
	seen++;
}

static void wake(uv_timer_t *t)
{
	*(bool *)t->data = true;
}

static void closed(uv_handle_t *h)
{
	*(bool *)h->data = true;
}

/* Run until the files were seen to change, or for so long. */
static unsigned run(unsigned ms)
{
	unsigned before = seen;
	bool over = false;
	uv_timer_t t;

	(void)uv_timer_init(&loop, &t);
	t.data = &over;
	(void)uv_timer_start(&t, wake, ms, 0);
	while (!over && seen == before)
		(void)uv_run(&loop, UV_RUN_ONCE);
	over = false;
	uv_close((uv_handle_t *)&t, closed);
	while (!over)
		(void)uv_run(&loop, UV_RUN_ONCE);
	return seen - before;
}

static void every_kind_of_change_is_seen_once(void **state)
{
	char names[4][PATH];
	const char *paths[] = { names[0], names[1], names[2], names[3] };
	struct watch *w;
	FILE *f;

	(void)state;
	(void)snprintf(names[0], PATH, "%s", path_of("a.pem"));
	(void)snprintf(names[1], PATH, "%s", path_of("lists"));
	(void)snprintf(names[2], PATH, "%s", path_of("link.pem"));
	(void)snprintf(names[3], PATH, "%s", path_of("later/b.pem"));
	put("a.pem", "one");
	assert_int_equal(mkdir(names[1], 0700), 0);
	assert_int_equal(mkdir(path_of("archive"), 0700), 0);
	put("archive/1.pem", "x");
	put("archive/2.pem", "x");
	assert_int_equal(symlink("archive/1.pem", names[2]), 0);
	assert_int_equal(uv_loop_init(&loop), 0);
	w = watch_new(&loop, changed, NULL);
	watch_set(w, paths, 4);

	assert_int_equal(run(700), 0);
	put("a.pem", "two"); /* replaced */
	assert_int_equal(run(PATIENCE_MS), 1);
	assert_non_null(f = fopen(names[0], "a")); /* written in place, in two goes: once */
	assert_true(fputs("x", f) >= 0 && fflush(f) == 0 && fputs("y", f) >= 0 && fclose(f) == 0);
	assert_int_equal(run(PATIENCE_MS), 1);
	put("lists/new.crl", "l"); /* a folder's contents */
	assert_int_equal(run(PATIENCE_MS), 1);
	assert_int_equal(unlink(path_of("lists/new.crl")), 0);
	assert_int_equal(run(PATIENCE_MS), 1);
	assert_int_equal(symlink("archive/2.pem", path_of("link.new")), 0); /* what a link leads to */
	assert_int_equal(rename(path_of("link.new"), names[2]), 0);
	assert_int_equal(run(PATIENCE_MS), 1);
	assert_int_equal(chmod(names[0], 0644), 0);
	assert_int_equal(run(PATIENCE_MS), 1);
	put("other", "nobody watches it");
	assert_int_equal(run(700), 0);
	watch_set(w, paths, 1); /* others are no longer watched */
	put("lists/again.crl", "l");
	assert_int_equal(run(700), 0);
	assert_int_equal(unlink(names[0]), 0);
	assert_int_equal(run(PATIENCE_MS), 1);

	watch_close(w);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
}

static int group_setup(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof dir, "%.100s/cordon-watch-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	return mkdtemp(dir) ? 0 : -1;
}

static int group_teardown(void **state)
{
	(void)state;
	return folder_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_of_change_is_seen_once),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
