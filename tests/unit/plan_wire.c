/* What a plan is compiled from survives its way to another process, and nothing else is taken for it. */
#include "tests/unit/unit.h"

#include "base/diag.h"
#include "base/report.h"
#include "base/scope.h"
#include "base/text.h"
#include "daemon/messages/plan_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char policy[] =
	"cordon: 1\n"
	"zones: { here: [10.1.0.0/16], there: [10.2.0.0/16] }\n"
	"authentication: { how: [ { pre-shared-key: { file: /psk } } ] }\n"
	"connection-security:\n"
	"  - { name: all, endpoint1: [here], endpoint2: [there], mode: require, authentication: how }\n"
	"  - { name: names, endpoint1: [here], endpoint2: [dns-servers], mode: exempt }\n";

static struct host_address own[2];
static struct addr dns[3];

static struct plan_host host_of(void)
{
	struct plan_host h = { .name = "a", .own = own, .own_count = ARRAY_LEN(own), .profiles = PROFILE_PRIVATE };

	own[0] = (struct host_address){ addr_v4(10, 1, 0, 1), 24 };
	own[1] = (struct host_address){ { .family = 6, .octets = { 0xfd, [15] = 7 } }, -1 };
	for (size_t i = 0; i < ARRAY_LEN(dns); i++)
		dns[i] = addr_v4(10, 9, 9, (uint8_t)i);
	h.servers[KEYWORD_DNS_SERVERS] = dns;
	h.server_counts[KEYWORD_DNS_SERVERS] = ARRAY_LEN(dns);
	return h;
}

/* The sealed file's octets; free() them. */
static uint8_t *sealed(size_t *ret_len)
{
	struct text *text = text_new("/etc/p.yaml", policy, sizeof policy - 1);
	struct plan_host host = host_of();
	struct stat s;
	uint8_t *octets;
	int fd = plan_wire_seal(7, text, &host, NULL);

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &s), 0);
	octets = malloc((size_t)s.st_size);
	assert_non_null(octets);
	*ret_len = (size_t)s.st_size;
	assert_int_equal(pread(fd, octets, *ret_len, 0), s.st_size);
	(void)close(fd);
	text_free(text);
	return octets;
}

static void all_of_it_comes_back(void **state)
{
	struct plan_parts p;
	struct diag d = { 0 };
	size_t len;
	uint8_t *octets = sealed(&len);

	(void)state;
	assert_int_equal(plan_parts_decode(octets, len, &p, &d), 0);
	assert_int_equal(p.number, 7);
	assert_int_equal(p.path_len, strlen("/etc/p.yaml"));
	assert_memory_equal(p.path, "/etc/p.yaml", p.path_len);
	assert_string_equal(p.host.name, "a");
	assert_int_equal(p.host.profiles, PROFILE_PRIVATE);
	assert_int_equal(p.host.own_count, ARRAY_LEN(own));
	for (size_t i = 0; i < ARRAY_LEN(own); i++) {
		assert_true(addr_equal(&p.host.own[i].addr, &own[i].addr));
		assert_int_equal(p.host.own[i].prefix, own[i].prefix);
	}
	assert_int_equal(p.host.server_counts[KEYWORD_DNS_SERVERS], ARRAY_LEN(dns));
	for (size_t i = 0; i < ARRAY_LEN(dns); i++)
		assert_true(addr_equal(&p.host.servers[KEYWORD_DNS_SERVERS][i], &dns[i]));
	assert_int_equal(p.policy_len, sizeof policy - 1);
	assert_memory_equal(p.policy, policy, p.policy_len);
	plan_parts_wipe(&p);
	free(octets);
}

static void every_truncation_before_the_policy_is_refused(void **state)
{
	struct plan_parts p;
	size_t len;
	uint8_t *octets = sealed(&len);

	(void)state;
	for (size_t n = 0; n < len - (sizeof policy - 1); n++) {
		uint8_t *cut = malloc(n + 1); /* so that the sanitizer sees whoever reads beyond */

		assert_non_null(cut);
		memcpy(cut, octets, n);
		if (plan_parts_decode(cut, n, &p, NULL) != -ERR_SYNTAX)
			fail_msg("%zu octets were taken", n);
		free(cut);
	}
	free(octets);
}

static void wrong_octets_are_refused(void **state)
{
	/* where, what: magic, an unknown profile, more addresses than there can be, a family, a prefix */
	const size_t after_name = 4 + 8 + 2 + 11 + 2 + 1;
	const struct {
		size_t at;
		uint8_t octet;
	} rows[] = { { 0, 0 },
		     { after_name + 3, 8 },
		     { after_name + 4, 255 },
		     { after_name + 8, 5 },
		     { after_name + 8 + 6, 33 } };
	struct plan_parts p;
	size_t len;
	uint8_t *octets = sealed(&len);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t was = octets[rows[i].at];

		octets[rows[i].at] = rows[i].octet;
		if (plan_parts_decode(octets, len, &p, NULL) != -ERR_SYNTAX)
			fail_msg("row %zu", i);
		octets[rows[i].at] = was;
	}
	assert_int_equal(plan_parts_decode(octets, len, &p, NULL), 0);
	plan_parts_wipe(&p);
	free(octets);
}

static void both_ends_have_the_same_plan(void **state)
{
	struct plan_host host = host_of();
	struct text *text = text_new("/etc/p.yaml", policy, sizeof policy - 1);
	SCOPED(plan_made_wipe) struct plan_made here = { .report = report_new() }, there = { 0 };
	struct plan_packet k = { .local = own[0].addr,
				 .remote = addr_v4(10, 2, 3, 4),
				 .initiator = INITIATOR_EITHER,
				 .protocol = 6,
				 .remote_port = 80 };
	int fd = plan_wire_seal(8, text, &host, NULL);

	(void)state;
	assert_int_equal(policy_parse(text, &(struct policy_load_options){ 0 }, here.report, &here.policy), 0);
	assert_int_equal(plan_compile(here.policy, &host, here.report, &here.plan), 0);
	assert_int_equal(plan_wire_open(fd, &there, NULL), 0);
	assert_int_equal(there.number, 8);
	assert_non_null(plan_lookup_protecting(here.plan, &k));
	assert_string_equal(plan_lookup_protecting(there.plan, &k)->rule->name, "all");
	k.remote = dns[1];
	assert_string_equal(plan_lookup(there.plan, &k)->rule->name, plan_lookup(here.plan, &k)->rule->name);
	(void)close(fd);
}

static void nobody_can_change_it(void **state)
{
	struct plan_host host = host_of();
	struct text *text = text_new("/p", policy, sizeof policy - 1);
	int fd = plan_wire_seal(1, text, &host, NULL);

	(void)state;
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(ftruncate(fd, 1), -1);
	assert_ptr_equal(mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	(void)close(fd);
	text_free(text);
}

static void what_does_not_compile_is_said(void **state)
{
	struct plan_host host = host_of();
	struct text *text = text_new("/p", "cordon: 1\nnonsense: 2\n", 22);
	struct plan_made m = { 0 };
	struct diag d = { 0 };
	int fd = plan_wire_seal(1, text, &host, NULL);

	(void)state;
	assert_true(plan_wire_open(fd, &m, &d) < 0);
	assert_non_null(strstr(d.text, "plan 1"));
	(void)close(fd);
	text_free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_it_comes_back),
		cmocka_unit_test(every_truncation_before_the_policy_is_refused),
		cmocka_unit_test(wrong_octets_are_refused),
		cmocka_unit_test(both_ends_have_the_same_plan),
		cmocka_unit_test(nobody_can_change_it),
		cmocka_unit_test(what_does_not_compile_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
