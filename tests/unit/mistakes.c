/* Mistakes that broke other IKE daemons, by the name of the mistake: those of signatures and keys. The others are in
 * tests/replay/mistakes.c; docs/protocols/ikev2.md has the whole list. */
#include "tests/unit/hex.h"

#include "base/diag.h"
#include "base/mem.h"
#include "identity/credential.h"
#include "identity/handle.h"
#include "identity/signature.h"

#include <openssl/bn.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>

static const struct octets message = { "the octets of RFC 7296 2.15", 27 };

/* RSASSA-PSS with SHA-256 and MGF1 of SHA-256, up to the number of octets of salt, a DER INTEGER. */
static size_t pss_identifier(uint8_t *to, const char *salt_hex)
{
	uint8_t salt[16];
	size_t n = hex(salt_hex, salt, sizeof salt), at;

	static const char tail[] =
		"a00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d06096086480165030402010500";
	uint8_t params[128];
	size_t len = hex(tail, params, sizeof params);
	params[len++] = 0xa2;
	params[len++] = (uint8_t)(n + 2);
	params[len++] = 0x02;
	params[len++] = (uint8_t)n;
	memcpy(params + len, salt, n);
	len += n;
	at = hex("30ff06092a864886f70d01010a30ff", to, 64);
	to[1] = (uint8_t)(11 + 2 + len);
	to[14] = (uint8_t)len;
	memcpy(to + at, params, len);
	return at + len;
}

static size_t pss_sign(EVP_PKEY *key, int salt, uint8_t *to, size_t cap)
{
	SCOPED(md_ctx_freep) EVP_MD_CTX *c = EVP_MD_CTX_new();
	EVP_PKEY_CTX *p = NULL;

	assert_int_equal(EVP_DigestSignInit_ex(c, &p, "SHA256", NULL, NULL, key, NULL), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(p, RSA_PKCS1_PSS_PADDING), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(p, salt), 1);
	assert_int_equal(EVP_DigestSign(c, to, &cap, message.at, message.len), 1);
	return cap;
}

/* The length that stands in the identifier is the one that the signature must have; wild ones are refused, not
 * computed with. */
static void pss_salt_lengths(void **state)
{
	static const struct {
		const char *said; /* DER content of the INTEGER */
		int used;
		bool ok;
	} rows[] = {
		{ "20", 32, true },          { "14", 20, true },          { "00", 0, true },
		{ "20", 20, false },         { "14", 32, false },         { "00", 32, false },
		{ "20", 0, false },          { "ff", 32, false }, /* -1 */
		{ "fe", 32, false },                              /* -2: "whatever it is" to the library */
		{ "fd", 32, false },                              /* -3 */
		{ "00de", 222, true },                            /* all that a key of 2048 bits has room for */
		{ "00df", 222, false },      { "7fff", 32, false },       { "7fffffff", 32, false },
		{ "0080000000", 32, false }, { "00ffffffff", 32, false }, { "7fffffffffffffff", 32, false },
		{ "80000000", 32, false },   { "", 32, false },
	};
	SCOPED(pkey_freep) EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t auth[1024];
		size_t n = pss_identifier(auth + 1, rows[i].said);
		struct diag d = { 0 };
		auth[0] = (uint8_t)n;
		struct octets proof = { auth, 1 + n + pss_sign(key, rows[i].used, auth + 1 + n, 512) };
		int r = signature_check(key, CREDENTIAL_HASHES, 14, &proof, &message, &d);
		if ((r == 0) != rows[i].ok)
			fail_msg("salt said to be %s, is %d: %d %s", rows[i].said, rows[i].used, r, d.text);
	}
}

/* A SubjectPublicKeyInfo as a certificate would hold it; NULL if the library does not read it at all. */
static EVP_PKEY *rsa_key(const BIGNUM *n, const BIGNUM *e)
{
	uint8_t spki[2048];
	ASN1_INTEGER *in = BN_to_ASN1_INTEGER(n, NULL), *ie = BN_to_ASN1_INTEGER(e, NULL);
	uint8_t numbers[1400], *p = numbers;

	int len = i2d_ASN1_INTEGER(in, &p);
	len += i2d_ASN1_INTEGER(ie, &p);
	ASN1_INTEGER_free(in);
	ASN1_INTEGER_free(ie);
	X509_PUBKEY *x = X509_PUBKEY_new();
	uint8_t *sequence = NULL;
	int head = ASN1_object_size(1, len, V_ASN1_SEQUENCE);
	sequence = OPENSSL_malloc((size_t)head);
	p = sequence;
	ASN1_put_object(&p, 1, len, V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL);
	memcpy(p, numbers, (size_t)len);
	assert_int_equal(X509_PUBKEY_set0_param(x, OBJ_nid2obj(NID_rsaEncryption), V_ASN1_NULL, NULL, sequence, head),
			 1);
	p = spki;
	int all = i2d_X509_PUBKEY(x, &p);
	X509_PUBKEY_free(x);
	const uint8_t *q = spki;
	return d2i_PUBKEY(NULL, &q, all);
}

static void public_keys_with_e_or_n_zero_or_otherwise_unsound(void **state)
{
	SCOPED(pkey_freep) EVP_PKEY *honest = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
	BIGNUM *n = NULL, *numbers[5];
	static const struct {
		const char *what;
		int n, e; /* which number: 0 zero, 1 one, 2 an even one, 3 the honest modulus, 4 65537 */
		bool ok;
	} rows[] = {
		{ "honest", 3, 4, true },     { "e = 0", 3, 0, false },          { "e = 1", 3, 1, false },
		{ "e even", 3, 2, false },    { "n = 0", 0, 4, false },          { "n = 1", 1, 4, false },
		{ "both zero", 0, 0, false }, { "e as long as n", 3, 3, false },
	};

	(void)state;
	assert_int_equal(EVP_PKEY_get_bn_param(honest, "n", &n), 1);
	for (int i = 0; i < 5; i++) {
		numbers[i] = BN_new();
		assert_int_equal(BN_set_word(numbers[i], i == 4 ? 65537 : (BN_ULONG)i), 1);
	}
	assert_non_null(BN_copy(numbers[3], n));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		SCOPED(pkey_freep) EVP_PKEY *key = rsa_key(numbers[rows[i].n], numbers[rows[i].e]);
		char type[KEY_TYPE_TEXT];
		uint8_t auth[512];
		struct octets proof = { auth, 256 };
		struct diag d = { 0 };
		int r = signature_key_check(key, "CN=x", type, &d);
		if ((r == 0) != rows[i].ok)
			fail_msg("%s: %d %s", rows[i].what, r, d.text);
		if (!key)
			continue;
		memset(auth, 0, sizeof auth); /* 0 to any power is 0, anything to the power of 0 is 1 */
		assert_true(signature_check(key, 0, 1, &proof, &message, NULL) < 0);
		auth[255] = 1;
		assert_true(signature_check(key, 0, 1, &proof, &message, NULL) < 0);
	}
	assert_int_equal(BN_clear_bit(numbers[3], 0), 1); /* an even modulus */
	SCOPED(pkey_freep) EVP_PKEY *even = rsa_key(numbers[3], numbers[4]);
	uint8_t auth[256] = { 1 };
	struct octets proof = { auth, sizeof auth };
	if (even)
		assert_true(signature_check(even, 0, 1, &proof, &message, NULL) < 0);
	for (int i = 0; i < 5; i++)
		BN_free(numbers[i]);
	BN_free(n);
}

/* Signatures of all zeroes, and with parts of zero: r = 0 or s = 0 once passed for every message. */
static void signatures_of_zeroes(void **state)
{
	static const struct {
		const char *key;
		uint8_t method;
		size_t len;
	} rows[] = { { "P-256", 9, 64 }, { "P-384", 10, 96 }, { "P-521", 11, 132 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		SCOPED(pkey_freep) EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", rows[i].key);
		uint8_t auth[132];
		struct octets proof = { auth, rows[i].len };
		for (unsigned how = 0; how < 4; how++) {
			memset(auth, 0, sizeof auth);
			auth[rows[i].len / 2 - 1] = how & 1;
			auth[rows[i].len - 1] = (uint8_t)(how >> 1);
			assert_true(signature_check(key, 0, rows[i].method, &proof, &message, NULL) < 0);
		}
		memset(auth, 0xff, sizeof auth); /* over the order */
		assert_true(signature_check(key, 0, rows[i].method, &proof, &message, NULL) < 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pss_salt_lengths),
		cmocka_unit_test(public_keys_with_e_or_n_zero_or_otherwise_unsound),
		cmocka_unit_test(signatures_of_zeroes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
