#include "tests/unit/hex.h"

#include "base/diag.h"
#include "identity/credential.h"
#include "identity/handle.h"
#include "identity/signature.h"

#include <string.h>

static EVP_PKEY *key_make(const char *type)
{
	EVP_PKEY *k = type[0] == 'P'   ? EVP_PKEY_Q_keygen(NULL, NULL, "EC", type)
		      : type[0] == 'R' ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)strtoul(type + 1, NULL, 10))
				       : EVP_PKEY_Q_keygen(NULL, NULL, type);

	assert_non_null(k);
	return k;
}

static const struct octets message = { "the octets of RFC 7296 2.15", 27 };

/* Each kind of key, against what the peer announced. method 0: refused. */
static void the_best_method_that_the_peer_takes_is_used(void **state)
{
	static const struct {
		const char *key;
		uint16_t hashes;
		uint8_t method;
		uint8_t identifier_end; /* method 14: last octet of the AlgorithmIdentifier, or of its hash */
	} rows[] = {
		{ "R2048", CREDENTIAL_HASHES, 14, 0x20 }, /* the salt: no trailer behind it, as DER has it */
		{ "R2048", 0, 1, 0 },
		{ "R2048", 1 << 1, 0, 0 }, /* SHA-1 alone */
		{ "R2048", 1 << 4, 14, 0x40 },
		{ "P-256", CREDENTIAL_HASHES, 14, 0x02 },
		{ "P-256", 1 << 3, 14, 0x03 },
		{ "P-256", 0, 9, 0 },
		{ "P-384", CREDENTIAL_HASHES, 14, 0x03 },
		{ "P-384", 1 << 2, 14, 0x02 },
		{ "P-384", 0, 10, 0 },
		{ "P-384", 1 << 1, 10, 0 },
		{ "P-521", CREDENTIAL_HASHES, 14, 0x04 },
		{ "P-521", 0, 11, 0 },
		{ "ED25519", CREDENTIAL_HASHES, 14, 0x70 },
		{ "ED25519", 1 << 2, 0, 0 },
		{ "ED25519", 0, 0, 0 },
		{ "ED448", CREDENTIAL_HASHES, 14, 0x71 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		SCOPED(pkey_freep) EVP_PKEY *key = key_make(rows[i].key);
		SCOPED(pkey_freep) EVP_PKEY *other = key_make(rows[i].key);
		SCOPED(signing_key_wipe) struct signing_key k = { 0 };
		uint8_t auth[2048], method = 0;
		char type[KEY_TYPE_TEXT];
		size_t len = 0;
		struct diag d = { 0 };
		int r;

		assert_int_equal(signature_key_check(key, "it", type, &d), 0);
		assert_int_equal(signing_key_init(&k, key, &d), 0);
		r = signature_make(&k, rows[i].hashes, &message, &method, auth, sizeof auth, &len, &d);
		if ((r == 0) != (rows[i].method != 0) || method != rows[i].method)
			fail_msg("row %zu: method %u, %s", i, method, d.text);
		if (r < 0)
			continue;
		if (method == 14 && rows[i].key[0] != 'R')
			assert_int_equal(auth[auth[0]], rows[i].identifier_end);
		for (int round = 0; round < 2; round++) {
			struct octets proof = { auth, len };

			if (signature_check(key, rows[i].hashes, method, &proof, &message, &d) < 0)
				fail_msg("row %zu: %s", i, d.text);
			assert_true(signature_check(other, rows[i].hashes, method, &proof, &message, NULL) < 0);
			assert_true(signature_check(key, rows[i].hashes, method, &proof,
						    &(struct octets){ message.at, message.len - 1 }, NULL) < 0);
			/* every cut and every changed octet is refused */
			for (size_t n = 0; n < len; n += 7) {
				uint8_t bad[2048];

				proof.len = n;
				assert_true(signature_check(key, rows[i].hashes, method, &proof, &message, NULL) < 0);
				memcpy(bad, auth, len);
				bad[n] ^= 0x41;
				proof = (struct octets){ bad, len };
				assert_true(signature_check(key, rows[i].hashes, method, &proof, &message, NULL) < 0);
				proof = (struct octets){ auth, len };
			}
		}
		for (size_t cap = 0; cap < len; cap += 13)
			assert_true(signature_make(&k, rows[i].hashes, &message, &method, auth, cap, &len, NULL) < 0);
	}
}

/* IKEv1 signs the hash as it is: RSA with nothing in front of it, ECDSA one of its own length. */
static void ikev1_signs_hashes(void **state)
{
	static const struct {
		const char *key;
		uint8_t method, wrong_method; /* 0: IKEv1 has no such signatures */
		size_t octets;                /* of the hash that goes with the curve (RFC 4754 4) */
	} rows[] = {
		{ "R2048", 3, 9, 0 },   { "R3072", 3, 1, 0 },   { "P-256", 9, 10, 32 },
		{ "P-384", 10, 3, 48 }, { "P-521", 11, 9, 64 }, { "ED25519", 0, 0, 0 },
	};
	static const size_t lens[] = { 16, 20, 32, 48, 64 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		SCOPED(pkey_freep) EVP_PKEY *key = key_make(rows[i].key);
		SCOPED(pkey_freep) EVP_PKEY *other = key_make(rows[i].key);
		SCOPED(signing_key_wipe) struct signing_key k = { 0 };
		uint8_t hash[64], auth[2048], method = 0, plain[2048];
		char type[KEY_TYPE_TEXT];
		size_t len = 0, plain_len = sizeof plain;
		struct diag d = { 0 };

		memset(hash, 0x5a, sizeof hash);
		assert_int_equal(signature_key_check(key, "it", type, &d), 0);
		assert_int_equal(signature_v1_method(type), rows[i].method);
		assert_int_equal(signing_key_init(&k, key, &d), 0);
		for (size_t n = 0; n < ARRAY_LEN(lens); n++) {
			const struct octets covered = { hash, lens[n] };
			int r = signature_make_v1(&k, &covered, &method, auth, sizeof auth, &len, &d);
			bool fits = rows[i].method == 3 || lens[n] == rows[i].octets;

			assert_int_equal(r == 0, rows[i].method != 0 && fits);
			if (r < 0)
				continue;
			assert_int_equal(method, rows[i].method);
			struct octets proof = { auth, len }, less = { hash, lens[n] - 1 };
			assert_int_equal(signature_check_v1(key, method, &proof, &covered, &d), 0);
			assert_true(signature_check_v1(other, method, &proof, &covered, NULL) < 0);
			assert_true(signature_check_v1(key, rows[i].wrong_method, &proof, &covered, NULL) < 0);
			assert_true(signature_check_v1(key, method, &proof, &less, NULL) < 0);
			auth[len / 2] ^= 1;
			assert_true(signature_check_v1(key, method, &proof, &covered, NULL) < 0);
			auth[len / 2] ^= 1;
			proof.len--;
			assert_true(signature_check_v1(key, method, &proof, &covered, NULL) < 0);
			assert_true(signature_make_v1(&k, &covered, &method, auth, len - 1, &len, NULL) < 0);
			if (method != SIGNATURE_V1_RSA)
				continue;
			/* what is under the padding is the hash alone (RFC 2409 5.1) */
			SCOPED(pkey_ctx_freep) EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
			assert_int_equal(EVP_PKEY_verify_recover_init(c), 1);
			plain_len = sizeof plain;
			assert_int_equal(EVP_PKEY_verify_recover(c, plain, &plain_len, auth, proof.len + 1), 1);
			assert_int_equal(plain_len, lens[n]);
			assert_memory_equal(plain, hash, lens[n]);
		}
	}
}

/* RSA by hand, with any hash and padding. */
static size_t rsa_make(EVP_PKEY *key, const char *hash, bool pss, int salt, uint8_t *to, size_t cap)
{
	SCOPED(md_ctx_freep) EVP_MD_CTX *c = EVP_MD_CTX_new();
	EVP_PKEY_CTX *p = NULL;

	assert_int_equal(EVP_DigestSignInit_ex(c, &p, hash, NULL, NULL, key, NULL), 1);
	if (pss) {
		assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(p, 6), 1);
		assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(p, salt), 1);
	}
	assert_int_equal(EVP_DigestSign(c, to, &cap, message.at, message.len), 1);
	return cap;
}

static void identifiers_of_other_implementations_are_read(void **state)
{
	static const struct {
		const char *identifier, *hash;
		bool pss;
		int salt;
		const char *error; /* NULL: taken */
	} rows[] = {
		/* RFC 7427 A.1: PKCS#1 1.5, NULL parameters; and as some write it, without */
		{ "300d06092a864886f70d01010b0500", "SHA256", false, 0, NULL },
		{ "300d06092a864886f70d01010c0500", "SHA384", false, 0, NULL },
		{ "300d06092a864886f70d01010d0500", "SHA512", false, 0, NULL },
		{ "300b06092a864886f70d01010b", "SHA256", false, 0, NULL },
		{ "300d06092a864886f70d0101050500", "SHA1", false, 0, "SHA-1" },
		{ "300d06092a864886f70d0101040500", "MD5", false, 0, "do not take" },
		/* RSA-PSS with the default trailer, as in RFC 7427 A.4.3; without, as DER has it; and with another
		   length of salt */
		{ "304606092a864886f70d01010a3039a00f300d06096086480165030402010500"
		  "a11c301a06092a864886f70d010108300d06096086480165030402010500a203020120a303020101",
		  "SHA256", true, 32, NULL },
		{ "304106092a864886f70d01010a3034a00f300d06096086480165030402010500"
		  "a11c301a06092a864886f70d010108300d06096086480165030402010500a203020120",
		  "SHA256", true, 32, NULL },
		{ "304106092a864886f70d01010a3034a00f300d06096086480165030402010500"
		  "a11c301a06092a864886f70d010108300d06096086480165030402010500a203020114",
		  "SHA256", true, 20, NULL },
		/* RFC 7427 A.4.1: defaults, that is SHA-1 */
		{ "300d06092a864886f70d01010a3000", "SHA1", true, 20, "do not take" },
		/* the mask by another hash */
		{ "304106092a864886f70d01010a3034a00f300d06096086480165030402010500"
		  "a11c301a06092a864886f70d010108300d06096086480165030402020500a203020120",
		  "SHA256", true, 32, "do not take" },
		/* ECDSA by an RSA key; nonsense */
		{ "300a06082a8648ce3d040302", "SHA256", false, 0, "another kind of key" },
		{ "3005060329032a", "SHA256", false, 0, "do not take" },
		{ "300506032b6570", "SHA256", false, 0, "another kind of key" },
		{ "ff", "SHA256", false, 0, "malformed" },
		{ "", "SHA256", false, 0, "malformed" },
	};
	SCOPED(pkey_freep) EVP_PKEY *key = key_make("R2048");

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t auth[1024];
		size_t n = hex(rows[i].identifier, auth + 1, 255);
		struct octets proof = { auth, 0 };
		struct diag d = { 0 };
		int r;

		auth[0] = (uint8_t)n;
		proof.len = 1 + n + rsa_make(key, rows[i].hash, rows[i].pss, rows[i].salt, auth + 1 + n, 512);
		r = signature_check(key, CREDENTIAL_HASHES, 14, &proof, &message, &d);
		if ((r == 0) != !rows[i].error || (rows[i].error && !strstr(d.text, rows[i].error)))
			fail_msg("row %zu: %d %s", i, r, d.text);
	}
}

static void sha1_passes_only_by_method_1_of_a_peer_that_announced_nothing(void **state)
{
	SCOPED(pkey_freep) EVP_PKEY *key = key_make("R2048");
	uint8_t auth[512];
	struct octets proof = { auth, rsa_make(key, "SHA1", false, 0, auth, sizeof auth) };
	struct diag d = { 0 };

	(void)state;
	assert_int_equal(signature_check(key, 0, 1, &proof, &message, &d), 0);
	assert_true(signature_check(key, CREDENTIAL_HASHES, 1, &proof, &message, &d) < 0);
	assert_non_null(strstr(d.text, "SHA-1"));
	proof.len = rsa_make(key, "SHA256", false, 0, auth, sizeof auth);
	assert_int_equal(signature_check(key, CREDENTIAL_HASHES, 1, &proof, &message, &d), 0);
}

static void methods_must_go_with_the_key(void **state)
{
	SCOPED(pkey_freep) EVP_PKEY *p256 = key_make("P-256");
	uint8_t auth[132] = { 0 };
	struct octets proof = { auth, sizeof auth };
	struct diag d = { 0 };

	(void)state;
	for (unsigned method = 0; method < 256; method++) {
		proof.len = method == 9 ? 64 : method == 10 ? 96 : 132;
		assert_true(signature_check(p256, 0, (uint8_t)method, &proof, &message, &d) < 0);
	}
}

static void weak_keys_are_refused(void **state)
{
	SCOPED(pkey_freep) EVP_PKEY *small = key_make("R1024");
	SCOPED(pkey_freep) EVP_PKEY *curve = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "secp256k1");
	SCOPED(pkey_freep) EVP_PKEY *x25519 = key_make("X25519");
	char type[KEY_TYPE_TEXT];
	struct diag d = { 0 };

	(void)state;
	assert_true(signature_key_check(small, "CN=x", type, &d) < 0);
	assert_string_equal(d.text, "CN=x has an RSA key of 1024 bits; 2048 are the least");
	assert_true(signature_key_check(curve, "CN=x", type, &d) < 0);
	assert_true(signature_key_check(x25519, "CN=x", type, &d) < 0);
	assert_true(signature_key_check(NULL, "CN=x", type, &d) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ikev1_signs_hashes),
		cmocka_unit_test(the_best_method_that_the_peer_takes_is_used),
		cmocka_unit_test(identifiers_of_other_implementations_are_read),
		cmocka_unit_test(sha1_passes_only_by_method_1_of_a_peer_that_announced_nothing),
		cmocka_unit_test(methods_must_go_with_the_key),
		cmocka_unit_test(weak_keys_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
