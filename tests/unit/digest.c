#include "tests/unit/hex.h"

#include "base/algorithm.h"
#include "base/crypto.h"
#include "base/diag.h"

#include <string.h>

static const struct algorithm *prf_named(const char *name)
{
	const struct algorithm *a = algorithm_by_name(ALG_PRF, name, strlen(name));

	assert_non_null(a);
	return a;
}

#define LARGE_KEY \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
	"aaaa" \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
	"aaaa" \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void prf_gives_what_the_rfcs_print(void **state)
{
	static const struct {
		const char *prf, *key, *data, *want;
	} rows[] = {
		/* RFC 4868 2.7.1, cases 1, 2 and 5 */
		{ "sha256", "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265",
		  "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
		{ "sha384", "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265",
		  "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa9cb6" },
		{ "sha512", "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265",
		  "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde"
		  "daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854" },
		{ "sha256", "4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
		  "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
		{ "sha384", LARGE_KEY,
		  "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d2048617368204b65792046"
		  "69727374",
		  "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c60c2ef6ab4030fe8296248df163f44952" },
		{ "sha512", LARGE_KEY,
		  "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d2048617368204b65792046"
		  "69727374",
		  "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352"
		  "6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598" },
		/* RFC 2202, case 1 of each */
		{ "md5", "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265", "9294727a3638bb1c13f48ef8158bfc9d" },
		{ "sha1", "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265",
		  "b617318655057264e28bc0b6fb378c8ef146be00" },
		/* RFC 3566 4.6, then RFC 4434 2, its other key lengths */
		{ "aesxcbc", "000102030405060708090a0b0c0d0e0f", "", "75f0251d528ac01c4573dfd584d79f29" },
		{ "aesxcbc", "000102030405060708090a0b0c0d0e0f", "000102", "5b376580ae2f19afe7219ceef172756f" },
		{ "aesxcbc", "000102030405060708090a0b0c0d0e0f", "000102030405060708090a0b0c0d0e0f",
		  "d2a246fa349b68a79998a4394ff7a263" },
		{ "aesxcbc", "000102030405060708090a0b0c0d0e0f", "000102030405060708090a0b0c0d0e0f10111213",
		  "47f51b4564966215b8985c63055ed308" },
		{ "aesxcbc", "000102030405060708090a0b0c0d0e0f",
		  "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		  "f54f0ec8d2b9f3d36807734bd5283fd4" },
		{ "aesxcbc", "000102030405060708090a0b0c0d0e0f",
		  "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f2021",
		  "becbb3bccdb518a30677d5481fb6b4d8" },
		{ "aesxcbc", "00010203040506070809", "000102030405060708090a0b0c0d0e0f10111213",
		  "0fa087af7d866e7653434e602fdde835" },
		{ "aesxcbc", "000102030405060708090a0b0c0d0e0fedcb", "000102030405060708090a0b0c0d0e0f10111213",
		  "8cd3c93ae598a9803006ffb67c40e9e4" },
		/* RFC 4493 4, then RFC 4615 4 */
		{ "aescmac", "2b7e151628aed2a6abf7158809cf4f3c", "", "bb1d6929e95937287fa37d129b756746" },
		{ "aescmac", "2b7e151628aed2a6abf7158809cf4f3c", "6bc1bee22e409f96e93d7e117393172a",
		  "070a16b46b4d4144f79bdd9dd04a287c" },
		{ "aescmac", "2b7e151628aed2a6abf7158809cf4f3c",
		  "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411",
		  "dfa66747de9ae63030ca32611497c827" },
		{ "aescmac", "000102030405060708090a0b0c0d0e0fedcb", "000102030405060708090a0b0c0d0e0f10111213",
		  "84a348a4a45d235babfffc0d2b4da09a" },
		{ "aescmac", "000102030405060708090a0b0c0d0e0f", "000102030405060708090a0b0c0d0e0f10111213",
		  "980ae87b5f4c9c5214f5b6a8455e4c2d" },
		{ "aescmac", "00010203040506070809", "000102030405060708090a0b0c0d0e0f10111213",
		  "290d9e112edb09ee141fcf64c0b72f3d" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t key[256], data[256], want[64];
		size_t key_len = hex(rows[i].key, key, sizeof key), len = hex(rows[i].data, data, sizeof data);
		struct octets parts[] = { { data, len / 3 }, { NULL, 0 }, { data + len / 3, len - len / 3 } };
		struct key out;

		assert_int_equal(crypto_prf(prf_named(rows[i].prf), key, key_len, parts, 3, &out, NULL), 0);
		if (out.len != hex(rows[i].want, want, sizeof want) || memcmp(out.octets, want, out.len) != 0)
			fail_msg("row %zu", i);
	}
}

static void prf_plus_chains_blocks_as_rfc_7296_says(void **state)
{
	const struct algorithm *prf = prf_named("sha256");
	struct key k, t1, t2;
	uint8_t got[70], one = 1, two = 2;
	struct octets seed = { "seed", 4 };
	struct octets first[] = { { "seed", 4 }, { &one, 1 } };
	struct octets second[] = { { t1.octets, 32 }, { "seed", 4 }, { &two, 1 } };

	(void)state;
	assert_true(key_set(&k, "0123456789", 10));
	assert_int_equal(crypto_prf_plus(prf, &k, &seed, 1, got, sizeof got, NULL), 0);
	assert_int_equal(crypto_prf(prf, k.octets, k.len, first, 2, &t1, NULL), 0);
	assert_int_equal(crypto_prf(prf, k.octets, k.len, second, 3, &t2, NULL), 0);
	assert_memory_equal(got, t1.octets, 32);
	assert_memory_equal(got + 32, t2.octets, 32);
}

static void prf_plus_ends_at_255_blocks(void **state)
{
	static uint8_t out[255 * 32 + 1];
	struct octets seed = { "s", 1 };
	struct key k;

	(void)state;
	assert_true(key_set(&k, "k", 1));
	assert_int_equal(crypto_prf_plus(prf_named("sha256"), &k, &seed, 1, out, sizeof out - 1, NULL), 0);
	assert_int_equal(crypto_prf_plus(prf_named("sha256"), &k, &seed, 1, out, sizeof out, NULL), -ERR_CRYPTO);
}

static void digest_takes_parts_and_refuses_unknown_names(void **state)
{
	struct octets parts[] = { { "a", 1 }, { "bc", 2 } };
	uint8_t out[DIGEST_MAX], want[32];
	size_t len;

	(void)state;
	(void)hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", want, sizeof want);
	assert_int_equal(crypto_digest("SHA256", parts, 2, out, &len, NULL), 0);
	assert_int_equal(len, 32);
	assert_memory_equal(out, want, 32);
	assert_true(crypto_digest("SHA257", parts, 2, out, &len, NULL) < 0);
}

static void random_octets_differ(void **state)
{
	uint8_t a[32], b[32];

	(void)state;
	assert_int_equal(crypto_random(a, sizeof a, NULL), 0);
	assert_int_equal(crypto_random(b, sizeof b, NULL), 0);
	assert_memory_not_equal(a, b, sizeof a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prf_gives_what_the_rfcs_print),
		cmocka_unit_test(prf_plus_chains_blocks_as_rfc_7296_says),
		cmocka_unit_test(prf_plus_ends_at_255_blocks),
		cmocka_unit_test(digest_takes_parts_and_refuses_unknown_names),
		cmocka_unit_test(random_octets_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
