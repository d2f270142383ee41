/* IKEv1 messages: what is malformed is refused, what others send is understood octet by octet, and what is written
 * reads back the same. */
#include "base/diag.h"
#include "base/scope.h"
#include "keying/v1/message.h"
#include "keying/v1/proposal.h"
#include "tests/unit/hex.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

static uint8_t buf[IKE_MESSAGE_MOST];
static struct v1_msg got;

/* One message: these payloads as they stand. The copy has exactly the length, so that the sanitizer sees every octet
 * read too many; it is kept until the next, since what was read leads into it. */
static int decode(enum v1_message_kind kind, uint8_t first, uint8_t flags, const void *payloads, size_t len)
{
	static uint8_t *copy;
	struct diag d = { 0 };
	int r;

	free(copy);
	copy = calloc(1, len ? len : 1);
	assert_non_null(copy);
	memcpy(copy, payloads, len);
	struct wire_in in = wire_in(copy, len);
	got = (struct v1_msg){ .h = { .next = first, .flags = flags } };
	r = v1_decode_payloads(&in, kind, &got, &d);
	assert_true(r == 0 || d.text[0]);
	return r;
}

static void malformed_payloads_are_refused(void **state)
{
	enum { CLEAR = 0, SEALED = V1_FLAG_ENCRYPTED };
	static const struct {
		const char *what;
		enum v1_message_kind kind;
		uint8_t first, flags;
		const char *octets;
		int want;
	} rows[] = {
		/* clang-format off */
		{ "length 0: no progress", V1_MSG_INFORMATIONAL, V1_PL_NOTIFY, CLEAR, "0b000000", -ERR_SYNTAX },
		{ "length 3", V1_MSG_INFORMATIONAL, V1_PL_NOTIFY, CLEAR, "0000000300000000", -ERR_SYNTAX },
		{ "longer than the message", V1_MSG_INFORMATIONAL, V1_PL_NOTIFY, CLEAR, "0000000d0000000101000001", -ERR_SYNTAX },
		{ "a payload announced and not there", V1_MSG_INFORMATIONAL, V1_PL_NOTIFY, CLEAR, "", -ERR_SYNTAX },
		{ "octets behind the last", V1_MSG_INFORMATIONAL, V1_PL_NONE, CLEAR, "00000000", -ERR_SYNTAX },
		{ "as many as make it a multiple of four", V1_MSG_INFORMATIONAL, V1_PL_NONE, CLEAR, "000000", 0 },
		{ "padding of a block", V1_MSG_MAIN_TOKEN, V1_PL_HASH, SEALED, "000000050100000000000000000000000000000000", 0 },
		{ "padding of more", V1_MSG_MAIN_TOKEN, V1_PL_HASH, SEALED, "00000005010000000000000000000000000000000000", -ERR_SYNTAX },
		{ "what is reserved is not zero", V1_MSG_MAIN_TOKEN, V1_PL_HASH, CLEAR, "0001000501", -ERR_SYNTAX },
		{ "two of what may be once", V1_MSG_MAIN_TOKEN, V1_PL_HASH, CLEAR, "08000005010000000502", -ERR_SYNTAX },
		{ "a payload of no meaning here", V1_MSG_MAIN_TOKEN, 200, CLEAR, "00000004", 0 },
		{ "no HASH in front under encryption", V1_MSG_INFORMATIONAL, V1_PL_NOTIFY, SEALED, "0000000c0000000101000001", -ERR_SYNTAX },
		{ "the same in clear", V1_MSG_INFORMATIONAL, V1_PL_NOTIFY, CLEAR, "0000000c0000000101000001", 0 },
		{ "HASH that is not in front", V1_MSG_INFORMATIONAL, V1_PL_NOTIFY, CLEAR, "0800000c00000001010000010000000501", -ERR_SYNTAX },
		{ "nothing in message 1", V1_MSG_MAIN_SA, V1_PL_NONE, CLEAR, "", -ERR_SYNTAX },
		{ "SA of another domain", V1_MSG_MAIN_SA, V1_PL_SA, CLEAR, "0000000c0000000200000001", -ERR_UNSUPPORTED },
		{ "SA of another situation", V1_MSG_MAIN_SA, V1_PL_SA, CLEAR, "0000000c0000000100000003", -ERR_UNSUPPORTED },
		{ "SA without proposals", V1_MSG_MAIN_SA, V1_PL_SA, CLEAR, "0000000c0000000100000001", -ERR_SYNTAX },
		{ "SA cut in its situation", V1_MSG_MAIN_SA, V1_PL_SA, CLEAR, "0000000a000000010000", -ERR_SYNTAX },
		{ "proposal longer than SA", V1_MSG_MAIN_SA, V1_PL_SA, CLEAR, "000000140000000100000001 0000000901010000", -ERR_SYNTAX },
		{ "proposal with no transform", V1_MSG_MAIN_SA, V1_PL_SA, CLEAR, "000000140000000100000001 0000000801010000", 0 },
		{ "SPI of 17", V1_MSG_MAIN_SA, V1_PL_SA, CLEAR, "000000250000000100000001 0000001901011100 0102030405060708090a0b0c0d0e0f1011", -ERR_SYNTAX },
		{ "fewer transforms than it says", V1_MSG_MAIN_SA, V1_PL_SA, CLEAR, "0000001c0000000100000001 0000001001010002 0000000801010000", -ERR_SYNTAX },
		{ "transform of length 7", V1_MSG_MAIN_SA, V1_PL_SA, CLEAR, "0000001c0000000100000001 0000001001010001 0000000701010000", -ERR_SYNTAX },
		{ "attribute longer than its transform", V1_MSG_MAIN_SA, V1_PL_SA, CLEAR, "000000200000000100000001 0000001401010001 0000000c01010000 000c0005", -ERR_SYNTAX },
		{ "attribute of half its header", V1_MSG_MAIN_SA, V1_PL_SA, CLEAR, "0000001e0000000100000001 0000001201010001 0000000a01010000 8001", -ERR_SYNTAX },
		{ "KE of nothing", V1_MSG_MAIN_KE, V1_PL_KE, CLEAR, "00000004", -ERR_SYNTAX },
		{ "nonce of 7", V1_MSG_MAIN_KE, V1_PL_NONCE, CLEAR, "0000000b01020304050607", -ERR_SYNTAX },
		{ "NAT-D of 15", V1_MSG_MAIN_KE, V1_PL_NAT_D, CLEAR, "00000013000102030405060708090a0b0c0d0e", -ERR_SYNTAX },
		{ "token of nothing", V1_MSG_MAIN_KE, V1_PL_GSS, CLEAR, "00000004", -ERR_SYNTAX },
		{ "ID of nothing", V1_MSG_MAIN_ID, V1_PL_ID, CLEAR, "00000004", -ERR_SYNTAX },
		{ "address of three octets", V1_MSG_MAIN_ID, V1_PL_ID, CLEAR, "0000000b01000000 0a0000", -ERR_SYNTAX },
		{ "mask with holes", V1_MSG_MAIN_ID, V1_PL_ID, CLEAR, "0000001004000000 0a000000 ff00ff00", -ERR_SYNTAX },
		{ "range that ends before it begins", V1_MSG_MAIN_ID, V1_PL_ID, CLEAR, "0000001007000000 0a000009 0a000001", -ERR_SYNTAX },
		{ "certificate of nothing", V1_MSG_MAIN_ID, V1_PL_CERT, CLEAR, "0000000504", -ERR_SYNTAX },
		{ "bag that is none", V1_MSG_MAIN_ID, V1_PL_CERT, CLEAR, "00000009 01 30020500", -ERR_SYNTAX },
		{ "bag without an end", V1_MSG_MAIN_ID, V1_PL_CERT, CLEAR, "0000000b 01 308006092a86", -ERR_SYNTAX },
		{ "notification cut in its SPI", V1_MSG_INFORMATIONAL, V1_PL_NOTIFY, CLEAR, "0000000e 00000001 0110 0001 0102", -ERR_SYNTAX },
		{ "delete: more SPIs than octets", V1_MSG_INFORMATIONAL, V1_PL_DELETE, CLEAR, "00000010 00000001 03040002 01020304", -ERR_SYNTAX },
		{ "delete: 65535 SPIs", V1_MSG_INFORMATIONAL, V1_PL_DELETE, CLEAR, "00000010 00000001 0304ffff 01020304", -ERR_SYNTAX },
		{ "delete: main mode by four octets", V1_MSG_INFORMATIONAL, V1_PL_DELETE, CLEAR, "00000010 00000001 01040001 01020304", -ERR_SYNTAX },
		{ "NAT-OA of no family", V1_MSG_QUICK_SA, V1_PL_HASH, CLEAR, "1500000501 0000000c 09000000 0a000001", -ERR_SYNTAX },
		{ "quick mode without a nonce", V1_MSG_QUICK_SA, V1_PL_HASH, CLEAR, "0000000501", -ERR_SYNTAX },
		/* clang-format on */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t octets[96];
		size_t len = hex(rows[i].octets, octets, sizeof octets);
		int r = decode(rows[i].kind, rows[i].first, rows[i].flags, octets, len);
		if (r != rows[i].want)
			fail_msg("%s: %d", rows[i].what, r);
	}
}

static void a_header_of_another_kind_is_refused(void **state)
{
	static const struct {
		const char *octets;
		int want;
	} rows[] = {
		{ "0102030405060708 0000000000000000 01100200 00000000 0000001c", 0 },
		{ "0102030405060708 0000000000000000 01110200 00000000 0000001c", 0 }, /* a minor version to come */
		{ "0102030405060708 0000000000000000 01200200 00000000 0000001c", -ERR_UNSUPPORTED },
		{ "0000000000000000 0000000000000000 01100200 00000000 0000001c", -ERR_SYNTAX },
		{ "0102030405060708 0000000000000000 01100200 00000000 0000001d", -ERR_SYNTAX },
		{ "0102030405060708 0000000000000000 01100200 00000000 0000001b", -ERR_SYNTAX },
		{ "0102030405060708 0000000000000000 01100200 00000000 000000", -ERR_SYNTAX },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t octets[64];
		struct wire_in in = wire_in(octets, hex(rows[i].octets, octets, sizeof octets));
		struct ike_header h;
		if (v1_decode_header(&in, &h, NULL) != rows[i].want)
			fail_msg("row %zu", i);
	}
}

static struct key_exchange_set key_exchange;
static struct ike_suite suites[4];
static struct v1_main_wish main_wish(const char *a, const char *b, uint16_t method)
{
	key_exchange = (struct key_exchange_set){ .name = "test", .suites = suites, .lifetime_s = 28800 };
	for (const char *text = a; text; text = text == a ? b : NULL)
		assert_int_equal(ike_suite_parse(text, strlen(text), &suites[key_exchange.count++], NULL), 0);
	return (struct v1_main_wish){ .set = &key_exchange, .methods = { method }, .method_count = 1 };
}

/* Message 1 as a Windows of the version 8 builds it: lives in four octets, key length behind the cipher, Windows'
 * vendor IDs in its order. */
static const char windows_1[] =
	"0d00008c 00000001 00000001"
	"00000080 01010003"
	"03000028 01010000 80010007 800e0100 80020002 80040014 80030003 800b0001 000c0004 00007080"
	"03000024 02010000 80010005 80020002 80040002 80030003 800b0001 000c0004 00007080"
	"0000002c 03010000 80010007 800e0080 80020002 80040002 8003fde9 800b0001 800c7080 40000004 41004200"
	"0d000014 214ca4faffa7f32d6748e5303395ae83"
	"0d000018 1e2b516905991c7d7c96fcbfb587e461 00000008"
	"0d000014 4a131c81070358455c5728f20e95452f"
	"0d000014 90cb80913ebb696e086381b5ec427b1f"
	"0d000014 4048b7d56ebce88525e7de7f00d6c2d3"
	"0d000014 fb1de3cdf341b7ea16b7e5be0855f120"
	"0d000014 26244d38eddb61b3172a36e3d0cfb819"
	"00000014 e3a5966a76379fe707228231e5ce8652";

static void what_windows_offers_is_understood(void **state)
{
	uint8_t octets[512];
	size_t len = hex(windows_1, octets, sizeof octets);
	struct v1_main_choice choice;
	char text[PROPOSALS_TEXT];

	(void)state;
	assert_int_equal(decode(V1_MSG_MAIN_SA, V1_PL_SA, 0, octets, len), 0);
	assert_int_equal(got.offer.count, 1);
	assert_int_equal(got.offer.transform_count, 3);
	assert_int_equal(got.sa_body.len, 0x8c - 4);
	assert_string_equal(v1_offer_text(&got.offer, text),
			    "aes256-sha1-ecp384 (RSA), 3des-sha1-modp1024 (RSA), aes128-sha1-modp1024 (Kerberos)");
	assert_int_equal(got.windows_version, 8);
	assert_int_equal(got.vendors, 1u << V1_VENDOR_MAMIE_EXISTS | 1u << V1_VENDOR_WINDOWS |
					      1u << V1_VENDOR_NAT_T_RFC | 1u << V1_VENDOR_NAT_T_02 |
					      1u << V1_VENDOR_FRAGMENTATION | 1u << V1_VENDOR_NEGOTIATION_DISCOVERY |
					      1u << V1_VENDOR_INITIAL_CONTACT | 1u << V1_VENDOR_CGA);
	assert_int_equal(got.offer.transforms[2].gss_name.len, 4);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(got.offer.transforms[i].life_s, 28800);

	/* The first that the set has, in the order of the offer. */
	struct v1_main_wish wish = main_wish("3des-sha1-modp1024", "aes256-sha1-ecp384", V1_METHOD_RSA);
	assert_true(v1_choose_main(&got.offer, &wish, &choice));
	assert_int_equal(choice.transform, 1);
	wish.methods[0] = V1_METHOD_GSS;
	assert_false(v1_choose_main(&got.offer, &wish, &choice)); /* nothing of it for Kerberos */
	wish = main_wish("aes128-sha1-modp1024", NULL, V1_METHOD_GSS);
	assert_true(v1_choose_main(&got.offer, &wish, &choice));
	assert_int_equal(choice.transform, 3);
}

static void an_answer_repeats_the_transform_with_our_name_in_it(void **state)
{
	static const uint8_t ours[] = { 'X', 0, 'Y', 0, 'Z', 0 };
	uint8_t octets[512];
	size_t len = hex(windows_1, octets, sizeof octets);
	struct v1_main_wish wish = main_wish("aes128-sha1-modp1024", NULL, V1_METHOD_GSS);
	struct v1_main_choice choice;
	static struct v1_offer answer;
	struct ike_writer w;
	uint8_t want[128];

	(void)state;
	assert_int_equal(decode(V1_MSG_MAIN_SA, V1_PL_SA, 0, octets, len), 0);
	assert_true(v1_choose_main(&got.offer, &wish, &choice));
	v1_answer_main(&choice, (struct keying_octets){ ours, sizeof ours }, &answer);
	v1_write_begin(&w, buf, sizeof buf, &(struct ike_header){ .spi_i = 1, .exchange = V1_MAIN });
	v1_put_sa(&w, &answer);
	ike_write_end(&w);
	len = hex("00000042 00000001 00000001 00000036 01010001 0000002e 03010000 80010007 800e0080 80020002 80040002"
		  " 8003fde9 800b0001 800c7080 40000006 580059005a00",
		  want, sizeof want);
	assert_int_equal(w.out.len, IKE_HEADER + len);
	assert_memory_equal(buf + IKE_HEADER, want, len);
}

static void attributes_that_are_not_known_make_a_transform_unfit(void **state)
{
	static const struct {
		const char *what, *attributes;
		bool fits;
	} rows[] = {
		{ "as it should be", "80010007 800e0100 80020004 80030003 80040013", true },
		{ "with a life of eight octets",
		  "80010007 800e0100 80020004 80030003 80040013 800b0001 000c0008 0000000100000000", true },
		{ "numbers as long attributes", "00010002 0007 800e0100 80020004 80030003 80040013", true },
		{ "a private attribute", "80010007 800e0100 80020004 80030003 80040013 c0010001", false },
		{ "a group of its own making", "80010007 800e0100 80020004 80030003 80050001", false },
		{ "a pseudo-random function", "80010007 800e0100 80020004 80030003 80040013 800d0001", false },
		{ "the cipher twice", "80010007 80010007 800e0100 80020004 80030003 80040013", false },
		{ "another key length", "80010007 800e0080 80020004 80030003 80040013", false },
		{ "no key length", "80010007 80020004 80030003 80040013", false },
		{ "no method", "80010007 800e0100 80020004 80040013", false },
		{ "a life of no kind", "80010007 800e0100 80020004 80030003 80040013 800c7080", false },
		{ "a number that does not fit", "00010004 00010007 800e0100 80020004 80030003 80040013", false },
	};
	struct v1_main_wish wish = main_wish("aes256-sha256-ecp256", NULL, V1_METHOD_RSA);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t octets[128] = { 0 };
		struct v1_main_choice choice;
		size_t n = hex(rows[i].attributes, octets + 28, sizeof octets - 28);
		static const uint8_t head[] = { 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0,
						0, 0, 0, 1, 1, 0, 1, 0, 0, 0, 0, 1, 1 };
		memcpy(octets, head, sizeof head);
		octets[3] = (uint8_t)(28 + n);
		octets[15] = (uint8_t)(16 + n);
		octets[23] = (uint8_t)(8 + n);
		assert_int_equal(decode(V1_MSG_MAIN_SA, V1_PL_SA, 0, octets, 28 + n), 0);
		if (v1_choose_main(&got.offer, &wish, &choice) != rows[i].fits)
			fail_msg("%s", rows[i].what);
		if (i == 1)
			assert_int_equal(choice.life_s, UINT32_MAX);
	}
}

static struct protection_set protection;
static struct child_suite children[4];
static struct v1_quick_wish quick_wish(const char *a, const char *b)
{
	protection = (struct protection_set){
		.name = "test", .suites = children, .lifetime_s = 3600, .lifetime_octets = UINT64_C(100) << 30
	};
	for (const char *text = a; text; text = text == a ? b : NULL)
		assert_int_equal(child_suite_parse(text, strlen(text), &children[protection.count++], NULL), 0);
	return (struct v1_quick_wish){ .set = &protection };
}

/* Quick mode, written and read back; what an answer repeats leads into the message before. */
static void there_and_back(const struct v1_offer *offer)
{
	static uint8_t bufs[2][2048];
	static unsigned turn;
	uint8_t *at = bufs[turn++ % 2];
	struct ike_writer w;
	struct ike_header h;
	static const uint8_t nonce[16] = { 1 }, hash[20] = { 2 };

	v1_write_begin(&w, at, sizeof bufs[0],
		       &(struct ike_header){ .spi_i = 1, .spi_r = 2, .exchange = V1_QUICK, .id = 7 });
	v1_put_hash(&w, (struct keying_octets){ hash, sizeof hash });
	v1_put_sa(&w, offer);
	v1_put_nonce(&w, (struct keying_octets){ nonce, sizeof nonce });
	ike_write_end(&w);
	assert_false(w.out.failed);
	struct wire_in in = wire_in(at, w.out.len);
	assert_int_equal(v1_decode_header(&in, &h, NULL), 0);
	got = (struct v1_msg){ .h = h };
	assert_int_equal(v1_decode_payloads(&in, V1_MSG_QUICK_SA, &got, NULL), 0);
	assert_int_equal(got.after_hash.len, w.out.len - IKE_HEADER - 4 - sizeof hash);
}

static void each_suite_of_quick_mode_goes_there_and_back(void **state)
{
	static const struct {
		const char *suite, *transform; /* id, key length, integrity as they are on the wire */
	} rows[] = {
		{ "esp-aes256-sha256", "0c 0100 0005" },
		{ "esp-aes128-sha1", "0c 0080 0002" },
		{ "esp-3des-sha1", "03 0000 0002" },
		{ "esp-sha256-null", "0b 0000 0005" },
		{ "esp-aes256gcm", "14 0100 0000" },
		{ "esp-aes128gmac", "17 0080 0000" },
		{ "ah-sha1", "03 0000 0002" },
		{ "ah-md5", "02 0000 0001" },
		{ "ah-sha256", "05 0000 0005" },
		{ "ah-aes256gmac", "0d 0000 000d" },
		{ "esp-aes256-sha256-ecp384", "0c 0100 0005" },
	};
	static struct v1_offer offer, answer;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct v1_quick_wish wish = quick_wish(rows[i].suite, NULL);
		const struct algorithm *group;
		struct v1_quick_choice choice;
		uint8_t want[5];
		const struct v1_transform *t = &got.offer.transforms[0];

		assert_int_equal(v1_offer_quick(&wish, 0xc0ffee01, &offer, &group, NULL), 0);
		there_and_back(&offer);
		assert_int_equal(hex(rows[i].transform, want, sizeof want), sizeof want);
		assert_int_equal(t->id, want[0]);
		assert_int_equal(t->key_bits, want[1] << 8 | want[2]);
		assert_int_equal(t->integ, want[3] << 8 | want[4]);
		assert_int_equal(t->life_s, 3600);
		assert_int_equal(t->life_kb, 100 << 20);
		assert_true(v1_choose_quick(&got.offer, &wish, &choice));
		assert_true(child_suite_equal(&choice.suite, &children[0]));
		assert_ptr_equal(choice.suite.group, group);
		assert_int_equal(choice.spi, 0xc0ffee01);
		v1_answer_quick(&choice, 0x0badf00d, &answer);
		there_and_back(&answer);
		assert_true(v1_accept_quick(&got.offer, &wish, &choice));
		assert_int_equal(choice.spi, 0x0badf00d);
	}
}

static void the_revision_of_nat_traversal_rules_the_modes(void **state)
{
	static const struct {
		enum v1_nat ours, theirs;
		bool tunnel;
		uint16_t mode;
	} rows[] = {
		{ V1_NAT_NONE, V1_NAT_NONE, false, 2 },       { V1_NAT_NONE, V1_NAT_NONE, true, 1 },
		{ V1_NAT_RFC, V1_NAT_RFC, false, 4 },         { V1_NAT_RFC, V1_NAT_RFC, true, 3 },
		{ V1_NAT_DRAFT, V1_NAT_DRAFT, false, 61444 }, { V1_NAT_DRAFT, V1_NAT_DRAFT, true, 61443 },
		{ V1_NAT_DRAFT, V1_NAT_RFC, false, 61444 },   { V1_NAT_NONE, V1_NAT_RFC, false, 2 },
	};
	static struct v1_offer offer;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct v1_quick_wish wish = quick_wish("esp-aes256-sha256", "ah-sha256");
		const struct algorithm *group;
		struct v1_quick_choice choice;

		wish.tunnel = rows[i].tunnel;
		wish.nat = rows[i].ours;
		assert_int_equal(v1_offer_quick(&wish, 0xc0ffee01, &offer, &group, NULL), 0);
		assert_int_equal(offer.count, wish.nat == V1_NAT_NONE ? 2 : 1); /* AH does not go through */
		there_and_back(&offer);
		assert_int_equal(got.offer.transforms[0].encapsulation, rows[i].mode);
		wish.nat = rows[i].theirs;
		assert_int_equal(v1_choose_quick(&got.offer, &wish, &choice), rows[i].ours == rows[i].theirs);
	}
	struct v1_quick_wish ah = quick_wish("ah-sha256", NULL);
	struct diag d = { 0 };
	const struct algorithm *group;
	ah.nat = V1_NAT_RFC;
	assert_int_equal(v1_offer_quick(&ah, 0xc0ffee01, &offer, &group, &d), -ERR_POLICY);
	assert_non_null(strstr(d.text, "through a NAT"));
}

static void an_offer_names_one_group_alone(void **state)
{
	struct v1_quick_wish wish = quick_wish("esp-aes256-sha256-ecp384", "esp-aes128-sha256-modp2048");
	static struct v1_offer offer;
	const struct algorithm *group;
	struct v1_quick_choice choice;

	(void)state;
	assert_int_equal(v1_offer_quick(&wish, 0xc0ffee01, &offer, &group, NULL), 0);
	assert_int_equal(offer.count, 1);
	assert_string_equal(group->name, "ecp384");
	there_and_back(&offer);
	/* Who asks for none lets the peer have its wish; who asks for another does not. */
	struct v1_quick_wish none = quick_wish("esp-aes256-sha256", NULL);
	assert_true(v1_choose_quick(&got.offer, &none, &choice));
	assert_string_equal(choice.suite.group->name, "ecp384");
	struct v1_quick_wish other = quick_wish("esp-aes256-sha256-modp2048", NULL);
	assert_false(v1_choose_quick(&got.offer, &other, &choice));
}

static void what_cannot_be_in_version_1_is_left_out(void **state)
{
	static struct v1_offer offer;
	struct diag d = { 0 };
	struct v1_main_wish wish = main_wish("aes256gcm-sha256-x25519", "aes256-sha384-ecp384", V1_METHOD_PSK);

	(void)state;
	assert_int_equal(v1_offer_main(&wish, &offer, NULL), 0);
	assert_int_equal(offer.transform_count, 1);
	assert_int_equal(offer.transforms[0].hash, 5);
	wish = main_wish("aes256gcm-sha256-x25519", "aes256-sha256-x25519", V1_METHOD_PSK);
	assert_int_equal(v1_offer_main(&wish, &offer, &d), -ERR_POLICY);
	assert_non_null(strstr(d.text, "no AEAD"));
}

static void bundles_and_second_answers_are_not_taken(void **state)
{
	static struct v1_offer offer;
	struct v1_quick_wish wish = quick_wish("ah-sha256", "esp-aes256-sha256");
	const struct algorithm *group;
	struct v1_quick_choice choice;

	(void)state;
	assert_int_equal(v1_offer_quick(&wish, 0xc0ffee01, &offer, &group, NULL), 0);
	there_and_back(&offer);
	assert_true(v1_choose_quick(&got.offer, &wish, &choice));
	assert_false(v1_accept_quick(&got.offer, &wish, &choice)); /* an answer is one */
	offer.proposals[1].number = offer.proposals[0].number;     /* AH and ESP at once */
	there_and_back(&offer);
	assert_false(v1_choose_quick(&got.offer, &wish, &choice));
}

static void names_and_ranges_go_there_and_back(void **state)
{
	static const struct {
		const char *range;
		uint8_t type;
	} rows[] = {
		{ "10.0.0.1", V1_ID_IPV4 },
		{ "10.0.0.0/22", V1_ID_IPV4_SUBNET },
		{ "10.0.0.1-10.0.0.9", V1_ID_IPV4_RANGE },
		{ "2001:db8::1", V1_ID_IPV6 },
		{ "2001:db8::/33", V1_ID_IPV6_SUBNET },
		{ "2001:db8::1-2001:db8::9", V1_ID_IPV6_RANGE },
		{ "0.0.0.0/0", V1_ID_IPV4_SUBNET },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct addr_range r;
		uint8_t payload[64] = { 0 };
		char text[ADDR_RANGE_TEXT];

		assert_int_equal(addr_range_parse(rows[i].range, strlen(rows[i].range), &r, NULL), 0);
		size_t n = v1_id_body_range(&r, 6, 443, payload + 4, sizeof payload - 4);
		assert_true(n > 0);
		payload[3] = (uint8_t)(n + 4);
		assert_int_equal(decode(V1_MSG_MAIN_ID, V1_PL_ID, 0, payload, n + 4), 0);
		assert_int_equal(got.ids[0].type, rows[i].type);
		assert_int_equal(got.ids[0].protocol, 6);
		assert_int_equal(got.ids[0].port, 443);
		assert_true(got.ids[0].ranged);
		assert_string_equal(addr_range_text(&got.ids[0].range, text), rows[i].range);
	}
	uint8_t small[6];
	assert_int_equal(v1_id_body(V1_ID_FQDN, 0, 0, (struct keying_octets){ (const uint8_t *)"a.b", 3 }, small, 6),
			 0);
}

static void certificates_come_alone_or_in_a_bag(void **state)
{
	/* What stands for certificates: two elements, one of them longer than 127 octets. */
	static uint8_t first[5] = { 0x30, 3, 2, 1, 7 }, second[203] = { 0x30, 0x81, 200 };
	const struct keying_octets chain[] = { { first, sizeof first }, { second, sizeof second } };
	struct keying_octets one[1];
	struct ike_writer w;

	(void)state;
	for (int bag = 0; bag < 2; bag++) {
		v1_write_begin(&w, buf, sizeof buf, &(struct ike_header){ .spi_i = 1, .exchange = V1_MAIN });
		v1_put_id(&w, (struct keying_octets){ (const uint8_t *)"\2\0\0\0a", 5 });
		if (bag)
			v1_put_cert_bag(&w, chain, 2);
		for (size_t i = 0; !bag && i < 2; i++)
			v1_put_cert(&w, chain[i]);
		v1_put_certreq(&w, (struct keying_octets){ 0 });
		ike_write_end(&w);
		assert_int_equal(decode(V1_MSG_MAIN_ID, V1_PL_ID, 0, buf + IKE_HEADER, w.out.len - IKE_HEADER), 0);
		assert_int_equal(got.cert_count, 2);
		for (size_t i = 0; i < 2; i++) {
			assert_int_equal(got.certs[i].len, chain[i].len);
			assert_memory_equal(got.certs[i].at, chain[i].at, chain[i].len);
		}
		assert_int_equal(got.certreq_count, 1);
		assert_int_equal(got.certreqs[0].len, 0);
	}
	/* No room for the second. */
	assert_int_equal(v1_bag_open((struct keying_octets){ buf + IKE_HEADER + 9 + 5, 4096 }, one, 1, NULL), 1);
}

/* openssl crl2pkcs7 -nocrl of one certificate, cut to its frame, with three octets in the certificate's place. */
static void a_bag_of_openssl_opens(void **state)
{
	uint8_t bag[64];
	size_t n = hex("3024 06092a864886f70d010702 a017 3015 020101 3100 300b 06092a864886f70d010701 3100", bag,
		       sizeof bag);
	struct keying_octets got_one[2];

	(void)state;
	assert_int_equal(v1_bag_open((struct keying_octets){ bag, n }, got_one, 2, NULL), -ERR_SYNTAX); /* none in it */
	n = hex("302a 06092a864886f70d010702 a01d 301b 020101 3100 300b 06092a864886f70d010701 a005 3003020107 3100",
		bag, sizeof bag);
	assert_int_equal(v1_bag_open((struct keying_octets){ bag, n }, got_one, 2, NULL), 1);
	assert_int_equal(got_one[0].len, 5);
	for (size_t cut = 0; cut + 8 < n; cut++)
		assert_int_equal(v1_bag_open((struct keying_octets){ bag, cut }, got_one, 2, NULL), -ERR_SYNTAX);
}

static void tokens_come_with_an_octet_in_front_or_without(void **state)
{
	static const struct {
		const char *body;
		uint8_t prefix;
		size_t len;
	} rows[] = {
		{ "00 60 01 02", 0, 3 }, { "07 60 01 02", 7, 3 }, { "60 82 01 02", 0, 4 }, { "60 60 01 02", 0x60, 3 }
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t payload[16] = { 0, 0, 0, 8 };
		(void)hex(rows[i].body, payload + 4, 4);
		assert_int_equal(decode(V1_MSG_MAIN_TOKEN, V1_PL_GSS, 0, payload, 8), 0);
		assert_true(got.has_token);
		assert_int_equal(got.token_prefix, rows[i].prefix);
		assert_int_equal(got.token.len, rows[i].len);
		assert_int_equal(got.token.at[0], 0x60);
	}
}

static void errors_of_windows_have_words(void **state)
{
	static const struct {
		const char *notification;
		uint32_t code;
	} rows[] = {
		{ "00000010 00000001 01009c43 00003602", 0x3602 },
		{ "00000018 00000001 03089c43 deadbeef c0ffee01 0000362c", 0x362c }, /* with a message ID in front */
		{ "00000014 00000001 03009c43 deadbeef 0000362c", 0x362c },
	};
	char text[V1_WINDOWS_TEXT];
	uint32_t code;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t payload[32];
		size_t n = hex(rows[i].notification, payload, sizeof payload);
		assert_int_equal(decode(V1_MSG_INFORMATIONAL, V1_PL_NOTIFY, 0, payload, n), 0);
		assert_ptr_equal(v1_find_error(&got), &got.notifies[0]);
		assert_true(v1_windows_status(&got.notifies[0], &code));
		assert_int_equal(code, rows[i].code);
	}
	assert_string_equal(v1_windows_error(0x3602, text), "signature verification failed (0x3602)");
	assert_string_equal(v1_windows_error(1, text), "unknown (0x1)");
	assert_string_equal(v1_notify_name(V1_N_NO_PROPOSAL_CHOSEN), "NO-PROPOSAL-CHOSEN");
}

static void notifications_and_deletes_go_there_and_back(void **state)
{
	static const uint8_t sequence[] = { 0, 0, 0, 9 }, hash[] = { 1, 2, 3 };
	static const uint32_t spis[] = { 0xc0ffee01, 0x0badf00d };
	struct addr a = addr_v4(10, 1, 2, 3);
	struct ike_writer w;

	(void)state;
	v1_write_begin(&w, buf, sizeof buf, &(struct ike_header){ .spi_i = 1, .exchange = V1_INFORMATIONAL });
	size_t at = v1_put_hash_space(&w, sizeof hash);
	v1_put_notify_main(&w, V1_N_R_U_THERE, 0x0102030405060708, 0x1112131415161718, sequence, sizeof sequence);
	v1_put_delete(&w, V1_PROTO_ESP, spis, ARRAY_LEN(spis));
	v1_put_delete_main(&w, 0x0102030405060708, 0x1112131415161718);
	struct keying_octets covered = v1_hash_covers(&w, at, sizeof hash);
	assert_int_equal(covered.len, w.out.len - IKE_HEADER - 7);
	v1_hash_set(&w, at, (struct keying_octets){ hash, sizeof hash });
	ike_write_end(&w);
	assert_int_equal(decode(V1_MSG_INFORMATIONAL, V1_PL_HASH, 0, buf + IKE_HEADER, w.out.len - IKE_HEADER), 0);
	assert_memory_equal(got.hash.at, hash, sizeof hash);
	assert_int_equal(got.after_hash.len, covered.len);
	assert_memory_equal(got.after_hash.at, covered.at, covered.len);
	const struct v1_notification *n = v1_find_notify(&got, V1_N_R_U_THERE);
	assert_non_null(n);
	assert_int_equal(n->spi.len, 16);
	assert_memory_equal(n->data.at, sequence, sizeof sequence);
	assert_int_equal(got.delete_count, 2);
	assert_int_equal(got.deletes[0].count, 2);
	assert_int_equal(got.deletes[1].spi_len, 16);
	assert_null(v1_find_error(&got));

	for (unsigned revision = V1_NAT_DRAFT; revision <= V1_NAT_RFC; revision++) {
		static const uint8_t nonce[16], natd[20] = { 5 };
		v1_write_begin(&w, buf, sizeof buf, &(struct ike_header){ .spi_i = 1, .exchange = V1_MAIN });
		v1_put_ke(&w, (struct keying_octets){ nonce, sizeof nonce });
		v1_put_nonce(&w, (struct keying_octets){ nonce, sizeof nonce });
		v1_put_nat_d(&w, (enum v1_nat)revision, (struct keying_octets){ natd, sizeof natd });
		v1_put_nat_d(&w, (enum v1_nat)revision, (struct keying_octets){ natd, sizeof natd });
		ike_write_end(&w);
		assert_int_equal(decode(V1_MSG_MAIN_KE, V1_PL_KE, 0, buf + IKE_HEADER, w.out.len - IKE_HEADER), 0);
		assert_int_equal(got.nat_d_count, 2);
		v1_write_begin(&w, buf, sizeof buf, &(struct ike_header){ .spi_i = 1, .exchange = V1_QUICK });
		v1_put_nat_oa(&w, (enum v1_nat)revision, &a);
		ike_write_end(&w);
		assert_int_equal(buf[16], revision == V1_NAT_DRAFT ? 131 : 21);
	}
}

static void both_ends_take_the_newer_revision(void **state)
{
	const uint32_t rfc = 1u << V1_VENDOR_NAT_T_RFC, draft = 1u << V1_VENDOR_NAT_T_02,
		       other = 1u << V1_VENDOR_NAT_T_03;

	(void)state;
	assert_int_equal(v1_nat_revision(rfc | draft, rfc | draft), V1_NAT_RFC);
	assert_int_equal(v1_nat_revision(rfc | draft, draft), V1_NAT_DRAFT);
	assert_int_equal(v1_nat_revision(rfc | draft, other), V1_NAT_DRAFT);
	assert_int_equal(v1_nat_revision(rfc | draft, 0), V1_NAT_NONE);
	assert_int_equal(v1_nat_revision(rfc, draft), V1_NAT_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(malformed_payloads_are_refused),
		cmocka_unit_test(a_header_of_another_kind_is_refused),
		cmocka_unit_test(what_windows_offers_is_understood),
		cmocka_unit_test(an_answer_repeats_the_transform_with_our_name_in_it),
		cmocka_unit_test(attributes_that_are_not_known_make_a_transform_unfit),
		cmocka_unit_test(each_suite_of_quick_mode_goes_there_and_back),
		cmocka_unit_test(the_revision_of_nat_traversal_rules_the_modes),
		cmocka_unit_test(an_offer_names_one_group_alone),
		cmocka_unit_test(what_cannot_be_in_version_1_is_left_out),
		cmocka_unit_test(bundles_and_second_answers_are_not_taken),
		cmocka_unit_test(names_and_ranges_go_there_and_back),
		cmocka_unit_test(certificates_come_alone_or_in_a_bag),
		cmocka_unit_test(a_bag_of_openssl_opens),
		cmocka_unit_test(tokens_come_with_an_octet_in_front_or_without),
		cmocka_unit_test(errors_of_windows_have_words),
		cmocka_unit_test(notifications_and_deletes_go_there_and_back),
		cmocka_unit_test(both_ends_take_the_newer_revision),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
