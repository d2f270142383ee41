/* The plane on the way out: what a packet of this host waits for, and in what form it leaves. */
#include "tests/unit/sides.h"
#include "tests/unit/unit.h"

#include "dataplane/esp/icmp.h"
#include "dataplane/esp/packet.h"

static void a_packet_travels_and_is_the_same_behind(void **state)
{
	static uint8_t want[PACKET_ROOM];
	struct side a, b;

	(void)state;
	for (unsigned family = 4; family <= 6; family += 2) {
		struct shape s = udp4;
		struct sa_usage u;
		size_t len;

		side_up(&a, 1, &plan_of_all);
		side_up(&b, 2, &plan_of_all);
		sides_join(&a, &b, family);
		side_forget(&a);
		side_forget(&b);
		s.family = family;
		side_send(&a, &s);
		len = packet_make(&s, want);
		assert_int_equal(a.count, 1);
		side_carry(&a, &b);
		assert_int_equal(b.count, 1);
		assert_true(b.sent[0].to_tun);
		assert_int_equal(b.sent[0].len, len);
		assert_memory_equal(b.sent[0].octets, want, len);
		assert_true(sad_usage_of(b.sad, PAIR, &u));
		assert_int_equal(u.packets_in, 1);
		assert_int_equal(u.octets_in, 108);
		assert_int_equal(u.packets_out, 0);
		assert_int_equal(sad_usage(a.sad, &u, 1), 1);
		assert_int_equal(u.packets_out, 1);
		assert_int_equal(side_dropped(&a) + side_dropped(&b), 0);
		side_down(&a);
		side_down(&b);
	}
	assert_int_equal(plan_of_all.references, 1);
}

static void ah_travels_the_same_way(void **state)
{
	static uint8_t want[PACKET_ROOM];
	struct side a, b;

	(void)state;
	for (unsigned family = 4; family <= 6; family += 2) {
		struct shape s = udp4;
		struct sa_spec of_a, of_b;
		struct child_suite ah;
		size_t len, at = family == 4 ? 20 : 40;
		uint8_t *packet;
		struct ip_packet quoted;

		side_up(&a, 1, &plan_of_all);
		side_up(&b, 2, &plan_of_all);
		assert_int_equal(child_suite_parse("ah-sha256", 9, &ah, NULL), 0);
		of_a = side_spec(&a, family, &all, &ah);
		of_b = side_spec(&b, family, &all, &ah);
		sides_protect_by(&ah);
		sides_join_specs(&a, &b, of_a, of_b);
		side_forget(&a);
		side_forget(&b);
		s.family = family;
		side_send(&a, &s);
		len = packet_make(&s, want);
		assert_int_equal(a.count, 1);
		side_carry(&a, &b);
		assert_int_equal(b.count, 1);
		assert_int_equal(b.sent[0].len, len);
		assert_memory_equal(b.sent[0].octets, want, len);
		side_carry(&a, &b); /* again */
		assert_int_equal(sad_dropped(b.sad, DROP_REPLAY), 1);

		/* Its SPI is no SPI of ESP. */
		packet = a.sent[0].octets;
		packet[family == 4 ? 9 : 6] = IP_ESP;
		memmove(packet + at, packet + at + 4, 8);
		side_receive(&b, packet, a.sent[0].len);
		assert_int_equal(sad_dropped(b.sad, DROP_SELECTOR), 1);

		/* A router's word is believed if it quotes AH of ours. */
		side_send(&a, &s);
		packet = a.sent[1].octets;
		plane_enter(a.sad);
		plane_too_big(a.sad, packet, at + 8, 1300);
		plane_leave(a.sad);
		assert_int_equal(ip_parse_quoted(packet, at + 8, &quoted, NULL), 0);
		assert_int_equal(path_mtu(&a.sad->paths, &quoted.source, &quoted.destination, side_clock_ms), 1300);
		packet[at + 7] ^= 1; /* another SPI */
		plane_enter(a.sad);
		plane_too_big(a.sad, packet, at + 8, 1290);
		plane_leave(a.sad);
		assert_int_equal(path_mtu(&a.sad->paths, &quoted.source, &quoted.destination, side_clock_ms), 1300);

		/* And the other end says of which protocol what it does not know is. */
		side_forget(&b);
		side_receive(&b, packet, a.sent[1].len);
		assert_int_equal(b.event_count, 1);
		assert_int_equal(b.events[0].kind, SAD_UNKNOWN_SPI);
		assert_int_equal(b.events[0].packet.protocol, IP_AH);
		sides_protect_by(&gcm);
		side_down(&a);
		side_down(&b);
	}
}

static void packets_wait_and_leave_in_order_when_the_sa_is_there(void **state)
{
	struct side a, b;

	(void)state;
	side_up(&a, 1, &plan_of_all);
	side_up(&b, 2, &plan_of_all);
	for (uint16_t i = 0; i < 10; i++) {
		struct shape s = udp4;

		s.from = (uint16_t)(2000 + i);
		side_send(&a, &s);
	}
	assert_int_equal(a.count, 0);
	assert_int_equal(a.event_count, 1);
	assert_int_equal(a.events[0].kind, SAD_ACQUIRE);
	assert_int_equal(a.events[0].packet.local_port, 2000);
	assert_true(a.events[0].selector.protocol == PROTOCOL_ANY);
	assert_ptr_equal(a.events[0].entry, all_entries);
	sides_join(&a, &b, 4);
	side_carry(&a, &b);
	assert_int_equal(b.count, 10);
	for (uint16_t i = 0; i < 10; i++)
		assert_int_equal(get16(b.sent[i].octets + 20), 2000 + i);
	assert_int_equal(side_dropped(&a) + side_dropped(&b), 0);
	side_down(&a);
	side_down(&b);
}

static void waiting_packets_are_bounded(void **state)
{
	struct side a, b;
	struct shape s = udp4;

	(void)state;
	side_up(&a, 1, &plan_of_all);
	side_up(&b, 2, &plan_of_all);
	for (unsigned i = 0; i < 100; i++)
		side_send(&a, &s);
	assert_int_equal(sad_dropped(a.sad, DROP_HELD_OVERFLOW), 100 - HELD_PACKETS_EACH);
	sides_join(&a, &b, 4);
	assert_int_equal(a.count, HELD_PACKETS_EACH);
	side_forget(&a);
	side_down(&a);

	side_up(&a, 1, &plan_of_all); /* by octets */
	s.payload = 30000;
	for (unsigned i = 0; i < 40; i++)
		side_send(&a, &s);
	assert_int_equal(sad_dropped(a.sad, DROP_HELD_OVERFLOW), 40 - HELD_OCTETS_EACH / 30028);
	side_down(&a);

	side_up(&a, 1, &plan_of_all); /* by octets of all, which several planes share */
	a.sad->held.shares = 128;
	for (unsigned i = 0; i < 40; i++)
		side_send(&a, &s);
	assert_int_equal(sad_dropped(a.sad, DROP_HELD_OVERFLOW), 40 - HELD_OCTETS_ALL / 128 / 30028);
	side_down(&a);

	side_up(&a, 1, &plan_of_all); /* all queues together: a process that scans a network */
	for (unsigned i = 0; i < 5000; i++) {
		static uint8_t packet[PACKET_ROOM];
		size_t len = packet_make(&udp4, packet);

		put16(packet + 17, i);
		ip4_checksum(packet, 20);
		side_send_octets(&a, packet, len, no_offload);
		a.event_count = 0;
	}
	assert_int_equal(sad_dropped(a.sad, DROP_NO_SA), 5000 - HELD_QUEUES);
	side_clock_ms += 60000;
	plane_enter(a.sad);
	plane_tick(a.sad);
	plane_leave(a.sad);
	assert_int_equal(sad_dropped(a.sad, DROP_HELD_TIMEOUT), HELD_QUEUES);
	assert_int_equal(plane_deadline(a.sad), UINT64_MAX);
	side_down(&a);
	side_down(&b);
}

static void keying_is_asked_once_a_second(void **state)
{
	struct side a;
	struct sa_selector s;

	(void)state;
	side_up(&a, 1, &plan_of_all);
	for (unsigned i = 0; i < 30; i++, side_clock_ms += 100)
		side_send(&a, &udp4);
	assert_int_equal(a.event_count, 3);
	s = a.events[0].selector;
	/* What comes after the answer, within the second, must not be forgotten. */
	sad_release_held(a.sad, &s, false);
	side_forget(&a);
	side_clock_ms += 1000;
	side_send(&a, &udp4);
	sad_release_held(a.sad, &s, false);
	side_clock_ms += 300;
	side_send(&a, &udp4);
	assert_int_equal(a.event_count, 1);
	side_clock_ms += 800;
	assert_true(plane_deadline(a.sad) <= side_clock_ms);
	plane_enter(a.sad);
	plane_tick(a.sad);
	plane_leave(a.sad);
	assert_int_equal(a.event_count, 2);
	side_down(&a);
}

static void a_failed_negotiation_tells_the_sender_or_falls_back(void **state)
{
	struct shape tcp = { .family = 4, .protocol = IP_TCP, .from = 9, .to = 445, .df = true, .flags = 2 };
	static uint8_t want[PACKET_ROOM];
	struct side a;
	struct ip_packet ip, quoted;

	(void)state;
	side_up(&a, 1, &plan_of_all);
	side_send(&a, &tcp);
	side_send(&a, &udp4);
	sad_release_held(a.sad, &a.events[0].selector, false);
	assert_int_equal(a.count, 2);
	assert_true(a.sent[0].to_tun);
	assert_int_equal(ip_parse(a.sent[0].octets, a.sent[0].len, &ip, NULL), 0);
	assert_true(ip_quoted(&ip, a.sent[0].octets, &quoted));
	assert_int_equal(quoted.destination_port, 445);
	assert_int_equal(sad_dropped(a.sad, DROP_NEGOTIATION_FAILED), 2);
	side_forget(&a);
	side_down(&a);

	side_up(&a, 1, &plan_of_all);
	side_send(&a, &tcp);
	side_send(&a, &udp4);
	sad_release_held(a.sad, &a.events[0].selector, true);
	assert_int_equal(a.count, 2);
	assert_false(a.sent[0].to_tun || a.sent[1].to_tun);
	assert_int_equal(a.sent[0].len, packet_make(&tcp, want));
	assert_memory_equal(a.sent[0].octets, want, a.sent[0].len);
	assert_int_equal(side_dropped(&a), 0);
	side_down(&a);
}

static void a_held_super_packet_is_cut_when_it_leaves(void **state)
{
	struct shape tcp = { .family = 4, .protocol = IP_TCP, .from = 9, .to = 445, .df = true, .payload = 40000 };
	static uint8_t packet[PACKET_ROOM];
	uint8_t header[OFFLOAD_HEADER];
	size_t len = packet_make(&tcp, packet), n;
	struct side a, b;

	(void)state;
	packet_offload(packet, len, TCPV4, 1448, header);
	side_up(&a, 1, &plan_of_all);
	side_up(&b, 2, &plan_of_all);
	side_send_octets(&a, packet, len, header);
	assert_int_equal(a.count, 0);
	sides_join(&a, &b, 4);
	n = a.count;
	assert_true(n >= 28);
	side_carry(&a, &b);
	assert_int_equal(b.count, n);
	for (size_t i = 0; i < n; i++) {
		assert_true(a.sent[i].len <= 1500);
		assert_true(sums_right(b.sent[i].octets, b.sent[i].len));
	}
	side_forget(&a);
	side_down(&a);

	side_up(&a, 1, &plan_of_all); /* in clear there is more room */
	side_send_octets(&a, packet, len, header);
	sad_release_held(a.sad, &a.events[0].selector, true);
	assert_int_equal(a.count, 28);
	assert_int_equal(a.sent[0].len, 1500);
	for (size_t i = 0; i < a.count; i++)
		assert_true(sums_right(a.sent[i].octets, a.sent[i].len));
	side_down(&a);
	side_down(&b);
}

static void what_is_too_big_is_told_or_fragmented(void **state)
{
	static const struct {
		unsigned family;
		uint8_t protocol;
		bool df, told;
		size_t payload;
	} rows[] = {
		{ 4, IP_UDP, true, true, 1460 },    { 4, IP_UDP, false, false, 1460 },
		{ 4, IP_UDP, false, false, 60000 }, { 4, IP_TCP, true, true, 1448 },
		{ 6, IP_TCP, true, true, 1428 },    { 6, IP_UDP, true, false, 1440 },
		{ 4, IP_UDP, false, true, 65500 }, /* no packet holds it sealed */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct shape s = { .family = rows[i].family,
				   .protocol = rows[i].protocol,
				   .df = rows[i].df,
				   .payload = rows[i].payload };
		struct side a, b;
		struct ip_packet ip;

		side_up(&a, 1, &plan_of_all);
		side_up(&b, 2, &plan_of_all);
		sides_join(&a, &b, s.family);
		side_send(&a, &s);
		assert_int_equal(a.sent[0].to_tun, rows[i].told);
		assert_int_equal(sad_dropped(a.sad, DROP_TOO_BIG), rows[i].told);
		assert_int_equal(ip_parse(a.sent[0].octets, a.sent[0].len, &ip, NULL), 0);
		if (!rows[i].told) {
			assert_true(ip.fragment && a.count > 1);
			for (size_t k = 0; k < a.count; k++)
				assert_true(a.sent[k].len <= 1500);
		} else {
			size_t mtu = get32(a.sent[0].octets + ip.upper + 4);

			assert_int_equal(a.count, 1);
			side_forget(&a);
			s.payload -= (s.family == 4 ? 20 : 40) + (s.protocol == IP_TCP ? 32u : 8u) + s.payload - mtu;
			s.df = true;
			side_send(&a, &s); /* as large as we said goes */
			assert_int_equal(a.count, 1);
			assert_false(a.sent[0].to_tun);
		}
		side_down(&a);
		side_down(&b);
	}
}

/* Linux does not listen to a smaller one: the connection would hang. */
static void nothing_below_the_least_of_ipv6_is_told(void **state)
{
	struct shape s = { .family = 6, .protocol = IP_TCP, .payload = 1350 };
	struct side a, b;
	struct ip_packet ip;

	(void)state;
	side_up(&a, 1, &plan_of_all);
	side_up(&b, 2, &plan_of_all);
	a.mtu = 1300; /* less than 1280 and ESP */
	sides_join(&a, &b, 6);
	side_send(&a, &s);
	assert_int_equal(ip_parse(a.sent[0].octets, a.sent[0].len, &ip, NULL), 0);
	assert_true(a.sent[0].to_tun);
	assert_int_equal(get32(a.sent[0].octets + ip.upper + 4), 1280);
	side_forget(&a);
	s.payload = 1280 - 40 - 32;
	side_send(&a, &s);
	assert_int_equal(a.count, 2); /* in fragments */
	side_down(&a);
	side_down(&b);
}

static void an_icmp_error_lowers_the_path_only_if_it_quotes_our_esp(void **state)
{
	static const struct {
		const char *what;
		uint32_t mtu, spi_change, want;
		size_t cut;
	} rows[] = {
		{ "ours", 1400, 0, 1400, 28 },
		{ "another SPI", 1400, 1, 1500, 28 },
		{ "no SPI in it", 1400, 0, 1500, 20 },
		{ "too small to be true", 68, 0, PATH_LEAST4, 28 },
		{ "larger than the route", 9000, 0, 1500, 28 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct addr one = end_of(4, 1), two = end_of(4, 2);
		struct side a, b;
		uint8_t quote[28];

		side_up(&a, 1, &plan_of_all);
		side_up(&b, 2, &plan_of_all);
		sides_join(&a, &b, 4);
		side_send(&a, &udp4);
		memcpy(quote, a.sent[0].octets, sizeof quote);
		quote[23] ^= (uint8_t)rows[i].spi_change;
		plane_too_big(a.sad, quote, rows[i].cut, rows[i].mtu);
		if (path_mtu(&a.sad->paths, &one, &two, side_clock_ms) != rows[i].want)
			fail_msg("%s", rows[i].what);
		assert_int_equal(path_mtu(&a.sad->paths, &one, &two, side_clock_ms + PATH_LOWERED_MS), 1500);
		side_down(&a);
		side_down(&b);
	}
}

/* What is inside has other addresses: the next packet is cut to what the router said all the same. */
static void a_path_is_lowered_for_tunnels_and_through_a_nat(void **state)
{
	static const struct {
		const char *what;
		bool tunnel,
			by_socket; /* by_socket: the error came to the socket of UDP, which knows the far end alone */
	} rows[] = { { "tunnel", true, false }, { "NAT", false, false }, { "NAT, told to the socket", false, true } };
	static const struct rule to_branch = {
		.name = "Branch", .mode = MODE_REQUIRE, .auth = &auth_a, .protection = &encrypt, .tunnel = true
	};
	static const struct plan_entry entries[1] = { FLAT_ALL(&to_branch) };
	static struct plan plan_of_tunnel = { entries, ARRAY_LEN(entries), 1 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct plan *plan = rows[i].tunnel ? &plan_of_tunnel : &plan_of_all;
		struct shape large = { .family = 4, .protocol = IP_UDP, .payload = 1350 };
		const struct addr far = addr_v4(203, 0, 113, 9);
		struct sa_spec of_a, of_b;
		struct side a, b;
		uint8_t quote[36];

		side_up(&a, 1, plan);
		side_up(&b, 2, plan);
		of_a = side_spec(&a, 4, plan->entries[0].rule, &gcm);
		of_b = side_spec(&b, 4, plan->entries[0].rule, &gcm);
		of_a.tunnel = of_b.tunnel = rows[i].tunnel;
		of_a.nat = of_b.nat = !rows[i].tunnel;
		if (of_a.nat)
			of_a.encap_local_port = of_a.encap_remote_port = of_b.encap_local_port =
				of_b.encap_remote_port = 4500;
		of_a.remote = far;
		sides_join_specs(&a, &b, of_a, of_b);
		side_send(&a, &large);
		assert_int_equal(a.count, 1);
		memcpy(quote, a.sent[0].octets, sizeof quote);
		if (rows[i].by_socket)
			esp_encapsulated_too_big(a.sad, &far, quote + IP4_HEADER + UDP_HEADER, 8, 1300);
		else
			plane_too_big(a.sad, quote, sizeof quote, 1300);
		side_forget(&a);
		side_send(&a, &large);
		if (a.count < 2)
			fail_msg("%s: %zu octets leave", rows[i].what, a.sent[0].len);
		for (size_t k = 0; k < a.count; k++)
			assert_true(a.sent[k].len <= 1300);
		side_forget(&a);
		large.df = true;
		side_send(&a, &large);
		assert_int_equal(a.count, 1);
		assert_true(a.sent[0].to_tun);
		assert_int_equal(sad_dropped(a.sad, DROP_TOO_BIG), 1);
		side_down(&a);
		side_down(&b);
	}
}

static void fragments_and_rubbish_from_the_tun_are_counted(void **state)
{
	static uint8_t packet[PACKET_ROOM];
	struct side a;
	size_t len = packet_make(&udp4, packet);

	(void)state;
	side_up(&a, 1, &plan_of_all);
	for (size_t cut = 1; cut < len; cut++)
		side_send_octets(&a, packet, cut, no_offload);
	assert_int_equal(sad_dropped(a.sad, DROP_MALFORMED), len - 1);
	packet[6] = 0x20;
	side_send_octets(&a, packet, len, no_offload);
	packet[7] = 5;
	side_send_octets(&a, packet, len, no_offload);
	assert_int_equal(sad_dropped(a.sad, DROP_FRAGMENT), 2);
	assert_int_equal(a.count + a.event_count, 0);
	side_down(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_packet_travels_and_is_the_same_behind),
		cmocka_unit_test(ah_travels_the_same_way),
		cmocka_unit_test(packets_wait_and_leave_in_order_when_the_sa_is_there),
		cmocka_unit_test(waiting_packets_are_bounded),
		cmocka_unit_test(keying_is_asked_once_a_second),
		cmocka_unit_test(a_failed_negotiation_tells_the_sender_or_falls_back),
		cmocka_unit_test(a_held_super_packet_is_cut_when_it_leaves),
		cmocka_unit_test(what_is_too_big_is_told_or_fragmented),
		cmocka_unit_test(nothing_below_the_least_of_ipv6_is_told),
		cmocka_unit_test(an_icmp_error_lowers_the_path_only_if_it_quotes_our_esp),
		cmocka_unit_test(a_path_is_lowered_for_tunnels_and_through_a_nat),
		cmocka_unit_test(fragments_and_rubbish_from_the_tun_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
