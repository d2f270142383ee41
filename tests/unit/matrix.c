#include "tests/unit/unit.h"

#include "analysis/matrix.h"
#include "tests/unit/ask.h"

#include <errno.h>

static const char policy[] =
	"hosts:\n  a1: { address: 10.0.0.1 }\n  a2: { address: 10.0.0.2 }\n  b: { address: 10.0.1.1 }\n"
	"  out: { address: 10.0.0.9, agent: none }\n  old: { address: 10.0.0.3, credentials: [key] }\n"
	"zones: { a: [10.0.0.0/24], all: [10.0.0.0/16] }\n"
	"authentication: { default: [ { certificate: { issuer: 'CN=CA' } } ], key: [ { pre-shared-key: { file: /k } } "
	"] }\n"
	"connection-security:\n"
	"  - { name: r, endpoint1: [all], endpoint2: [all], mode: require }\n"
	"  - { name: e, endpoint1: [a], endpoint2: [b], traffic: [dns, tcp/80-89], mode: exempt }\n";

static size_t party(const struct matrix *m, const char *name)
{
	for (size_t i = 0; i < m->party_count; i++)
		if (strcmp(m->parties[i].name, name) == 0)
			return i;
	fail_msg("no party is called %s", name);
	return 0;
}

static size_t kind(const struct matrix *m, const char *name)
{
	for (size_t i = 0; i < m->kind_count; i++)
		if (strcmp(m->kinds[i].name, name) == 0)
			return i;
	fail_msg("no kind is called %s", name);
	return 0;
}

static void matrix_joins_hosts_that_no_rule_tells_apart(void **state)
{
	struct asked_policy p;
	struct matrix m;
	struct diag d = { 0 };

	(void)state;
	ask_open(&p, policy);
	assert_int_equal(matrix_make(p.why, p.alike, NULL, &p.memory, &m, &d), 0);
	assert_int_equal(m.party_count, 4); /* a1 and a2 are one */
	assert_int_equal(m.parties[party(&m, "a1")].host_count, 2);
	assert_false(m.parties[party(&m, "out")].agent);
	assert_int_equal(m.kind_count, 4); /* udp/53, tcp/53, tcp/80-89, any other */
	ask_close(&p);
}

static void matrix_cells_are_what_why_says(void **state)
{
	static const struct {
		const char *from, *to, *traffic;
		enum outcome verdict;
	} rows[] = {
		{ "a1", "a1", "any other", OUTCOME_ENCRYPTED }, { "a1", "b", "any other", OUTCOME_ENCRYPTED },
		{ "a1", "b", "udp/53", OUTCOME_CLEAR },         { "b", "a1", "udp/53", OUTCOME_ENCRYPTED },
		{ "a1", "b", "tcp/80-89", OUTCOME_CLEAR },      { "out", "b", "tcp/80-89", OUTCOME_CLEAR },
		{ "out", "a1", "any other", OUTCOME_BLOCKED },  { "old", "a1", "any other", OUTCOME_BLOCKED },
	};
	struct asked_policy p;
	struct matrix m;
	struct diag d = { 0 };

	(void)state;
	ask_open(&p, policy);
	assert_int_equal(matrix_make(p.why, p.alike, NULL, &p.memory, &m, &d), 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct matrix_cell *c =
			matrix_cell(&m, party(&m, rows[i].from), party(&m, rows[i].to), kind(&m, rows[i].traffic));

		if (!c->asked || c->verdict != rows[i].verdict)
			fail_msg("row %zu: %s", i, c->asked ? outcome_name(c->verdict) : "not asked");
	}
	assert_false(matrix_cell(&m, party(&m, "b"), party(&m, "b"), 0)->asked); /* one host has nobody to talk to */
	ask_close(&p);
}

static void matrix_without_hosts_asks_about_zones_and_anybody_else(void **state)
{
	struct asked_policy p;
	struct matrix m;
	struct diag d = { 0 };

	(void)state;
	ask_open(&p, "zones: { web: [10.0.0.0/30] }\n"
		     "authentication: { default: [ { certificate: { issuer: 'CN=CA' } } ] }\n"
		     "connection-security:\n"
		     "  - { name: r, endpoint1: [any], endpoint2: [web], mode: require }\n"
		     "  - { name: e, endpoint1: [10.9.9.9], endpoint2: [web], mode: exempt }\n");
	assert_int_equal(matrix_make(p.why, p.alike, "tcp/1", &p.memory, &m, &d), 0);
	assert_int_equal(m.party_count, 3);
	assert_int_equal(matrix_cell(&m, party(&m, "anybody else"), party(&m, "web"), 0)->verdict, OUTCOME_ENCRYPTED);
	assert_int_equal(matrix_cell(&m, party(&m, "10.9.9.9"), party(&m, "web"), 0)->verdict, OUTCOME_CLEAR);
	ask_close(&p);
	ask_open(&p, "");
	assert_int_equal(matrix_make(p.why, p.alike, NULL, &p.memory, &m, &d), -ENOENT);
	ask_close(&p);
}

static void alike_addresses_have_one_mark(void **state)
{
	static const struct {
		const char *a, *b;
		bool alike;
	} rows[] = {
		{ "10.0.0.1", "10.0.0.200", true },    { "10.0.0.1", "10.0.1.1", false },
		{ "10.0.1.2", "10.0.200.9", true },    { "10.0.1.1", "10.0.1.2", false },
		{ "192.0.2.1", "8.8.8.8", true },      { "192.0.2.1", "fd00::1", true },
		{ "10.0.255.255", "10.1.0.0", false }, { "0.0.0.0", "255.255.255.255", true },
	};
	struct asked_policy p;

	(void)state;
	ask_open(&p, policy);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct addr a, b;

		assert_int_equal(addr_parse(rows[i].a, strlen(rows[i].a), &a, NULL), 0);
		assert_int_equal(addr_parse(rows[i].b, strlen(rows[i].b), &b, NULL), 0);
		if ((alike_mark(p.alike, &a) == alike_mark(p.alike, &b)) != rows[i].alike)
			fail_msg("row %zu: %s and %s", i, rows[i].a, rows[i].b);
	}
	ask_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(matrix_joins_hosts_that_no_rule_tells_apart),
		cmocka_unit_test(matrix_cells_are_what_why_says),
		cmocka_unit_test(matrix_without_hosts_asks_about_zones_and_anybody_else),
		cmocka_unit_test(alike_addresses_have_one_mark),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
