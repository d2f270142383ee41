/* What this machine says of names: read from files of any kind, believed only where it makes sense. */
#include "tests/unit/unit.h"

#include "base/scope.h"
#include "daemon/sources/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void resolvers_are_those_of_the_file(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ "nameserver 10.0.0.1\n", "10.0.0.1:53" },
		{ "# nameserver 10.0.0.9\n\t nameserver\t2001:db8::1 ; first\nnameserver 10.0.0.2",
		  "[2001:db8::1]:53,10.0.0.2:53" },
		{ "nameserver 10.0.0.1\nnameserver 10.0.0.2\nnameserver 10.0.0.3\nnameserver 10.0.0.4\n",
		  "10.0.0.1:53,10.0.0.2:53,10.0.0.3:53" },
		{ "", "127.0.0.1:53" },
		{ "search corp.example\nnameservers 10.0.0.1\nnameserver\nnameserver ten\nnameserver "
		  "10.0.0.1,10.0.0.2\n",
		  "127.0.0.1:53" },
		{ "nameserver fe80::1%eth0\n", "127.0.0.1:53" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		SCOPED(names_freep) struct names *n = names_parse(rows[i].text, strlen(rows[i].text), "", 0);

		if (strcmp(names_servers(n), rows[i].want) != 0)
			fail_msg("row %zu: %s", i, names_servers(n));
	}
}

static void hosts_are_found_whatever_their_case(void **state)
{
	static const char text[] = "127.0.0.1 localhost\n::1 localhost ip6-localhost\n# 10.0.0.9 pki\n"
				   "10.0.0.5\tpki.corp.example  PKI #10.0.0.6\nten pki\n10.0.0.7\n10.0.0.8 pki";
	SCOPED(names_freep) struct names *n = names_parse("", 0, text, sizeof text - 1);
	struct addr found[NAMES_ADDRESSES_MOST];
	char words[ADDR_TEXT];

	(void)state;
	assert_int_equal(names_look_up(n, "LocalHost", found), 2);
	assert_string_equal(addr_text(&found[1], words), "::1");
	assert_int_equal(names_look_up(n, "pki", found), 2);
	assert_string_equal(addr_text(&found[0], words), "10.0.0.5");
	assert_string_equal(addr_text(&found[1], words), "10.0.0.8");
	assert_int_equal(names_look_up(n, "", found), 0);
	assert_int_equal(names_look_up(n, "corp.example", found), 0);
}

static void a_name_has_so_many_addresses_at_most(void **state)
{
	static char text[64 * 20];
	struct addr found[NAMES_ADDRESSES_MOST];
	size_t len = 0;

	(void)state;
	for (int i = 0; i < 60; i++)
		len += (size_t)snprintf(text + len, sizeof text - len, "10.0.0.%d x\n", i);
	SCOPED(names_freep) struct names *n = names_parse("", 0, text, len);
	assert_int_equal(names_look_up(n, "x", found), NAMES_ADDRESSES_MOST);
}

static void what_is_no_file_or_too_long_counts_as_empty(void **state)
{
	int memory = memfd_create("hosts", MFD_CLOEXEC), pipes[2];
	struct addr found[NAMES_ADDRESSES_MOST];

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(write(memory, "10.0.0.1 x\n", 11), 11);
	{
		SCOPED(names_freep) struct names *n = names_read(pipes[0], memory);

		assert_string_equal(names_servers(n), "127.0.0.1:53");
		assert_int_equal(names_look_up(n, "x", found), 1);
	}
	assert_int_equal(ftruncate(memory, NAMES_FILE_MOST + 1), 0);
	{
		SCOPED(names_freep) struct names *n = names_read(-1, memory);

		assert_int_equal(names_look_up(n, "x", found), 0);
	}
	(void)close(memory);
	(void)close(pipes[0]);
	(void)close(pipes[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(resolvers_are_those_of_the_file),
		cmocka_unit_test(hosts_are_found_whatever_their_case),
		cmocka_unit_test(a_name_has_so_many_addresses_at_most),
		cmocka_unit_test(what_is_no_file_or_too_long_counts_as_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
