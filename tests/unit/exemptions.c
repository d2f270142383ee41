/* Temporary exemptions over restarts: a restart goes on with what is left, another boot with nothing. */
#include "base/diag.h"
#include "daemon/force/exemptions.h"
#include "tests/unit/folder.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct state_clock noon = { .boot_ms = 100000, .wall_ms = 5000000, .boot_id = "boot-1" };

static int start(void **state)
{
	char path[] = "/tmp/cordon-exemptions.XXXXXX";

	assert_non_null(mkdtemp(path));
	*state = strdup(path);
	return 0;
}

static int finish(void **state)
{
	assert_int_equal(folder_remove(*state), 0);
	free(*state);
	return 0;
}

static struct exempted_host row(const char *host, const char *address, uint64_t until_boot_ms)
{
	struct exempted_host x = { .address_count = 1, .until_boot_ms = until_boot_ms, .by = "root" };

	(void)snprintf(x.host, sizeof x.host, "%s", host);
	(void)snprintf(x.reason, sizeof x.reason, "because of %s", host);
	assert_int_equal(addr_parse(address, strlen(address), &x.addresses[0], NULL), 0);
	return x;
}

static struct exemptions *open_at(const char *folder, struct state_clock now, size_t *lost)
{
	struct exemptions *e = NULL;
	struct diag why = { 0 };

	assert_int_equal(exemptions_open(folder, &now, &e, lost, &why), 0);
	return e;
}

static void put(struct exemptions *e, struct exempted_host x)
{
	assert_non_null(exemptions_put(e, &x));
}

static void a_restart_goes_on_with_what_is_left(void **state)
{
	struct state_clock later = noon, other = noon;
	struct exemptions *e;
	size_t lost;

	e = open_at(*state, noon, &lost);
	put(e, row("srv1", "10.0.0.1", 160000));
	put(e, row("srv2", "fd00::2", 110000));
	assert_int_equal(exemptions_save(e, &noon, NULL), 0);
	exemptions_free(e);

	later.boot_ms = 120000;
	e = open_at(*state, later, &lost);
	assert_int_equal(lost, 0);
	assert_int_equal(e->count, 1); /* the other is over */
	assert_string_equal(e->rows[0].host, "srv1");
	assert_string_equal(e->rows[0].reason, "because of srv1");
	assert_int_equal(e->rows[0].until_boot_ms, 160000);
	exemptions_free(e);

	(void)snprintf(other.boot_id, sizeof other.boot_id, "boot-2");
	e = open_at(*state, other, &lost);
	assert_int_equal(e->count, 0);
	assert_int_equal(lost, 2);
	exemptions_free(e);

	/* a machine that does not say which boot it is cannot tell this boot from another */
	other.boot_id[0] = '\0';
	e = open_at(*state, other, &lost);
	assert_int_equal(e->count, 0);
	exemptions_free(e);
}

static void a_bad_file_exempts_nobody(void **state)
{
	static const struct {
		const char *text;
		int result;
	} rows[] = {
		{ "", -1 },
		{ "{", -1 },
		{ "[]", 0 },
		{ "{\"boot_id\":\"boot-1\",\"exemptions\":7}", 0 },
		{ "{\"boot_id\":\"boot-1\",\"exemptions\":[7,{}]}", 0 },
		{ "{\"boot_id\":\"boot-1\",\"exemptions\":[{\"host\":\"h\",\"reason\":\"r\",\"by\":\"b\",\"addresses\":"
		  "[],"
		  "\"until_boot_ms\":999999999}]}",
		  0 },
		{ "{\"boot_id\":\"boot-1\",\"exemptions\":[{\"host\":\"h\",\"reason\":\"r\",\"by\":\"b\","
		  "\"addresses\":[\"10.0.0.0/8\"],\"until_boot_ms\":999999999}]}",
		  0 },
		{ "{\"boot_id\":\"boot-1\",\"exemptions\":[{\"host\":\"h\",\"reason\":\"r\",\"by\":\"b\","
		  "\"addresses\":[\"10.0.0.1\"],\"until_boot_ms\":-1}]}",
		  0 },
		{ "{\"boot_id\":\"boot-1\",\"exemptions\":[{\"host\":\"h\",\"reason\":\"r\",\"by\":\"b\","
		  "\"addresses\":[3],\"until_boot_ms\":999999999}]}",
		  0 },
	};
	char path[128];

	(void)snprintf(path, sizeof path, "%s/exemptions.json", (const char *)*state);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct exemptions *e = NULL;
		struct diag why = { 0 };
		FILE *f = fopen(path, "w");
		size_t lost;
		int r;

		assert_non_null(f);
		(void)fputs(rows[i].text, f);
		(void)fclose(f);
		r = exemptions_open(*state, &noon, &e, &lost, &why);
		if ((r < 0) != (rows[i].result < 0) || e->count != 0)
			fail_msg("row %zu: %d, %zu exemptions", i, r, e->count);
		exemptions_free(e);
	}
}

static void the_longest_of_an_address_counts(void **state)
{
	struct state_clock late = noon;
	struct exemptions *e;
	struct addr a;
	size_t lost;

	e = open_at(*state, noon, &lost);
	a = row("x", "10.0.0.1", 0).addresses[0];
	assert_int_equal(exemptions_until_ms(e, &a), 0);
	assert_true(exemptions_next_ms(e) == UINT64_MAX);
	put(e, row("zone", "10.0.0.1", 150000));
	put(e, row("10.0.0.1", "10.0.0.1", 130000));
	assert_int_equal(exemptions_until_ms(e, &a), 150000);
	assert_int_equal(exemptions_next_ms(e), 130000);
	assert_null(exemptions_over(e, &noon));
	put(e, row("zone", "10.0.0.1", 120000)); /* again: a new time, not one more */
	assert_int_equal(e->count, 2);
	late.boot_ms = 120000;
	assert_string_equal(exemptions_over(e, &late)->host, "zone");
	exemptions_remove(e, exemptions_over(e, &late));
	assert_int_equal(exemptions_until_ms(e, &a), 130000);
	exemptions_free(e);
}

static void there_are_so_many_and_no_more(void **state)
{
	struct exemptions *e;
	struct exempted_host x;
	char name[16];
	size_t lost;

	e = open_at(*state, noon, &lost);
	for (int i = 0; i < EXEMPTIONS_MOST; i++) {
		(void)snprintf(name, sizeof name, "h%d", i);
		put(e, row(name, "10.0.0.1", 150000));
	}
	x = row("one more", "10.0.0.1", 150000);
	assert_null(exemptions_put(e, &x));
	x = row("h7", "10.0.0.1", 160000);
	assert_non_null(exemptions_put(e, &x));
	exemptions_free(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_restart_goes_on_with_what_is_left, start, finish),
		cmocka_unit_test_setup_teardown(a_bad_file_exempts_nobody, start, finish),
		cmocka_unit_test_setup_teardown(the_longest_of_an_address_counts, start, finish),
		cmocka_unit_test_setup_teardown(there_are_so_many_and_no_more, start, finish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
