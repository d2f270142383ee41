/* Into which zone an interface's connection is, by the files that NetworkManager 1.42 keeps. */
#include "tests/unit/unit.h"

#include "base/mem.h"
#include "daemon/host/zones.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOME "638ad97e-1110-45ae-82a2-831e3f0b5e42"
#define CAFE "acc31130-8720-4cc9-ba34-b12d00d05e8c"
#define RUN "/run/NetworkManager/system-connections/"
#define ETC "/etc/NetworkManager/system-connections/"
#define LIB "/usr/lib/NetworkManager/system-connections/"

static void a_key_is_found_in_its_group(void **state)
{
	static const struct {
		const char *file, *want; /* NULL: none */
	} rows[] = {
		{ "[connection]\nzone=home\n", "home" },
		{ "[connection]\nzone=home", "home" },
		{ "[connection]\r\nzone=home\r\n", "home" },
		{ "# of mine\n\n[connection]\nid=x\n  zone \t=  home\n[ipv4]\nzone=x\n", "home" },
		{ "[connection]\nzone=\n", "" },
		{ "[connection]\nzone=a=b\n", "a=b" },
		{ "[connection]\nzone=a\nzone=b\n", "b" },
		{ "[connection]\nzone=a\n[ipv4]\n[connection]\nzone=b\n", "b" },
		{ "[connection]  \nzone=home\n", "home" },
		{ "zone=home\n[connection]\nid=x\n", NULL },
		{ "[ipv4]\nzone=home\n", NULL },
		{ "[connection]\n#zone=home\n", NULL },
		{ "[connection]\nzone[de]=heim\nzones=x\nzon=x\nzone\n", NULL },
		{ "[connection]\n[ipv4\nzone=home\n", NULL },
		{ "[connection]x\nzone=home\n", NULL },
		{ "[]\nzone=home\n", NULL },
		{ "[", NULL },
		{ "", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t len = strlen(rows[i].file);
		char *exact = mem_copy(rows[i].file, len ? len : 1); /* so that a look behind it is found */
		struct keyfile_span value;
		char word[16];
		bool found = keyfile_find((struct keyfile_span){ exact, len }, "connection", "zone", &value);

		if (found != (rows[i].want != NULL) ||
		    (found && (!keyfile_copy(value, word, sizeof word) || strcmp(word, rows[i].want) != 0)))
			fail_msg("row %zu: %s", i, found ? word : "none");
		free(exact);
	}
}

/* ---- folders ----------------------------------------------------------------------------------------------------- */

static char root[] = "/tmp/cordon-zones-XXXXXX";

static void put(const char *path, const char *text, mode_t mode)
{
	char full[256];
	FILE *f;

	(void)snprintf(full, sizeof full, "%s%s", root, path);
	for (char *slash = full + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
		*slash = '\0';
		(void)mkdir(full, 0755);
	}
	(void)unlink(full);
	assert_non_null(f = fopen(full, "w"));
	(void)fputs(text, f);
	(void)fclose(f);
	assert_int_equal(chmod(full, mode), 0);
}

static void connection(const char *path, const char *uuid, const char *zone)
{
	char text[256];

	(void)snprintf(text, sizeof text, "[connection]\nid=x\nuuid=%s\ntype=ethernet\n%s%s\n[ipv4]\nmethod=auto\n",
		       uuid, *zone ? "zone=" : "", zone);
	put(path, text, 0600);
}

static void device(unsigned index, const char *uuid)
{
	char path[64], text[256];

	(void)snprintf(path, sizeof path, "/run/NetworkManager/devices/%u", index);
	(void)snprintf(text, sizeof text, "[device]\nmanaged=true\n%s%s\nnm-owned=false\n",
		       *uuid ? "connection-uuid=" : "", uuid);
	put(path, text, 0644);
}

static int forget(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st, (void)type, (void)where;
	return remove(path);
}

static int clean(void **state)
{
	(void)state;
	(void)nftw(root, forget, 8, FTW_DEPTH | FTW_PHYS);
	return 0;
}

static int fresh(void **state)
{
	(void)state;
	(void)mkdir(root, 0755);
	device(2, HOME);
	device(3, "");
	return 0;
}

static struct zone_told zone_of(unsigned index)
{
	struct host_place places[] = { { .index = 2 }, { .index = 2 }, { .index = 3 }, { .index = 9 } };
	struct host_facts f = { .places = places, .place_count = ARRAY_LEN(places) };

	zones_read(root, &f);
	assert_int_equal(places[0].zone.kind, places[1].zone.kind);
	for (size_t i = 0; i < ARRAY_LEN(places); i++)
		if (places[i].index == index)
			return places[i].zone;
	fail();
	return (struct zone_told){ 0 };
}

static void is(enum zone_kind kind, const char *name)
{
	struct zone_told told = zone_of(2);

	if (told.kind != kind || strcmp(told.name, name) != 0)
		fail_msg("kind %d, not %d: '%s'", told.kind, kind, told.name);
}

static void the_connection_that_is_up_tells_its_zone(void **state)
{
	(void)state;
	is(ZONE_LOST, ""); /* nothing tells of it */
	connection(ETC "cafe.nmconnection", CAFE, "public");
	is(ZONE_LOST, "");
	connection(ETC "home.nmconnection", HOME, "");
	is(ZONE_NONE, "");
	connection(ETC "home.nmconnection", HOME, "home");
	is(ZONE_NAMED, "home");
	device(2, CAFE);
	is(ZONE_NAMED, "public");
	device(2, "ACC31130-8720-4CC9-BA34-B12D00D05E8C");
	is(ZONE_NAMED, "public");
	device(2, "");
	is(ZONE_UNMANAGED, "");
	assert_int_equal(zone_of(3).kind, ZONE_UNMANAGED);
	assert_int_equal(zone_of(9).kind, ZONE_UNMANAGED); /* has no file */
}

static void what_is_said_for_a_while_counts_before_what_is_kept_and_that_before_what_came_with_the_system(void **state)
{
	(void)state;
	connection(LIB "x.nmconnection", HOME, "lib");
	is(ZONE_NAMED, "lib");
	connection(ETC "an old name", HOME, "etc");
	is(ZONE_NAMED, "etc");
	connection(RUN "netplan-eth0.nmconnection", HOME, "run");
	is(ZONE_NAMED, "run");
	connection(RUN "netplan-eth0.nmconnection", HOME, "");
	is(ZONE_NONE, "");
}

static void what_is_not_clear_tells_no_zone(void **state)
{
	(void)state;
	connection(ETC "home.nmconnection", HOME, "home");
	connection(ETC "copy.nmconnection", HOME, "home");
	is(ZONE_NAMED, "home");
	connection(ETC "copy.nmconnection", HOME, "public");
	is(ZONE_TWICE, "");
	connection(ETC "third.nmconnection", HOME, "public");
	is(ZONE_TWICE, "");
	connection(ETC "copy.nmconnection", CAFE, "public");
	connection(ETC "third.nmconnection", CAFE, "public");
	connection(ETC ".home.nmconnection.swp", HOME, "x");
	connection(ETC "home.nmconnection~", HOME, "x");
	connection(ETC "home.nmconnection.A1B2C3", HOME, "x"); /* being written */
	is(ZONE_NAMED, "home");
	connection(ETC "home.nmconnection", HOME, "\033[31mhome");
	is(ZONE_ODD, "");
	connection(ETC "home.nmconnection", HOME, "my home");
	is(ZONE_ODD, "");
}

static void only_files_that_are_roots_alone_count(void **state)
{
	char from[128], to[128], *huge = mem_new((256 << 10) + 1, 1);

	(void)state;
	connection(ETC "home.nmconnection", HOME, "home");
	(void)snprintf(to, sizeof to, "%s%shome.nmconnection", root, ETC);
	assert_int_equal(chmod(to, 0660), 0);
	is(ZONE_LOST, "");
	assert_int_equal(chmod(to, 0602), 0);
	is(ZONE_LOST, "");
	assert_int_equal(chmod(to, 0640), 0);
	is(ZONE_NAMED, "home");
	(void)snprintf(from, sizeof from, "%s/elsewhere", root);
	assert_int_equal(rename(to, from), 0);
	assert_int_equal(symlink(from, to), 0);
	is(ZONE_LOST, "");
	assert_int_equal(unlink(to), 0);
	assert_int_equal(mkfifo(to, 0600), 0); /* nobody is waited for */
	is(ZONE_LOST, "");
	assert_int_equal(unlink(to), 0);
	assert_int_equal(mkdir(to, 0700), 0);
	is(ZONE_LOST, "");
	assert_int_equal(rmdir(to), 0);
	memset(huge, '\n', 256 << 10);
	memcpy(huge, "[connection]\nuuid=" HOME, strlen("[connection]\nuuid=" HOME));
	put(ETC "home.nmconnection", huge, 0600);
	is(ZONE_LOST, "");
	huge[(256 << 10) - 1] = '\0';
	put(ETC "home.nmconnection", huge, 0600);
	is(ZONE_NONE, "");
	connection(ETC "home.nmconnection", HOME, "home");
	is(ZONE_NAMED, "home");
	(void)snprintf(to, sizeof to, "%s%s", root, ETC);
	assert_int_equal(chmod(to, 0777), 0);
	is(ZONE_LOST, "");
	assert_int_equal(chmod(to, 0755), 0);
	(void)snprintf(to, sizeof to, "%s/run/NetworkManager/devices/2", root);
	assert_int_equal(chmod(to, 0666), 0);
	is(ZONE_UNMANAGED, "");
	free(huge);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_is_found_in_its_group),
		cmocka_unit_test_setup_teardown(the_connection_that_is_up_tells_its_zone, fresh, clean),
		cmocka_unit_test_setup_teardown(
			what_is_said_for_a_while_counts_before_what_is_kept_and_that_before_what_came_with_the_system,
			fresh, clean),
		cmocka_unit_test_setup_teardown(what_is_not_clear_tells_no_zone, fresh, clean),
		cmocka_unit_test_setup_teardown(only_files_that_are_roots_alone_count, fresh, clean),
	};

	if (!mkdtemp(root))
		return 1;
	return cmocka_run_group_tests(tests, NULL, clean);
}
