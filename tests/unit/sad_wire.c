/* What goes to the data plane and comes from it in messages: all of it comes back, and nothing that is cut off, longer
 * or out of its bounds is taken. */
#include "tests/unit/unit.h"

#include "base/diag.h"
#include "base/report.h"
#include "base/scope.h"
#include "base/text.h"
#include "daemon/messages/datagram_wire.h"
#include "daemon/messages/sad_wire.h"
#include "daemon/process/channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char policy_text[] =
	"cordon: 1\n"
	"zones: { a: [10.1.0.0/16], b: [10.2.0.0/16] }\n"
	"authentication: { how: [ { pre-shared-key: { file: /psk } } ] }\n"
	"connection-security:\n"
	"  - { name: one, endpoint1: [a], endpoint2: [b], traffic: [tcp/1], mode: require, authentication: how }\n"
	"  - { name: two, endpoint1: [a], endpoint2: [b], traffic: [tcp/2], mode: require, authentication: how }\n";

static struct report *report;
static struct policy *policy;

static int set_up(void **state)
{
	(void)state;
	report = report_new();
	return policy_parse(text_new("p", policy_text, sizeof policy_text - 1), &(struct policy_load_options){ 0 },
			    report, &policy);
}

static int tear_down(void **state)
{
	(void)state;
	policy_free(policy);
	report_free(report);
	return 0;
}

static void fill(struct key *k, size_t n, uint8_t with)
{
	k->len = n;
	memset(k->octets, with, n);
}

/* The fullest spec: IPv6, a tunnel between ranges, both keys of the greatest length. */
static struct sa_spec full_spec(void)
{
	const struct rule *rules;
	struct sa_spec s = {
		.spi = 0x01020304,
		.inbound = true,
		.local = { .family = 6, .octets = { 0xfd, 1 } },
		.remote = { .family = 6, .octets = { 0xfd, 2 } },
		.encap_local_port = 4500,
		.encap_remote_port = 61000,
		.nat = true,
		.tunnel = true,
		.esn = true,
		.replay_window = 4096,
		.selector = { .local = addr_v4(10, 1, 0, 0),
			      .remote = addr_v4(10, 2, 0, 0),
			      .protocol = 6,
			      .local_port = { 1, 2 },
			      .remote_port = { 3, 65535 },
			      .local_last = addr_v4(10, 1, 255, 255),
			      .remote_last = addr_v4(10, 2, 255, 255) },
		.pair = UINT64_C(0x0102030405060708),
		.soft_octets = UINT64_C(1) << 40,
		.hard_octets = UINT64_C(1) << 41,
	};

	assert_true(policy_rules(policy, &rules) == 2);
	s.rule = &rules[1];
	assert_int_equal(child_suite_parse("esp-aes256-sha512-ecp384", 24, &s.suite, NULL), 0);
	fill(&s.encr_key, KEY_MAX, 0xaa);
	fill(&s.integ_key, KEY_MAX, 0xbb);
	return s;
}

static bool key_same(const struct key *a, const struct key *b)
{
	return a->len == b->len && memcmp(a->octets, b->octets, a->len) == 0;
}

static bool selector_same(const struct sa_selector *a, const struct sa_selector *b)
{
	return addr_equal(&a->local, &b->local) && addr_equal(&a->remote, &b->remote) && a->protocol == b->protocol &&
	       a->local_port.lo == b->local_port.lo && a->local_port.hi == b->local_port.hi &&
	       a->remote_port.lo == b->remote_port.lo && a->remote_port.hi == b->remote_port.hi &&
	       addr_equal(&a->local_last, &b->local_last) && addr_equal(&a->remote_last, &b->remote_last);
}

static bool spec_same(const struct sa_spec *a, const struct sa_spec *b)
{
	return a->spi == b->spi && a->inbound == b->inbound && addr_equal(&a->local, &b->local) &&
	       addr_equal(&a->remote, &b->remote) && a->encap_local_port == b->encap_local_port &&
	       a->encap_remote_port == b->encap_remote_port && a->suite.protocol == b->suite.protocol &&
	       a->suite.encr == b->suite.encr && a->suite.integ == b->suite.integ && a->suite.group == b->suite.group &&
	       key_same(&a->encr_key, &b->encr_key) && key_same(&a->integ_key, &b->integ_key) &&
	       a->tunnel == b->tunnel && a->nat == b->nat && a->esn == b->esn && a->replay_window == b->replay_window &&
	       selector_same(&a->selector, &b->selector) && a->rule == b->rule && a->pair == b->pair &&
	       a->soft_octets == b->soft_octets && a->hard_octets == b->hard_octets;
}

static size_t put_spec(const struct sa_spec *s, uint8_t buf[SPEC_WIRE_MOST])
{
	struct wire_out out = wire_out(buf, SPEC_WIRE_MOST);

	spec_encode(&out, s);
	assert_false(out.failed);
	return out.len;
}

static int get_spec(const uint8_t *octets, size_t n, struct sa_spec *ret)
{
	struct wire_in in = wire_in(octets, n);

	return spec_decode(&in, policy, ret);
}

static void a_spec_comes_back(void **state)
{
	static const char *const suites[] = { "esp-aes256gcm", "esp-aes128gcm", "esp-sha256-null", "ah-sha256",
					      "esp-aes256-sha256-x25519" };
	struct sa_spec s = full_spec(), back;
	uint8_t buf[SPEC_WIRE_MOST];

	(void)state;
	assert_int_equal(get_spec(buf, put_spec(&s, buf), &back), 0);
	assert_true(spec_same(&s, &back));
	for (size_t i = 0; i < ARRAY_LEN(suites); i++) {
		struct sa_spec other = { .spi = 256,
					 .local = addr_v4(10, 1, 0, 1),
					 .remote = addr_v4(10, 2, 0, 1),
					 .rule = s.rule,
					 .selector = { .local = addr_v4(10, 1, 0, 1),
						       .remote = addr_v4(10, 2, 0, 1),
						       .protocol = PROTOCOL_ANY } };
		size_t n;

		assert_int_equal(child_suite_parse(suites[i], strlen(suites[i]), &other.suite, NULL), 0);
		n = put_spec(&other, buf);
		assert_true(n >= SPEC_WIRE_LEAST - 8); /* the message has the request's number, too */
		assert_int_equal(get_spec(buf, n, &back), 0);
		if (!spec_same(&other, &back))
			fail_msg("%s", suites[i]);
	}
}

/* By number and length of the key: no two algorithms of a kind may share them. */
static void every_algorithm_is_found_by_what_is_sent(void **state)
{
	(void)state;
	for (size_t i = 0; i < algorithms_count; i++)
		if (algorithm_by_ikev2(algorithms[i].kind, algorithms[i].ikev2, algorithms[i].key_bits) !=
		    &algorithms[i])
			fail_msg("%s", algorithms[i].name);
}

static void every_truncation_is_refused(void **state)
{
	struct sa_spec s = full_spec(), back;
	uint8_t buf[SPEC_WIRE_MOST];
	size_t len = put_spec(&s, buf);

	(void)state;
	for (size_t n = 0; n < len; n++) {
		uint8_t *cut = malloc(n + 1); /* so that the sanitizer sees whoever reads beyond */

		assert_non_null(cut);
		memcpy(cut, buf, n);
		if (get_spec(cut, n, &back) == 0)
			fail_msg("%zu octets were taken", n);
		free(cut);
	}
	buf[len] = 0;
	assert_true(get_spec(buf, len + 1, &back) < 0);
}

static void wrong_octets_in_a_spec_are_refused(void **state)
{
	/* flags, families, a protocol that is neither ESP nor AH, whether there is an algorithm, its number, a key's
	 * length */
	const size_t suite = 4 + 1 + 17 + 17 + 4;
	const struct {
		size_t at;
		uint8_t octet;
	} rows[] = { { 4, 16 },        { 5, 5 },          { 22, 3 },         { suite, 4 },
		     { suite + 1, 2 }, { suite + 2, 99 }, { suite + 16, 97 } };
	struct sa_spec s = full_spec(), back;
	uint8_t buf[SPEC_WIRE_MOST];
	size_t len = put_spec(&s, buf);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t was = buf[rows[i].at];

		buf[rows[i].at] = rows[i].octet;
		if (get_spec(buf, len, &back) == 0)
			fail_msg("row %zu", i);
		buf[rows[i].at] = was;
	}
	assert_int_equal(get_spec(buf, len, &back), 0);
}

/* After a new policy a rule may stand elsewhere; one of another name is never taken for it. */
static void a_rule_is_found_by_its_name(void **state)
{
	struct rule moved = { .name = "one", .index = 1 }, gone = { .name = "three", .index = 1 };
	struct sa_spec s = full_spec(), back;
	uint8_t buf[SPEC_WIRE_MOST];
	const struct rule *rules;

	(void)state;
	(void)policy_rules(policy, &rules);
	s.rule = &moved;
	assert_int_equal(get_spec(buf, put_spec(&s, buf), &back), 0);
	assert_ptr_equal(back.rule, &rules[0]);
	s.rule = &gone;
	assert_int_equal(get_spec(buf, put_spec(&s, buf), &back), 0);
	assert_null(back.rule);
	s.rule = NULL;
	assert_int_equal(get_spec(buf, put_spec(&s, buf), &back), 0);
	assert_null(back.rule);
}

static void a_rule_with_a_long_name_fits(void **state)
{
	char name[2 * RULE_WIRE_NAME];
	struct rule long_one = { .name = name, .index = 7 };
	struct sa_spec s = full_spec();
	uint8_t buf[SPEC_WIRE_MOST];

	(void)state;
	memset(name, 'x', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	s.rule = &long_one;
	s.selector.local = s.selector.remote = s.local;
	s.selector.local_last = s.selector.remote_last = s.remote;
	assert_int_equal(put_spec(&s, buf), SPEC_WIRE_MOST);
}

static void ranges_that_end_before_they_begin_are_refused(void **state)
{
	struct sa_selector s = full_spec().selector;
	uint8_t buf[SELECTOR_WIRE_MOST];
	struct wire_out out = wire_out(buf, sizeof buf);
	struct wire_in in;

	(void)state;
	s.local_last = addr_v4(10, 0, 0, 1);
	selector_encode(&out, &s);
	in = wire_in(buf, out.len);
	(void)selector_decode(&in);
	assert_true(in.failed);
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

static const struct diag why = { .code = -ENOSPC, .text = "65536 SPIs are reserved already" };

static struct sad_event event_of(enum sad_event_kind kind)
{
	struct sad_event e = { .kind = kind, .request = 7, .pair = UINT64_C(1) << 50, .spi = 0xfffffffe };

	if (kind == SAD_ACQUIRE || kind == SAD_MOVED || kind == SAD_UNKNOWN_SPI)
		e.packet = (struct plan_packet){ .local = addr_v4(10, 1, 0, 1),
						 .remote = addr_v4(10, 2, 0, 1),
						 .initiator = INITIATOR_EITHER,
						 .protocol = 6,
						 .local_port = 1,
						 .remote_port = 65535 };
	if (kind == SAD_FAILED)
		e.why = &why;
	return e;
}

static size_t put_event(const struct sad_event *e, uint8_t buf[SAD_EVENT_WIRE_MOST])
{
	struct wire_out out = wire_out(buf, SAD_EVENT_WIRE_MOST);

	sad_event_encode(&out, e);
	assert_false(out.failed);
	assert_true(out.len >= SAD_EVENT_WIRE_LEAST);
	return out.len;
}

static void every_event_comes_back_and_cut_off_does_not(void **state)
{
	(void)state;
	for (int kind = SAD_SPI_RESERVED; kind <= SAD_UNKNOWN_SPI; kind++) {
		struct sad_event e = event_of((enum sad_event_kind)kind), back;
		uint8_t buf[SAD_EVENT_WIRE_MOST];
		size_t len = put_event(&e, buf);
		struct diag words;
		struct wire_in in = wire_in(buf, len);

		assert_int_equal(sad_event_decode(&in, &back, &words), 0);
		assert_int_equal(back.kind, kind);
		assert_int_equal(back.request, e.request);
		assert_int_equal(back.pair, e.pair);
		assert_int_equal(back.spi, e.spi);
		assert_true(addr_equal(&back.packet.remote, &e.packet.remote));
		assert_int_equal(back.packet.remote_port, e.packet.remote_port);
		assert_int_equal(back.packet.protocol, e.packet.protocol);
		if (kind == SAD_FAILED) {
			assert_ptr_equal(back.why, &words);
			assert_int_equal(words.code, why.code);
			assert_string_equal(words.text, why.text);
		}
		for (size_t n = 0; n < len; n++) {
			in = wire_in(buf, n);
			if (sad_event_decode(&in, &back, &words) == 0)
				fail_msg("event %d: %zu octets were taken", kind, n);
		}
	}
}

static void events_that_cannot_be_are_refused(void **state)
{
	struct sad_event e = event_of(SAD_ACQUIRE), back;
	uint8_t buf[SAD_EVENT_WIRE_MOST];
	size_t len = put_event(&e, buf);
	struct diag words;
	struct wire_in in;

	(void)state;
	buf[0] = SAD_DROPPED; /* it goes to the log by another way */
	in = wire_in(buf, len);
	assert_true(sad_event_decode(&in, &back, &words) < 0);
	e.packet.remote = (struct addr){ .family = 6 };
	len = put_event(&e, buf);
	in = wire_in(buf, len);
	assert_true(sad_event_decode(&in, &back, &words) < 0);
	e = event_of(SAD_ACQUIRE);
	e.packet.protocol = 256;
	len = put_event(&e, buf);
	in = wire_in(buf, len);
	assert_true(sad_event_decode(&in, &back, &words) < 0);
}

/* ---- the rest ---------------------------------------------------------------------------------------------------- */

static void usage_comes_back(void **state)
{
	struct sa_usage u = { .pair = 1,
			      .spi_in = 2,
			      .spi_out = 3,
			      .packets_in = 4,
			      .packets_out = 5,
			      .octets_in = 6,
			      .octets_out = 7,
			      .last_in_ms = 8,
			      .last_out_ms = UINT64_MAX },
			back;
	uint8_t buf[USAGE_WIRE];
	struct wire_out out = wire_out(buf, sizeof buf);
	struct wire_in in = wire_in(buf, sizeof buf);

	(void)state;
	usage_encode(&out, &u);
	assert_int_equal(out.len, USAGE_WIRE);
	usage_decode(&in, &back);
	assert_true(wire_done(&in));
	assert_memory_equal(&u, &back, sizeof u);
	for (size_t n = 0; n < USAGE_WIRE; n++) {
		in = wire_in(buf, n);
		usage_decode(&in, &back);
		assert_false(wire_done(&in));
	}
}

static void datagrams_come_back(void **state)
{
	struct datagram g = { .local = addr_v4(1, 2, 3, 4),
			      .remote = addr_v4(5, 6, 7, 8),
			      .local_port = 4500,
			      .remote_port = 1,
			      .octets = (const uint8_t *)"abc",
			      .len = 3 },
			back;
	uint8_t buf[DATAGRAM_WIRE_HEAD + 3];
	struct wire_out out = wire_out(buf, sizeof buf);
	struct wire_in in;

	(void)state;
	datagram_encode(&out, &g);
	in = wire_in(buf, out.len);
	assert_int_equal(datagram_decode(&in, &back), 0);
	assert_true(addr_equal(&back.local, &g.local) && addr_equal(&back.remote, &g.remote));
	assert_int_equal(back.local_port, 4500);
	assert_int_equal(back.remote_port, 1);
	assert_int_equal(back.len, 3);
	assert_memory_equal(back.octets, "abc", 3);
	for (size_t n = 0; n < out.len - 3; n++) {
		in = wire_in(buf, n);
		assert_true(datagram_decode(&in, &back) < 0);
	}
	buf[0] = 6; /* of two families: the second one's octets then lie elsewhere */
	in = wire_in(buf, out.len);
	assert_true(datagram_decode(&in, &back) < 0);
}

/* What anybody on the network can cause goes first when keying is slow; what somebody waits for never does. */
static void what_comes_again_does_not_fill_the_channel(void **state)
{
	(void)state;
	for (int kind = 0; kind <= SAD_DROPPED; kind++) {
		bool again = kind == SAD_ACQUIRE || kind == SAD_MOVED || kind == SAD_UNKNOWN_SPI;

		assert_true(sad_event_may_go((enum sad_event_kind)kind, 0));
		assert_int_equal(sad_event_may_go((enum sad_event_kind)kind, CHANNEL_QUEUE_MOST / 2), !again);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_spec_comes_back),
		cmocka_unit_test(every_algorithm_is_found_by_what_is_sent),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(wrong_octets_in_a_spec_are_refused),
		cmocka_unit_test(a_rule_is_found_by_its_name),
		cmocka_unit_test(a_rule_with_a_long_name_fits),
		cmocka_unit_test(ranges_that_end_before_they_begin_are_refused),
		cmocka_unit_test(every_event_comes_back_and_cut_off_does_not),
		cmocka_unit_test(events_that_cannot_be_are_refused),
		cmocka_unit_test(what_comes_again_does_not_fill_the_channel),
		cmocka_unit_test(usage_comes_back),
		cmocka_unit_test(datagrams_come_back),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
