/* Revocation lists on disk: what is kept comes back, and asking for it takes no memory. */
#include "base/scope.h"
#include "base/text.h"
#include "daemon/parts/list_cache.h"
#include "daemon/process/memory_file.h"
#include "identity/revocation.h"
#include "tests/unit/unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define URL "http://127.0.0.1/one.crl"

struct here {
	char folder[64], file[512];
	uv_loop_t loop;
	struct list_cache *cache;
};

static void put_words(struct wire_out *out, const void *what)
{
	wire_put(out, what, strlen(what));
}

static int start(void **state)
{
	struct here *h = calloc(1, sizeof *h);
	const struct dirent *e;
	DIR *d;
	int fd;

	assert_non_null(h);
	(void)snprintf(h->folder, sizeof h->folder, "/tmp/cordon-lists.XXXXXX");
	assert_non_null(mkdtemp(h->folder));
	assert_int_equal(uv_loop_init(&h->loop), 0);
	h->cache = list_cache_new(&h->loop, h->folder);
	assert_int_equal(list_cache_recall(h->cache, URL), -1);
	fd = memory_file_make("list", 100, put_words, "a list", NULL);
	assert_true(fd >= 0);
	list_cache_keep(h->cache, URL, fd);
	(void)close(fd);
	(void)uv_run(&h->loop, UV_RUN_DEFAULT);
	d = opendir(h->folder);
	assert_non_null(d);
	while ((e = readdir(d)))
		if (e->d_name[0] != '.')
			(void)snprintf(h->file, sizeof h->file, "%s/%s", h->folder, e->d_name);
	(void)closedir(d);
	assert_true(*h->file);
	*state = h;
	return 0;
}

static int finish(void **state)
{
	struct here *h = *state;

	list_cache_close(h->cache);
	(void)uv_run(&h->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&h->loop), 0);
	(void)unlink(h->file);
	assert_int_equal(rmdir(h->folder), 0);
	free(h);
	return 0;
}

static void what_was_kept_comes_back(void **state)
{
	const struct here *h = *state;
	struct text *t = NULL;
	int fd = list_cache_recall(h->cache, URL);

	assert_true(fd >= 0);
	assert_int_equal(memory_file_read_disk(fd, 6, &t, NULL), 0);
	assert_string_equal(t->octets, "a list");
	text_free(t);
	assert_true(memory_file_read_disk(fd, 5, &t, NULL) < 0);
	assert_true(write(fd, "x", 1) < 0);
	(void)close(fd);
	assert_int_equal(list_cache_recall(h->cache, URL "2"), -1);
}

/* A copy for each, and who never reads them could have the parent fill the memory. */
static void each_who_asks_has_the_same_file(void **state)
{
	const struct here *h = *state;
	struct stat disk, st;

	assert_int_equal(stat(h->file, &disk), 0);
	for (int i = 0; i < 3; i++) {
		int fd = list_cache_recall(h->cache, URL);

		assert_int_equal(fstat(fd, &st), 0);
		assert_true(st.st_ino == disk.st_ino && st.st_dev == disk.st_dev);
		(void)close(fd);
	}
}

static void what_is_no_list_is_not_handed_out(void **state)
{
	const struct here *h = *state;

	assert_int_equal(truncate(h->file, REVOCATION_OCTETS_MOST + 1), 0);
	assert_int_equal(list_cache_recall(h->cache, URL), -1);
	assert_int_equal(unlink(h->file), 0);
	assert_int_equal(symlink("/etc/passwd", h->file), 0);
	assert_int_equal(list_cache_recall(h->cache, URL), -1);
	assert_int_equal(unlink(h->file), 0);
	assert_int_equal(mkfifo(h->file, 0600), 0);
	assert_int_equal(list_cache_recall(h->cache, URL), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_was_kept_comes_back, start, finish),
		cmocka_unit_test_setup_teardown(each_who_asks_has_the_same_file, start, finish),
		cmocka_unit_test_setup_teardown(what_is_no_list_is_not_handed_out, start, finish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
