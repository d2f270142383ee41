/* The plane on the way in: what comes is judged, and what is refused is counted and told. */
#include "tests/unit/sides.h"
#include "tests/unit/unit.h"

#include "base/wire.h"
#include "policy/reqid.h"
#include "dataplane/esp/icmp.h"
#include "dataplane/esp/packet.h"
#include "observe/event.h"

#include <errno.h>
#include <limits.h>

/* A peer that sends as soon as its reply is out: what comes before the keys waits for them, and is no unknown SPI. */
static void what_comes_under_a_reserved_spi_waits_for_its_keys(void **state)
{
	struct side a, b;

	(void)state;
	side_up(&a, 1, &plan_of_all);
	side_up(&b, 2, &plan_of_all);
	struct sa_spec out = side_spec(&a, 4, &all, &gcm), in = side_spec(&b, 4, &all, &gcm);
	in.inbound = true;
	out.spi = in.spi = side_reserve(&b, 4);
	assert_int_equal(sad_install(a.sad, &out, 1, NULL), 0);
	for (unsigned i = 0; i < EARLY_MOST; i++)
		side_send(&a, &udp4);
	side_forget(&b);
	side_carry(&a, &b);
	assert_int_equal(b.count, 0);
	assert_int_equal(side_dropped(&b), 0);
	assert_int_equal(b.event_count, 0);
	side_carry(&a, &b); /* no more than so many wait */
	assert_int_equal(side_dropped(&b), EARLY_MOST);
	side_forget(&b);
	assert_int_equal(sad_install(b.sad, &in, 1, NULL), 0);
	assert_int_equal(b.count, EARLY_MOST);
	assert_int_equal(b.sent[0].to_tun, true);
	side_carry(&a, &b); /* each has been seen now */
	assert_int_equal(b.count, EARLY_MOST);
	assert_int_equal(sad_dropped(b.sad, DROP_REPLAY), EARLY_MOST);
	side_down(&a);
	side_down(&b);

	/* released with its reservation; never kept for another sender */
	side_up(&a, 1, &plan_of_all);
	side_up(&b, 2, &plan_of_all);
	out.spi = side_reserve(&b, 4);
	assert_int_equal(sad_install(a.sad, &out, 1, NULL), 0);
	side_send(&a, &udp4);
	side_carry(&a, &b);
	assert_int_equal(side_dropped(&b), 0);
	sad_release_spi(b.sad, out.spi);
	side_carry(&a, &b);
	assert_int_equal(sad_dropped(b.sad, DROP_UNKNOWN_SPI), 1);
	struct addr local = end_of(4, 2), other = end_of(4, 3);
	b.event_count = 0;
	assert_int_equal(sad_reserve_spi(b.sad, &local, &other, 5, NULL), 0);
	uint8_t esp[64] = { 0 };
	memcpy(esp, a.sent[0].octets, sizeof esp);
	esp[20] = (uint8_t)(b.events[b.event_count - 1].spi >> 24);
	esp[21] = (uint8_t)(b.events[b.event_count - 1].spi >> 16);
	esp[22] = (uint8_t)(b.events[b.event_count - 1].spi >> 8);
	esp[23] = (uint8_t)b.events[b.event_count - 1].spi;
	side_receive(&b, esp, sizeof esp);
	assert_int_equal(sad_dropped(b.sad, DROP_UNKNOWN_SPI) + sad_dropped(b.sad, DROP_MALFORMED), 2);
	side_down(&a);
	side_down(&b);
}

static void what_comes_is_judged_by_the_plan(void **state)
{
	static const struct plan_entry web_first[] = { FLAT_ENTRY(&web, IP_UDP, 80, 80), FLAT_ALL(&all) };
	static const struct plan_entry web_only[] = { FLAT_ENTRY(&web, IP_UDP, 80, 80) };
	static const struct plan_entry exempt_first[] = { FLAT_ENTRY(&exempt, IP_UDP, 53, 53),
							  FLAT_ENTRY(&web, IP_UDP, 80, 80) };
	static struct plan plans[] = { { web_first, 2, 1 }, { web_only, 1, 1 }, { exempt_first, 2, 1 } };
	static struct rule all_other;
	static const struct plan_entry other[] = { FLAT_ENTRY(&all_other, IP_UDP, 53, 53), FLAT_ALL(&web) };
	static struct plan other_plan = { other, 2, 1 };
	const struct {
		const char *what;
		struct plan *plan;
		const struct rule *sa;
		const struct child_suite *suite;
		uint16_t port; /* of the sender, who is the remote end */
		int drop;      /* -1: let in */
	} rows[] = {
		{ "its own rule", &plans[0], &web, &null_sha, 80, -1 },
		{ "signed only, where another rule wants it encrypted", &plans[0], &web, &null_sha, 81, DROP_POLICY },
		{ "encrypted, where another rule wants it signed", &plans[0], &all, &gcm, 80, DROP_POLICY },
		{ "no rule protects it", &plans[1], &web, &null_sha, 81, -1 },
		{ "exempt", &plans[2], &web, &null_sha, 53, -1 },
		{ "a rule that the SA satisfies", &other_plan, &web, &null_sha, 53, -1 },
	};

	(void)state;
	all_other = web;
	all_other.name = "Other";
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct side a, b;
		struct shape s = udp4;
		struct sa_spec of_a, of_b;

		side_up(&a, 1, &plan_of_all);
		side_up(&b, 2, rows[i].plan);
		of_a = side_spec(&a, 4, &all, rows[i].suite);
		of_b = side_spec(&b, 4, rows[i].sa, rows[i].suite);
		sides_join_specs(&a, &b, of_a, of_b);
		s.from = rows[i].port;
		side_send(&a, &s);
		side_carry(&a, &b);
		if ((int)b.count != (rows[i].drop < 0))
			fail_msg("%s", rows[i].what);
		if (rows[i].drop >= 0)
			assert_int_equal(sad_dropped(b.sad, (enum sad_drop)rows[i].drop), 1);
		side_down(&a);
		side_down(&b);
	}
	/* The same rule with other peers in mind is not satisfied. */
	all_other.auth = &auth_b;
	{
		struct side a, b;
		struct shape s = udp4;

		side_up(&a, 1, &plan_of_all);
		side_up(&b, 2, &other_plan);
		sides_join_specs(&a, &b, side_spec(&a, 4, &all, &null_sha), side_spec(&b, 4, &web, &null_sha));
		s.from = 53;
		side_send(&a, &s);
		side_carry(&a, &b);
		assert_int_equal(sad_dropped(b.sad, DROP_POLICY), 1);
		side_down(&a);
		side_down(&b);
	}
}

/* Who came in a moment ago is not judged anew; another flow and another SA are. */
static void to_be_let_in_once_is_no_right_to_come_again(void **state)
{
	static const struct plan_entry eighty[] = { FLAT_ENTRY(&web, IP_UDP, 80, 80), FLAT_ALL(&all) };
	static struct plan plan = { eighty, 2, 1 };
	static const struct {
		uint16_t port;
		bool comes;
	} rows[] = { { 80, true }, { 80, true }, { 81, false }, { 80, true }, { 81, false } };
	struct side a, b;
	struct sa_spec of_a, of_b;
	struct shape s = udp4;

	(void)state;
	side_up(&a, 1, &plan_of_all);
	side_up(&b, 2, &plan);
	sides_join_specs(&a, &b, side_spec(&a, 4, &all, &null_sha), side_spec(&b, 4, &web, &null_sha));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		s.from = rows[i].port;
		side_send(&a, &s);
		side_carry(&a, &b);
		if ((b.count == 1) != rows[i].comes)
			fail_msg("row %zu", i);
		side_forget(&a);
		side_forget(&b);
	}
	/* One under each of two SAs, at once: the second signs and encrypts, and is not that of the rule. */
	s.from = 80;
	side_send(&a, &s);
	of_a = side_spec(&a, 4, &all, &gcm);
	of_b = side_spec(&b, 4, &all, &gcm);
	of_a.pair = of_b.pair = PAIR + 1;
	sides_join_specs(&a, &b, of_a, of_b);
	side_send(&a, &s);
	assert_int_equal(a.count, 2);
	side_carry(&a, &b);
	assert_int_equal(b.count, 1);
	side_down(&a);
	side_down(&b);
}

/* The SA goes on under a new plan, but not for what another of its rules now asks more for. */
static void what_came_in_a_moment_ago_is_judged_by_a_new_plan(void **state)
{
	static struct rule others;
	static const struct plan_entry entries[] = { FLAT_ENTRY(&others, IP_UDP, 80, 80), FLAT_ALL(&all) };
	static struct plan stricter = { entries, 2, 1 };
	struct plan *plans[] = { &plan_of_all, &stricter, &plan_of_all, &stricter };
	struct shape s = udp4;
	struct side a, b;

	(void)state;
	others = all;
	others.name = "Others";
	others.auth = &auth_b;
	s.from = 80;
	side_up(&a, 1, &plan_of_all);
	side_up(&b, 2, &plan_of_all);
	sides_join(&a, &b, 4);
	for (size_t i = 0; i < ARRAY_LEN(plans); i++) {
		sad_set_plan(b.sad, plans[i]);
		for (unsigned k = 0; k < 2; k++) {
			side_forget(&a);
			side_forget(&b);
			side_send(&a, &s);
			side_carry(&a, &b);
			assert_int_equal(b.count, plans[i] == &plan_of_all);
		}
	}
	assert_int_equal(sad_dropped(b.sad, DROP_POLICY), 4);
	side_down(&a);
	side_down(&b);
}

/* Only a tunnel's SA can bring packets to several addresses. */
static void what_follows_to_another_address_is_judged_anew(void **state)
{
	static const struct rule branch = {
		.name = "Branch", .mode = MODE_REQUIRE, .auth = &auth_a, .protection = &encrypt, .tunnel = true
	};
	static const struct plan_entry entries[] = { FLAT_ALL(&branch) };
	static struct plan plan = { entries, 1, 1 };
	static const uint8_t to[] = { 2, 3, 2, 2, 3 };
	uint8_t packet[PACKET_ROOM];
	size_t len = packet_make(&udp4, packet);
	struct sa_spec of_a, of_b;
	struct side a, b;

	(void)state;
	side_up(&a, 1, &plan);
	side_up(&b, 2, &plan);
	of_a = side_spec(&a, 4, &branch, &gcm);
	of_b = side_spec(&b, 4, &branch, &gcm);
	of_a.tunnel = of_b.tunnel = true;
	of_a.selector.remote_last = end_of(4, 3); /* more than the other end has agreed to */
	sides_join_specs(&a, &b, of_a, of_b);
	for (size_t i = 0; i < ARRAY_LEN(to); i++) {
		side_forget(&a);
		side_forget(&b);
		packet[19] = to[i];
		ip4_checksum(packet, IP4_HEADER);
		side_send_octets(&a, packet, len, no_offload);
		assert_int_equal(a.count, 1);
		side_carry(&a, &b);
		if ((b.count == 1) != (to[i] == 2))
			fail_msg("packet %zu", i);
	}
	assert_int_equal(sad_dropped(b.sad, DROP_SELECTOR), 2);
	side_down(&a);
	side_down(&b);
}

/* A peer that keeps to no rules seals an IPv6 fragment header: what has no ports would be judged by the wide rule, and
 * put together by the kernel behind all judgement. */
static void a_fragment_under_an_sa_is_refused(void **state)
{
	static const struct shape udp6 = { .family = 6, .protocol = IP_UDP, .from = 80, .to = 1000, .payload = 100 };
	static const struct plan_entry entries[] = { FLAT_ENTRY(&all, IP_UDP, 80, 80), FLAT_ALL(&web) };
	static struct plan plan = { entries, ARRAY_LEN(entries), 1 };
	static const uint8_t second_of_two[8] = { IP_UDP, 0, 0, 8, 0, 0, 0, 7 };
	uint8_t packet[PACKET_ROOM], sealed[PACKET_ROOM];
	struct wire_out out = wire_out(sealed, sizeof sealed);
	struct ip_packet ip;
	struct plan_packet flow;
	struct side a, b;
	size_t len = packet_make(&udp6, packet);

	(void)state;
	side_up(&a, 1, &plan_of_all);
	side_up(&b, 2, &plan);
	sides_join_specs(&a, &b, side_spec(&a, 6, &all, &null_sha), side_spec(&b, 6, &web, &null_sha));
	memmove(packet + IP6_HEADER + sizeof second_of_two, packet + IP6_HEADER, len - IP6_HEADER);
	assert_int_equal(ip_parse(packet, len, &ip, NULL), 0);
	ip_flow(&ip, true, &flow);
	memcpy(packet + IP6_HEADER, second_of_two, sizeof second_of_two);
	ip.next = 44;
	ip.len = len += sizeof second_of_two;
	assert_int_equal(esp_seal(sa_find_out(&a.sad->sas, &all, &flow), &ip, packet, len, &out, NULL), 0);
	side_receive(&b, sealed, out.len);
	assert_int_equal(b.count, 0);
	assert_int_equal(sad_dropped(b.sad, DROP_FRAGMENT), 1);
	side_down(&a);
	side_down(&b);
}

static void an_sa_satisfies_a_rule_only_in_all_that_it_asks(void **state)
{
	static struct protection_set both = { .name = "both", .count = 2 };
	static struct child_suite suites[2];
	static const struct auth_set nobody = { .name = "nobody" };
	static const struct group servers = { .name = "servers" }, others = { .name = "others" };
	static const struct group *const to_servers[] = { &servers }, *const to_others[] = { &others };
	struct rule have = web, want;
	struct side a;

	(void)state;
	side_up(&a, 1, &plan_of_all); /* the suites have their algorithms from now on */
	side_down(&a);
	suites[0] = gcm;
	suites[1] = null_sha;
	both.suites = suites;
#define SATISFIED(is, change) \
	do { \
		want = have; \
		change; \
		if (rule_satisfies(&have, &null_sha, &want) != (is)) \
			fail_msg("%s", #change); \
	} while (0)
	SATISFIED(true, (void)0);
	SATISFIED(true, want.name = "Other");
	SATISFIED(true, want.protection = &both);
	SATISFIED(false, want.protection = &encrypt);
	SATISFIED(false, want.auth = &auth_b);
	SATISFIED(false, want.auth = &nobody);
	SATISFIED(false, want.auth = NULL);
	SATISFIED(false, want.second_auth = &auth_a);
	SATISFIED(false, want.tunnel = true);
	SATISFIED(false, want.machines = to_servers; want.machine_count = 1);
	both.require_encryption = true;
	SATISFIED(false, want.protection = &both);
	have.machines = to_others;
	have.machine_count = 1;
	SATISFIED(true, (void)0);
	SATISFIED(true, want.machine_count = 0);
	SATISFIED(false, want.machines = to_servers);
#undef SATISFIED
}

static void what_comes_must_be_within_the_selector(void **state)
{
	struct side a, b;
	struct sa_spec of_b;
	struct shape s = udp4;
	struct shape error = { .family = 4, .protocol = IP_ICMP, .from = 0x0303 };
	static uint8_t packet[PACKET_ROOM];
	size_t len;

	(void)state;
	side_up(&a, 1, &plan_of_all);
	side_up(&b, 2, &plan_of_all);
	of_b = side_spec(&b, 4, &all, &gcm);
	of_b.selector.protocol = IP_UDP;
	of_b.selector.local_port = (struct port_range){ 53, 53 };
	sides_join_specs(&a, &b, side_spec(&a, 4, &all, &gcm), of_b);
	side_send(&a, &s);
	s.to = 54;
	side_send(&a, &s);
	s.protocol = IP_TCP;
	s.to = 53;
	side_send(&a, &s);
	side_carry(&a, &b);
	assert_int_equal(b.count, 1);
	assert_int_equal(sad_dropped(b.sad, DROP_SELECTOR), 2);
	side_forget(&a);
	side_forget(&b);

	/* An ICMP error comes under the SA of the flow that it quotes: what b sent from its port 53, and nothing else.
	 */
	for (uint16_t port = 53; port < 55; port++) {
		struct shape quoted = { .family = 4, .protocol = IP_UDP, .from = port, .to = 9, .reply = true };

		error.payload = 28;
		len = packet_make(&error, packet);
		(void)packet_make(&quoted, packet + 28);
		side_send_octets(&a, packet, len, no_offload);
	}
	side_carry(&a, &b);
	assert_int_equal(b.count, 1);
	assert_int_equal(sad_dropped(b.sad, DROP_SELECTOR), 3);
	side_down(&a);
	side_down(&b);
}

static void an_icmp_error_leaves_under_the_sa_of_what_it_quotes(void **state)
{
	static const struct plan_entry udp_only[] = { FLAT_ENTRY(&all, IP_UDP, 0, 65535) };
	static struct plan plan = { udp_only, 1, 1 };
	struct shape error = { .family = 4, .protocol = IP_ICMP, .from = 0x0303, .payload = 28 };
	struct shape quoted = { .family = 4, .protocol = IP_UDP, .from = 9, .to = 53, .reply = true };
	static uint8_t packet[PACKET_ROOM];
	struct sa_spec of_a, of_b;
	struct side a, b;
	size_t len;

	(void)state;
	side_up(&a, 1, &plan);
	side_up(&b, 2, &plan);
	of_a = side_spec(&a, 4, &all, &gcm);
	of_b = side_spec(&b, 4, &all, &gcm);
	of_a.selector.protocol = of_b.selector.protocol = IP_UDP;
	sides_join_specs(&a, &b, of_a, of_b);
	len = packet_make(&error, packet);
	(void)packet_make(&quoted, packet + 28);
	side_send_octets(&a, packet, len, no_offload);
	side_carry(&a, &b);
	assert_int_equal(b.count, 1);
	/* one that quotes what no rule protects has no business in the TUN */
	quoted.protocol = IP_TCP;
	(void)packet_make(&quoted, packet + 28);
	side_send_octets(&a, packet, len, no_offload);
	assert_int_equal(sad_dropped(a.sad, DROP_POLICY), 1);
	side_down(&a);
	side_down(&b);
}

/* A flood of forged packets costs the log a line now and then, and not one of them is lost from the count. */
static void dropped_packets_are_told_by_peer_and_reason_but_not_each(void **state)
{
	static const struct {
		unsigned at; /* octet that is changed; the last one is of the check value */
		enum sad_drop why;
		enum event_id event;
	} rows[] = {
		{ 20, DROP_UNKNOWN_SPI, EVENT_UNKNOWN_SPI },
		{ UINT_MAX, DROP_BAD_ICV, EVENT_INTEGRITY_FAILED },
	};
	struct side a, b;
	static uint8_t packet[PACKET_ROOM];
	struct event told;
	size_t len;

	(void)state;
	side_up(&a, 1, &plan_of_all);
	side_up(&b, 2, &plan_of_all);
	sides_join(&a, &b, 4);
	side_send(&a, &udp4);
	len = a.sent[0].len;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		unsigned at = rows[i].at == UINT_MAX ? (unsigned)len - 1 : rows[i].at;

		b.dropped_count = b.dropped_left_out = 0;
		memset(&b.dropped, 0, sizeof b.dropped);
		for (unsigned k = 0; k < 1000; k++) {
			memcpy(packet, a.sent[0].octets, len);
			packet[at] ^= 0x55;
			side_receive(&b, packet, len);
		}
		assert_in_range(b.dropped_count, 1, 3);
		side_clock_ms += 5000;
		memcpy(packet, a.sent[0].octets, len);
		packet[at] ^= 0x55;
		side_receive(&b, packet, len);
		assert_int_equal(b.dropped_count + b.dropped_left_out, 1001);
		assert_int_equal(b.dropped.drop, rows[i].why);
		assert_int_equal(b.dropped.packet.remote.octets[3], packet[15]);
		assert_int_equal(b.dropped.pair != 0, rows[i].why != DROP_UNKNOWN_SPI);
		sad_drop_tell(&b.dropped, &told);
		assert_int_equal(told.id, rows[i].event);
		assert_int_equal(told.spi, b.dropped.spi);
		assert_string_equal(told.reason, sad_drops[rows[i].why].name);
		assert_string_equal(told.rule, rows[i].why == DROP_UNKNOWN_SPI ? "" : all.name);
	}
	side_down(&a);
	side_down(&b);
}

static void unknown_and_misaddressed_esp_is_counted_and_told_once_a_second(void **state)
{
	struct side a, b;
	static uint8_t packet[PACKET_ROOM];

	(void)state;
	side_up(&a, 1, &plan_of_all);
	side_up(&b, 2, &plan_of_all);
	sides_join(&a, &b, 4);
	b.event_count = 0;
	side_send(&a, &udp4);
	memcpy(packet, a.sent[0].octets, a.sent[0].len);
	packet[20] ^= 0x55;
	for (unsigned i = 0; i < 5; i++)
		side_receive(&b, packet, a.sent[0].len);
	assert_int_equal(sad_dropped(b.sad, DROP_UNKNOWN_SPI), 5);
	assert_int_equal(b.event_count, 1);
	assert_int_equal(b.events[0].kind, SAD_UNKNOWN_SPI);
	assert_int_equal(b.events[0].spi, get32(packet + 20));
	side_clock_ms += 1000;
	side_receive(&b, packet, a.sent[0].len);
	assert_int_equal(b.event_count, 2);
	/* the right SPI, but from somebody else */
	memcpy(packet, a.sent[0].octets, a.sent[0].len);
	packet[15] = 9;
	side_receive(&b, packet, a.sent[0].len);
	assert_int_equal(sad_dropped(b.sad, DROP_SELECTOR), 1);
	for (size_t cut = 0; cut < a.sent[0].len; cut++) {
		memcpy(packet, a.sent[0].octets, a.sent[0].len);
		put16(packet + 2, cut);
		side_receive(&b, packet, cut);
	}
	assert_int_equal(b.count, 0);
	side_carry(&a, &b);
	side_carry(&a, &b);
	assert_int_equal(b.count, 1);
	assert_int_equal(sad_dropped(b.sad, DROP_REPLAY), 1);
	side_down(&a);
	side_down(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_comes_under_a_reserved_spi_waits_for_its_keys),
		cmocka_unit_test(what_comes_is_judged_by_the_plan),
		cmocka_unit_test(to_be_let_in_once_is_no_right_to_come_again),
		cmocka_unit_test(what_came_in_a_moment_ago_is_judged_by_a_new_plan),
		cmocka_unit_test(what_follows_to_another_address_is_judged_anew),
		cmocka_unit_test(a_fragment_under_an_sa_is_refused),
		cmocka_unit_test(an_sa_satisfies_a_rule_only_in_all_that_it_asks),
		cmocka_unit_test(what_comes_must_be_within_the_selector),
		cmocka_unit_test(an_icmp_error_leaves_under_the_sa_of_what_it_quotes),
		cmocka_unit_test(dropped_packets_are_told_by_peer_and_reason_but_not_each),
		cmocka_unit_test(unknown_and_misaddressed_esp_is_counted_and_told_once_a_second),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
