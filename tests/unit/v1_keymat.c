/* IKEv1's keys, hashes and messages against values computed by another program (Python's hmac and hashlib, openssl enc)
 * from the formulas of RFC 2409 5 and appendix B, RFC 3947 3.2 and draft-ietf-ipsec-isakmp-gss-auth-07 3.2. */
#include "keying/v1/keymat.h"
#include "base/diag.h"
#include "base/scope.h"
#include "tests/unit/hex.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

static uint8_t nonce_i[32], nonce_r[32], secret[64], ke_i[64], ke_r[64], sa_body[48], covered[40];
static const uint8_t id_i[] = { 1, 0, 0, 0, 10, 0, 0, 1 }, id_r[] = { 1, 0, 0, 0, 10, 0, 0, 2 };
static struct ike_suite suite;
static struct v1_main exchange;

#define OCTETS(array) ((struct keying_octets){ (array), sizeof(array) })
static const uint32_t MESSAGE = 0xdeadbeef;

static void prepare(const char *text)
{
	for (unsigned i = 0; i < 64; i++) {
		secret[i] = (uint8_t)(i * 7 + 1);
		ke_i[i] = (uint8_t)(0x80 + i);
		ke_r[i] = (uint8_t)(0xc0 + i);
	}
	for (unsigned i = 0; i < 32; i++) {
		nonce_i[i] = (uint8_t)i;
		nonce_r[i] = (uint8_t)(0x40 + i);
	}
	for (unsigned i = 0; i < sizeof sa_body; i++)
		sa_body[i] = (uint8_t)(0x30 + i);
	for (unsigned i = 0; i < sizeof covered; i++)
		covered[i] = (uint8_t)(1 + i);
	assert_int_equal(ike_suite_parse(text, strlen(text), &suite, NULL), 0);
	exchange = (struct v1_main){ .suite = &suite,
				     .secret = OCTETS(secret),
				     .nonce_i = OCTETS(nonce_i),
				     .nonce_r = OCTETS(nonce_r),
				     .ke_i = OCTETS(ke_i),
				     .ke_r = OCTETS(ke_r),
				     .cookie_i = UINT64_C(0x0102030405060708),
				     .cookie_r = UINT64_C(0x1112131415161718),
				     .sa_body = OCTETS(sa_body) };
}

static void expect_octets(const uint8_t *at, size_t len, const char *want)
{
	char text[2 * 256 + 1] = "";

	assert_true(len <= 256);
	for (size_t i = 0; i < len; i++)
		(void)snprintf(text + 2 * i, 3, "%02x", at[i]);
	assert_string_equal(text, want);
}

static void expect(const struct key *k, const char *want)
{
	expect_octets(k->octets, k->len, want);
}

static void keys_of_main_mode_are_those_of_the_rfc(void **state)
{
	static const struct {
		const char *suite;
		bool psk;
		const char *id, *d, *a, *cipher;
	} rows[] = {
		/* The cipher wants more than SHA-1 gives, ... */
		{ "aes256-sha1-modp1024", false, "7f54d80cce35da28405ed5604abd1e2fa227d401",
		  "7d61d1280a341043cd6a301fb083e499a15bbed4", "9484df6742685776a1738c511286bfc7efddcb75",
		  "10925d1858c14a9996b302f1b478ffd8be38281793629e3f5f8dd15e1fe47a95" },
		/* ... less than SHA-256 gives, ... */
		{ "aes128-sha256-modp2048", true, "962ac5083cf5a90fdccc39ed4caf8fdb022ddfb2c742db5da97adf3c3f51de58",
		  "6880e7eba20e70483adeb832ebfe1e0e84717e72e1ebdc474b7321772aae070b",
		  "72b902b42b7c643cacd1589f3ec7b3b7b94762e9f2d2bb4a151bbbc146c8fdd1",
		  "adcc774195a246a4e0ce8baa856cb305" },
		{ "aes256-sha384-ecp384", false,
		  "b924b8a1fe9573600b52347d2192c722536645d1435c55bfb2e14d3177d3f667d1b2820ae0c2b4941acdc563218f3cd7",
		  "29f72ee4f50d5cb4c8880c96ca5c35a91febb6cd6c4f87f928416db9cb470130d8bd29d3d39ead6fceec09130e46df7f",
		  "eab57ef414bf5fa1fba254d1f13d6a51f4d115a29cd9978cd57cc2f5e82cee8f69180443840c8043873905a308502fa5",
		  "6435469bb420612b2094ae61f7f6d7421fbd1d141c4c324acda9ad36b0ed9ede" },
		/* ... and more than MD5 gives. */
		{ "3des-md5-modp1024", true, "61b5f81d8a3502007cddfddffbd563cc", "ae9814ffbc73bbc6546338d0605f55ea",
		  "41dda542d7cb1080008cab632653c91f", "102843b330c28e1cd0e51864d64d04a0e6a19c1572303c42" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		static const char psk[] = "a shared secret";
		struct key skeyid = { 0 };
		struct v1_keys k = { 0 };

		prepare(rows[i].suite);
		if (rows[i].psk)
			assert_int_equal(v1_skeyid_psk(suite.prf, psk, sizeof psk - 1, exchange.nonce_i,
						       exchange.nonce_r, &skeyid, NULL),
					 0);
		else
			assert_int_equal(v1_skeyid(&exchange, &skeyid, NULL), 0);
		assert_int_equal(v1_keys_make(&exchange, &skeyid, &k, NULL), 0);
		expect(&k.id, rows[i].id);
		expect(&k.d, rows[i].d);
		expect(&k.a, rows[i].a);
		expect(&k.cipher, rows[i].cipher);
	}
}

static struct v1_keys sha1_keys(void)
{
	struct key skeyid = { 0 };
	struct v1_keys k = { 0 };

	prepare("aes256-sha1-modp1024");
	assert_int_equal(v1_skeyid(&exchange, &skeyid, NULL), 0);
	assert_int_equal(v1_keys_make(&exchange, &skeyid, &k, NULL), 0);
	return k;
}

static void each_end_proves_itself_by_its_own_hash(void **state)
{
	static const uint8_t name[] = { 'h', 0, 'o', 0, 's', 0, 't', 0, '/', 0, 'a', 0, '@', 0, 'R', 0 };
	static const uint8_t first[] = { 'f', 'i', 'r', 's', 't' }, second[] = { 's', 'e', 'c', 'o', 'n', 'd' };
	struct v1_keys k = sha1_keys();
	struct v1_proof i = { .of_initiator = true, .id_body = OCTETS(id_i) }, r = { .id_body = OCTETS(id_r) };
	struct key hash = { 0 };

	(void)state;
	assert_int_equal(v1_hash_main(&exchange, &k.id, &i, &hash, NULL), 0);
	expect(&hash, "6cebea82e7f7652d77095604efc59b9327b0c47f");
	assert_int_equal(v1_hash_main(&exchange, &k.id, &r, &hash, NULL), 0);
	expect(&hash, "524f405ef881b6bc91a8fd92175e15a8b2f15285");
	i.gss_name = OCTETS(name);
	i.tokens[0] = OCTETS(first);
	i.tokens[1] = OCTETS(second);
	i.token_count = 2;
	assert_int_equal(v1_hash_main(&exchange, &k.id, &i, &hash, NULL), 0);
	expect(&hash, "6d4550cd74c64632db251ff198436c63b343d8c9");
}

static void hashes_of_quick_mode_cover_message_and_nonces(void **state)
{
	struct v1_keys k = sha1_keys();
	struct key hash = { 0 };

	(void)state;
	assert_int_equal(v1_hash_quick_1(suite.prf, &k.a, MESSAGE, OCTETS(covered), &hash, NULL), 0);
	expect(&hash, "b16addadf886a6401338688048fe370f32054c90");
	assert_int_equal(v1_hash_quick_2(suite.prf, &k.a, MESSAGE, OCTETS(nonce_i), OCTETS(covered), &hash, NULL), 0);
	expect(&hash, "58597c1e6dc6b6a72189dc95a9ab6781188f5751");
	assert_int_equal(v1_hash_quick_3(suite.prf, &k.a, MESSAGE, OCTETS(nonce_i), OCTETS(nonce_r), &hash, NULL), 0);
	expect(&hash, "a4d531ffc5ca4f240b673bad87161a5131218098");
	assert_int_equal(v1_hash_delete_2(suite.prf, &k.a, MESSAGE, OCTETS(nonce_i), OCTETS(covered), &hash, NULL), 0);
	expect(&hash, "90a1420492eec81808f3385bbac013ba4811848d");
}

static void quick_mode_gives_each_way_its_keys(void **state)
{
	static const struct {
		const char *suite;
		bool fresh;
		const char *encr_i, *integ_i, *encr_r, *integ_r;
	} rows[] = {
		{ "esp-aes256-sha256", false, "c1337ad836fa2a01217e70ed1a66fa8f5cbf848e06e60d100b24a8f034d76427",
		  "204ae7c03d38181677a94b69a6f679cfb052a43715e05e64101eaa0684f118a4",
		  "40835d86d4755bd33d4b810d1f49234f3788cfb6dba74565dc7f64a475c4beb4",
		  "7270118ae9e4cdf19dc83c5a66358552378ea260a4d51428524ff41ade546f33" },
		{ "ah-sha1", true, "", "596335d95724dbe5a915e860494a5b7a7f53a1ff", "",
		  "e7d2777e96124a378b32f8470fc8844e3a9e0cee" },
		/* Key and salt. */
		{ "esp-aes256gcm", false, "c1337ad836fa2a01217e70ed1a66fa8f5cbf848e06e60d100b24a8f034d76427204ae7c0",
		  "", "40835d86d4755bd33d4b810d1f49234f3788cfb6dba74565dc7f64a475c4beb47270118a", "" },
	};
	struct v1_keys main = sha1_keys();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct child_suite child;
		struct child_keys k = { 0 };

		assert_int_equal(child_suite_parse(rows[i].suite, strlen(rows[i].suite), &child, NULL), 0);
		const struct v1_quick q = { .suite = &child,
					    .secret = rows[i].fresh ? OCTETS(secret) : (struct keying_octets){ 0 },
					    .nonce_i = OCTETS(nonce_i),
					    .nonce_r = OCTETS(nonce_r),
					    .spi_i = 0xc0ffee01,
					    .spi_r = 0x0badf00d };
		assert_int_equal(v1_keymat_quick(suite.prf, &main.d, &q, &k, NULL), 0);
		expect(&k.encr_i, rows[i].encr_i);
		expect(&k.integ_i, rows[i].integ_i);
		expect(&k.encr_r, rows[i].encr_r);
		expect(&k.integ_r, rows[i].integ_r);
	}
}

static void addresses_are_hashed_with_the_cookies(void **state)
{
	struct addr a = addr_v4(192, 0, 2, 7);
	uint8_t hash[64];
	size_t len = 0;

	(void)state;
	prepare("aes256-sha1-modp1024");
	assert_int_equal(v1_nat_hash(suite.prf, exchange.cookie_i, exchange.cookie_r, &a, 4500, hash, &len, NULL), 0);
	expect_octets(hash, len, "7c1232a608f2bbaa62f6dbc59b0603fe0293f913");
}

static void begin(struct ike_writer *w, uint8_t *buf, size_t cap)
{
	v1_write_begin(
		w, buf, cap,
		&(struct ike_header){ .spi_i = exchange.cookie_i, .spi_r = exchange.cookie_r, .exchange = V1_MAIN });
}

static void a_message_begins_with_the_last_block_of_the_one_before(void **state)
{
	struct v1_keys k = sha1_keys();
	struct v1_iv iv, copy, of_message;
	struct ike_writer w;
	struct ike_header h;
	struct v1_msg m = { 0 };
	uint8_t buf[128], second[16];

	(void)state;
	assert_int_equal(v1_iv_main(&exchange, &iv, NULL), 0);
	copy = iv;
	expect_octets(iv.octets, 16, "87f0c35852e65ad707f37c05fb03dc6e");
	assert_int_equal(v1_iv_message(&suite, &iv, MESSAGE, &of_message, NULL), 0);
	expect_octets(of_message.octets, 16, "1b1c3f18698a54f26633e1fb8a05fe42");

	begin(&w, buf, sizeof buf);
	v1_put_id(&w, OCTETS(id_i));
	assert_int_equal(v1_seal(&w, &suite, &k.cipher, &iv, NULL), 0);
	expect_octets(buf, w.out.len,
		      "0102030405060708111213141516171805100201000000000000002c27500843356a24bbeb3fa85eb749da5b");
	assert_memory_equal(iv.octets, buf + w.out.len - 16, 16);

	/* The other end, whose chain goes the same way. */
	struct wire_in in = wire_in(buf, w.out.len);
	assert_int_equal(v1_decode_header(&in, &h, NULL), 0);
	assert_int_equal(v1_open(buf, w.out.len, &suite, &k.cipher, &copy, NULL), 0);
	assert_memory_equal(copy.octets, iv.octets, 16);
	m.h = h;
	assert_int_equal(v1_decode_payloads(&in, V1_MSG_MAIN_ID, &m, NULL), 0);
	assert_int_equal(m.ids[0].body.len, sizeof id_i);
	assert_memory_equal(m.ids[0].body.at, id_i, sizeof id_i);

	begin(&w, buf, sizeof buf);
	for (unsigned i = 0; i < sizeof second; i++)
		second[i] = (uint8_t)i;
	v1_put_hash(&w, OCTETS(second));
	assert_int_equal(v1_seal(&w, &suite, &k.cipher, &iv, NULL), 0);
	expect_octets(buf, w.out.len,
		      "0102030405060708111213141516171808100201000000000000003c"
		      "e2548b3478095e6a50552d05c514202a49dcb88ff6e7b0aaed8b651bb39336cc");
}

static void a_message_of_half_a_block_is_refused(void **state)
{
	struct v1_keys k = sha1_keys();
	struct v1_iv iv = { { 0 } };
	uint8_t message[IKE_HEADER + 24] = { 0 };
	struct diag d = { 0 };

	(void)state;
	assert_int_equal(v1_open(message, sizeof message, &suite, &k.cipher, &iv, &d), -ERR_SYNTAX);
	assert_int_equal(v1_open(message, IKE_HEADER, &suite, &k.cipher, &iv, &d), -ERR_SYNTAX);
	assert_int_equal(v1_open(message, 5, &suite, &k.cipher, &iv, &d), -ERR_SYNTAX);
	assert_non_null(strstr(d.text, "nothing in it"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_of_main_mode_are_those_of_the_rfc),
		cmocka_unit_test(each_end_proves_itself_by_its_own_hash),
		cmocka_unit_test(hashes_of_quick_mode_cover_message_and_nonces),
		cmocka_unit_test(quick_mode_gives_each_way_its_keys),
		cmocka_unit_test(addresses_are_hashed_with_the_cookies),
		cmocka_unit_test(a_message_begins_with_the_last_block_of_the_one_before),
		cmocka_unit_test(a_message_of_half_a_block_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
