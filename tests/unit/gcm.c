/* AES-GCM by intel-ipsec-mb and by libcrypto: the same octets, whoever made and whoever opens them. */
#include "tests/unit/unit.h"

#include "base/algorithm.h"
#include "base/diag.h"
#include "base/gcm.h"
#include "base/gcm_functions.h"
#include "base/scope.h"

#include <stdlib.h>
#include <string.h>

enum { MOST = 2000 };

static struct seal *seal_of(const char *name, bool fast)
{
	const struct algorithm *a = algorithm_by_name(ALG_ENCR, name, strlen(name));
	struct key key = { 0 };
	struct seal *s;

	assert_non_null(a);
	key.len = (size_t)a->key + a->salt;
	for (size_t i = 0; i < key.len; i++)
		key.octets[i] = (uint8_t)(i * 31 + key.len);
	gcm_allow(fast);
	assert_int_equal(seal_new(a, &key, NULL, NULL, &s, NULL), 0);
	return s;
}

struct packet {
	uint8_t iv[8], aad[12], text[MOST + 16], icv[16];
	struct sealed p;
};

/* One octet behind the text and the check value is watched. */
static void fill(struct packet *k, size_t len)
{
	for (size_t i = 0; i < sizeof k->text; i++)
		k->text[i] = (uint8_t)(i * 7 + len);
	memset(k->iv, (int)len, sizeof k->iv);
	memset(k->aad, (int)len + 1, sizeof k->aad);
	memset(k->icv, 0xcc, sizeof k->icv);
	k->p = (struct sealed){
		.iv = k->iv, .text = k->text, .text_len = len, .aad = { k->aad, len & 1 ? 8 : 12 }, .icv = k->icv
	};
}

static int close_by(struct seal *s, bool fast, const struct packet *k)
{
	gcm_allow(fast);
	return seal_close(s, &k->p, NULL);
}

static int open_by(struct seal *s, bool fast, const struct packet *k)
{
	gcm_allow(fast);
	return seal_open(s, &k->p, NULL);
}

static const struct {
	const char *name;
	size_t icv;
} rows[] = { { "aes128gcm", 16 }, { "aes192gcm", 16 },   { "aes256gcm", 16 },  { "aes128gcm8", 8 },
	     { "aes256gcm8", 8 }, { "aes128gcm12", 12 }, { "aes256gcm12", 12 } };

static void both_make_and_open_the_same(void **state)
{
	static struct packet one, other, plain;

	(void)state;
	gcm_allow(true);
	if (!crypto_gcm(NULL))
		skip();
	for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
		SCOPED(seal_freep) struct seal *fast = seal_of(rows[r].name, true);
		SCOPED(seal_freep) struct seal *slow = seal_of(rows[r].name, false);

		for (size_t len = 0; len <= MOST; len += r < 3 ? 1 : 13) {
			fill(&one, len);
			fill(&other, len);
			fill(&plain, len);
			assert_int_equal(close_by(fast, true, &one), 0);
			assert_int_equal(close_by(slow, false, &other), 0);
			if (memcmp(one.text, other.text, sizeof one.text) != 0 ||
			    memcmp(one.icv, other.icv, sizeof one.icv) != 0)
				fail_msg("%s, %zu octets: not the same", rows[r].name, len);
			for (size_t i = rows[r].icv; i < sizeof one.icv; i++)
				assert_int_equal(one.icv[i], 0xcc);
			/* and each opens the other's; their own they do in seal.c's test */
			assert_int_equal(open_by(fast, true, &other), 0);
			assert_int_equal(open_by(slow, false, &one), 0);
			assert_memory_equal(one.text, plain.text, sizeof plain.text);
			assert_memory_equal(other.text, plain.text, sizeof plain.text);
		}
	}
	gcm_allow(true);
}

static void what_is_not_right_is_refused_and_wiped(void **state)
{
	static struct packet k, sealed;
	static const uint8_t zeroes[MOST];

	(void)state;
	for (size_t r = 0; r < ARRAY_LEN(rows); r++)
		for (unsigned fast = 0; fast < 2; fast++) {
			SCOPED(seal_freep) struct seal *s = seal_of(rows[r].name, fast);

			fill(&sealed, 100);
			assert_int_equal(close_by(s, fast, &sealed), 0);
			for (size_t i = 0; i < 100 + rows[r].icv + 12 + 8; i++) {
				k = sealed;
				k.p.iv = k.iv;
				k.p.text = k.text;
				k.p.aad.at = k.aad;
				k.p.icv = k.icv;
				if (i < 100)
					k.text[i] ^= 0x10;
				else if (i < 100 + rows[r].icv)
					k.icv[i - 100] ^= 1;
				else if (i < 100 + rows[r].icv + 12)
					k.aad[i - 100 - rows[r].icv] ^= 0x80;
				else
					k.iv[i - 112 - rows[r].icv] ^= 2;
				if (open_by(s, fast, &k) != -ERR_CRYPTO)
					fail_msg("%s, octet %zu: taken", rows[r].name, i);
				assert_memory_equal(k.text, zeroes, 100);
			}
			assert_int_equal(open_by(s, fast, &sealed), 0);
		}
	gcm_allow(true);
}

static void a_cooled_seal_is_keyed_anew(void **state)
{
	static struct packet one, other;
	SCOPED(seal_freep) struct seal *s = seal_of("aes256gcm", true);

	(void)state;
	fill(&one, 64);
	fill(&other, 64);
	assert_int_equal(seal_close(s, &one.p, NULL), 0);
	seal_cool(s);
	assert_int_equal(seal_close(s, &other.p, NULL), 0);
	assert_memory_equal(one.text, other.text, 64);
	assert_memory_equal(one.icv, other.icv, 16);
	seal_cool(s);
	seal_cool(s);
	assert_int_equal(seal_open(s, &one.p, NULL), 0);
}

static void only_keys_of_aes_are_taken(void **state)
{
	static const uint8_t key[64];
	struct gcm *g;

	(void)state;
	gcm_allow(true);
	for (size_t n = 0; n <= sizeof key; n++) {
		g = gcm_new(key, n);
		assert_true(!g || n == 16 || n == 24 || n == 32);
		assert_true(g || (n != 16 && n != 24 && n != 32) || !crypto_gcm(NULL));
		gcm_free(g);
	}
	gcm_allow(false);
	assert_null(gcm_new(key, 16));
	assert_null(crypto_gcm(NULL));
	gcm_allow(true);
}

/* ---- the self test ---- */

static struct gcm_functions right[GCM_SIZES];
static uint64_t wrong_from; /* texts of so many octets on */

static void wrong_close(const struct gcm_key_data *k, struct gcm_context_data *c, uint8_t *out, const uint8_t *in,
			uint64_t len, const uint8_t *iv, const uint8_t *aad, uint64_t aad_len, uint8_t *icv,
			uint64_t icv_len)
{
	right[2].close(k, c, out, in, len, iv, aad, aad_len, icv, icv_len);
	if (len >= wrong_from)
		out[len - 1] ^= 1;
}

static void wrong_icv(const struct gcm_key_data *k, struct gcm_context_data *c, uint8_t *out, const uint8_t *in,
		      uint64_t len, const uint8_t *iv, const uint8_t *aad, uint64_t aad_len, uint8_t *icv,
		      uint64_t icv_len)
{
	right[2].close(k, c, out, in, len, iv, aad, aad_len, icv, icv_len);
	icv[icv_len - 1] ^= len >= wrong_from;
}

static void wrong_open(const struct gcm_key_data *k, struct gcm_context_data *c, uint8_t *out, const uint8_t *in,
		       uint64_t len, const uint8_t *iv, const uint8_t *aad, uint64_t aad_len, uint8_t *icv,
		       uint64_t icv_len)
{
	right[2].open(k, c, out, in, len, iv, aad, aad_len, icv, icv_len);
	if (len >= wrong_from)
		out[0] ^= 1;
}

static void wrong_answers_are_found_out(void **state)
{
	static const uint64_t lengths[] = { 1, 60, 63, 64, 700, 1420, 9000 };
	struct gcm_functions bad[GCM_SIZES];
	const char *arch;
	bool failed;

	(void)state;
	if (!gcm_functions_find(right, &arch, &failed))
		skip();
	assert_false(failed);
	assert_true(gcm_functions_right(right));
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		wrong_from = lengths[i];
		memcpy(bad, right, sizeof bad);
		bad[2].close = wrong_close;
		assert_false(gcm_functions_right(bad));
		bad[2].close = wrong_icv;
		assert_false(gcm_functions_right(bad));
		bad[2].close = right[2].close;
		bad[2].open = wrong_open;
		assert_false(gcm_functions_right(bad));
	}
	memcpy(bad, right, sizeof bad);
	bad[1] = right[2]; /* a key of another length */
	assert_false(gcm_functions_right(bad));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_make_and_open_the_same), cmocka_unit_test(what_is_not_right_is_refused_and_wiped),
		cmocka_unit_test(a_cooled_seal_is_keyed_anew), cmocka_unit_test(only_keys_of_aes_are_taken),
		cmocka_unit_test(wrong_answers_are_found_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
