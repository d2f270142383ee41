#include "tests/unit/hex.h"

#include "base/algorithm.h"
#include "base/crypto.h"
#include "base/diag.h"

#include <nettle/ccm.h>
#include <string.h>

enum { MOST = 512 };

static const struct algorithm *named(enum algorithm_kind kind, const char *name)
{
	const struct algorithm *a = name ? algorithm_by_name(kind, name, strlen(name)) : NULL;

	assert_true(a || !name);
	return a;
}

static struct key key_of(const char *text)
{
	uint8_t octets[KEY_MAX];
	struct key k;

	assert_true(key_set(&k, octets, hex(text, octets, sizeof octets)));
	return k;
}

/* AEADs: key and salt, IV, associated data, plain text, cipher text with check value. */
static const struct vector {
	const char *encr, *key, *iv, *aad, *plain, *sealed;
} aeads[] = {
	/* draft-mcgrew-gcm-test-01: ESN, 128, 256, 192, 256 with ESN, nothing but padding */
	{ "aes128gcm", "4c80cdefbb5d10da906ac73c3613a634 2e443b68", "4956ed7e3b244cfe", "000043218765432100000000",
	  "45000048699a000080114db7c0a80102c0a801010a9bf15638d3010000010000"
	  "00000000045f736970045f756470037369700963796265726369747902646b00"
	  "0021000101020201",
	  "fecf537e729d5b07dc30df528dd22b768d1b98736696a6fd348509fa13ceac34"
	  "cfa2436f14a3f3cf65925bf1f4a13c5d15b21e1884f5ff6247aeabb786b93bce"
	  "61bc17d768fd9732459018148f6cbe722fd04796562dfdb4" },
	{ "aes128gcm", "feffe9928665731c6d6a8f9467308308 cafebabe", "facedbaddecaf888", "0000a5f80000000a",
	  "4500003e698f000080114dccc0a80102c0a801010a980035002a2343b2d00100"
	  "0001000000000000037369700963796265726369747902646b00000100010001",
	  "deb22cd9b07c72c16e3a65beeb8df304a5a5897d33ae530f1ba76d5d114d2a5c"
	  "3de81827c10e9a4f51330d0eec416642cfbb85a5b47e48a4ec3b9ba95d918bd1"
	  "83b70d3aa8bc6ee4c309e9d85a41ad4a" },
	{ "aes256gcm", "abbccddef00112233445566778899aababbccddef00112233445566778899aab 11223344", "0102030405060708",
	  "4a2cbfe300000002",
	  "4500003069a6400080062690c0a801029389155e0a9e008b2dc57ee000000000"
	  "7002400020bf0000020405b40101040201020201",
	  "ff425c9b724599df7a3bcd510194e00d6a78107f1b0b1cbf06efae9d65a5d763"
	  "748a637985771d347f0545659f14e99def842d8eb335f4eecfdbf831824b4c49"
	  "15956c96" },
	{ "aes192gcm", "feffe9928665731c6d6a8f9467308308feffe9928665731c cafebabe", "facedbaddecaf888",
	  "0000a5f80000000a",
	  "45000028a4ad4000400678800a01038f0a010612802306b8cb712602dd6bb03e"
	  "501016d075680001",
	  "a5b1f8066029aea40e598b8122de02420938b3ab33f828e687b8858b5bfbdbd0"
	  "315b27452144cc7795457b9652037f5318027b5b4cd7a636" },
	{ "aes256gcm", "abbccddef00112233445566778899aababbccddef00112233445566778899aab 73616c74", "616e640169766563",
	  "17405e67156f3126dd0db99b",
	  "45080028732c00004006e9f90a0106120a01038f06b88023dd6bafbecb712602"
	  "50101f646d540001",
	  "f2d69ecdbd5a0d5b8d5ef38bad4da58d1f278fde98ef67549d524a3018d9a57f"
	  "f4d3a31ce673119e451626c2415771e3b7eebca614c89b35" },
	{ "aes128gcm", "7d773d00c144c525ac619d18c84a3f47 d9664267", "43457e9182443bc6", "335467aeffffffff", "01020201",
	  "437f866b cb3f699fe9b0822bac961c4504bef270" },
	/* RFC 7634 appendix A */
	{ "chacha20poly1305", "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f a0a1a2a3",
	  "1011121314151617", "0102030400000005",
	  "45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec10"
	  "0007362708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223"
	  "2425262728292a2b2c2d2e2f303132333435363701020204",
	  "24039428b97f417e3c13753a4f05087b67c352e6a7fab1b982d466ef407ae5c6"
	  "14ee8099d52844eb61aa95dfab4c02f72aa71e7c4c4f64c9befe2facc638e8f3"
	  "cbec163fac469b502773f6fb94e664da9165b82829f641e0"
	  "76aaa8266b7fb0f7b11b369907e1ad43" },
	/* RFC 4543 as the draft has it: SPI, sequence number and IV are authenticated, and the text is sent as it is */
	{ "aes128gmac", "4c80cdefbb5d10da906ac73c3613a634 22433c64", "0000000000000000", "0000432100000007",
	  "45000030da3a00008001df3bc0a80005c0a800010800c6cd0200070061626364"
	  "65666768696a6b6c6d6e6f707172737401020201",
	  "45000030da3a00008001df3bc0a80005c0a800010800c6cd0200070061626364"
	  "65666768696a6b6c6d6e6f707172737401020201"
	  "f2a9a836e155106aa8dcd618e4099aaa" },
};

static void aead_packets_are_those_of_the_rfcs(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(aeads); i++) {
		const struct vector *v = &aeads[i];
		uint8_t iv[16], aad[16], text[MOST], plain[MOST], want[MOST], icv[16];
		SCOPED(seal_freep) struct seal *s = NULL;
		struct sealed p = { .iv = iv, .text = text, .icv = icv };
		struct key key;
		size_t n;

		key = key_of(v->key);
		assert_int_equal(seal_new(named(ALG_ENCR, v->encr), &key, NULL, NULL, &s, NULL), 0);
		(void)hex(v->iv, iv, sizeof iv);
		p.aad = (struct octets){ aad, hex(v->aad, aad, sizeof aad) };
		p.text_len = n = hex(v->plain, plain, sizeof plain);
		assert_int_equal(hex(v->sealed, want, sizeof want), n + 16);
		for (int round = 0; round < 3; round++) { /* the context stays keyed */
			memcpy(text, plain, n);
			assert_int_equal(seal_close(s, &p, NULL), 0);
			if (memcmp(text, want, n) != 0 || memcmp(icv, want + n, 16) != 0)
				fail_msg("row %zu, round %d", i, round);
			assert_int_equal(seal_open(s, &p, NULL), 0);
			assert_memory_equal(text, plain, n);
			memcpy(text, want, n); /* one changed bit anywhere is seen */
			text[n / 2] ^= 1;
			assert_int_equal(seal_open(s, &p, NULL), -ERR_CRYPTO);
			memcpy(text, want, n);
			aad[7] ^= 0x80;
			assert_int_equal(seal_open(s, &p, NULL), -ERR_CRYPTO);
			aad[7] ^= 0x80;
			memcpy(text, want, n);
			icv[15] ^= 1;
			assert_int_equal(seal_open(s, &p, NULL), -ERR_CRYPTO);
			memcpy(icv, want + n, 16);
			memcpy(text, want, n);
			iv[0] ^= 1;
			assert_int_equal(seal_open(s, &p, NULL), -ERR_CRYPTO);
			iv[0] ^= 1;
		}
	}
}

static void ciphers_give_what_the_rfcs_print(void **state)
{
	static const struct {
		const char *encr, *key, *iv, *plain, *want;
	} rows[] = {
		/* RFC 3602 4, case 5 */
		{ "aes128", "90d382b4 10eeba7a d938c46c ec1a82bf", "e96e8c08 ab465763 fd098d45 dd3ff893",
		  "08000ebd a70a0000 8e9c083d b95b0700 08090a0b 0c0d0e0f 10111213 14151617"
		  "18191a1b 1c1d1e1f 20212223 24252627 28292a2b 2c2d2e2f 30313233 34353637"
		  "01020304 05060708 090a0b0c 0d0e0e01",
		  "f663c25d 325c18c6 a9453e19 4e120849 a4870b66 cc6b9965 330013b4 898dc856"
		  "a4699e52 3a55db08 0b59ec3a 8e4b7e52 775b07d1 db34ed9c 538ab50c 551b874a"
		  "a269add0 47ad2d59 13ac19b7 cfbad4a6" },
		/* RFC 3686 6, vector 1 */
		{ "aes128ctr", "ae6852f8121067cc4bf7a5765577f39e 00000030", "0000000000000000",
		  "53696e676c6520626c6f636b206d7367", "e4095d4fb7a7b3792d6175a3261311b8" },
		/* RFC 3686 6, vectors 5 and 8 */
		{ "aes192ctr", "7c5cb2401b3dc33c19e7340819e0f69c678c3db8e6f6a91a 0096b03b", "020c6eadc2cb500d",
		  "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		  "453243fc609b23327edfaafa7131cd9f8490701c5ad4a79cfc1fe0ff42f4fb00" },
		{ "aes256ctr", "f6d66d6bd52d59bb0796365879eff886c66dd51a5b6a99744b50590c87a23884 00faac24",
		  "c1585ef15a43d875", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		  "f05e231b3894612c49ee000b804eb2a9b8306b508f839d6a5530831d9344af1c" },
		/* RFC 3713 appendix A, one block */
		{ "camellia128", "0123456789abcdeffedcba9876543210", "00000000000000000000000000000000",
		  "0123456789abcdeffedcba9876543210", "67673138549669730857065648eabe43" },
		{ "camellia192", "0123456789abcdeffedcba98765432100011223344556677", "00000000000000000000000000000000",
		  "0123456789abcdeffedcba9876543210", "b4993401b3e996f84ee5cee7d79b09b9" },
		{ "camellia256", "0123456789abcdeffedcba987654321000112233445566778899aabbccddeeff",
		  "00000000000000000000000000000000", "0123456789abcdeffedcba9876543210",
		  "9acc237dff16d76c20ef7c919e3a7509" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t iv[16], text[MOST], plain[MOST], want[MOST], icv[16];
		const struct algorithm *sha256 = named(ALG_INTEG, "sha256");
		struct key key = key_of(rows[i].key), integ_key = { .len = 32 };
		SCOPED(seal_freep) struct seal *s = NULL;
		struct sealed p = { .iv = iv, .text = text, .icv = icv };

		assert_int_equal(seal_new(named(ALG_ENCR, rows[i].encr), &key, sha256, &integ_key, &s, NULL), 0);
		(void)hex(rows[i].iv, iv, sizeof iv);
		p.text_len = hex(rows[i].plain, plain, sizeof plain);
		p.covered = (struct octets){ text, p.text_len };
		assert_int_equal(hex(rows[i].want, want, sizeof want), p.text_len);
		for (int round = 0; round < 2; round++) {
			memcpy(text, plain, p.text_len);
			assert_int_equal(seal_close(s, &p, NULL), 0);
			assert_memory_equal(text, want, p.text_len);
			assert_int_equal(seal_open(s, &p, NULL), 0);
			assert_memory_equal(text, plain, p.text_len);
			assert_int_equal(seal_open(s, &p, NULL), -ERR_CRYPTO); /* no longer what was signed */
		}
	}
}

static void separate_integrity_covers_header_text_and_what_is_behind(void **state)
{
	/* RFC 4868 2.7.2.1 case 2: the value over both runs together */
	const struct algorithm *none = named(ALG_ENCR, "null"), *sha256 = named(ALG_INTEG, "sha256");
	uint8_t message[] = "what do ya want for nothing?", icv[16], want[16];
	struct key key;
	SCOPED(seal_freep) struct seal *s = NULL;
	struct sealed p = { .text = message + 5,
			    .text_len = 10,
			    .covered = { message, 20 },
			    .behind = { message + 20, 8 },
			    .icv = icv };

	(void)state;
	assert_true(key_set(&key, "JefeJefeJefeJefeJefeJefeJefeJefe", 32));
	(void)hex("167f928588c5cc2eef8e3093caa0e87c", want, sizeof want);
	assert_int_equal(seal_new(none, NULL, sha256, &key, &s, NULL), 0);
	assert_int_equal(seal_close(s, &p, NULL), 0);
	assert_memory_equal(icv, want, sizeof want);
	assert_string_equal((char *)message, "what do ya want for nothing?");
	assert_int_equal(seal_open(s, &p, NULL), 0);
	message[27] ^= 1; /* in ESN's place */
	assert_int_equal(seal_open(s, &p, NULL), -ERR_CRYPTO);
}

static void ah_gmac_checks_what_is_covered(void **state)
{
	const struct algorithm *gmac = named(ALG_INTEG, "aes128gmac");
	struct key key = key_of("4c80cdefbb5d10da906ac73c3613a634 22433c64");
	uint8_t covered[MOST], iv[8] = { 0 }, icv[16], want[16];
	SCOPED(seal_freep) struct seal *s = NULL;
	struct sealed p = { .iv = iv, .icv = icv };

	(void)state;
	p.covered = (struct octets){ covered, hex("00004321000000070000000000000000"
						  "45000030da3a00008001df3bc0a80005c0a800010800c6cd0200070061626364"
						  "65666768696a6b6c6d6e6f707172737401020201",
						  covered, sizeof covered) };
	(void)hex("f2a9a836e155106aa8dcd618e4099aaa", want, sizeof want);
	assert_int_equal(seal_new(NULL, NULL, gmac, &key, &s, NULL), 0);
	assert_int_equal(seal_close(s, &p, NULL), 0);
	assert_memory_equal(icv, want, sizeof want);
	assert_int_equal(seal_open(s, &p, NULL), 0);
	covered[0] ^= 1;
	assert_int_equal(seal_open(s, &p, NULL), -ERR_CRYPTO);
}

/* Every suite that a policy can name closes and opens, whatever the length. */
static void every_cipher_and_integrity_works_together(void **state)
{
	(void)state;
	for (size_t e = 0; e < algorithms_count; e++)
		for (size_t i = 0; i < algorithms_count; i++) {
			const struct algorithm *encr = &algorithms[e], *integ = &algorithms[i];
			uint8_t packet[8 + 16 + 96 + 32], before[96];
			struct key encr_key = { 0 }, integ_key = { 0 };
			SCOPED(seal_freep) struct seal *s = NULL;
			struct sealed p = { .iv = packet + 8, .text = packet + 24, .aad = { packet, 8 } };

			if (encr->kind != ALG_ENCR || integ->kind != ALG_INTEG || integ->aead)
				continue;
			encr_key.len = (size_t)encr->key + encr->salt;
			integ_key.len = integ->key;
			assert_int_equal(crypto_random(encr_key.octets, encr_key.len, NULL), 0);
			assert_int_equal(seal_new(encr, &encr_key, encr->aead ? NULL : integ, &integ_key, &s, NULL), 0);
			for (size_t n = 0; n <= 96; n += encr->block) {
				memset(packet, 0x5a, sizeof packet);
				memcpy(before, p.text, n);
				p.text_len = n;
				p.icv = p.text + n;
				p.covered = (struct octets){ packet, 24 + n };
				assert_int_equal(seal_close(s, &p, NULL), 0);
				assert_int_equal(seal_open(s, &p, NULL), 0);
				assert_memory_equal(p.text, before, n);
			}
			if (encr->block > 1) {
				p.text_len = 17;
				assert_true(seal_close(s, &p, NULL) < 0);
			}
		}
}

/* There are no vectors for ESP with CCM: nettle's own answer is asked (RFC 4309: salt of 3 octets, then the IV). */
static void ccm_and_short_check_values_are_what_nettle_makes(void **state)
{
	static const char *const names[] = { "aes256ccm8", "aes256ccm12", "aes256ccm" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		for (size_t n = 0; n < 70; n += 1 + n / 3) {
			const struct algorithm *a = named(ALG_ENCR, names[i]);
			struct key key = { .len = 35 };
			uint8_t nonce[11], aad[12] = "SPI and seq", text[MOST], want[MOST + 16], icv[16];
			SCOPED(seal_freep) struct seal *s = NULL;
			struct sealed p = { .iv = nonce + 3, .text = text, .text_len = n, .icv = icv };
			struct ccm_aes256_ctx c;

			for (size_t k = 0; k < key.len; k++)
				key.octets[k] = (uint8_t)(k * 5 + 1);
			p.aad = (struct octets){ aad, sizeof aad };
			memcpy(nonce, key.octets + 32, 3);
			memset(nonce + 3, 0x77, 8);
			memset(text, 0x5a, n);
			ccm_aes256_set_key(&c, key.octets);
			ccm_aes256_encrypt_message(&c, sizeof nonce, nonce, sizeof aad, aad, a->icv, n + a->icv, want,
						   text);
			assert_int_equal(seal_new(a, &key, NULL, NULL, &s, NULL), 0);
			for (int round = 0; round < 2; round++) {
				assert_int_equal(seal_close(s, &p, NULL), 0);
				assert_memory_equal(text, want, n);
				assert_memory_equal(icv, want + n, a->icv);
				assert_int_equal(seal_open(s, &p, NULL), 0);
				for (size_t k = 0; k < n; k++)
					assert_int_equal(text[k], 0x5a);
				memcpy(text, want, n);
				icv[a->icv - 1] ^= 1;
				assert_int_equal(seal_open(s, &p, NULL), -ERR_CRYPTO);
				memset(text, 0x5a, n);
			}
		}
}

/* The first octets of the whole value (RFC 4106 6). */
static void gcm_check_values_may_be_short(void **state)
{
	static const char *const names[] = { "aes128gcm8", "aes128gcm12" };
	uint8_t iv[8] = { 1 }, aad[8] = { 2 }, whole[16];
	struct key key = { .len = 20 };

	(void)state;
	for (size_t i = 0; i < 1 + ARRAY_LEN(names); i++) {
		const struct algorithm *a = named(ALG_ENCR, i ? names[i - 1] : "aes128gcm");
		uint8_t text[30] = { 3 }, icv[16] = { 0 };
		SCOPED(seal_freep) struct seal *s = NULL;
		struct sealed p = { .iv = iv, .text = text, .text_len = sizeof text, .icv = icv };

		p.aad = (struct octets){ aad, sizeof aad };
		assert_int_equal(seal_new(a, &key, NULL, NULL, &s, NULL), 0);
		assert_int_equal(seal_close(s, &p, NULL), 0);
		if (i == 0)
			memcpy(whole, icv, sizeof whole);
		assert_memory_equal(icv, whole, a->icv);
		assert_int_equal(icv[15] == whole[15], i == 0);
		assert_int_equal(seal_open(s, &p, NULL), 0);
	}
}

static void wrong_keys_are_refused(void **state)
{
	struct key k36 = { .len = 36 }, k32 = { .len = 32 }, k31 = { .len = 31 };
	struct seal *s = NULL;
	struct diag d = { 0 };

	(void)state;
	assert_true(seal_new(named(ALG_ENCR, "aes256gcm"), &k32, NULL, NULL, &s, &d) < 0);
	assert_true(seal_new(named(ALG_ENCR, "aes256"), &k36, named(ALG_INTEG, "sha256"), &k32, &s, &d) < 0);
	assert_true(seal_new(named(ALG_ENCR, "aes256"), &k32, named(ALG_INTEG, "sha256"), &k31, &s, &d) < 0);
	assert_true(seal_new(named(ALG_ENCR, "aes256"), &k32, NULL, NULL, &s, &d) < 0);
	assert_true(seal_new(NULL, NULL, NULL, NULL, &s, &d) < 0);
	assert_null(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(aead_packets_are_those_of_the_rfcs),
		cmocka_unit_test(ciphers_give_what_the_rfcs_print),
		cmocka_unit_test(separate_integrity_covers_header_text_and_what_is_behind),
		cmocka_unit_test(ah_gmac_checks_what_is_covered),
		cmocka_unit_test(every_cipher_and_integrity_works_together),
		cmocka_unit_test(ccm_and_short_check_values_are_what_nettle_makes),
		cmocka_unit_test(gcm_check_values_may_be_short),
		cmocka_unit_test(wrong_keys_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
