/* Which profile each interface is in: by the host's page, and where the directory answers. */
#include "tests/unit/unit.h"

#include "base/mem.h"
#include "daemon/host/profiles.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct addr address(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, strlen(text), &a, NULL), 0);
	return a;
}

static void put(struct host_facts *f, const char *interface, const char *text)
{
	f->places = mem_grow(f->places, f->place_count, &f->place_cap, sizeof *f->places);
	f->places[f->place_count] = (struct host_place){ .addr = address(text),
							 .index = (unsigned)(interface[3] - '0') + 2,
							 .carrier = true };
	memcpy(f->places[f->place_count++].interface, interface, strlen(interface) + 1);
	f->own = mem_grow(f->own, f->own_count, &f->own_cap, sizeof *f->own);
	f->own[f->own_count++] = (struct host_address){ address(text), 24 };
}

static struct host_facts *machine(void)
{
	struct host_facts *f = mem_new(1, sizeof *f);

	put(f, "eth0", "10.0.0.1");
	put(f, "eth0", "fd00::1");
	put(f, "eth1", "10.1.0.1");
	return f;
}

static void each_interface_has_the_profile_that_the_page_says_or_leaves_open(void **state)
{
	static const struct host_interface named[] = { { "eth0", PROFILE_PUBLIC, true },
						       { "eth1", PROFILE_PRIVATE, 0 } };
	static const struct row {
		size_t named; /* of those */
		bool all;     /* others are automatic too */
		const char *home;
		unsigned eth0, eth1, in_force;
	} rows[] = {
		{ 0, false, NULL, 0, 0, 0 },
		{ 0, false, "10.0.0.1", 0, 0, 0 }, /* a page that names none has all, wherever it is */
		{ 1, false, NULL, PROFILE_PUBLIC, PROFILE_PUBLIC, PROFILE_PUBLIC },
		{ 1, false, "10.0.0.1", PROFILE_DOMAIN, PROFILE_PUBLIC, PROFILE_DOMAIN | PROFILE_PUBLIC },
		{ 1, false, "fd00::1", PROFILE_DOMAIN, PROFILE_PUBLIC, PROFILE_DOMAIN | PROFILE_PUBLIC },
		{ 1, false, "10.1.0.1", PROFILE_PUBLIC, PROFILE_PUBLIC, PROFILE_PUBLIC }, /* eth1 is not automatic */
		{ 2, false, "10.1.0.1", PROFILE_PUBLIC, PROFILE_PRIVATE, PROFILE_PRIVATE | PROFILE_PUBLIC },
		{ 0, true, NULL, PROFILE_PUBLIC, PROFILE_PUBLIC, PROFILE_PUBLIC },
		{ 0, true, "10.1.0.1", PROFILE_PUBLIC, PROFILE_DOMAIN, PROFILE_DOMAIN | PROFILE_PUBLIC },
		{ 0, true, "10.9.0.1", PROFILE_PUBLIC, PROFILE_PUBLIC, PROFILE_PUBLIC },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *r = &rows[i];
		SCOPED(host_facts_freep) struct host_facts *f = machine();
		struct host_interface interfaces[2];
		struct host_homes homes = { 0 };
		struct host_config c = { .interfaces = interfaces,
					 .interface_count = r->named,
					 .interfaces_auto = r->all };

		memcpy(interfaces, named, sizeof interfaces);
		if (r->home)
			(void)host_homes_add(&homes, f, (struct addr[]){ address(r->home) }, &(struct host_time){ 0 },
					     1);
		host_profiles(f, &c, &homes);
		if (host_facts_profile(f, "eth0") != r->eth0 || host_facts_profile(f, "eth1") != r->eth1 ||
		    f->profiles != r->in_force)
			fail_msg("row %zu: %u %u %u", i, host_facts_profile(f, "eth0"), host_facts_profile(f, "eth1"),
				 f->profiles);
	}
}

/* eth0's connection is in this zone; eth1 is not NetworkManager's. */
static void the_interfaces_own_word_counts_before_the_zones_and_that_before_what_holds_for_all(void **state)
{
	enum { SAID = 1, SAID_OPEN = 2, ALL_OPEN = 4, HOME = 8 };
	static const struct host_zone zones[] = { { "home", PROFILE_PRIVATE, false },
						  { "cafe", PROFILE_PUBLIC, false },
						  { "work", PROFILE_PUBLIC, true },
						  { "dc", PROFILE_DOMAIN, false } };
	static const struct row {
		struct zone_told zone;
		unsigned is; /* the page about eth0, and the directory answers there */
		unsigned profile;
		enum profile_source by;
		const char *why;
	} rows[] = {
		{ { ZONE_NAMED, "home" }, 0, PROFILE_PRIVATE, PROFILE_BY_ZONE, "its connection is in zone home" },
		{ { ZONE_NAMED, "home" }, ALL_OPEN | HOME, PROFILE_PRIVATE, PROFILE_BY_ZONE, "zone home" },
		{ { ZONE_NAMED, "home" }, SAID, PROFILE_PUBLIC, PROFILE_BY_PAGE, "host.yaml says so" },
		{ { ZONE_NAMED, "home" },
		  SAID_OPEN,
		  PROFILE_PUBLIC,
		  PROFILE_BY_DEFAULT,
		  "no directory answers over it" },
		{ { ZONE_NAMED, "home" },
		  SAID_OPEN | HOME,
		  PROFILE_DOMAIN,
		  PROFILE_BY_DIRECTORY,
		  "the directory answers over it" },
		{ { ZONE_NAMED, "cafe" }, ALL_OPEN | HOME, PROFILE_PUBLIC, PROFILE_BY_ZONE, "zone cafe" },
		{ { ZONE_NAMED, "work" },
		  0,
		  PROFILE_PUBLIC,
		  PROFILE_BY_DEFAULT,
		  "its connection is in zone work; no directory answers over it" },
		{ { ZONE_NAMED, "work" },
		  HOME,
		  PROFILE_DOMAIN,
		  PROFILE_BY_DIRECTORY,
		  "its connection is in zone work; the directory answers over it" },
		{ { ZONE_NAMED, "dc" }, 0, PROFILE_DOMAIN, PROFILE_BY_ZONE, "zone dc" },
		{ { ZONE_NAMED, "Home" },
		  0,
		  PROFILE_PUBLIC,
		  PROFILE_BY_DEFAULT,
		  "its connection is in zone Home, of which host.yaml says nothing" },
		{ { ZONE_NAMED, "dmz" },
		  ALL_OPEN | HOME,
		  PROFILE_DOMAIN,
		  PROFILE_BY_DIRECTORY,
		  "of which host.yaml says nothing; the directory answers over it" },
		{ { ZONE_NONE, "" }, 0, PROFILE_PUBLIC, PROFILE_BY_DEFAULT, "its connection names no zone" },
		{ { ZONE_NONE, "" }, ALL_OPEN | HOME, PROFILE_DOMAIN, PROFILE_BY_DIRECTORY, "names no zone; the dir" },
		{ { ZONE_LOST, "home" }, 0, PROFILE_PUBLIC, PROFILE_BY_DEFAULT, "not root's alone" },
		{ { ZONE_TWICE, "home" }, 0, PROFILE_PUBLIC, PROFILE_BY_DEFAULT, "two files" },
		{ { ZONE_ODD, "" }, 0, PROFILE_PUBLIC, PROFILE_BY_DEFAULT, "a name that no zone can have" },
		{ { ZONE_UNMANAGED, "" }, 0, PROFILE_PUBLIC, PROFILE_BY_DEFAULT, "has no connection on it" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *r = &rows[i];
		SCOPED(host_facts_freep) struct host_facts *f = machine();
		struct host_interface said = { "eth0", PROFILE_PUBLIC, r->is & SAID_OPEN };
		struct host_zone own[ARRAY_LEN(zones)];
		struct host_homes homes = { 0 };
		struct host_config c = { .interfaces = &said,
					 .interface_count = r->is & (SAID | SAID_OPEN) ? 1 : 0,
					 .interfaces_auto = r->is & ALL_OPEN,
					 .zones = own,
					 .zone_count = ARRAY_LEN(zones) };
		char buf[PROFILE_WHY_TEXT];
		struct host_profile p;

		memcpy(own, zones, sizeof zones);
		f->places[0].zone = f->places[1].zone = r->zone;
		f->places[2].zone.kind = ZONE_UNMANAGED;
		if (r->is & HOME)
			(void)host_homes_add(&homes, f, (struct addr[]){ address("10.0.0.1") },
					     &(struct host_time){ 0 }, 1);
		host_profiles(f, &c, &homes);
		p = host_profile_of(f, &c, &homes, "eth0");
		if (host_facts_profile(f, "eth0") != r->profile || p.by != r->by ||
		    !strstr(host_profile_why(&p, buf), r->why) || host_facts_profile(f, "eth1") != PROFILE_PUBLIC)
			fail_msg("row %zu: %u, by %s: %s", i, p.profile, profile_source_name(p.by),
				 host_profile_why(&p, buf));
	}
}

/* Without an address all is public, and not everything in force. */
static void a_host_without_addresses_is_in_public(void **state)
{
	SCOPED(host_facts_freep) struct host_facts *f = mem_new(1, sizeof *f);
	struct host_config c = { .interfaces_auto = true };

	(void)state;
	host_profiles(f, &c, NULL);
	assert_int_equal(f->profiles, PROFILE_PUBLIC);
	assert_true(f->interface_count > 0);
}

static struct host_time at(uint64_t boot_ms, uint64_t slept_ms)
{
	return (struct host_time){ boot_ms, slept_ms };
}

static bool arrive(struct host_homes *h, const struct host_facts *f, const char *where, uint64_t boot_ms)
{
	struct addr local = address(where);
	struct host_time asked = at(boot_ms, 0);

	return host_homes_add(h, f, &local, &asked, 100);
}

static bool drop(struct host_homes *h, const struct host_facts *f, uint64_t boot_ms, uint64_t slept_ms)
{
	struct host_time now = at(boot_ms, slept_ms);

	return host_homes_drop(h, f, &now);
}

static void a_home_lasts_as_long_as_it_is_answered_at_and_our_own(void **state)
{
	SCOPED(host_facts_freep) struct host_facts *f = machine();
	struct host_homes h = { 0 };
	char text[16];

	(void)state;
	assert_true(arrive(&h, f, "10.0.0.1", 0));
	assert_false(arrive(&h, f, "10.0.0.1", 50)); /* no news, and longer */
	assert_true(arrive(&h, f, "10.1.0.1", 0));
	assert_false(arrive(&h, f, "10.2.0.1", 0)); /* not ours */
	assert_false(drop(&h, f, 99, 0));
	assert_true(drop(&h, f, 100, 0));
	assert_int_equal(h.count, 1);
	assert_true(addr_equal(&h.all[0].place.addr, (struct addr[]){ address("10.0.0.1") }));
	put(f, "eth1", "10.2.0.1");
	assert_true(arrive(&h, f, "10.2.0.1", 100));
	f->place_count--;
	assert_true(drop(&h, f, 101, 0));
	assert_int_equal(h.count, 1);
	for (unsigned i = 0; i < HOST_HOMES_MOST + 3; i++) {
		(void)snprintf(text, sizeof text, "10.3.0.%u", i);
		put(f, "eth1", text);
		assert_int_equal(arrive(&h, f, text, 0), i < HOST_HOMES_MOST - 1);
	}
	assert_int_equal(h.count, HOST_HOMES_MOST);
}

/* The address may stay: what counts is that it is the same link, which has not been away since. */
static void a_home_is_left_with_its_link_and_when_the_machine_sleeps(void **state)
{
	static const struct row {
		struct host_place now;
		uint64_t slept_ms;
		bool other, left; /* another interface has the address too */
	} rows[] = {
		{ { .index = 2, .carrier = true, .carriers_lost = 0 }, 0, false, false },
		{ { .index = 2, .carrier = true, .carriers_lost = 0 }, 3, false, false }, /* the clocks */
		{ { .index = 2, .carrier = false, .carriers_lost = 1 }, 0, false, true },
		{ { .index = 2, .carrier = true, .carriers_lost = 1 }, 0, false, true },  /* away and back, unseen */
		{ { .index = 2, .carrier = false, .carriers_lost = 0 }, 0, false, true }, /* taken down */
		{ { .index = 9, .carrier = true, .carriers_lost = 0 }, 0, false, true },
		{ { .index = 2, .carrier = true, .carriers_lost = 0 }, 60000, false, true },
		{ { .index = 2, .carrier = true, .carriers_lost = 0 }, 0, true, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		SCOPED(host_facts_freep) struct host_facts *f = machine(), *before = machine();
		struct host_config c = { .interfaces_auto = true };
		struct host_homes h = { 0 };
		struct host_place *p = &f->places[0];
		bool same;

		assert_true(arrive(&h, f, "10.0.0.1", 0));
		p->index = rows[i].now.index;
		p->carrier = rows[i].now.carrier;
		p->carriers_lost = rows[i].now.carriers_lost;
		same = host_facts_same_links(f, before);
		if (rows[i].other)
			put(f, "eth1", "10.0.0.1");
		else if (same != (rows[i].slept_ms != 0 || !rows[i].left))
			fail_msg("row %zu: links", i);
		if (!same) { /* at once, whether or not homes were looked through */
			host_profiles(f, &c, &h);
			assert_int_equal(host_facts_profile(f, "eth0"), PROFILE_PUBLIC);
		}
		if (drop(&h, f, 50, rows[i].slept_ms) != rows[i].left || (h.count == 0) != rows[i].left)
			fail_msg("row %zu", i);
	}
}

static void no_home_is_where_the_link_is_down_or_the_address_in_two_places(void **state)
{
	SCOPED(host_facts_freep) struct host_facts *f = machine();
	struct host_homes h = { 0 };

	(void)state;
	put(f, "eth1", "10.0.0.1");
	assert_false(arrive(&h, f, "10.0.0.1", 0));
	f->places[2].carrier = false;
	assert_false(arrive(&h, f, "10.1.0.1", 0));
	assert_int_equal(h.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_interface_has_the_profile_that_the_page_says_or_leaves_open),
		cmocka_unit_test(the_interfaces_own_word_counts_before_the_zones_and_that_before_what_holds_for_all),
		cmocka_unit_test(a_host_without_addresses_is_in_public),
		cmocka_unit_test(a_home_lasts_as_long_as_it_is_answered_at_and_our_own),
		cmocka_unit_test(a_home_is_left_with_its_link_and_when_the_machine_sleeps),
		cmocka_unit_test(no_home_is_where_the_link_is_down_or_the_address_in_two_places),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
