/* One packet under AH: what is covered and what is not, octet by octet, and whatever a forger or a bad line may send.
 */
#include "tests/unit/hex.h"

#include "base/crypto.h"
#include "base/diag.h"
#include "base/scope.h"
#include "base/wire.h"
#include "dataplane/esp/ah.h"
#include "dataplane/esp/packet.h"
#include "dataplane/esp/sa.h"
#include "tests/unit/packets.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { SPI = 0x4321, AH_FIXED = 12 };

static const struct rule some_rule = { .name = "rule" };
static struct sa_table table;
static uint8_t plain[PACKET_ROOM], sealed[PACKET_ROOM], copy[PACKET_ROOM];

static struct sa_spec spec_of(const char *suite, unsigned family, bool esn)
{
	struct sa_spec spec = {
		.spi = SPI,
		.local = end_of(family, 1),
		.remote = end_of(family, 2),
		.selector = { .local = end_of(family, 1), .remote = end_of(family, 2), .protocol = PROTOCOL_ANY },
		.esn = esn,
		.replay_window = 64,
		.rule = &some_rule,
		.pair = SPI,
	};

	assert_int_equal(child_suite_parse(suite, strlen(suite), &spec.suite, NULL), 0);
	spec.integ_key.len = (size_t)spec.suite.integ->key + spec.suite.integ->salt;
	for (size_t i = 0; i < spec.integ_key.len; i++)
		spec.integ_key.octets[i] = (uint8_t)(i + 1);
	return spec;
}

/* Both ends of one direction in one. */
static struct sa *sa_of(const char *suite, unsigned family, bool esn)
{
	struct sa_spec spec = spec_of(suite, family, esn);
	struct diag d = { 0 };
	struct sa *sa = NULL;

	if (!table.seed)
		assert_int_equal(sa_table_init(&table, NULL), 0);
	(void)sa_remove_pair(&table, SPI);
	if (sa_install(&table, &spec, &sa, &d) < 0)
		fail_msg("%s: %s", suite, d.text);
	replay_init(&sa->replay, 64);
	return sa;
}

/* Every integrity algorithm. */
static const char *suite_of(size_t i)
{
	static char text[SUITE_TEXT];

	if (i >= algorithms_count)
		return NULL;
	if (algorithms[i].kind != ALG_INTEG)
		return "";
	(void)snprintf(text, sizeof text, "ah-%s", algorithms[i].name);
	return text;
}

static int seal_packet(struct sa *sa, size_t len, size_t *ret_len)
{
	struct wire_out out = wire_out(sealed, sizeof sealed);
	struct ip_packet ip;
	int r;

	assert_int_equal(ip_parse(plain, len, &ip, NULL), 0);
	if ((r = esp_seal(sa, &ip, plain, len, &out, NULL)) < 0) {
		assert_int_equal(out.len, 0);
		return r;
	}
	assert_int_equal(out.len, esp_sealed_len(sa, &ip, len));
	*ret_len = out.len;
	return 0;
}

static size_t seal_shape(struct sa *sa, const struct shape *s, size_t *ret_plain)
{
	size_t n = 0;

	*ret_plain = packet_make(s, plain);
	assert_int_equal(seal_packet(sa, *ret_plain, &n), 0);
	return n;
}

static int open_copy(struct sa *sa, size_t len, size_t *ret_start, size_t *ret_len)
{
	struct ip_packet ip;
	uint8_t next;
	int r = ip_parse(copy, len, &ip, NULL);

	if (r < 0)
		return r;
	if (ip.next != IP_AH)
		return -ERR_SYNTAX;
	return esp_open(sa, &ip, copy, ip.head, ret_start, ret_len, &next, NULL);
}

static void what_is_sealed_can_be_read_and_opens_to_the_same_packet(void **state)
{
	const char *suite;

	(void)state;
	for (size_t i = 0; (suite = suite_of(i)); i++)
		for (unsigned how = 0; *suite && how < 8; how++) {
			unsigned family = how & 1 ? 6 : 4;
			struct sa *sa = sa_of(suite, family, how & 2);

			for (size_t payload = 0; payload < 1500; payload += payload < 20 ? 1 : 301) {
				struct shape s = { .family = family,
						   .protocol = IP_UDP,
						   .from = 1,
						   .to = 2,
						   .payload = payload,
						   .df = true,
						   .options = how & 4 ? 16 : 0,
						   .destination = family == 6 && (how & 4) };
				size_t len, n = seal_shape(sa, &s, &len), start = 0, opened = 0;
				struct ip_packet outer;

				assert_int_equal(ip_parse(sealed, n, &outer, NULL), 0);
				assert_int_equal(outer.next, IP_AH);
				/* RFC 4302 2.2: whole words; of IPv6's own unit in IPv6 */
				assert_int_equal((n - len) % (family == 4 ? 4 : 8), 0);
				assert_int_equal((sealed[outer.head + 1] + 2) * 4, n - len);
				assert_memory_equal(sealed + outer.head + (n - len), plain + outer.head,
						    len - outer.head);
				if (family == 4)
					assert_int_equal(checksum_fold(checksum_add(0, sealed, outer.head)), 0xffff);
				memcpy(copy, sealed, n);
				assert_int_equal(open_copy(sa, n, &start, &opened), 0);
				assert_int_equal(opened, len);
				assert_memory_equal(copy + start, plain, len);
			}
		}
}

/* The check value, computed here a second time and by the letter: HMAC-SHA-256-128 in IPv6 with 4 octets of padding. */
static void the_check_value_is_over_what_rfc_4302_says(void **state)
{
	struct sa *sa = sa_of("ah-sha256", 6, true);
	struct shape s = { .family = 6, .protocol = IP_UDP, .payload = 9, .options = 8 };
	struct sa_spec spec = spec_of("ah-sha256", 6, true);
	uint8_t high[4] = { 0, 0, 0, 3 };
	size_t len, n, start = 0, opened = 0;
	struct octets parts[] = { { copy, 0 }, { high, 4 } };
	struct key want;

	(void)state;
	sa->sequence = UINT64_C(0x300000007);
	n = seal_shape(sa, &s, &len);
	assert_int_equal(n - len, 12 + 16 + 4);
	assert_int_equal(get32(sealed + 48 + 4), SPI);
	assert_int_equal(get32(sealed + 48 + 8), 8);
	memcpy(copy, sealed, n);
	copy[0] = 0x60; /* version alone */
	memset(copy + 1, 0, 3);
	copy[7] = 0;
	memset(copy + 48 + 12, 0, 16);
	parts[0].len = n;
	assert_int_equal(crypto_prf(spec.suite.integ, spec.integ_key.octets, 32, parts, 2, &want, NULL), 0);
	assert_memory_equal(sealed + 48 + 12, want.octets, 16);
	memcpy(copy, sealed, n);
	sa->replay.top = UINT64_C(0x300000000);
	assert_int_equal(open_copy(sa, n, &start, &opened), 0);
}

static bool mutable4(size_t at)
{
	return at == 1 || at == 6 || at == 7 || at == 8 || at == 10 || at == 11;
}

/* Routers change these; nobody may change anything else. Lengths and what names the next header are seen before the
 * check value is asked. */
static void only_what_routers_change_may_change(void **state)
{
	const char *suite;

	(void)state;
	for (size_t i = 0; (suite = suite_of(i)); i++)
		for (unsigned family = 4; *suite && family <= 6; family += 2) {
			struct sa *sa = sa_of(suite, family, true);
			struct shape s = { .family = family, .protocol = IP_UDP, .payload = 33 };
			size_t len, n = seal_shape(sa, &s, &len), start = 0, opened = 0;

			for (size_t at = 0; at < n; at++)
				for (unsigned bit = 0; bit < 8; bit++) {
					bool may = family == 4 ? mutable4(at)
							       : at == 1 || at == 2 || at == 3 || at == 7 ||
									 (at == 0 && bit < 4);
					/* a flag that says "fragment" is for reassembly */
					if (family == 4 && ((at == 6 && bit != 6) || at == 7))
						continue;
					memcpy(copy, sealed, n);
					copy[at] ^= (uint8_t)(1 << bit);
					if ((open_copy(sa, n, &start, &opened) == 0) != may)
						fail_msg("%s, IPv%u: octet %zu, bit %u", suite, family, at, bit);
					if (may) {
						replay_wipe(&sa->replay);
						replay_init(&sa->replay, 64);
					}
					assert_int_equal(sa->replay.top, 0);
				}
		}
}

static void a_packet_cut_short_or_numbered_wrong_is_refused(void **state)
{
	(void)state;
	for (unsigned family = 4; family <= 6; family += 2) {
		struct sa *sa = sa_of("ah-sha256", family, false);
		struct shape s = { .family = family, .protocol = IP_UDP, .payload = 3 };
		size_t len, n = seal_shape(sa, &s, &len), start = 0, opened = 0, head = family == 4 ? 20 : 40;

		for (size_t cut = head; cut < n; cut++) {
			memcpy(copy, sealed, cut);
			put16(copy + (family == 4 ? 2 : 4), family == 4 ? cut : cut - 40);
			if (open_copy(sa, cut, &start, &opened) == 0)
				fail_msg("%zu of %zu octets", cut, n);
		}
		for (unsigned words = 0; words < 256; words++) {
			memcpy(copy, sealed, n);
			copy[head + 1] = (uint8_t)words;
			if ((open_copy(sa, n, &start, &opened) == 0) != (words == sealed[head + 1]))
				fail_msg("AH of %u words", words);
		}
		memcpy(copy, sealed, n); /* counts once */
		assert_int_equal(open_copy(sa, n, &start, &opened), -EALREADY);
	}
}

static void options_of_ipv4_are_masked_by_the_table(void **state)
{
	static const struct {
		const char *options, *masked; /* NULL: refused */
	} rows[] = {
		{ "01 01 01 00", "01 01 01 00" },
		{ "94 04 00 00", "94 04 00 00" },                     /* router alert stays */
		{ "07 07 04 0a000001 01", "00 00 00 00000000 01" },   /* record route */
		{ "44 08 05 00 00000001", "00 00 00 00 00000000" },   /* time stamp */
		{ "83 07 08 0a000001 00", "00 00 00 00000000 00" },   /* loose source route, at its end */
		{ "82 04 1234 1e 04 1234", "82 04 1234 00 00 0000" }, /* security; unknown */
		{ "00 07 07 07", "00 07 07 07" },                     /* behind the end of the list */
		{ "07 00 00 00", NULL },
		{ "07 01 00 00", NULL },
		{ "07 05 00 00", NULL },
		{ "01 01 01 07", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t header[60] = { 0x45, 0xff, 0, 99, 1, 2, 0xff, 0xff, 64, IP_AH, 3, 4 }, want[40];
		size_t n = hex(rows[i].options, header + 20, 40);

		if (ah_mask(header, 20 + n) != !!rows[i].masked)
			fail_msg("row %zu", i);
		if (!rows[i].masked)
			continue;
		assert_int_equal(hex(rows[i].masked, want, sizeof want), n);
		assert_memory_equal(header, "\x45\0\0\x63\1\2\0\0\0\x33\0\0", 12);
		assert_memory_equal(header + 20, want, n);
	}
}

static void headers_of_ipv6_are_masked_by_their_bit(void **state)
{
	static const struct {
		const char *headers, *masked; /* NULL: refused */
		uint8_t first;
	} rows[] = {
		{ "33 00 05 02 0000 01 00", "33 00 05 02 0000 01 00", 0 }, /* router alert stays */
		{ "33 00 3e 04 12345678", "33 00 3e 04 00000000", 0 },     /* may change on the way */
		{ "33 00 3e 04 12345678", "33 00 3e 04 00000000", 60 },
		{ "33 00 00 00 00 00 3e 00", "33 00 00 00 00 00 3e 00", 0 },
		{ "2b 00 00 00 00 00 00 00 33 02 00 00 00000000 20010db8000000000000000000000009",
		  "2b 00 00 00 00 00 00 00 33 02 00 00 00000000 20010db8000000000000000000000009", 0 },
		{ "33 02 00 01 00000000 20010db8000000000000000000000009", NULL, 43 }, /* not there yet */
		{ "33 00 3e 05 12345678", NULL, 0 },
		{ "33 00 00 00 00 00 00 3e", NULL, 0 },
		{ "33 01 00 00 00 00 00 00", NULL, 0 },
		{ "33 00 00 00 00 00 00 00", NULL, 44 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t header[120] = { 0x6f, 0xff, 0xff, 0xff, 0, 99, rows[i].first, 64 }, want[80];
		size_t n = hex(rows[i].headers, header + 40, 80);

		if (ah_mask(header, 40 + n) != !!rows[i].masked)
			fail_msg("row %zu", i);
		if (!rows[i].masked)
			continue;
		assert_int_equal(hex(rows[i].masked, want, sizeof want), n);
		assert_memory_equal(header, "\x60\0\0\0\0\x63", 6);
		assert_int_equal(header[7], 0);
		assert_memory_equal(header + 40, want, n);
	}
}

/* The kernel fills in what is 0, and the value covers it. */
static void the_identification_is_never_zero(void **state)
{
	struct sa *sa = sa_of("ah-sha256", 4, false);
	struct shape s = { .family = 4, .protocol = IP_UDP, .payload = 3, .df = true };
	size_t len = packet_make(&s, plain), n = 0, start = 0, opened = 0;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		sa->sequence = 0xfffdu + i;
		put16(plain + 4, 0);
		ip4_checksum(plain, 20);
		assert_int_equal(seal_packet(sa, len, &n), 0);
		assert_int_not_equal(get16(sealed + 4), 0);
		memcpy(copy, sealed, n);
		assert_int_equal(open_copy(sa, n, &start, &opened), 0);
	}
}

static void a_source_routed_packet_is_not_sent(void **state)
{
	struct sa *sa = sa_of("ah-sha256", 4, false);
	struct shape s = { .family = 4, .protocol = IP_UDP, .options = 8 };
	size_t len = packet_make(&s, plain), n = 0;

	(void)state;
	plain[21] = 131;
	plain[22] = 7;
	plain[23] = 4;
	ip4_checksum(plain, 28);
	assert_int_equal(seal_packet(sa, len, &n), -ERR_UNSUPPORTED);
}

static void the_budget_is_the_longest_packet_that_fits(void **state)
{
	const char *suite;

	(void)state;
	for (size_t i = 0; (suite = suite_of(i)); i++)
		for (unsigned family = 4; *suite && family <= 6; family += 2) {
			struct sa *sa = sa_of(suite, family, false);
			struct shape s = { .family = family, .protocol = IP_UDP };
			size_t len = packet_make(&s, plain);
			struct ip_packet ip;

			assert_int_equal(ip_parse(plain, len, &ip, NULL), 0);
			assert_int_equal(esp_sealed_len(sa, &ip, esp_budget(sa, &ip, 1400)), 1400);
			assert_int_equal(esp_budget(sa, &ip, 10), ip.head);
		}
}

static void it_does_not_go_in_udp(void **state)
{
	struct sa_spec spec = spec_of("ah-sha256", 4, false);
	struct sa *sa = NULL;
	struct diag d = { 0 };

	(void)state;
	(void)sa_remove_pair(&table, SPI);
	spec.encap_local_port = spec.encap_remote_port = 4500;
	assert_true(sa_install(&table, &spec, &sa, &d) < 0);
	assert_non_null(strstr(d.text, "NAT"));
	assert_null(sa);
}

/* Linux pads to 8 octets in IPv4 too unless told not to. */
static void linux_padding_in_ipv4_is_accepted(void **state)
{
	struct sa_spec spec = spec_of("ah-sha256", 4, false);
	struct sa *sa = sa_of("ah-sha256", 4, false);
	struct shape s = { .family = 4, .protocol = IP_UDP, .payload = 5 };
	size_t len = packet_make(&s, plain), start = 0, opened = 0;
	struct octets whole = { copy, len + 32 };
	struct key icv;

	(void)state;
	memcpy(copy, plain, 20);
	memset(copy + 20, 0, 32);
	copy[20] = IP_UDP;
	copy[21] = 6;
	put16(copy + 26, SPI);
	copy[31] = 1;
	memcpy(copy + 52, plain + 20, len - 20);
	put16(copy + 2, len + 32);
	copy[9] = IP_AH;
	memcpy(sealed, copy, len + 32);
	assert_true(ah_mask(copy, 20));
	assert_int_equal(crypto_prf(spec.suite.integ, spec.integ_key.octets, 32, &whole, 1, &icv, NULL), 0);
	memcpy(copy, sealed, len + 32);
	memcpy(copy + 32, icv.octets, 16);
	assert_int_equal(open_copy(sa, len + 32, &start, &opened), 0);
	assert_int_equal(opened, len);
}

static int forget(void **state)
{
	(void)state;
	sa_table_wipe(&table);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_sealed_can_be_read_and_opens_to_the_same_packet),
		cmocka_unit_test(the_check_value_is_over_what_rfc_4302_says),
		cmocka_unit_test(only_what_routers_change_may_change),
		cmocka_unit_test(a_packet_cut_short_or_numbered_wrong_is_refused),
		cmocka_unit_test(options_of_ipv4_are_masked_by_the_table),
		cmocka_unit_test(headers_of_ipv6_are_masked_by_their_bit),
		cmocka_unit_test(the_identification_is_never_zero),
		cmocka_unit_test(a_source_routed_packet_is_not_sent),
		cmocka_unit_test(the_budget_is_the_longest_packet_that_fits),
		cmocka_unit_test(it_does_not_go_in_udp),
		cmocka_unit_test(linux_padding_in_ipv4_is_accepted),
	};

	return cmocka_run_group_tests(tests, NULL, forget);
}
