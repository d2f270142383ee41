/* Which profile each interface is in: by the host's page, and where the directory answers. */
#include "tests/unit/unit.h"

#include "base/mem.h"
#include "daemon/host/profiles.h"

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
	f->places[f->place_count] = (struct host_place){ .addr = address(text) };
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
			assert_true(host_homes_add(&homes, &(struct addr){ 0 }, 0, 1) &&
				    host_homes_add(&homes, (struct addr[]){ address(r->home) }, 0, 1));
		host_profiles(f, &c, &homes);
		if (host_facts_profile(f, "eth0") != r->eth0 || host_facts_profile(f, "eth1") != r->eth1 ||
		    f->profiles != r->in_force)
			fail_msg("row %zu: %u %u %u", i, host_facts_profile(f, "eth0"), host_facts_profile(f, "eth1"),
				 f->profiles);
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

static void a_home_lasts_as_long_as_it_is_answered_at_and_our_own(void **state)
{
	SCOPED(host_facts_freep) struct host_facts *f = machine();
	struct addr here = address("10.0.0.1"), there = address("10.1.0.1"), gone = address("10.2.0.1");
	struct host_homes h = { 0 };

	(void)state;
	assert_true(host_homes_add(&h, &here, 0, 100));
	assert_false(host_homes_add(&h, &here, 50, 100)); /* no news, and longer */
	assert_true(host_homes_add(&h, &there, 0, 100));
	assert_false(host_homes_drop(&h, f, 99));
	assert_true(host_homes_drop(&h, f, 100));
	assert_int_equal(h.count, 1);
	assert_true(addr_equal(&h.all[0].local, &here));
	assert_true(host_homes_add(&h, &gone, 100, 100));
	assert_true(host_homes_drop(&h, f, 101));
	assert_int_equal(h.count, 1);
	for (unsigned i = 0; i < HOST_HOMES_MOST + 3; i++) {
		gone.octets[3] = (uint8_t)i;
		assert_int_equal(host_homes_add(&h, &gone, 0, 1), i < HOST_HOMES_MOST - 1);
	}
	assert_int_equal(h.count, HOST_HOMES_MOST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_interface_has_the_profile_that_the_page_says_or_leaves_open),
		cmocka_unit_test(a_host_without_addresses_is_in_public),
		cmocka_unit_test(a_home_lasts_as_long_as_it_is_answered_at_and_our_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
