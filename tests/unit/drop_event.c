/* What the table logs of a packet becomes an event, or nothing. */
#include "daemon/tell/drop_event.h"

#include "base/report.h"
#include "base/scope.h"
#include "base/text.h"
#include "enforce/counters.h"
#include "tests/unit/planned.h"
#include "tests/unit/unit.h"

#include <linux/netfilter.h>
#include <stdio.h>
#include <string.h>

static const uint8_t tcp4[] = { 0x45, 0,  0,  60, 0, 1,  0x40, 0,    64,   6,    0, 0, 10, 77,
				1,    66, 10, 77, 1, 21, 0xc2, 0x94, 0x01, 0xbd, 0, 0, 0,  0 };

static struct policy *two_rules(struct report *r)
{
	static const char text[] = "cordon: 1\n"
				   "zones: { a: [10.77.1.0/24] }\n"
				   "connection-security:\n"
				   "  - { name: first, endpoint1: [a], endpoint2: [a], mode: exempt, protocol: tcp }\n"
				   "  - { name: second, endpoint1: [a], endpoint2: [a], mode: block }\n";
	struct policy *p = NULL;

	assert_int_equal(policy_parse(text_new("two.yaml", text, sizeof text - 1), NULL, r, &p), 0);
	return p;
}

static struct nflog_packet packet(const char *prefix, uint8_t hook)
{
	struct nflog_packet p = { .hook = hook, .octets = tcp4, .len = sizeof tcp4 };

	(void)snprintf(p.prefix, sizeof p.prefix, "%s", prefix);
	return p;
}

static void kinds_have_their_event_direction_and_ends(void **state)
{
	static const struct {
		const char *kind;
		uint8_t hook;
		enum event_id id;
		enum event_direction way;
	} rows[] = {
		{ "clear-in", NF_INET_PRE_ROUTING, EVENT_PACKET_DROPPED, EVENT_IN },
		{ "leak", NF_INET_POST_ROUTING, EVENT_PACKET_DROPPED, EVENT_OUT },
		{ "blocked-in", NF_INET_PRE_ROUTING, EVENT_PACKET_DROPPED, EVENT_IN },
		{ "blocked-out", NF_INET_LOCAL_OUT, EVENT_PACKET_DROPPED, EVENT_OUT },
		{ "exempt", NF_INET_PRE_ROUTING, EVENT_CONNECTION_CLEAR, EVENT_IN },
		{ "exempt", NF_INET_POST_ROUTING, EVENT_CONNECTION_CLEAR, EVENT_OUT },
		{ "clear-out", NF_INET_POST_ROUTING, EVENT_CONNECTION_CLEAR, EVENT_OUT },
		{ "clear-accepted", NF_INET_PRE_ROUTING, EVENT_CONNECTION_CLEAR, EVENT_IN },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char prefix[64];
		struct nflog_packet p;
		struct event e;

		(void)snprintf(prefix, sizeof prefix, "cordon %s 0 00000000 ", rows[i].kind);
		p = packet(prefix, rows[i].hook);
		if (!drop_event(&p, NULL, NULL, &e) || e.id != rows[i].id || e.direction != rows[i].way)
			fail_msg("row %zu: %s", i, rows[i].kind);
		assert_string_equal(e.reason, rows[i].kind);
		assert_int_equal(e.protocol, 6);
		assert_int_equal(e.remote.octets[3], e.direction == EVENT_IN ? 66 : 21);
		assert_int_equal(e.remote_port, e.direction == EVENT_IN ? 49812 : 445);
		assert_int_equal(e.local_port, e.direction == EVENT_IN ? 445 : 49812);
		assert_non_null(strstr(e.text, "tcp 10.77.1.66 port 49812 -> 10.77.1.21 port 445 "));
	}
}

/* A packet may have been logged by the table before, whose numbers were other rules'. */
static void the_rule_is_known_by_its_mark(void **state)
{
	SCOPED(report_freep) struct report *r = report_new();
	SCOPED(policy_freep) struct policy *policy = two_rules(r);
	const struct rule *rules;
	struct nflog_packet p;
	struct event e;
	char prefix[64];

	(void)state;
	assert_int_equal(policy_rules(policy, &rules), 2);
	(void)snprintf(prefix, sizeof prefix, "cordon blocked-in 1 %08x ", gate_rule_mark("second"));
	p = packet(prefix, 0);
	assert_true(drop_event(&p, policy, NULL, &e));
	assert_string_equal(e.rule, "second");
	(void)snprintf(prefix, sizeof prefix, "cordon blocked-in 0 %08x ", gate_rule_mark("second"));
	p = packet(prefix, 0);
	assert_true(drop_event(&p, policy, NULL, &e));
	assert_string_equal(e.rule, "");
	(void)snprintf(prefix, sizeof prefix, "cordon blocked-in 2 %08x ", gate_rule_mark("second"));
	p = packet(prefix, 0);
	assert_true(drop_event(&p, policy, NULL, &e));
	assert_string_equal(e.rule, "");
}

/* Rules that do the same share a chain, which does not say whose packet it was. */
static void a_rule_among_many_is_known_by_the_packet(void **state)
{
	static const struct {
		const char *kind, *rule;
	} rows[] = {
		{ "blocked-in", "closed" }, { "clear-in", "all" },
		{ "exempt", "web" },        /* though it does not match: who else would it have been? */
		{ "clear-accepted", "" },   /* no rule between these two does that */
		{ "firewall-blocked", "" }, /* not of these rules */
	};
	static const char text[] =
		"cordon: 1\n"
		"zones: { a: [10.77.1.0/24] }\n"
		"authentication: { how: [ { pre-shared-key: { file: /k } } ] }\n"
		"connection-security:\n"
		"  - { name: web, endpoint1: [a], endpoint2: [a], mode: exempt, traffic: [tcp/80] }\n"
		"  - { name: closed, endpoint1: [a], endpoint2: [a], mode: block, traffic: [tcp/445] }\n"
		"  - { name: all, endpoint1: [a], endpoint2: [a], mode: require, authentication: how }\n";
	SCOPED(planned_wipe) struct planned made = { 0 };
	struct host_address own = { .prefix = -1 };
	struct event e;

	(void)state;
	assert_int_equal(addr_parse("10.77.1.21", 10, &own.addr, NULL), 0);
	planned_make(&made, text, own);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct nflog_packet p;
		char prefix[64];

		(void)snprintf(prefix, sizeof prefix, "cordon %s 0 00000000 ", rows[i].kind);
		p = packet(prefix, NF_INET_PRE_ROUTING);
		assert_true(drop_event(&p, made.policy, made.plan, &e));
		if (strcmp(e.rule, rows[i].rule) != 0)
			fail_msg("row %zu: '%s'", i, e.rule);
		assert_true(drop_event(&p, made.policy, NULL, &e));
		assert_string_equal(e.rule, "");
	}
}

/* ICMP rules ask for a type and a code; where the packet tells nothing, several rules are none. */
static void an_icmp_rule_among_many_is_known_by_its_type(void **state)
{
	static const struct {
		uint8_t type;
		const char *rule;
	} rows[] = { { 8, "ping" }, { 13, "clock" }, { 3, "" } };
	static const char text[] =
		"cordon: 1\n"
		"zones: { a: [10.77.1.0/24] }\n"
		"connection-security:\n"
		"  - { name: clock, endpoint1: [a], endpoint2: [a], mode: block, traffic: [icmp/13] }\n"
		"  - { name: ping, endpoint1: [a], endpoint2: [a], mode: block, traffic: [icmp/8] }\n";
	SCOPED(planned_wipe) struct planned made = { 0 };
	struct host_address own = { .prefix = -1 };

	(void)state;
	assert_int_equal(addr_parse("10.77.1.21", 10, &own.addr, NULL), 0);
	planned_make(&made, text, own);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		uint8_t icmp[sizeof tcp4];
		struct nflog_packet p = packet("cordon blocked-in 0 00000000 ", NF_INET_PRE_ROUTING);
		struct event e;

		memcpy(icmp, tcp4, sizeof icmp);
		icmp[9] = 1;
		icmp[20] = rows[i].type;
		icmp[21] = 0;
		p.octets = icmp;
		assert_true(drop_event(&p, made.policy, made.plan, &e));
		if (strcmp(e.rule, rows[i].rule) != 0)
			fail_msg("type %u: '%s'", rows[i].type, e.rule);
	}
}

static void what_makes_no_sense_is_no_event(void **state)
{
	static const char *const prefixes[] = {
		"",
		"cordon",
		"cordon clear-in",
		"cordon clear-in 1",
		"cordon clear-in x 00000000 ",
		"cordon nonesuch 1 00000000 ",
		"cordon clear-in 1 00000000 more",
		"other clear-in 1 00000000 ",
		"cordon clear-in-and-much-longer-than-any-name-that-there-is 1 00000000 ",
	};
	struct nflog_packet p;
	struct event e = { .spi = 4711 };

	(void)state;
	for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
		p = packet(prefixes[i], 0);
		if (drop_event(&p, NULL, NULL, &e))
			fail_msg("'%s' was taken", prefixes[i]);
	}
	for (size_t n = 0; n < 24; n++) {
		p = packet("cordon clear-in 1 00000000 ", 0);
		p.len = n;
		if (drop_event(&p, NULL, NULL, &e))
			fail_msg("%zu octets were taken for a packet", n);
	}
	assert_int_equal(e.spi, 4711); /* untouched */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds_have_their_event_direction_and_ends),
		cmocka_unit_test(the_rule_is_known_by_its_mark),
		cmocka_unit_test(a_rule_among_many_is_known_by_the_packet),
		cmocka_unit_test(an_icmp_rule_among_many_is_known_by_its_type),
		cmocka_unit_test(what_makes_no_sense_is_no_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
