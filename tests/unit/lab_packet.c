#include "tests/unit/unit.h"

#include "base/scope.h"
#include "tools/lab/fragments.h"
#include "tools/lab/packet.h"

#include <string.h>

/* Octets as hex, spaces ignored. */
static size_t from_hex(const char *text, uint8_t *out)
{
	size_t n = 0;

	for (unsigned high = 16; *text; text++) {
		unsigned digit;

		if (*text == ' ')
			continue;
		digit = (unsigned)(*text <= '9' ? *text - '0' : *text - 'a' + 10);
		if (high == 16) {
			high = digit;
			continue;
		}
		out[n++] = (uint8_t)(high << 4 | digit);
		high = 16;
	}
	return n;
}

#define ETHER4 "020000000001 02c000000007 0800 "
#define ETHER6 "020000000001 02c000000007 86dd "
#define V4(length, protocol) "4500 " length " 0000 0000 40" protocol "0000 0a000001 0a000002 "
#define V6(length, next) "60000000 " length next "40 20010db8000000000000000000000001 20010db8000000000000000000000002 "
#define IKE "0102030405060708 0000000000000000 21202208 00000000 0000001c"

static void packet_kind_is_what_the_octets_are(void **state)
{
	static const struct {
		const char *what, *hex;
		enum packet_kind want;
	} rows[] = {
		{ "arp", "020000000001 02c000000007 0806 0001", PACKET_OUTSIDE },
		{ "nothing", "", PACKET_OUTSIDE },
		{ "a cut header", ETHER4 "4500", PACKET_OUTSIDE },
		{ "tcp", ETHER4 V4("0028", "06") "c001 01bd 00000000 00000000 50020000 00000000", PACKET_CLEAR },
		{ "esp", ETHER4 V4("0018", "32") "00000001", PACKET_SEALED },
		{ "ah", ETHER4 V4("0018", "33") "06000000", PACKET_SEALED },
		{ "ike", ETHER4 V4("0038", "11") "01f4 01f4 0024 0000 " IKE, PACKET_IKE },
		{ "no ike on its port", ETHER4 V4("0020", "11") "01f4 01f4 000c 0000 68656c6c", PACKET_CLEAR },
		{ "ike behind the marker", ETHER4 V4("003c", "11") "1194 1194 0028 0000 00000000" IKE, PACKET_IKE },
		{ "no ike behind the marker", ETHER4 V4("0024", "11") "1194 1194 0010 0000 00000000 68656c6c",
		  PACKET_CLEAR },
		{ "esp in udp", ETHER4 V4("0024", "11") "1194 c001 0010 0000 00000001 00000001", PACKET_SEALED },
		{ "keep-alive", ETHER4 V4("001d", "11") "1194 1194 0009 0000 ff", PACKET_IKE },
		{ "a later fragment", ETHER4 "4500 001c 0000 0001 40060000 0a000001 0a000002 00000000 00000000",
		  PACKET_CLEAR },
		{ "neighbour solicitation",
		  ETHER6 V6("0018", "3a") "8700 0000 00000000 20010db8000000000000000000000002", PACKET_OUTSIDE },
		{ "esp behind a hop-by-hop header", ETHER6 V6("000c", "00") "3200000000000000 00000001",
		  PACKET_SEALED },
		{ "multicast", ETHER4 "4500 001c 0000 0000 40110000 0a000001 e00000fb 14e9 14e9 0008 0000",
		  PACKET_OUTSIDE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t octets[256];
		struct packet p;

		packet_read(octets, from_hex(rows[i].hex, octets), &p);
		if (p.kind != rows[i].want)
			fail_msg("%s: kind %d", rows[i].what, p.kind);
	}
}

static void packet_flow_is_the_openers(void **state)
{
	static const struct {
		const char *what, *hex;
		enum packet_role role;
		uint8_t from_last; /* last octet of the opener's address */
		uint16_t from_port, to_port;
		int icmp_type;
	} rows[] = {
		{ "syn", ETHER4 V4("0028", "06") "c001 01bd 00000000 00000000 50020000 00000000", PACKET_OPENS, 1,
		  0xc001, 445, -1 },
		{ "syn and ack", ETHER4 V4("0028", "06") "01bd c001 00000000 00000000 50120000 00000000",
		  PACKET_ANSWERS, 2, 0xc001, 445, -1 },
		{ "reset", ETHER4 V4("0028", "06") "01bd c001 00000000 00000000 50140000 00000000", PACKET_ANSWERS, 2,
		  0xc001, 445, -1 },
		{ "data", ETHER4 V4("0028", "06") "c001 01bd 00000000 00000000 50100000 00000000", PACKET_ROLE_UNKNOWN,
		  1, 0xc001, 445, -1 },
		{ "echo", ETHER4 V4("001c", "01") "0800 0000 1234 0001", PACKET_OPENS, 1, 0x1234, 0, 8 },
		{ "echo reply", ETHER4 V4("001c", "01") "0000 0000 1234 0001", PACKET_ANSWERS, 2, 0x1234, 0, 8 },
		{ "port unreachable about a udp packet to us",
		  ETHER4 V4("0038", "01") "0303 0000 00000000 4500 001c 0000 0000 40110000 0a000002 0a000001 "
					  "c001 0035 0008 0000",
		  PACKET_ANSWERS, 2, 0xc001, 53, -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t octets[256];
		struct packet p;

		packet_read(octets, from_hex(rows[i].hex, octets), &p);
		if (p.role != rows[i].role || p.flow.from.octets[3] != rows[i].from_last ||
		    p.flow.from_port != rows[i].from_port || p.flow.to_port != rows[i].to_port ||
		    p.flow.icmp_type != rows[i].icmp_type)
			fail_msg("%s: role %d, %u: %u -> %u", rows[i].what, p.role, p.flow.from.octets[3],
				 p.flow.from_port, p.flow.to_port);
	}
}

/* ESP in UDP that was sealed whole and cut outside: what follows the first piece is of its kind. */
static void a_later_fragment_is_what_the_first_was(void **state)
{
#define CUT4(id, offset, to) ETHER4 "4500 0024 " id offset "40110000 0a000001 " to
#define CUT6(id, offset) \
	ETHER6 "60000000 0018 2c40 20010db8000000000000000000000001 20010db8000000000000000000000002 " \
	       "1100 " offset id
	static const struct {
		const char *what, *hex;
		enum packet_kind want;
	} rows[] = {
		{ "later, before any", CUT4("0007", "0002", "0a000002") "1194 1194 0010 0000 00000001 00000001",
		  PACKET_CLEAR },
		{ "first", CUT4("0007", "2000", "0a000002") "1194 1194 0810 0000 00000001 00000001", PACKET_SEALED },
		{ "in the middle", CUT4("0007", "2002", "0a000002") "1194 1194 0010 0000 00000000 00000001",
		  PACKET_SEALED },
		{ "last", CUT4("0007", "0004", "0a000002") "c001 0035 0010 0000 00000001 00000001", PACKET_SEALED },
		{ "of another", CUT4("0008", "0004", "0a000002") "c001 0035 0010 0000 00000001 00000001",
		  PACKET_CLEAR },
		{ "to another", CUT4("0007", "0004", "0a000003") "c001 0035 0010 0000 00000001 00000001",
		  PACKET_CLEAR },
		{ "first, clear", CUT4("0009", "2000", "0a000002") "c001 0035 0810 0000 00000001 00000001",
		  PACKET_CLEAR },
		{ "last, clear", CUT4("0009", "0004", "0a000002") "c001 0035 0010 0000 00000001 00000001",
		  PACKET_CLEAR },
		{ "six, later", CUT6("00000007", "0010") "c001 0035 0010 0000 00000001 00000001", PACKET_CLEAR },
		{ "six, first", CUT6("00000007", "0001") "1194 1194 0810 0000 00000001 00000001", PACKET_SEALED },
		{ "six, last", CUT6("00000007", "0010") "c001 0035 0010 0000 00000001 00000001", PACKET_SEALED },
	};
	struct fragments f = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t octets[256];
		struct packet p;

		packet_read(octets, from_hex(rows[i].hex, octets), &p);
		fragments_join(&f, &p);
		if (p.kind != rows[i].want)
			fail_msg("%s: %d", rows[i].what, p.kind);
	}
}

static void packet_of_any_length_is_read_without_a_step_too_far(void **state)
{
	static const char whole[] = ETHER4 V4("0038", "01") "0303 0000 00000000 4500 001c 0000 0000 40110000 0a000002 "
							    "0a000001 c001 0035 0008 0000";
	uint8_t octets[256];
	size_t n = from_hex(whole, octets);

	(void)state;
	for (size_t len = 0; len <= n; len++) {
		uint8_t *exact = test_malloc(len + 1);
		struct packet p;

		memcpy(exact + 1, octets, len);
		packet_read(exact + 1, len, &p);
		test_free(exact);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packet_kind_is_what_the_octets_are),
		cmocka_unit_test(packet_flow_is_the_openers),
		cmocka_unit_test(a_later_fragment_is_what_the_first_was),
		cmocka_unit_test(packet_of_any_length_is_read_without_a_step_too_far),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
