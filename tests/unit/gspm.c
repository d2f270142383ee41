/* Kerberos in IKE_AUTH, octet for octet as docs/protocols/kerberos-ikev2.md has it; and GSPM payloads that make no
 * sense. */
#include "base/diag.h"
#include "base/scope.h"
#include "keying/gspm/gspm.h"
#include "keying/ike.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

enum { MESSAGES = 5, TEXT = 256 };

static const uint8_t ap_req_1[] = { 0x60, 0x02, 0x0a, 0x01 }, ap_rep_1[] = { 0x60, 0x02, 0x0b, 0x01 },
		     ap_req_2[] = { 0x60, 0x02, 0x0a, 0x02 }, ap_rep_2[] = { 0x60, 0x02, 0x0b, 0x02 };
static const char name[] = "host/b.example@EXAMPLE";

#define OCTETS(a) \
	{ \
		a, sizeof(a) \
	}

static const struct ike_gspm said[MESSAGES] = {
	{ .kerberos = true },
	{ .kerberos = true, .principal = { (const uint8_t *)name, sizeof name - 1 } },
	{ .token_i = OCTETS(ap_req_1) },
	{ .token_i = OCTETS(ap_rep_1), .token_r = OCTETS(ap_req_2) },
	{ .token_r = OCTETS(ap_rep_2) },
};

static const char *const bodies[MESSAGES] = {
	"0100000b06092a864886f712010202",
	"0100000b06092a864886f71201020202000016686f73742f622e6578616d706c65404558414d504c45",
	"0300000460020a01",
	"0300000460020b010400000460020a02",
	"0400000460020b02",
};
static const char *const transcripts[MESSAGES] = {
	"1561be036c8ce2456eb0a156297e23a844a7beae95c97987d463efd666d4a29c",
	"8481cc3d7fde9ba6d209ba316b2838ebf622ffe6472bd8b0d58ca413497ed709",
	"6d1026b508a3a1df04352a82a68edf9e5017676e1a1509f9647105e91c1aec4c",
	"24aa4010c3bce75f4ca9f72c257af20eb63107a8d61adc7beda269c229dd3dbb",
	"e15497edcbd630c761de8c45d722d8a6be54a47f720b856484dd4987b13b1eac",
};
static const char *const auths[] = {
	"99d9995ecd2a04c9e67cd57fd5e0d36efdf45a9ecbbcbb97aa8bf00574a4318f",
	"d5f09d27d5d926f96c8ad5a5ba31fc6462ca121d10c47c2a2556d09c79a54670",
};

static const char *hex(const uint8_t *at, size_t len, char buf[TEXT])
{
	assert_true(len < TEXT / 2);
	buf[0] = '\0';
	for (size_t i = 0; i < len; i++)
		(void)snprintf(buf + 2 * i, 3, "%02x", at[i]);
	return buf;
}

static void said_as_the_listing_has_it(void **state)
{
	const struct ike_header h = { .spi_i = 1, .spi_r = 2, .exchange = 35 };
	uint8_t buf[512], transcript[GSPM_TRANSCRIPT] = { 0 };
	char text[TEXT];

	(void)state;
	for (size_t i = 0; i < MESSAGES; i++) {
		struct ike_writer w;

		ike_write_begin(&w, buf, sizeof buf, &h);
		struct keying_octets body = ike_put_gspm(&w, &said[i]);
		assert_false(w.out.failed);
		assert_string_equal(hex(body.at, body.len, text), bodies[i]);
		assert_int_equal(gspm_digest(transcript, body, NULL), 0);
		assert_string_equal(hex(transcript, sizeof transcript, text), transcripts[i]);

		struct wire_in in = wire_in(body.at, body.len);
		struct ike_msg m = { 0 };
		assert_int_equal(ike_decode_gspm(&in, &m, NULL), 0);
		assert_true(m.has_gspm && m.gspm.kerberos == said[i].kerberos && m.gspm.body.len == body.len);
		assert_int_equal(m.gspm.principal.len, said[i].principal.len);
		assert_int_equal(m.gspm.token_i.len, said[i].token_i.len);
		assert_int_equal(m.gspm.token_r.len, said[i].token_r.len);
	}
}

static void proven_as_the_listing_has_it(void **state)
{
	static const char *const octets[] = { "ResponderSignedOctets", "InitiatorSignedOctets" };
	struct key secrets[2], proof;
	uint8_t transcript[GSPM_TRANSCRIPT];
	char text[TEXT];

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		secrets[i].len = GSPM_SECRET;
		memset(secrets[i].octets, i ? 0x22 : 0x11, GSPM_SECRET);
	}
	for (size_t i = 0; i < sizeof transcript; i++) {
		unsigned octet = 0;
		assert_int_equal(sscanf(transcripts[MESSAGES - 1] + 2 * i, "%2x", &octet), 1);
		transcript[i] = (uint8_t)octet;
	}
	for (size_t i = 0; i < 2; i++) {
		const struct keying_octets signed_octets = { (const uint8_t *)octets[i], strlen(octets[i]) };

		assert_int_equal(gspm_auth(algorithm_by_ikev2(ALG_PRF, 5, 0), secrets, transcript, i == 1,
					   signed_octets, &proof, NULL),
				 0);
		assert_string_equal(hex(proof.octets, proof.len, text), auths[i]);
	}
}

static void what_makes_no_sense_is_refused(void **state)
{
	static const struct {
		const char *octets;
		size_t len;
		int want;
	} rows[] = {
		{ "", 0, -ERR_SYNTAX },
		{ "\3", 1, -ERR_SYNTAX },
		{ "\3\0\0", 3, -ERR_SYNTAX },
		{ "\3\0\0\5abcd", 8, -ERR_SYNTAX },        /* longer than what is there */
		{ "\3\0\0\0", 4, -ERR_SYNTAX },            /* an empty token */
		{ "\2\0\0\0", 4, -ERR_SYNTAX },            /* an empty name */
		{ "\3\0\0\1a\3\0\0\1b", 10, -ERR_SYNTAX }, /* two tokens of one context */
		{ "\2\0\0\1a\2\0\0\1b", 10, -ERR_SYNTAX }, /* two names */
		{ "\2\0\0\3a\nb", 7, -ERR_SYNTAX },        /* a name of two lines */
		{ "\2\0\0\3a\0b", 7, -ERR_SYNTAX },
		{ "\3\0\0\1a\4\0\0\1b", 10, 0 },
		{ "\x63\0\0\2ab\3\0\0\1a", 11, 0 }, /* an item of another type is passed over */
		{ "\1\0\0\2ab", 6, 0 },             /* a mechanism that we do not know */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct wire_in in = wire_in(rows[i].octets, rows[i].len);
		struct ike_msg m = { 0 };
		int r = ike_decode_gspm(&in, &m, NULL);

		if (r != rows[i].want || (r == 0) != m.has_gspm || m.gspm.kerberos)
			fail_msg("row %zu: %d", i, r);
	}
}

static void lengths_are_bounded(void **state)
{
	static uint8_t body[8 + KEYING_TOKEN_MOST + 1];
	static const struct {
		uint8_t type;
		size_t len;
		int want;
	} rows[] = {
		{ 2, KEYING_GSS_TARGET - 1, 0 }, { 2, KEYING_GSS_TARGET, -ERR_SYNTAX },
		{ 3, KEYING_TOKEN_MOST, 0 },     { 3, KEYING_TOKEN_MOST + 1, -ERR_SYNTAX },
		{ 4, KEYING_TOKEN_MOST, 0 },     { 4, KEYING_TOKEN_MOST + 1, -ERR_SYNTAX },
	};

	(void)state;
	memset(body, 'x', sizeof body);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct wire_out out = wire_out(body, 4);
		struct ike_msg m = { 0 };

		wire_put_u8(&out, rows[i].type);
		wire_put_u8(&out, 0);
		wire_put_u16(&out, (uint16_t)rows[i].len);
		struct wire_in in = wire_in(body, 4 + rows[i].len);
		if (ike_decode_gspm(&in, &m, NULL) != rows[i].want)
			fail_msg("row %zu", i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(said_as_the_listing_has_it),
		cmocka_unit_test(proven_as_the_listing_has_it),
		cmocka_unit_test(what_makes_no_sense_is_refused),
		cmocka_unit_test(lengths_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
