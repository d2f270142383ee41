/* Key derivation against values computed by another program from the formulas of RFC 7296 2.14, 2.17 and 2.18. */
#include "keying/keymat.h"
#include "base/diag.h"
#include "base/scope.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint8_t nonce_i[32], nonce_r[32], secret[48];
static struct keymat_input input;

static void prepare(void)
{
	for (unsigned i = 0; i < 48; i++)
		secret[i] = (uint8_t)(0x80 + i);
	for (unsigned i = 0; i < 32; i++) {
		nonce_i[i] = (uint8_t)i;
		nonce_r[i] = (uint8_t)(0x40 + i);
	}
	input = (struct keymat_input){ .secret = { secret, sizeof secret },
				       .nonce_i = { nonce_i, sizeof nonce_i },
				       .nonce_r = { nonce_r, sizeof nonce_r },
				       .spi_i = UINT64_C(0x0102030405060708),
				       .spi_r = UINT64_C(0x1112131415161718) };
}

static void expect(const struct key *k, const char *hex)
{
	char text[2 * KEY_MAX + 1] = "";

	for (size_t i = 0; i < k->len; i++)
		(void)snprintf(text + 2 * i, 3, "%02x", k->octets[i]);
	assert_string_equal(text, hex);
}

static struct ike_suite ike_suite(const char *text)
{
	struct ike_suite s;

	assert_int_equal(ike_suite_parse(text, strlen(text), &s, NULL), 0);
	return s;
}

static struct child_suite child_suite(const char *text)
{
	struct child_suite s;

	assert_int_equal(child_suite_parse(text, strlen(text), &s, NULL), 0);
	return s;
}

static void main_mode_keys_are_those_of_the_rfc(void **state)
{
	struct ike_suite cbc = ike_suite("aes256-sha384-ecp384"), gcm = ike_suite("aes256gcm-sha256-x25519");
	struct ike_keys k, again;

	(void)state;
	prepare();
	assert_int_equal(keymat_ike(&cbc, &input, NULL, NULL, &k, NULL), 0);
	expect(&k.d,
	       "89e4b5d195097cda191f310f038661038ff794c3f2b4b3067b352668d5ce751eb70592a2489d1f0616ca2ab256f0bbae");
	expect(&k.ai,
	       "ab9c65915b22aa6f0344b297c79ab6316d2b741d608e703b3995688f04ff4619803144cd7a6f20cbcae1a9c9693f8670");
	expect(&k.ar,
	       "a8db4cef3df8799aa5b34a65c0c099b58d56129235de449e69895df1b7f1eb15c3114404b83b8b740f792e3dbfb828c1");
	expect(&k.ei, "0ffb26bfb67f38803a77fe140fbf81fb2d8926bad584fb0b2b78e77f4bde5991");
	expect(&k.er, "b86cf6c5501b0e4b74b5834f9b1734321466ac7df653fd2debc8385ab768f00f");
	expect(&k.pi,
	       "dd29bbb4b91f8b58b0bb8bd0f1d4f5c13e524536d4fafa616ac8fc48868e31e3937e398ff136e590e5620e66990b38ac");
	expect(&k.pr,
	       "104a7fdca43853e179d3eccda01eb2b224650825d2f2825cb4acbc2942342dd6df0671546947d70380f6939d22e3ca25");

	/* Renewed: SKEYSEED by the old prf, the rest by the new one; AES-GCM has a salt and no integrity key. */
	assert_int_equal(keymat_ike(&gcm, &input, cbc.prf, &k.d, &again, NULL), 0);
	expect(&again.d, "97cc2821638128004a20d1cabbeba1743a86fc8d618b42bc1ccb9fd249dec180");
	expect(&again.ei, "7b8c98107562010daf473da874141d6f83ee13e07a124dc454e4ed88b7822116ce6b239c");
	expect(&again.er, "0108313dc535ba9e68def3d73d7508fb3a19b5a254824d13acf0a5ed3a4323d909d7df3e");
	expect(&again.pi, "daec59b3ac85dcadf003531f226fe1defd1ef1d82aafe639cb0c4ee8828f5180");
	expect(&again.pr, "a4b61e8e07db6e49613dd42fb3dc1272057192d9b2888e9345ca2bdb26b48375");
	assert_int_equal(again.ai.len, 0);
}

static void quick_mode_keys_are_those_of_the_rfc(void **state)
{
	struct ike_suite cbc = ike_suite("aes256-sha384-ecp384");
	struct child_suite gcm = child_suite("esp-aes256gcm"), hmac = child_suite("esp-aes128-sha256");
	struct ike_keys k;
	struct child_keys c;

	(void)state;
	prepare();
	assert_int_equal(keymat_ike(&cbc, &input, NULL, NULL, &k, NULL), 0);
	assert_int_equal(keymat_child(cbc.prf, &k.d, &gcm, &input, &c, NULL), 0);
	expect(&c.encr_i, "bea44e20a5661d83b9c64dd484cc9ef765c0a7aac08c90d5c78eab8e9eaa0fb094d029ca");
	expect(&c.encr_r, "aaeef6ec34f85eb3f30b78ed7a2a06e9529f9f88197b8f08f3fda8ed0f95020390ea8da3");
	assert_int_equal(c.integ_i.len, 0);

	input.secret.len = 0; /* without a key exchange of its own */
	assert_int_equal(keymat_child(cbc.prf, &k.d, &hmac, &input, &c, NULL), 0);
	expect(&c.encr_i, "fc92fc70241ce0022227721bd5035961");
	expect(&c.integ_i, "7b96f30b990e81fa4d479ef373d58abe590e124c20b16f9c681ee52c6bf254e6");
	expect(&c.encr_r, "ab32a035198f2188b3da730846eee08a");
	expect(&c.integ_r, "c89d93bdc118bffce3e70c3935be2d5e4953649b55626ae73e10abfa964d83ff");
}

static void what_is_signed_is_message_nonce_and_identity(void **state)
{
	struct ike_suite cbc = ike_suite("aes256-sha384-ecp384");
	struct key p = { .len = 48 };
	uint8_t *octets;
	size_t len;

	(void)state;
	prepare();
	assert_int_equal(keymat_signed_octets(cbc.prf, &p, (struct keying_octets){ secret, 48 },
					      (struct keying_octets){ nonce_i, 32 },
					      (struct keying_octets){ nonce_r, 8 }, &octets, &len, NULL),
			 0);
	assert_int_equal(len, 48 + 32 + 48);
	assert_memory_equal(octets, secret, 48);
	assert_memory_equal(octets + 48, nonce_i, 32);
	free(octets);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(main_mode_keys_are_those_of_the_rfc),
		cmocka_unit_test(quick_mode_keys_are_those_of_the_rfc),
		cmocka_unit_test(what_is_signed_is_message_nonce_and_identity),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
