#include "tests/unit/unit.h"

#include "base/scope.h"
#include "base/str.h"
#include "base/text.h"
#include "tools/lab/judge.h"

#include <stdio.h>
#include <string.h>

static const char network[] =
	"cordon: 1\n"
	"zones: { inside: [10.0.0.0/24] }\n"
	"hosts:\n"
	"  a: { address: 10.0.0.1 }\n"
	"  b: { address: 10.0.0.2 }\n"
	"  rogue: { address: 10.0.0.66, agent: none }\n"
	"authentication: { machine: [ { certificate: { issuer: \"CN=Root\" } } ] }\n"
	"connection-security:\n"
	"  - { name: all, endpoint1: [inside], endpoint2: [inside], mode: require, authentication: machine }\n"
	"  - { name: names, endpoint1: [inside], endpoint2: [b], protocol: udp, port2: 53, mode: exempt }\n";

struct bench {
	struct report *report;
	struct policy *policy;
	struct why *why;
	struct judge *judge;
};

static struct bench bench_new(void)
{
	struct bench b = { .report = report_new() };

	assert_int_equal(policy_parse(text_new("lab.yaml", network, strlen(network)), NULL, b.report, &b.policy), 0);
	b.why = why_new(b.policy, NULL);
	b.judge = judge_new(b.why, 0x0123456789abcdefu);
	return b;
}

static void bench_wipe(struct bench *b)
{
	judge_free(b->judge);
	why_free(b->why);
	policy_free(b->policy);
	report_free(b->report);
}

static struct addr host(uint8_t last)
{
	return addr_v4(10, 0, 0, last);
}

static const struct packet_flow ask = {
	.protocol = PACKET_TCP, .from_port = 50000, .to_port = 445, .icmp_type = -1, .icmp_code = -1
};

/* One packet, as packet_read would give it. */
static void send(struct bench *b, uint8_t from, uint8_t to, enum packet_kind kind, const char *carries)
{
	struct packet p = { .kind = kind,
			    .sealed_by = PACKET_ESP,
			    .from = host(from),
			    .to = host(to),
			    .flow = ask,
			    .role = PACKET_ROLE_UNKNOWN,
			    .payload = (const uint8_t *)carries,
			    .payload_len = strlen(carries) };

	p.flow.from = p.from;
	p.flow.to = p.to;
	if (from == 2) { /* answers */
		p.flow.from_port = 445;
		p.flow.to_port = 50000;
	}
	judge_packet(b->judge, &p, from == 1 ? "a" : from == 2 ? "b" : "rogue", false, 1000);
}

/* Of what was asked and not answered it is said whether it left the host, and how. */
static void judge_counts_what_went_protected(void **state)
{
	SCOPED(bench_wipe) struct bench b = bench_new();
	struct addr from = host(1), to = host(2);
	struct judge_sight s;

	(void)state;
	send(&b, 1, 2, PACKET_SEALED, "before");
	judge_probe(b.judge, 0, &from, &to);
	judge_flow(b.judge, 0, &(struct packet_flow){ from, to, PACKET_TCP, 50000, 445, -1, -1 });
	assert_int_equal(judge_sight(b.judge, 0, -1, false).went, 0);
	send(&b, 1, 2, PACKET_SEALED, "question");
	send(&b, 1, 2, PACKET_SEALED, "question");
	send(&b, 2, 1, PACKET_SEALED, "not of it");
	s = judge_sight(b.judge, 0, -1, false);
	assert_int_equal(s.went, 2);
	assert_int_equal(s.opened, 0);
	assert_int_equal(s.seen, SEEN_BLOCKED);
}

static void judge_reads_the_outcome_from_the_wire(void **state)
{
	/* What is on the wire, one letter a packet: c clear, r readable inside ESP, e encrypted; capital: the answer.
	 */
	static const struct {
		const char *wire;
		bool answered, heard;
		enum seen want;
	} rows[] = {
		{ "cC", true, true, SEEN_CLEAR },      { "rR", true, true, SEEN_AUTHENTICATED },
		{ "eE", true, true, SEEN_ENCRYPTED },  { "", false, false, SEEN_BLOCKED },
		{ "ccc", false, false, SEEN_BLOCKED }, { "c", false, true, SEEN_ONE_WAY },
		{ "cE", true, true, SEEN_MIXED },      { "eC", true, true, SEEN_MIXED },
		{ "rE", true, true, SEEN_MIXED },      { "cCeE", true, true, SEEN_CLEAR },
		{ "cCrR", true, true, SEEN_MIXED },    { "", true, true, SEEN_NOWHERE },
		{ "e", true, true, SEEN_NOWHERE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		SCOPED(bench_wipe) struct bench b = bench_new();
		struct addr from = host(1), to = host(2);
		char marker[JUDGE_MARKER + 1], bare[128], inside[128];
		struct judge_sight s;

		judge_probe(b.judge, 0, &from, &to);
		judge_marker(b.judge, 0, 3, marker);
		(void)snprintf(bare, sizeof bare, "header%s", marker);
		(void)snprintf(inside, sizeof inside, "spi and sequence, header%strailer", marker);
		for (const char *w = rows[i].wire; *w; w++) {
			bool back = *w < 'a';
			char kind = (char)(back ? *w - 'A' + 'a' : *w);

			send(&b, back ? 2 : 1, back ? 1 : 2, kind == 'c' ? PACKET_CLEAR : PACKET_SEALED,
			     kind == 'c'   ? bare
			     : kind == 'r' ? inside
					   : "spi and sequence, noise");
		}
		s = judge_sight(b.judge, 0, rows[i].answered ? 3 : -1, rows[i].heard);
		if (s.seen != rows[i].want)
			fail_msg("row %zu \"%s\": %s", i, rows[i].wire, seen_name(s.seen));
	}
}

static void judge_takes_another_attempts_marker_for_another(void **state)
{
	SCOPED(bench_wipe) struct bench b = bench_new();
	struct addr from = host(1), to = host(2);
	char marker[JUDGE_MARKER + 1];
	size_t probe;
	unsigned attempt;

	(void)state;
	judge_probe(b.judge, 0, &from, &to);
	judge_probe(b.judge, 5, &from, &to);
	judge_marker(b.judge, 5, 31, marker);
	assert_true(judge_marker_read(b.judge, marker, JUDGE_MARKER, &probe, &attempt));
	assert_int_equal(probe, 5);
	assert_int_equal(attempt, 31);
	assert_false(judge_marker_read(b.judge, marker, JUDGE_MARKER - 1, &probe, &attempt));
	judge_marker(b.judge, 6, 0, marker); /* there is no such probe */
	assert_false(judge_marker_read(b.judge, marker, JUDGE_MARKER, &probe, &attempt));
	judge_marker(b.judge, 0, JUDGE_ATTEMPTS_MOST, marker);
	assert_false(judge_marker_read(b.judge, marker, JUDGE_MARKER, &probe, &attempt));
}

static void judge_names_who_let_a_clear_packet_out(void **state)
{
	static const struct {
		uint8_t from, to;
		size_t leaks;
	} rows[] = {
		{ 1, 2, 1 },   /* the rule lets nothing out */
		{ 66, 1, 0 },  /* an outsider may knock */
		{ 1, 66, 1 },  /* but must not be spoken to */
		{ 1, 200, 0 }, /* nobody the policy knows */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		SCOPED(bench_wipe) struct bench b = bench_new();
		SCOPED(str_wipe) struct str words = { 0 };

		send(&b, rows[i].from, rows[i].to, PACKET_CLEAR, "hello");
		if (judge_leaks(b.judge) != rows[i].leaks)
			fail_msg("row %zu: %zu leaks", i, judge_leaks(b.judge));
		assert_int_equal(judge_leak_words(b.judge, 0, &words), rows[i].leaks);
		if (rows[i].leaks) {
			assert_non_null(strstr(str_text(&words), "a sent 1 in clear"));
			assert_non_null(strstr(str_text(&words), "'all'"));
		}
	}
}

static void judge_counts_one_flow_as_one_sentence(void **state)
{
	SCOPED(bench_wipe) struct bench b = bench_new();
	SCOPED(str_wipe) struct str words = { 0 };

	(void)state;
	for (unsigned i = 0; i < 50; i++)
		send(&b, 1, 2, PACKET_CLEAR, "hello");
	assert_int_equal(judge_leaks(b.judge), 50);
	assert_true(judge_leak_words(b.judge, 0, &words));
	assert_false(judge_leak_words(b.judge, 1, &words));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(judge_counts_what_went_protected),
		cmocka_unit_test(judge_reads_the_outcome_from_the_wire),
		cmocka_unit_test(judge_takes_another_attempts_marker_for_another),
		cmocka_unit_test(judge_names_who_let_a_clear_packet_out),
		cmocka_unit_test(judge_counts_one_flow_as_one_sentence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
