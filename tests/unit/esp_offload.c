/* Cutting, fragmenting, and the ICMP errors: what leaves must be what the kernel or a router would have made. */
#include "tests/unit/unit.h"

#include "base/diag.h"
#include "base/scope.h"
#include "dataplane/esp/fragment.h"
#include "dataplane/esp/icmp.h"
#include "dataplane/esp/offload.h"
#include "tests/unit/packets.h"
#include "tests/unit/random.h"

#include <errno.h>
#include <stdlib.h>

enum { TCPV4 = 1, TCPV6 = 4, UDP_L4 = 5, ECN = 0x80, FIN = 1, PSH = 8, CWR = 0x80 };

static uint8_t whole[PACKET_ROOM], piece[PACKET_ROOM], joined[PACKET_ROOM];

static void check_tcp_piece(const uint8_t *packet, size_t len, uint8_t flags, size_t at, bool last)
{
	size_t upper = packet[0] >> 4 == 4 ? 20 : 40;
	uint8_t want = flags;

	if (!last)
		want &= (uint8_t) ~(FIN | PSH);
	if (at)
		want &= (uint8_t)~CWR;
	assert_int_equal(packet[upper + 13], want);
	assert_int_equal(get32(packet + upper + 4), (uint32_t)(0xfffff000 + at));
	assert_true(len > upper + 32 || (at == 0 && last));
}

static void a_super_packet_becomes_the_packets_that_tcp_would_have_sent(void **state)
{
	uint64_t seed = 11;

	(void)state;
	for (unsigned i = 0; i < 400; i++) {
		unsigned family = random_below(&seed, 2) ? 4 : 6;
		size_t payload = 1 + random_below(&seed, 65000), most = 200 + random_below(&seed, 1400), n, at = 0;
		uint16_t size = (uint16_t)(100 + random_below(&seed, 1400));
		struct shape s = { .family = family,
				   .protocol = IP_TCP,
				   .from = 1,
				   .to = 2,
				   .payload = payload,
				   .df = true,
				   .flags = (uint8_t)(0x10 | (random_below(&seed, 2) ? FIN | PSH | CWR : PSH)) };
		size_t len = packet_make(&s, whole), head = (family == 4 ? 20 : 40) + 32, number = 0;
		uint8_t header[10];
		struct ip_packet ip;
		struct offload o;
		struct cutter c;

		packet_offload(whole, len, (uint8_t)((family == 4 ? TCPV4 : TCPV6) | (s.flags & CWR)), size, header);
		assert_int_equal(ip_parse(whole, len, &ip, NULL), 0);
		assert_int_equal(offload_decode(header, &ip, whole, &o, NULL), 0);
		assert_int_equal(cutter_init(&c, &o, &ip, whole, most, NULL), 0);
		while ((n = cutter_next(&c, piece)) > 0) {
			size_t full = size < most - head ? size : most - head;
			bool last = at + (n - head) == payload;

			assert_true(n <= most && n - head <= size);
			assert_true(last || n - head == full);
			assert_true(sums_right(piece, n));
			check_tcp_piece(piece, n, s.flags, at, last);
			if (family == 4)
				assert_int_equal(get16(piece + 4), 0x1234 + number);
			memcpy(joined + at, piece + head, n - head);
			at += n - head;
			number++;
		}
		assert_int_equal(at, payload);
		for (size_t k = 0; k < payload; k++)
			assert_int_equal(joined[k], payload_octet(k));
	}
}

static void a_udp_super_packet_keeps_the_datagrams_of_its_sender(void **state)
{
	(void)state;
	for (unsigned family = 4; family <= 6; family += 2) {
		struct shape s = { .family = family, .protocol = IP_UDP, .from = 1, .to = 2, .payload = 5000 };
		size_t len = packet_make(&s, whole), head = (family == 4 ? 20 : 40) + 8, n, at = 0;
		uint8_t header[10];
		struct ip_packet ip;
		struct offload o;
		struct cutter c;

		packet_offload(whole, len, UDP_L4, 1200, header);
		assert_int_equal(ip_parse(whole, len, &ip, NULL), 0);
		assert_int_equal(offload_decode(header, &ip, whole, &o, NULL), 0);
		assert_int_equal(cutter_init(&c, &o, &ip, whole, 600, NULL), 0); /* not cut smaller than it was sent */
		for (; (n = cutter_next(&c, piece)) > 0; at += n - head) {
			assert_int_equal(n - head, at < 4800 ? 1200 : 200);
			assert_int_equal(get16(piece + head - 4), n - head + 8);
			assert_true(sums_right(piece, n));
			assert_memory_equal(piece + head, whole + head + at, n - head);
		}
		assert_int_equal(at, 5000);
	}
}

static void a_missing_checksum_is_completed(void **state)
{
	static const uint8_t protocols[] = { IP_TCP, IP_UDP };

	(void)state;
	for (unsigned family = 4; family <= 6; family += 2)
		for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
			for (size_t payload = 0; payload < 40; payload++) {
				struct shape s = {
					.family = family, .protocol = protocols[i], .from = 7, .payload = payload
				};
				size_t len = packet_make(&s, whole);
				struct ip_packet ip;
				struct offload o;
				uint8_t header[10];

				packet_offload(whole, len, 0, 0, header);
				assert_false(sums_right(whole, len));
				assert_int_equal(ip_parse(whole, len, &ip, NULL), 0);
				assert_int_equal(offload_decode(header, &ip, whole, &o, NULL), 0);
				offload_complete(&o, whole, len);
				assert_true(sums_right(whole, len));
			}
}

static void offloads_that_do_not_fit_the_packet_are_refused(void **state)
{
	static const struct {
		const char *what;
		uint8_t gso;
		uint16_t size, start, offset;
	} rows[] = {
		{ "unknown kind", 3, 1000, 20, 16 },
		{ "IPv6 kind on IPv4", TCPV6, 1000, 20, 16 },
		{ "UDP kind on TCP", UDP_L4, 1000, 20, 6 },
		{ "pieces of nothing", TCPV4, 0, 20, 16 },
		{ "checksum elsewhere", TCPV4, 1000, 24, 16 },
		{ "checksum of UDP", TCPV4, 1000, 20, 6 },
		{ "checksum in the IP header", 0, 0, 8, 2 },
		{ "checksum behind the end", 0, 0, 2071, 0 },
		{ "checksum at the last octet", 0, 0, 20, 2051 },
		{ "checksum far away", 0, 0, 65535, 65535 },
	};
	struct shape s = { .family = 4, .protocol = IP_TCP, .payload = 2000 };
	size_t len = packet_make(&s, whole);
	struct ip_packet ip;

	(void)state;
	assert_int_equal(len, 2052);
	assert_int_equal(ip_parse(whole, len, &ip, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t header[10] = { 1, rows[i].gso };
		struct offload o;

		memcpy(header + 4, &rows[i].size, 2);
		memcpy(header + 6, &rows[i].start, 2);
		memcpy(header + 8, &rows[i].offset, 2);
		if (offload_decode(header, &ip, whole, &o, NULL) != -ERR_SYNTAX)
			fail_msg("%s: taken", rows[i].what);
	}
}

static void a_tcp_header_that_does_not_fit_is_refused(void **state)
{
	struct shape s = { .family = 4, .protocol = IP_TCP, .payload = 100 };
	size_t len = packet_make(&s, whole);
	uint8_t header[10];
	struct ip_packet ip;
	struct offload o;

	(void)state;
	packet_offload(whole, len, TCPV4, 50, header);
	assert_int_equal(ip_parse(whole, len, &ip, NULL), 0);
	whole[32] = 4 << 4;
	assert_int_equal(offload_decode(header, &ip, whole, &o, NULL), -ERR_SYNTAX);
	s.payload = 0;
	len = packet_make(&s, whole);
	whole[32] = 15 << 4;
	assert_int_equal(ip_parse(whole, len, &ip, NULL), 0);
	assert_int_equal(offload_decode(header, &ip, whole, &o, NULL), -ERR_SYNTAX);
}

static void a_super_packet_with_too_many_or_no_pieces_is_refused(void **state)
{
	struct shape s = { .family = 4, .protocol = IP_TCP, .payload = 60000 };
	size_t len = packet_make(&s, whole);
	uint8_t header[10];
	struct ip_packet ip;
	struct offload o;
	struct cutter c;

	(void)state;
	packet_offload(whole, len, TCPV4, 10, header);
	assert_int_equal(ip_parse(whole, len, &ip, NULL), 0);
	assert_int_equal(offload_decode(header, &ip, whole, &o, NULL), 0);
	assert_int_equal(cutter_init(&c, &o, &ip, whole, 1500, NULL), -EMSGSIZE);
	packet_offload(whole, len, TCPV4, 1400, header);
	assert_int_equal(offload_decode(header, &ip, whole, &o, NULL), 0);
	assert_int_equal(cutter_init(&c, &o, &ip, whole, 52, NULL), -EMSGSIZE);
}

static void fragments_put_together_are_the_packet(void **state)
{
	(void)state;
	for (unsigned family = 4; family <= 6; family += 2)
		for (size_t payload = 2000; payload < 2020; payload++) {
			struct shape s = { .family = family, .protocol = IP_UDP, .payload = payload, .options = 8 };
			size_t len = packet_make(&s, whole), head = family == 4 ? 28 : 48, n, at = 0, count = 0;
			size_t header = family == 4 ? head : head + 8;
			struct fragmenter f;
			struct ip_packet ip, got;
			bool more = true;

			assert_int_equal(ip_parse(whole, len, &ip, NULL), 0);
			assert_true(fragmenter_init(&f, &ip, whole, len, 600, 77));
			while ((n = fragmenter_next(&f, piece)) > 0) {
				size_t offset = family == 4 ? (size_t)(get16(piece + 6) & 0x1fff) * 8
							    : (size_t)(get16(piece + head + 2) & 0xfff8);

				assert_true(n <= 600 && more);
				assert_int_equal(offset, at);
				more = family == 4 ? piece[6] & 0x20 : piece[head + 3] & 1;
				assert_true(!more || (n - header) % 8 == 0);
				assert_int_equal(ip_parse(piece, n, &got, NULL), 0);
				assert_true(got.fragment);
				if (family == 4) {
					assert_int_equal(checksum_fold(checksum_add(0, piece, head)), 0xffff);
					assert_int_equal(get16(piece + 4), 0x1234); /* its own ID */
				} else {
					assert_int_equal(piece[head], IP_UDP);
					assert_int_equal(get32(piece + head + 4), 77);
				}
				memcpy(joined + at, piece + header, n - header);
				at += n - header;
				count++;
			}
			assert_false(more);
			assert_true(count >= 4);
			assert_int_equal(at, len - head);
			assert_memory_equal(joined, whole + head, at);
		}
}

static void an_icmp_error_quotes_the_packet_and_is_well_formed(void **state)
{
	(void)state;
	for (unsigned family = 4; family <= 6; family += 2)
		for (size_t payload = 0; payload < 4000; payload += 333) {
			struct shape s = {
				.family = family, .protocol = IP_UDP, .from = 7, .to = 9, .payload = payload
			};
			size_t len = packet_make(&s, whole), n;
			uint8_t out[ICMP_MOST];
			struct ip_packet ip, got, quoted;

			assert_int_equal(ip_parse(whole, len, &ip, NULL), 0);
			n = icmp_too_big(&ip, whole, 1400, out);
			assert_true(n > 0 && n <= (family == 4 ? 576 : 1280));
			assert_true(sums_right(out, n));
			assert_int_equal(ip_parse(out, n, &got, NULL), 0);
			assert_true(addr_equal(&got.destination, &ip.source));
			assert_true(addr_equal(&got.source, &ip.destination));
			assert_int_equal(get32(out + got.upper + 4), 1400);
			assert_int_equal(get16(out + got.upper), family == 4 ? 0x0304 : 0x0200);
			assert_true(ip_quoted(&got, out, &quoted));
			assert_int_equal(quoted.source_port, 7);
			assert_int_equal(quoted.destination_port, 9);
			n = icmp_prohibited(&ip, whole, out);
			assert_true(sums_right(out, n));
			assert_int_equal(get16(out + got.upper), family == 4 ? 0x030d : 0x0101);
			/* and an error is not answered by an error */
			assert_int_equal(ip_parse(out, n, &got, NULL), 0);
			assert_int_equal(icmp_prohibited(&got, out, joined), 0);
		}
}

static void a_sum_is_that_of_the_rfc_at_any_place_and_length(void **state)
{
	uint64_t seed = 31;

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		size_t at = random_below(&seed, 9), n = random_below(&seed, 1600);
		uint64_t begin = random_below(&seed, 70000), plain = begin;

		for (size_t k = 0; k < 40; k++) /* many of all bits set: where sums overflow */
			whole[random_below(&seed, 1700)] =
				(uint8_t)(random_below(&seed, 4) ? 255 : random_below(&seed, 256));
		for (size_t k = 0; k < n; k++)
			plain += k % 2 ? whole[at + k] : (uint64_t)whole[at + k] << 8;
		assert_int_equal(checksum_fold(checksum_add(begin, whole + at, n)), checksum_fold(plain));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sum_is_that_of_the_rfc_at_any_place_and_length),
		cmocka_unit_test(a_super_packet_becomes_the_packets_that_tcp_would_have_sent),
		cmocka_unit_test(a_udp_super_packet_keeps_the_datagrams_of_its_sender),
		cmocka_unit_test(a_missing_checksum_is_completed),
		cmocka_unit_test(offloads_that_do_not_fit_the_packet_are_refused),
		cmocka_unit_test(a_tcp_header_that_does_not_fit_is_refused),
		cmocka_unit_test(a_super_packet_with_too_many_or_no_pieces_is_refused),
		cmocka_unit_test(fragments_put_together_are_the_packet),
		cmocka_unit_test(an_icmp_error_quotes_the_packet_and_is_well_formed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
