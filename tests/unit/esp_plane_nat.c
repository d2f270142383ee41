/* The plane and a NAT: addresses and ports that somebody on the way has changed. */
#include "tests/unit/sides.h"
#include "tests/unit/unit.h"

#include "dataplane/esp/icmp.h"
#include "dataplane/esp/packet.h"

/* A NAT puts another address, and port, in the place of the first host's. */
static void translate(uint8_t *packet, bool source, const struct addr *to, uint16_t port)
{
	bool v4 = packet[0] >> 4 == 4;
	size_t head = v4 ? 20 : 40;

	memcpy(packet + (v4 ? 12 : 8) + (source ? 0 : addr_octets(to)), to->octets, addr_octets(to));
	put16(packet + head + (source ? 0 : 2), port);
	if (v4)
		ip4_checksum(packet, head);
}

/* From behind the NAT: a knows itself as 1, b knows it as 9. */
static void join_through_nat(struct side *a, struct side *b, unsigned family, uint16_t port)
{
	struct sa_spec of_a = side_spec(a, family, &all, &gcm), of_b = side_spec(b, family, &all, &gcm);

	of_a.encap_local_port = of_a.encap_remote_port = of_b.encap_local_port = 4500;
	of_a.nat = of_b.nat = true;
	of_b.encap_remote_port = port;
	of_b.remote = of_b.selector.remote = end_of(family, 9);
	sides_join_specs(a, b, of_a, of_b);
}

static void out_through_nat(struct side *a, struct side *b, const struct shape *s, const struct addr *as, uint16_t port)
{
	side_forget(a);
	side_forget(b);
	side_send(a, s);
	assert_int_equal(a->count, 1);
	translate(a->sent[0].octets, true, as, port);
	side_receive(b, a->sent[0].octets, a->sent[0].len);
}

static const struct sad_event *moved(const struct side *h)
{
	for (size_t i = 0; i < h->event_count; i++)
		if (h->events[i].kind == SAD_MOVED)
			return &h->events[i];
	return NULL;
}

/* Both ends agreed on UDP, and there is no NAT: what is inside is the sender's as it stands, and he stays where he is.
 */
static void agreed_encapsulation_changes_nothing_inside_and_nobody_moves(void **state)
{
	(void)state;
	for (unsigned nat = 0; nat < 2; nat++) {
		const struct addr self = end_of(4, 1), elsewhere = end_of(4, 8);
		struct side a, b;
		static uint8_t packet[PACKET_ROOM];
		size_t len = packet_make(&udp4, packet);
		struct sa_spec of_a, of_b;
		struct ip_packet ip;

		side_up(&a, 1, &plan_of_all);
		side_up(&b, 2, &plan_of_all);
		of_a = side_spec(&a, 4, &all, &gcm);
		of_b = side_spec(&b, 4, &all, &gcm);
		of_a.encap_local_port = of_a.encap_remote_port = of_b.encap_local_port = of_b.encap_remote_port = 4500;
		of_a.nat = of_b.nat = nat;
		sides_join_specs(&a, &b, of_a, of_b);
		side_forget(&a);
		packet[26] ^= 0x55; /* a wrong checksum says which it is */
		side_send_octets(&a, packet, len, no_offload);
		assert_int_equal(a.count, 1);
		side_forget(&b);
		translate(a.sent[0].octets, true, &self, 62000); /* the same address, another port */
		side_receive(&b, a.sent[0].octets, a.sent[0].len);
		assert_int_equal(b.count, 1);
		assert_int_equal(sums_right(b.sent[0].octets, b.sent[0].len), nat);
		assert_int_equal(moved(&b) != NULL, nat);
		side_clock_ms += PLANE_MOVED_MS;
		out_through_nat(&a, &b, &udp4, &elsewhere, 4500);
		assert_int_equal(b.count, nat);
		assert_int_equal(moved(&b) != NULL, nat);
		assert_int_equal(sad_dropped(b.sad, DROP_SELECTOR), !nat);
		sad_move(a.sad, PAIR, &elsewhere, 62000);
		side_forget(&a);
		side_send(&a, &udp4);
		assert_int_equal(ip_parse(a.sent[0].octets, a.sent[0].len, &ip, NULL), 0);
		assert_int_equal(addr_equal(&ip.destination, &elsewhere), nat);
		assert_int_equal(ip.destination_port, nat ? 62000 : 4500);
		side_down(&a);
		side_down(&b);
	}
}

static void what_comes_through_a_nat_has_the_addresses_that_we_know(void **state)
{
	static const struct shape rows[] = {
		{ .family = 4, .protocol = IP_UDP, .from = 1000, .to = 53, .payload = 101 },
		{ .family = 4, .protocol = IP_TCP, .from = 1000, .to = 80, .payload = 100, .flags = 0x10 },
		{ .family = 4, .protocol = IP_ICMP, .from = 0x0800, .payload = 33 },
		{ .family = 6, .protocol = IP_UDP, .from = 1000, .to = 53, .payload = 101 },
		{ .family = 6, .protocol = IP_TCP, .from = 1000, .to = 80, .payload = 100, .flags = 0x10 },
		{ .family = 6, .protocol = IP_ICMP6, .from = 0x8000, .payload = 40 },
		{ .family = 6, .protocol = IP_TCP, .from = 1000, .to = 80, .payload = 100, .destination = true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct addr outside = end_of(rows[i].family, 9);
		struct ip_packet ip;
		struct side a, b;

		side_up(&a, 1, &plan_of_all);
		side_up(&b, 2, &plan_of_all);
		join_through_nat(&a, &b, rows[i].family, 61000);
		out_through_nat(&a, &b, &rows[i], &outside, 61000);
		if (b.count != 1 || !sums_right(b.sent[0].octets, b.sent[0].len))
			fail_msg("row %zu: %zu packets, dropped %llu", i, b.count,
				 (unsigned long long)side_dropped(&b));
		assert_int_equal(ip_parse(b.sent[0].octets, b.sent[0].len, &ip, NULL), 0);
		assert_true(addr_equal(&ip.source, &outside));
		assert_null(moved(&b));
		side_down(&a);
		side_down(&b);
	}
}

static void a_datagram_without_checksum_keeps_none(void **state)
{
	const struct addr outside = end_of(4, 9);
	static uint8_t packet[PACKET_ROOM];
	struct side a, b;
	size_t len = packet_make(&udp4, packet);

	(void)state;
	side_up(&a, 1, &plan_of_all);
	side_up(&b, 2, &plan_of_all);
	join_through_nat(&a, &b, 4, 61000);
	side_forget(&a);
	put16(packet + 26, 0);
	side_send_octets(&a, packet, len, no_offload);
	translate(a.sent[0].octets, true, &outside, 61000);
	side_forget(&b);
	side_receive(&b, a.sent[0].octets, a.sent[0].len);
	assert_int_equal(b.count, 1);
	assert_int_equal(get16(b.sent[0].octets + 26), 0);
	side_down(&a);
	side_down(&b);
}

static void a_move_is_told_when_it_is_authentic_and_made_when_asked(void **state)
{
	(void)state;
	for (unsigned family = 4; family <= 6; family += 2) {
		const struct addr outside = end_of(family, 9), elsewhere = end_of(family, 8);
		struct shape s = udp4, answer = udp4;
		struct ip_packet ip;
		struct side a, b;

		s.family = answer.family = family;
		side_up(&a, 1, &plan_of_all);
		side_up(&b, 2, &plan_of_all);
		join_through_nat(&a, &b, family, 61000);
		out_through_nat(&a, &b, &s, &elsewhere, 62000);
		assert_int_equal(b.count, 1);
		assert_non_null(moved(&b));
		assert_int_equal(moved(&b)->pair, PAIR);
		assert_int_equal(moved(&b)->packet.remote_port, 62000);
		assert_true(addr_equal(&moved(&b)->packet.remote, &elsewhere));
		assert_int_equal(ip_parse(b.sent[0].octets, b.sent[0].len, &ip, NULL), 0);
		assert_true(addr_equal(&ip.source, &outside)); /* its programs go on knowing it by that */
		out_through_nat(&a, &b, &s, &elsewhere, 62000);
		assert_null(moved(&b)); /* not at once again */
		side_clock_ms += PLANE_MOVED_MS;

		/* The same packet again, and a damaged one, from a third place: nothing is told. */
		translate(a.sent[0].octets, true, &outside, 63000);
		side_forget(&b);
		side_receive(&b, a.sent[0].octets, a.sent[0].len);
		side_forget(&a);
		side_send(&a, &s);
		a.sent[0].octets[a.sent[0].len - 1] ^= 1;
		translate(a.sent[0].octets, true, &outside, 63000);
		side_receive(&b, a.sent[0].octets, a.sent[0].len);
		assert_int_equal(b.count, 0);
		assert_null(moved(&b));

		sad_move(b.sad, PAIR, &elsewhere, 62000);
		side_forget(&b);
		{ /* an answer, as b's programs send it */
			static uint8_t packet[PACKET_ROOM];
			size_t at = family == 4 ? 16 : 24, len;

			answer.reply = true;
			len = packet_make(&answer, packet);
			memcpy(packet + at, outside.octets, addr_octets(&outside));
			if (family == 4)
				ip4_checksum(packet, 20);
			side_send_octets(&b, packet, len, no_offload);
		}
		assert_int_equal(b.count, 1);
		assert_int_equal(ip_parse(b.sent[0].octets, b.sent[0].len, &ip, NULL), 0);
		assert_true(addr_equal(&ip.destination, &elsewhere));
		assert_int_equal(ip.destination_port, 62000);
		if (family == 6)
			assert_true(sums_right(b.sent[0].octets, b.sent[0].len));
		{
			const struct addr inside = end_of(family, 1);

			translate(b.sent[0].octets, false, &inside, 4500);
		}
		side_forget(&a);
		side_receive(&a, b.sent[0].octets, b.sent[0].len);
		assert_int_equal(a.count, 1);
		assert_true(sums_right(a.sent[0].octets, a.sent[0].len));
		side_down(&a);
		side_down(&b);
	}
}

/* "Port unreachable" from the far end quotes our packet with the address that the NAT gave it. */
static void an_icmp_error_through_a_nat_quotes_our_own_packet(void **state)
{
	const struct addr outside = end_of(4, 9), inside = end_of(4, 1), server = end_of(4, 2);
	static uint8_t packet[PACKET_ROOM];
	struct ip_packet ip, quoted;
	struct side a, b;
	size_t n;

	(void)state;
	side_up(&a, 1, &plan_of_all);
	side_up(&b, 2, &plan_of_all);
	join_through_nat(&a, &b, 4, 61000);
	out_through_nat(&a, &b, &udp4, &outside, 61000);
	/* 20 octets of header, 8 of ICMP, then the packet as b has it. */
	memset(packet, 0, 28);
	packet[0] = 0x45;
	packet[8] = 64;
	packet[9] = IP_ICMP;
	packet[20] = packet[21] = 3;
	memcpy(packet + 12, server.octets, 4);
	memcpy(packet + 16, outside.octets, 4);
	memcpy(packet + 28, b.sent[0].octets, 28);
	put16(packet + 2, n = 56);
	ip4_checksum(packet, 20);
	put16(packet + 22, (uint16_t)~upper_sum(packet, n));
	side_forget(&b);
	side_send_octets(&b, packet, n, no_offload);
	assert_int_equal(b.count, 1);
	translate(b.sent[0].octets, false, &inside, 4500);
	side_forget(&a);
	side_receive(&a, b.sent[0].octets, b.sent[0].len);
	assert_int_equal(a.count, 1);
	assert_true(sums_right(a.sent[0].octets, a.sent[0].len));
	assert_int_equal(ip_parse(a.sent[0].octets, a.sent[0].len, &ip, NULL), 0);
	assert_true(ip_quoted(&ip, a.sent[0].octets, &quoted));
	assert_true(addr_equal(&quoted.source, &inside) && addr_equal(&quoted.destination, &server));
	side_down(&a);
	side_down(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agreed_encapsulation_changes_nothing_inside_and_nobody_moves),
		cmocka_unit_test(what_comes_through_a_nat_has_the_addresses_that_we_know),
		cmocka_unit_test(a_datagram_without_checksum_keeps_none),
		cmocka_unit_test(a_move_is_told_when_it_is_authentic_and_made_when_asked),
		cmocka_unit_test(an_icmp_error_through_a_nat_quotes_our_own_packet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
