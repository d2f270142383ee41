/* Secrets and what may be done with them: each its own work, over nothing but what IKE signs. */
#include "tests/unit/folder.h"
#include "tests/unit/unit.h"

#include "base/algorithm.h"
#include "base/diag.h"
#include "base/key.h"
#include "base/text.h"
#include "identity/handle.h"
#include "identity/keyring.h"
#include "identity/secret_file.h"
#include "identity/signature.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH = 256, PSK = 1, PPK = 2, BOTH = 3, PRIVATE = 4, MESSAGE = 28 + 40 };

static char dir[] = "/tmp/cordon-keyring-XXXXXX";
static const struct algorithm *prf;
static const struct octets message = { "what both sides sign", 20 };
static uint8_t *spki;
static int spki_len;

static const char *path_of(const char *name)
{
	static char path[PATH];

	(void)snprintf(path, sizeof path, "%s/%s", dir, name);
	return path;
}

static int load(struct keyring *k, uint32_t number, unsigned uses, const char *name, const struct octets *publics,
		size_t count, size_t *ret_fits, struct diag *d)
{
	const struct keyring_item item = {
		.number = number, .uses = uses, .path = path_of(name), .publics = publics, .public_count = count
	};
	int fd = secret_file_open(item.path, "secret", d), r;

	if (fd < 0)
		return fd;
	r = keyring_load(k, &item, fd, ret_fits, d);
	(void)close(fd);
	return r;
}

static int setup(void **state)
{
	SCOPED(pkey_freep) EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	FILE *f;

	(void)state;
	prf = algorithm_by_name(ALG_PRF, "sha256", 6);
	if (!mkdtemp(dir) || !key || text_replace(path_of("psk"), "secret\n", 7, 0600, NULL) < 0 ||
	    !(f = fopen(path_of("key"), "w")) || PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) != 1 ||
	    fclose(f) != 0 || chmod(path_of("key"), 0600) < 0)
		return -1;
	spki_len = i2d_PUBKEY(key, &spki);
	return spki_len > 0 ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	OPENSSL_free(spki);
	return folder_remove(dir);
}

static struct keyring *filled(void)
{
	const struct octets public = { spki, (size_t)spki_len };
	struct keyring *k = keyring_new();
	struct diag d = { 0 };
	size_t fits = 9;

	if (load(k, PSK, KEYRING_PROVE, "psk", NULL, 0, &fits, &d) < 0 ||
	    load(k, PPK, KEYRING_MIX, "psk", NULL, 0, &fits, &d) < 0 ||
	    load(k, BOTH, KEYRING_PROVE | KEYRING_MIX, "psk", NULL, 0, &fits, &d) < 0 ||
	    load(k, PRIVATE, KEYRING_SIGN, "key", &public, 1, &fits, &d) < 0)
		fail_msg("%s", d.text);
	assert_int_equal(fits, 0);
	assert_int_equal(keyring_count(k), 4);
	return k;
}

static void no_secret_does_the_work_of_another(void **state)
{
	static const struct {
		uint32_t number;
		bool signs, proves, mixes;
	} rows[] = {
		{ PSK, true, true, false },      { PPK, false, false, true }, { BOTH, true, true, true },
		{ PRIVATE, true, false, false }, { 99, false, false, false },
	};
	SCOPED(keyring_freep) struct keyring *k = filled();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct octets wrong = { "0123456789abcdef0123456789abcdef", 32 };
		struct keyring_proof made;
		SCOPED(key_wipe) struct key key = { 0 };
		size_t lacks = 9;
		int r;

		assert_true(key_set(&key, wrong.at, 32));
		if ((keyring_sign(k, rows[i].number, prf, 0, &message, &made, NULL) == 0) != rows[i].signs)
			fail_msg("row %zu signs", i);
		r = keyring_prove(k, &rows[i].number, 1, prf, &message, &wrong, &lacks, NULL);
		if (r != (rows[i].proves ? -EKEYREJECTED : -ENOENT) || lacks != (rows[i].proves ? 9u : 0u))
			fail_msg("row %zu proves", i);
		if ((keyring_mix(k, rows[i].number, prf, (struct key *[]){ &key }, 1, NULL) == 0) != rows[i].mixes ||
		    octets_equal(key.octets, wrong.at, 32) == rows[i].mixes)
			fail_msg("row %zu mixes", i);
	}
}

/* RFC 7296 2.15, from its pieces. */
static void a_proof_is_what_the_rfc_says(void **state)
{
	SCOPED(keyring_freep) struct keyring *k = filled();
	const struct octets pad = { "Key Pad for IKEv2", 17 };
	SCOPED(key_wipe) struct key padded = { 0 };
	SCOPED(key_wipe) struct key want = { 0 };
	struct keyring_proof made;
	struct octets auth = { made.auth, 0 };
	size_t lacks;

	(void)state;
	assert_int_equal(crypto_prf(prf, "secret", 6, &pad, 1, &padded, NULL), 0);
	assert_int_equal(crypto_prf(prf, padded.octets, padded.len, &message, 1, &want, NULL), 0);
	assert_int_equal(keyring_sign(k, PSK, prf, 0, &message, &made, NULL), 0);
	assert_int_equal(made.method, AUTH_SHARED_KEY);
	assert_int_equal(made.len, want.len);
	assert_memory_equal(made.auth, want.octets, want.len);
	auth.len = made.len;
	assert_int_equal(keyring_prove(k, (uint32_t[]){ PSK }, 1, prf, &message, &auth, &lacks, NULL), 0);
	/* of several keys any will do; without a PRF there is no proof */
	assert_int_equal(keyring_prove(k, (uint32_t[]){ BOTH, PSK }, 2, prf, &message, &auth, &lacks, NULL), 0);
	assert_true(keyring_prove(k, (uint32_t[]){ PSK }, 1, NULL, &message, &auth, &lacks, NULL) < 0);
	assert_true(keyring_sign(k, PSK, NULL, 0, &message, &made, NULL) < 0);
	made.auth[0] ^= 1;
	assert_int_equal(keyring_prove(k, (uint32_t[]){ PSK }, 1, prf, &message, &auth, &lacks, NULL), -EKEYREJECTED);
}

static void a_key_is_kept_only_under_its_own_certificate(void **state)
{
	SCOPED(pkey_freep) EVP_PKEY *stranger = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	uint8_t *other = NULL;
	int other_len = i2d_PUBKEY(stranger, &other);
	const struct octets ours = { spki, (size_t)spki_len }, theirs = { other, (size_t)other_len },
			    nonsense = { "\x30\x03\x02\x01", 4 };
	const struct {
		struct octets publics[2];
		size_t count, fits;
		bool kept;
	} rows[] = {
		{ { ours, theirs }, 2, 0, true },    { { theirs, ours }, 2, 1, false }, { { theirs }, 1, 1, false },
		{ { nonsense, ours }, 2, 1, false }, { { ours }, 0, 0, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		SCOPED(keyring_freep) struct keyring *k = keyring_new();
		size_t fits = 9;

		if (load(k, PRIVATE, KEYRING_SIGN, "key", rows[i].publics, rows[i].count, &fits, NULL) < 0 ||
		    fits != rows[i].fits || (keyring_count(k) == 1) != rows[i].kept)
			fail_msg("row %zu: fits %zu", i, fits);
	}
	OPENSSL_free(other);
}

static void a_ring_goes_on_with_what_another_had(void **state)
{
	struct keyring *before = filled();
	SCOPED(keyring_freep) struct keyring *k = keyring_new();
	struct keyring_proof made;

	(void)state;
	assert_int_equal(keyring_keep(k, before, PSK, KEYRING_PROVE, NULL), 0);
	assert_int_equal(keyring_keep(k, before, PRIVATE, KEYRING_SIGN, NULL), 0);
	assert_int_equal(keyring_keep(k, before, PRIVATE, KEYRING_PROVE, NULL), -ENOENT); /* it was no such key */
	assert_int_equal(keyring_keep(k, before, 99, KEYRING_SIGN, NULL), -ENOENT);
	assert_int_equal(keyring_keep(k, NULL, PSK, KEYRING_PROVE, NULL), -ENOENT);
	keyring_free(before); /* nothing of it is needed any more */
	assert_int_equal(keyring_sign(k, PSK, prf, 0, &message, &made, NULL), 0);
	assert_int_equal(keyring_sign(k, PRIVATE, prf, 1 << 2, &message, &made, NULL), 0);
	assert_int_equal(keyring_count(k), 2);
}

/* A first message of IKE, a nonce, a PRF's output. */
static void only_what_ike_signs_may_be_signed(void **state)
{
	enum { LEAST = MESSAGE + 16 + 16, MOST = MESSAGE + 256 + 64 };
	static const struct {
		size_t at;
		uint8_t value;
		size_t len;
		bool may;
	} rows[] = {
		{ 0, 0xaa, LEAST, true },     { 0, 0xaa, MOST, true }, { 0, 0xaa, LEAST - 1, false },
		{ 0, 0xaa, MOST + 1, false }, { 0, 0xaa, 27, false },  { 0, 0xaa, 0, false },
		{ 17, 0x10, LEAST, false }, /* IKEv1 */
		{ 17, 0x21, LEAST, true },  /* a minor version */
		{ 18, 35, LEAST, false },   /* IKE_AUTH */
		{ 18, 32, LEAST, false },   /* the padding of a TLS 1.3 signature */
		{ 23, 1, LEAST, false },    /* not its first message */
		{ 27, 27, LEAST, false },   /* shorter than its header */
		{ 26, 1, LEAST, false },    /* longer than all there is */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t octets[MOST + 1] = { [17] = 0x20, [18] = 34, [19] = 8, [27] = MESSAGE };

		octets[rows[i].at] = rows[i].value;
		if (keyring_may_sign(&(struct octets){ octets, rows[i].len }) != rows[i].may)
			fail_msg("row %zu", i);
	}
}

/* IKEv1's two uses: neither can be made to do other work. */
static void ikev1_asks_for_hashes_and_nonces_only(void **state)
{
	SCOPED(keyring_freep) struct keyring *k = filled();
	static const uint8_t octets[600];
	struct keyring_proof proof;
	struct key made = { 0 }, want = { 0 };
	struct diag d = { 0 };

	(void)state;
	for (size_t len = 0; len <= 128; len++) {
		bool output = len == 16 || len == 20 || len == 32 || len == 48 || len == 64;
		assert_int_equal(keyring_may_sign_hash(&(struct octets){ octets, len }), output);
	}
	/* DigestInfo of MD5, SHA-1, 224, 256, 384, 512 */
	for (size_t i = 0; i < 6; i++)
		assert_false(keyring_may_sign_hash(
			&(struct octets){ octets, (const size_t[]){ 34, 35, 47, 51, 67, 83 }[i] }));
	assert_false(keyring_may_make_skeyid(&(struct octets){ "Key Pad for IKEv2", 17 }));
	assert_false(keyring_may_make_skeyid(&(struct octets){ octets, 39 }));
	assert_true(keyring_may_make_skeyid(&(struct octets){ octets, 40 }));
	assert_true(keyring_may_make_skeyid(&(struct octets){ octets, 512 }));
	assert_false(keyring_may_make_skeyid(&(struct octets){ octets, 513 }));

	assert_int_equal(keyring_skeyid(k, PSK, prf, &(struct octets){ octets, 64 }, &made, &d), 0);
	assert_int_equal(crypto_prf(prf, "secret", 6, &(struct octets){ octets, 64 }, 1, &want, &d), 0);
	assert_true(key_equal(&made, &want));
	assert_int_equal(keyring_skeyid(k, PPK, prf, &(struct octets){ octets, 64 }, &made, &d), -ENOENT);
	assert_int_equal(keyring_skeyid(k, PRIVATE, prf, &(struct octets){ octets, 64 }, &made, &d), -ENOENT);
	/* By ECDSA a hash that was made elsewhere could be anybody's. */
	assert_int_equal(keyring_sign_hash(k, PRIVATE, &(struct octets){ octets, 32 }, &proof, &d), -ERR_UNSUPPORTED);
	assert_int_equal(keyring_sign_keyed(k, PRIVATE, prf, &made, &(struct octets){ octets, 112 }, &proof, &d), 0);
	assert_int_equal(proof.method, 9);
	assert_int_equal(keyring_sign_keyed(k, PSK, prf, &made, &(struct octets){ octets, 112 }, &proof, &d), -ENOENT);
	assert_int_equal(keyring_sign_keyed(k, PRIVATE, prf, &made, &(struct octets){ octets, 111 }, &proof, &d),
			 -ERR_SYNTAX);
	assert_int_equal(keyring_sign_hash(k, PSK, &(struct octets){ octets, 32 }, &proof, &d), -ENOENT);
}

/* What is made under a key that the asker has chosen: only as IKEv1 makes it. Main mode's PRF made the key, which needs
 * not be the curve's. */
static void a_keyed_hash_is_one_of_ikev1(void **state)
{
	static const uint8_t octets[200];
	static const struct {
		const char *prf; /* NULL: none */
		size_t key, covers;
		bool may;
	} rows[] = {
		{ "sha256", 32, 112, true },   { "sha256", 64, 200, true },   { "sha384", 32, 112, true },
		{ "sha512", 20, 112, true },   { "sha256", 32, 111, false },  { "sha256", 32, 0, false },
		{ "sha256", 0, 112, false },   { "sha256", 31, 112, false },  { "sha256", 63, 112, false },
		{ "sha384", 65, 112, false },  { "sha512", 128, 112, false }, { "aescmac", 16, 112, false },
		{ "aesxcbc", 16, 112, false }, { "md5", 16, 112, false },     { "sha1", 20, 112, false },
		{ NULL, 32, 112, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *name = rows[i].prf;
		const struct algorithm *by = name ? algorithm_by_name(ALG_PRF, name, strlen(name)) : NULL;

		assert_true(!name || by);
		if (keyring_may_sign_keyed(by, rows[i].key, &(struct octets){ octets, rows[i].covers }) != rows[i].may)
			fail_msg("row %zu", i);
	}
}

static void files_are_judged_as_they_are_opened(void **state)
{
	struct diag d;
	int fd;

	(void)state;
	assert_int_equal(mkfifo(path_of("pipe"), 0600), 0);
	assert_true(secret_file_open(path_of("pipe"), "private key", &d) < 0);
	assert_non_null(strstr(d.text, "is not a regular file"));
	assert_true(secret_file_open(dir, "private key", &d) < 0);
	assert_int_equal(text_replace(path_of("open"), "x", 1, 0640, NULL), 0);
	assert_true((fd = secret_file_open(path_of("open"), "private key", &d)) >= 0); /* a group may read */
	(void)close(fd);
	assert_int_equal(chmod(path_of("open"), 0660), 0);
	assert_int_equal(secret_file_open(path_of("open"), "private key", &d), -EACCES);
	assert_non_null(strstr(d.text, "is open to other users (mode 0660): chmod 600"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_secret_does_the_work_of_another),
		cmocka_unit_test(a_proof_is_what_the_rfc_says),
		cmocka_unit_test(a_key_is_kept_only_under_its_own_certificate),
		cmocka_unit_test(a_ring_goes_on_with_what_another_had),
		cmocka_unit_test(only_what_ike_signs_may_be_signed),
		cmocka_unit_test(ikev1_asks_for_hashes_and_nonces_only),
		cmocka_unit_test(a_keyed_hash_is_one_of_ikev1),
		cmocka_unit_test(files_are_judged_as_they_are_opened),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
