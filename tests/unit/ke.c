#include "tests/unit/hex.h"

#include "base/algorithm.h"
#include "base/crypto.h"
#include "base/diag.h"
#include "base/p384.h"

#include <string.h>

enum { MOST = 1024 };

static const struct algorithm *group_named(const char *name)
{
	const struct algorithm *a = algorithm_by_name(ALG_GROUP, name, strlen(name));

	assert_non_null(a);
	return a;
}

static void secrets_are_those_of_the_rfcs(void **state)
{
	static const struct {
		const char *group, *private, *peer, *secret;
	} rows[] = {
		/* RFC 5903 8.1 to 8.3, both sides */
		{ "ecp256", "C88F01F510D9AC3F70A292DAA2316DE544E9AAB8AFE84049C62A9C57862D1433",
		  "D12DFB5289C8D4F81208B70270398C342296970A0BCCB74C736FC7554494BF63"
		  "56FBF3CA366CC23E8157854C13C58D6AAC23F046ADA30F8353E74F33039872AB",
		  "D6840F6B42F6EDAFD13116E0E12565202FEF8E9ECE7DCE03812464D04B9442DE" },
		{ "ecp256", "C6EF9C5D78AE012A011164ACB397CE2088685D8F06BF9BE0B283AB46476BEE53",
		  "DAD0B65394221CF9B051E1FECA5787D098DFE637FC90B9EF945D0C3772581180"
		  "5271A0461CDB8252D61F1C456FA3E59AB1F45B33ACCF5F58389E0577B8990BB3",
		  "D6840F6B42F6EDAFD13116E0E12565202FEF8E9ECE7DCE03812464D04B9442DE" },
		{ "ecp384",
		  "099F3C7034D4A2C699884D73A375A67F7624EF7C6B3C0F160647B67414DCE655E35B538041E649EE3FAEF896783AB194",
		  "E558DBEF53EECDE3D3FCCFC1AEA08A89A987475D12FD950D83CFA41732BC509D0D1AC43A0336DEF96FDA41D0774A3571"
		  "DCFBEC7AACF3196472169E838430367F66EEBE3C6E70C416DD5F0C68759DD1FFF83FA40142209DFF5EAAD96DB9E6386C",
		  "11187331C279962D93D604243FD592CB9D0A926F422E47187521287E7156C5C4D603135569B9E9D09CF5D4A270F59746" },
		{ "ecp384",
		  "41CB0779B4BDB85D47846725FBEC3C9430FAB46CC8DC5060855CC9BDA0AA2942E0308312916B8ED2960E4BD55A7448FC",
		  "667842D7D180AC2CDE6F74F37551F55755C7645C20EF73E31634FE72B4C55EE6DE3AC808ACB4BDB4C88732AEE95F41AA"
		  "9482ED1FC0EEB9CAFC4984625CCFC23F65032149E0E144ADA024181535A0F38EEB9FCFF3C2C947DAE69B4C634573A81C",
		  "11187331C279962D93D604243FD592CB9D0A926F422E47187521287E7156C5C4D603135569B9E9D09CF5D4A270F59746" },
		{ "ecp521",
		  "0037ADE9 319A89F4 DABDB3EF 411AACCC A5123C61 ACAB57B5 393DCE47 608172A0"
		  "95AA85A3 0FE1C295 2C6771D9 37BA9777 F5957B26 39BAB072 462F68C2 7A57382D 4A52",
		  "00D0B397 5AC4B799 F5BEA16D 5E13E9AF 971D5E9B 984C9F39 728B5E57 39735A21"
		  "9B97C356 436ADC6E 95BB0352 F6BE64A6 C2912D4E F2D0433C ED2B6171 640012D9 460F"
		  "015C6822 6383956E 3BD066E7 97B623C2 7CE0EAC2 F551A10C 2C724D98 52077B87"
		  "220B6536 C5C408A1 D2AEBB8E 86D678AE 49CB5709 1F473229 6579AB44 FCD17F0F C56A",
		  "01144C7D 79AE6956 BC8EDB8E 7C787C45 21CB086F A64407F9 7894E5E6 B2D79B04"
		  "D1427E73 CA4BAA24 0A347868 59810C06 B3C715A3 A8CC3151 F2BEE417 996D19F3 DDEA" },
		/* RFC 8031 appendix A, before the fixed bits are set and after */
		{ "x25519", "751fb4308655b476b6789b7325f9ea8cddd16a58533ff6d9e60009464a5f9d94",
		  "0be7c1f5aad87d7e4486626732 98a443478b859745179eaf564c79c0ef6eee25",
		  "c74950607a12327f3204d94b6825bfb068b7f8319a9e3708ed3d43ce8130c950" },
		{ "x25519", "0854645253290d60ddadd0e030bacd9e5501efdc220755a1e978f1b839a05648",
		  "48d5ddd4061257ba166fa3f9bbdb74f1a4e81c089384fa77f790709f0dfbc766",
		  "c74950607a12327f3204d94b6825bfb068b7f8319a9e3708ed3d43ce8130c950" },
		/* RFC 7748 6.2 */
		{ "x448",
		  "9a8f4925d1519f5775cf46b04b5800d4ee9ee8bae8bc5565d498c28d"
		  "d9c9baf574a9419744897391006382a6f127ab1d9ac2d8c0a598726b",
		  "3eb7a829b0cd20f5bcfc0b599b6feccf6da4627107bdb0d4f345b430"
		  "27d8b972fc3e34fb4232a13ca706dcb57aec3dae07bdc1c67bf33609",
		  "07fff4181ac6cc95ec1c16a94a0f74d12da232ce40a77552281d282b"
		  "b60c0b56fd2464c335543936521c24403085d59a449a5037514a879d" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct algorithm *g = group_named(rows[i].group);
		uint8_t private[KEY_MAX], peer[MOST], want[MOST], secret[MOST];
		struct key k;
		size_t len = 0, peer_len;

		assert_true(key_set(&k, private, hex(rows[i].private, private, sizeof private)));
		peer_len = hex(rows[i].peer, peer, sizeof peer);
		assert_int_equal(crypto_ke_derive(g, &k, peer, peer_len, secret, sizeof secret, &len, NULL), 0);
		if (len != hex(rows[i].secret, want, sizeof want) || memcmp(secret, want, len) != 0)
			fail_msg("row %zu: %s", i, rows[i].group);
	}
}

static void both_sides_come_to_one_secret(void **state)
{
	(void)state;
	for (size_t i = 0; i < algorithms_count; i++) {
		const struct algorithm *g = &algorithms[i];
		uint8_t ours[MOST], theirs[MOST], a[MOST], b[MOST];
		struct key x, y;
		size_t n, m, la, lb;

		if (g->kind != ALG_GROUP)
			continue;
		assert_int_equal(crypto_ke_generate(g, &x, ours, sizeof ours, &n, NULL), 0);
		assert_int_equal(crypto_ke_generate(g, &y, theirs, sizeof theirs, &m, NULL), 0);
		assert_int_equal(n, g->public_octets);
		assert_memory_not_equal(ours, theirs, n);
		assert_int_equal(crypto_ke_derive(g, &x, theirs, m, a, sizeof a, &la, NULL), 0);
		assert_int_equal(crypto_ke_derive(g, &y, ours, n, b, sizeof b, &lb, NULL), 0);
		assert_int_equal(la, g->secret_octets);
		assert_memory_equal(a, b, la);

		/* wrong lengths */
		assert_int_equal(crypto_ke_derive(g, &x, theirs, m - 1, a, sizeof a, &la, NULL), -ERR_CRYPTO);
		assert_int_equal(crypto_ke_derive(g, &x, theirs, 0, a, sizeof a, &la, NULL), -ERR_CRYPTO);
		assert_true(crypto_ke_generate(g, &x, ours, n - 1, &n, NULL) < 0);
		assert_true(crypto_ke_derive(g, &y, ours, n, b, lb - 1, &lb, NULL) < 0);
	}
}

static void bad_public_values_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < algorithms_count; i++) {
		const struct algorithm *g = &algorithms[i];
		uint8_t public[MOST], bad[MOST] = { 0 }, secret[MOST];
		struct key x;
		size_t n, len;

		if (g->kind != ALG_GROUP)
			continue;
		assert_int_equal(crypto_ke_generate(g, &x, public, sizeof public, &n, NULL), 0);
		/* zero: not a MODP value, not on any curve, of small order */
		assert_int_equal(crypto_ke_derive(g, &x, bad, n, secret, sizeof secret, &len, NULL), -ERR_CRYPTO);
		bad[n - 1] = 1;
		if (g->ikev2 <= 21) /* MODP: one */
			assert_int_equal(crypto_ke_derive(g, &x, bad, n, secret, sizeof secret, &len, NULL),
					 -ERR_CRYPTO);
		if (g->ikev2 <= 21) { /* over the prime */
			memset(bad, 0xff, n);
			assert_int_equal(crypto_ke_derive(g, &x, bad, n, secret, sizeof secret, &len, NULL),
					 -ERR_CRYPTO);
		}
		if (g->ikev2 >= 19 && g->ikev2 <= 21) { /* not on the curve */
			memcpy(bad, public, n);
			bad[n - 1] ^= 1;
			assert_int_equal(crypto_ke_derive(g, &x, bad, n, secret, sizeof secret, &len, NULL),
					 -ERR_CRYPTO);
		}
		if (g->ikev2 == 31) { /* u = 1 is of order 4 */
			memset(bad, 0, n);
			bad[0] = 1;
			assert_int_equal(crypto_ke_derive(g, &x, bad, n, secret, sizeof secret, &len, NULL),
					 -ERR_CRYPTO);
		}
	}
}

/* RFC 4754 8.2 */
static void p384_signatures_are_made_and_checked(void **state)
{
	uint8_t private[P384_OCTETS], public[P384_POINT], want[P384_POINT], signature[P384_SIGNATURE], digest[48];
	uint8_t zero[P384_OCTETS] = { 0 };

	(void)state;
	assert_int_equal(hex("0BEB646634BA8773 5D77AE4809A0EBEA 865535DE4C1E1DCB 692E84708E81A5AF"
			     "62E528C38B2A81B3 5309668D73524D9F",
			     private, sizeof private),
			 P384_OCTETS);
	assert_int_equal(hex("96281BF8DD5E0525 CA049C048D345D30 82968D10FEDF5C5A CA0C64E6465A97EA"
			     "5CE10C9DFEC21797 415710721F437922"
			     "447688BA94708EB6 E2E4D59F6AB6D7ED FF9301D249FE49C3 3096655F5D502FAD"
			     "3D383B91C5E7EDAA 2B714CC99D5743CA",
			     want, sizeof want),
			 P384_POINT);
	assert_true(p384_public(private, public));
	assert_memory_equal(public, want, sizeof want);
	assert_int_equal(hex("CB00753F45A35E8B B5A03D699AC65007 272C32AB0EDED163 1A8B605A43FF5BED"
			     "8086072BA1E7CC23 58BAECA134C825A7",
			     digest, sizeof digest),
			 48);
	assert_int_equal(hex("FB017B914E291494 32D8BAC29A514640 B46F53DDAB2C6994 8084E2930F1C8F7E"
			     "08E07C9C63F2D21A 07DCB56A6AF56EB3"
			     "B263A1305E057F98 4D38726A1B468741 09F417BCA112674C 528262A40A629AF1"
			     "CBB9F516CE0FA7D2 FF630863A00E8B9F",
			     signature, sizeof signature),
			 P384_SIGNATURE);
	assert_true(p384_verify(public, digest, 48, signature));
	digest[0] ^= 1;
	assert_false(p384_verify(public, digest, 48, signature));
	assert_true(p384_sign(private, digest, 48, signature));
	assert_true(p384_verify(public, digest, 48, signature));
	signature[0] ^= 1;
	assert_false(p384_verify(public, digest, 48, signature));
	assert_false(p384_sign(zero, digest, 48, signature));
	memset(signature, 0, sizeof signature);
	assert_false(p384_verify(public, digest, 48, signature));
	memset(signature, 0xff, sizeof signature);
	assert_false(p384_verify(public, digest, 48, signature));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(secrets_are_those_of_the_rfcs),
		cmocka_unit_test(both_sides_come_to_one_secret),
		cmocka_unit_test(bad_public_values_are_refused),
		cmocka_unit_test(p384_signatures_are_made_and_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
