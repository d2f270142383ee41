/* IKEv2 messages: what is written reads back the same, and what is malformed is refused. Bad input first. */
#include "keying/ike.h"
#include "base/diag.h"
#include "base/scope.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

static uint8_t buf[IKE_MESSAGE_MOST];

/* One message: a header and these payloads as they stand. */
static int decode(enum ike_message_kind kind, uint8_t first, const void *payloads, size_t len, struct ike_msg *m)
{
	/* A copy of exactly the length, so that the sanitizer sees every octet read too many. */
	uint8_t *copy = calloc(1, len ? len : 1);
	struct wire_in in = wire_in(copy, len);
	struct diag d = { 0 };
	int r;

	assert_non_null(copy);
	memcpy(copy, payloads, len);
	*m = (struct ike_msg){ 0 };
	r = ike_decode_payloads(&in, kind, first, m, &d);
	assert_true(r == 0 || d.text[0]);
	free(copy);
	return r;
}

static void malformed_payloads_are_refused(void **state)
{
	/* clang-format off */
	static const struct {
		const char *what;
		enum ike_message_kind kind;
		uint8_t first;
		size_t len;
		uint8_t octets[48];
		int want;
	} rows[] = {
		{ "length 0: no progress", MSG_INFORMATIONAL, PL_NOTIFY, 4, { 41, 0, 0, 0 }, -ERR_SYNTAX },
		{ "length 3", MSG_INFORMATIONAL, PL_NOTIFY, 8, { 0, 0, 0, 3, 0, 0, 0, 0 }, -ERR_SYNTAX },
		{ "longer than the message", MSG_INFORMATIONAL, PL_NOTIFY, 8, { 0, 0, 0, 9, 0, 0, 0, 0 }, -ERR_SYNTAX },
		{ "65535", MSG_INFORMATIONAL, PL_NOTIFY, 8, { 0, 0, 255, 255, 0, 0, 0, 0 }, -ERR_SYNTAX },
		{ "a payload announced and not there", MSG_INFORMATIONAL, PL_NOTIFY, 0, { 0 }, -ERR_SYNTAX },
		{ "octets behind the last", MSG_INFORMATIONAL, PL_NONE, 1, { 0 }, -ERR_SYNTAX },
		{ "unknown and critical", MSG_INFORMATIONAL, 200, 4, { 0, 0x80, 0, 4 }, -ERR_CRITICAL },
		{ "unknown, not critical", MSG_INFORMATIONAL, 200, 4, { 0, 0, 0, 4 }, 0 },
		{ "known, out of place, critical: passed over", MSG_INFORMATIONAL, PL_CP, 4, { 0, 0x80, 0, 4 }, 0 },
		{ "notify: SPI longer than the body", MSG_INFORMATIONAL, PL_NOTIFY, 8, { 0, 0, 0, 8, 3, 4, 64, 9 }, -ERR_SYNTAX },
		{ "cookie of no octet", MSG_INIT_REPLY, PL_NOTIFY, 8, { 0, 0, 0, 8, 0, 0, 64, 6 }, -ERR_SYNTAX },
		{ "delete: more SPIs than octets", MSG_INFORMATIONAL, PL_DELETE, 12, { 0, 0, 0, 12, 3, 4, 0, 2, 1, 2, 3, 4 }, -ERR_SYNTAX },
		{ "delete: 65535 SPIs", MSG_INFORMATIONAL, PL_DELETE, 12, { 0, 0, 0, 12, 3, 4, 255, 255, 1, 2, 3, 4 }, -ERR_SYNTAX },
		{ "delete: SPIs of eight octets", MSG_INFORMATIONAL, PL_DELETE, 16, { 0, 0, 0, 16, 3, 8, 0, 1 }, -ERR_SYNTAX },
		{ "delete: IKE SA with an SPI", MSG_INFORMATIONAL, PL_DELETE, 12, { 0, 0, 0, 12, 1, 4, 0, 1, 1, 2, 3, 4 }, -ERR_SYNTAX },
		{ "delete: octets left", MSG_INFORMATIONAL, PL_DELETE, 9, { 0, 0, 0, 9, 3, 4, 0, 0, 7 }, -ERR_SYNTAX },
		{ "nonce of 15", MSG_INIT_REQUEST, PL_NONCE, 19, { 0, 0, 0, 19 }, -ERR_SYNTAX },
		{ "nothing in IKE_SA_INIT", MSG_INIT_REQUEST, PL_NONE, 0, { 0 }, -ERR_SYNTAX },
		{ "a refusal holds only its reason", MSG_INIT_REPLY, PL_NOTIFY, 8, { 0, 0, 0, 8, 0, 0, 0, 14 }, 0 },
		{ "a request refuses nothing", MSG_INIT_REQUEST, PL_NOTIFY, 8, { 0, 0, 0, 8, 0, 0, 0, 14 }, -ERR_SYNTAX },
		{ "KE without value", MSG_INIT_REQUEST, PL_KE, 8, { 0, 0, 0, 8, 0, 31, 0, 0 }, -ERR_SYNTAX },
		{ "KE of three octets", MSG_INIT_REQUEST, PL_KE, 7, { 0, 0, 0, 7, 0, 31, 0 }, -ERR_SYNTAX },
		{ "two KE", MSG_CHILD_REQUEST, PL_KE, 18, { 34, 0, 0, 9, 0, 31, 0, 0, 1, 0, 0, 0, 9, 0, 31, 0, 0, 1 }, -ERR_SYNTAX },
		{ "SA without proposal", MSG_CHILD_REQUEST, PL_SA, 4, { 0, 0, 0, 4 }, -ERR_SYNTAX },
		{ "proposal of length 0", MSG_CHILD_REQUEST, PL_SA, 12, { 0, 0, 0, 12, 0, 0, 0, 0, 1, 3, 0, 0 }, -ERR_SYNTAX },
		{ "proposal with an SPI of 255", MSG_CHILD_REQUEST, PL_SA, 12, { 0, 0, 0, 12, 0, 0, 0, 8, 1, 3, 255, 0 }, -ERR_SYNTAX },
		{ "255 transforms that are not there", MSG_CHILD_REQUEST, PL_SA, 12, { 0, 0, 0, 12, 0, 0, 0, 8, 1, 3, 0, 255 }, -ERR_SYNTAX },
		{ "transform of length 0", MSG_CHILD_REQUEST, PL_SA, 20, { 0, 0, 0, 20, 0, 0, 0, 16, 1, 3, 0, 1, 0, 0, 0, 0, 1, 0, 0, 12 }, -ERR_SYNTAX },
		{ "attribute longer than its transform", MSG_CHILD_REQUEST, PL_SA, 24, { 0, 0, 0, 24, 0, 0, 0, 20, 1, 3, 0, 1, 0, 0, 0, 12, 1, 0, 0, 12, 0, 14, 0, 9 }, -ERR_SYNTAX },
		{ "half an attribute", MSG_CHILD_REQUEST, PL_SA, 22, { 0, 0, 0, 22, 0, 0, 0, 18, 1, 3, 0, 1, 0, 0, 0, 10, 1, 0, 0, 12, 128, 14 }, -ERR_SYNTAX },
		{ "more proposals announced", MSG_CHILD_REQUEST, PL_SA, 12, { 0, 0, 0, 12, 2, 0, 0, 8, 1, 3, 0, 0 }, -ERR_SYNTAX },
		{ "TS without selector", MSG_CHILD_REQUEST, PL_TSI, 8, { 0, 0, 0, 8, 0, 0, 0, 0 }, -ERR_SYNTAX },
		{ "255 selectors that are not there", MSG_CHILD_REQUEST, PL_TSI, 8, { 0, 0, 0, 8, 255, 0, 0, 0 }, -ERR_SYNTAX },
		{ "selector of length 0", MSG_CHILD_REQUEST, PL_TSI, 12, { 0, 0, 0, 12, 1, 0, 0, 0, 7, 0, 0, 0 }, -ERR_SYNTAX },
		{ "IPv6 selector with IPv4's length", MSG_CHILD_REQUEST, PL_TSI, 24, { 0, 0, 0, 24, 1, 0, 0, 0, 8, 0, 0, 16 }, -ERR_SYNTAX },
		{ "range that ends before it begins", MSG_CHILD_REQUEST, PL_TSI, 24, { 0, 0, 0, 24, 1, 0, 0, 0, 7, 0, 0, 16, 0, 0, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1 }, -ERR_SYNTAX },
		{ "ID of three octets", MSG_AUTH_REQUEST, PL_IDI, 7, { 0, 0, 0, 7, 1, 0, 0 }, -ERR_SYNTAX },
		{ "AUTH without data", MSG_AUTH_REQUEST, PL_AUTH, 8, { 0, 0, 0, 8, 2, 0, 0, 0 }, -ERR_SYNTAX },
		{ "CERT without encoding", MSG_AUTH_REQUEST, PL_CERT, 4, { 0, 0, 0, 4 }, -ERR_SYNTAX },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct ike_msg m;
		int r = decode(rows[i].kind, rows[i].first, rows[i].octets, rows[i].len, &m);
		if (r != rows[i].want)
			fail_msg("%s: %d", rows[i].what, r);
	}
}

static void headers_that_lie_are_refused(void **state)
{
	uint8_t h[IKE_HEADER] = { 1, 0, 0, 0, 0, 0, 0, 1 };
	struct ike_header got;

	(void)state;
	h[17] = IKE_VERSION;
	h[27] = IKE_HEADER;
	for (size_t n = 0; n < IKE_HEADER; n++) {
		struct wire_in in = wire_in(h, n);
		assert_int_equal(ike_decode_header(&in, &got, NULL), -ERR_SYNTAX);
	}
	struct wire_in in = wire_in(h, IKE_HEADER);
	assert_int_equal(ike_decode_header(&in, &got, NULL), 0);
	h[27]++;
	in = wire_in(h, IKE_HEADER);
	assert_int_equal(ike_decode_header(&in, &got, NULL), -ERR_SYNTAX);
	h[27]--;
	h[17] = 0x30;
	in = wire_in(h, IKE_HEADER);
	assert_int_equal(ike_decode_header(&in, &got, NULL), -ERR_UNSUPPORTED);
	h[17] = IKE_VERSION;
	h[0] = h[7] = 0;
	in = wire_in(h, IKE_HEADER);
	assert_int_equal(ike_decode_header(&in, &got, NULL), -ERR_SYNTAX);
}

static void many_repetitions_are_bounded(void **state)
{
	uint8_t notifies[8 * 200];
	struct ike_msg m;

	(void)state;
	for (size_t i = 0; i < 200; i++)
		memcpy(notifies + 8 * i, (uint8_t[]){ 41, 0, 0, 8, 0, 0, 64, 9 }, 8);
	notifies[8 * 199] = 0;
	assert_int_equal(decode(MSG_INFORMATIONAL, PL_NOTIFY, notifies, sizeof notifies, &m), -ERR_SYNTAX);
	for (size_t i = 0; i < 200; i++)
		memcpy(notifies + 8 * i, (uint8_t[]){ 43, 0, 0, 8, 1, 2, 3, 4 }, 8); /* vendor IDs */
	assert_int_equal(decode(MSG_INFORMATIONAL, PL_VENDOR, notifies, sizeof notifies, &m), -ERR_SYNTAX);
}

static void every_payload_reads_back(void **state)
{
	struct ike_header h = { .spi_i = 1, .spi_r = 2, .exchange = IKE_AUTH, .flags = IKE_FLAG_INITIATOR, .id = 1 };
	struct ike_offer offer = { .count = 2 };
	struct ike_ts ts = { .protocol = 6, .port_lo = 80, .port_hi = 90 };
	uint8_t cert[300] = { 0x30 }, auth[64] = { 7 };
	static struct ike_msg m;
	struct ike_header got;
	struct ike_writer w;

	(void)state;
	offer.proposals[0] =
		(struct ike_proposal){ .number = 1, .protocol = 3, .spi_len = 4, .spi = 0xa1b2c3d4, .count = 2 };
	offer.proposals[0].transforms[0] = (struct ike_transform){ .type = 1, .id = 20, .key_bits = 256 };
	offer.proposals[0].transforms[1] = (struct ike_transform){ .type = 5, .id = 1 };
	offer.proposals[1] =
		(struct ike_proposal){ .number = 2, .protocol = 1, .spi_len = 8, .spi = UINT64_MAX, .count = 1 };
	offer.proposals[1].transforms[0] = (struct ike_transform){ .type = 4, .id = 31 };
	ts.range.lo = addr_v4(10, 0, 0, 1);
	ts.range.hi = addr_v4(10, 0, 0, 9);

	ike_write_begin(&w, buf, sizeof buf, &h);
	ike_put_id(&w, PL_IDI, ID_FQDN, "host", 4);
	ike_put_cert(&w, cert, sizeof cert);
	ike_put_auth(&w, 14, auth, sizeof auth);
	ike_put_notify(&w, N_USE_TRANSPORT_MODE, NULL, 0);
	ike_put_notify_spi(&w, N_REKEY_SA, PROTO_ESP, 0x11223344);
	ike_put_sa(&w, &offer);
	ike_put_ts(&w, PL_TSI, &ts);
	ts.range.lo = ts.range.hi = (struct addr){ .family = 6, .octets = { 0x20, 1 } };
	ike_put_ts(&w, PL_TSR, &ts);
	ike_write_end(&w);
	assert_false(w.out.failed);

	struct wire_in in = wire_in(buf, w.out.len);
	assert_int_equal(ike_decode_header(&in, &got, NULL), 0);
	assert_int_equal(ike_decode_payloads(&in, MSG_AUTH_REQUEST, got.next, &m, NULL), 0);
	assert_int_equal(m.id_i.type, ID_FQDN);
	assert_int_equal(m.id_i.body.len, 8);
	assert_int_equal(m.cert_count, 1);
	assert_int_equal(m.certs[0].len, sizeof cert);
	assert_int_equal(m.auth_method, 14);
	assert_int_equal(m.auth.len, sizeof auth);
	assert_non_null(ike_find_notify(&m, N_USE_TRANSPORT_MODE));
	assert_int_equal(ike_find_notify(&m, N_REKEY_SA)->spi, 0x11223344);
	assert_null(ike_find_error(&m));
	assert_int_equal(m.offer.count, 2);
	assert_int_equal(m.offer.proposals[0].spi, 0xa1b2c3d4);
	assert_int_equal(m.offer.proposals[0].transforms[0].key_bits, 256);
	assert_true(m.offer.proposals[1].spi == UINT64_MAX);
	assert_int_equal(m.ts_i.at[0].port_hi, 90);
	assert_true(addr_equal(&m.ts_i.at[0].range.hi, &(struct addr){ .family = 4, .octets = { 10, 0, 0, 9 } }));
	assert_int_equal(m.ts_r.at[0].range.lo.family, 6);

	for (size_t n = 0; n < w.out.len - IKE_HEADER; n++) { /* cut anywhere, it is refused */
		assert_int_equal(decode(MSG_AUTH_REQUEST, got.next, buf + IKE_HEADER, n, &m), -ERR_SYNTAX);
	}
}

static void sealed_messages_open_and_forged_ones_do_not(void **state)
{
	static const char *const suites[] = { "aes256gcm-sha256-x25519", "aes128-sha256-ecp256",
					      "aes256-sha384-ecp384" };
	struct ike_header h = { .spi_i = 1, .spi_r = 2, .exchange = INFORMATIONAL, .id = 5 };

	(void)state;
	for (size_t s = 0; s < ARRAY_LEN(suites); s++)
		for (size_t notifies = 0; notifies < 5; notifies++) {
			struct ike_suite suite;
			SCOPED(ike_crypt_wipe) struct ike_crypt out = { 0 }, in = { 0 };
			struct key encr, integ = { 0 };
			struct ike_writer w;
			struct wire_in inner;
			static struct ike_msg m;
			uint8_t first, copy[1024];

			assert_int_equal(ike_suite_parse(suites[s], strlen(suites[s]), &suite, NULL), 0);
			encr = (struct key){ .len = (size_t)suite.encr->key + suite.encr->salt, .octets = { 1, 2, 3 } };
			if (suite.integ)
				integ = (struct key){ .len = suite.integ->key, .octets = { 4, 5, 6 } };
			assert_int_equal(ike_crypt_new(&suite, &encr, &integ, &out, NULL), 0);
			assert_int_equal(ike_crypt_new(&suite, &encr, &integ, &in, NULL), 0);
			ike_write_begin(&w, buf, sizeof buf, &h);
			size_t sk = ike_sk_begin(&w, &out);
			for (size_t i = 0; i < notifies; i++)
				ike_put_notify(&w, N_USE_TRANSPORT_MODE, "abc", i);
			assert_int_equal(ike_sk_end(&w, sk, &out, NULL), 0);
			assert_true(w.out.len <= sizeof copy);

			memcpy(copy, buf, w.out.len);
			assert_int_equal(ike_sk_open(&in, copy, w.out.len, &inner, &first, NULL), 0);
			m = (struct ike_msg){ 0 };
			assert_int_equal(ike_decode_payloads(&inner, MSG_INFORMATIONAL, first, &m, NULL), 0);
			assert_int_equal(m.notify_count, notifies);
			for (size_t i = 0; i < w.out.len; i++) {
				memcpy(copy, buf, w.out.len);
				copy[i] ^= 1;
				assert_true(ike_sk_open(&in, copy, w.out.len, &inner, &first, NULL) < 0);
			}
			for (size_t n = 0; n < w.out.len; n++) { /* cut, with the length made right */
				memcpy(copy, buf, w.out.len);
				copy[26] = (uint8_t)(n >> 8);
				copy[27] = (uint8_t)n;
				assert_true(ike_sk_open(&in, copy, n, &inner, &first, NULL) < 0);
			}
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(malformed_payloads_are_refused),
		cmocka_unit_test(headers_that_lie_are_refused),
		cmocka_unit_test(many_repetitions_are_bounded),
		cmocka_unit_test(every_payload_reads_back),
		cmocka_unit_test(sealed_messages_open_and_forged_ones_do_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
