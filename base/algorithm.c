#include "base/algorithm.h"

#include "base/diag.h"
#include "base/scope.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

/* v1 and p2: IKEv1 phase 1 and phase 2; sa: salt; pub, sec: octets of a group's public value and shared secret.
   A table is read down its columns. */
/* clang-format off */
#define NO 0
const struct algorithm algorithms[] = {
	/* name             kind        v2 bits v1  p2  kernel                          libcrypto            key sa  iv blk icv   pub   sec aead   legacy */
	/* Encryption. CBC RFC 3602, GCM 4106, CCM 4309, CTR 3686, Camellia 4312, ChaCha20 7634, NULL 2410, GMAC 4543,
	 * 3DES 2451. A figure at the end is a shorter check value, which GCM and CCM suffer. */
	{ "aes128",           ALG_ENCR,  12, 128, 7,  12, "cbc(aes)",                     "AES-128-CBC",       16, 0, 16, 16,  0,   NO,   NO, false, false },
	{ "aes192",           ALG_ENCR,  12, 192, 7,  12, "cbc(aes)",                     "AES-192-CBC",       24, 0, 16, 16,  0,   NO,   NO, false, false },
	{ "aes256",           ALG_ENCR,  12, 256, 7,  12, "cbc(aes)",                     "AES-256-CBC",       32, 0, 16, 16,  0,   NO,   NO, false, false },
	{ "aes128gcm",        ALG_ENCR,  20, 128, NO, 20, "rfc4106(gcm(aes))",            "AES-128-GCM",       16, 4,  8,  1, 16,   NO,   NO, true,  false },
	{ "aes192gcm",        ALG_ENCR,  20, 192, NO, 20, "rfc4106(gcm(aes))",            "AES-192-GCM",       24, 4,  8,  1, 16,   NO,   NO, true,  false },
	{ "aes256gcm",        ALG_ENCR,  20, 256, NO, 20, "rfc4106(gcm(aes))",            "AES-256-GCM",       32, 4,  8,  1, 16,   NO,   NO, true,  false },
	{ "aes128gcm8",      ALG_ENCR,  18, 128, NO, 18, "rfc4106(gcm(aes))",            "AES-128-GCM",       16, 4,  8,  1,  8,   NO,   NO, true,  false },
	{ "aes128gcm12",     ALG_ENCR,  19, 128, NO, 19, "rfc4106(gcm(aes))",            "AES-128-GCM",       16, 4,  8,  1, 12,   NO,   NO, true,  false },
	{ "aes192gcm8",      ALG_ENCR,  18, 192, NO, 18, "rfc4106(gcm(aes))",            "AES-192-GCM",       24, 4,  8,  1,  8,   NO,   NO, true,  false },
	{ "aes192gcm12",     ALG_ENCR,  19, 192, NO, 19, "rfc4106(gcm(aes))",            "AES-192-GCM",       24, 4,  8,  1, 12,   NO,   NO, true,  false },
	{ "aes256gcm8",      ALG_ENCR,  18, 256, NO, 18, "rfc4106(gcm(aes))",            "AES-256-GCM",       32, 4,  8,  1,  8,   NO,   NO, true,  false },
	{ "aes256gcm12",     ALG_ENCR,  19, 256, NO, 19, "rfc4106(gcm(aes))",            "AES-256-GCM",       32, 4,  8,  1, 12,   NO,   NO, true,  false },
	{ "aes128ccm8",       ALG_ENCR,  14, 128, NO, 14, "rfc4309(ccm(aes))",            "AES-128-CCM",       16, 3,  8,  1,  8,   NO,   NO, true,  false },
	{ "aes128ccm12",      ALG_ENCR,  15, 128, NO, 15, "rfc4309(ccm(aes))",            "AES-128-CCM",       16, 3,  8,  1, 12,   NO,   NO, true,  false },
	{ "aes128ccm",        ALG_ENCR,  16, 128, NO, 16, "rfc4309(ccm(aes))",            "AES-128-CCM",       16, 3,  8,  1, 16,   NO,   NO, true,  false },
	{ "aes192ccm8",       ALG_ENCR,  14, 192, NO, 14, "rfc4309(ccm(aes))",            "AES-192-CCM",       24, 3,  8,  1,  8,   NO,   NO, true,  false },
	{ "aes192ccm12",      ALG_ENCR,  15, 192, NO, 15, "rfc4309(ccm(aes))",            "AES-192-CCM",       24, 3,  8,  1, 12,   NO,   NO, true,  false },
	{ "aes192ccm",        ALG_ENCR,  16, 192, NO, 16, "rfc4309(ccm(aes))",            "AES-192-CCM",       24, 3,  8,  1, 16,   NO,   NO, true,  false },
	{ "aes256ccm8",       ALG_ENCR,  14, 256, NO, 14, "rfc4309(ccm(aes))",            "AES-256-CCM",       32, 3,  8,  1,  8,   NO,   NO, true,  false },
	{ "aes256ccm12",      ALG_ENCR,  15, 256, NO, 15, "rfc4309(ccm(aes))",            "AES-256-CCM",       32, 3,  8,  1, 12,   NO,   NO, true,  false },
	{ "aes256ccm",        ALG_ENCR,  16, 256, NO, 16, "rfc4309(ccm(aes))",            "AES-256-CCM",       32, 3,  8,  1, 16,   NO,   NO, true,  false },
	{ "aes128ctr",        ALG_ENCR,  13, 128, NO, 13, "rfc3686(ctr(aes))",            "AES-128-CTR",       16, 4,  8,  1,  0,   NO,   NO, false, false },
	{ "aes192ctr",        ALG_ENCR,  13, 192, NO, 13, "rfc3686(ctr(aes))",            "AES-192-CTR",       24, 4,  8,  1,  0,   NO,   NO, false, false },
	{ "aes256ctr",        ALG_ENCR,  13, 256, NO, 13, "rfc3686(ctr(aes))",            "AES-256-CTR",       32, 4,  8,  1,  0,   NO,   NO, false, false },
	{ "camellia128",      ALG_ENCR,  23, 128, 8,  22, "cbc(camellia)",                "CAMELLIA-128-CBC",  16, 0, 16, 16,  0,   NO,   NO, false, false },
	{ "camellia192",      ALG_ENCR,  23, 192, 8,  22, "cbc(camellia)",                "CAMELLIA-192-CBC",  24, 0, 16, 16,  0,   NO,   NO, false, false },
	{ "camellia256",      ALG_ENCR,  23, 256, 8,  22, "cbc(camellia)",                "CAMELLIA-256-CBC",  32, 0, 16, 16,  0,   NO,   NO, false, false },
	{ "chacha20poly1305", ALG_ENCR,  28, NO,  NO, NO, "rfc7539esp(chacha20,poly1305)", "ChaCha20-Poly1305", 32, 4,  8,  1, 16,   NO,   NO, true,  false },
	{ "null",             ALG_ENCR,  11, NO,  NO, 11, "ecb(cipher_null)",             NULL,                 0, 0,  0,  1,  0,   NO,   NO, false, false },
	{ "aes128gmac",       ALG_ENCR,  21, 128, NO, 23, "rfc4543(gcm(aes))",            "AES-128-GCM",       16, 4,  8,  1, 16,   NO,   NO, true,  false },
	{ "aes192gmac",       ALG_ENCR,  21, 192, NO, 23, "rfc4543(gcm(aes))",            "AES-192-GCM",       24, 4,  8,  1, 16,   NO,   NO, true,  false },
	{ "aes256gmac",       ALG_ENCR,  21, 256, NO, 23, "rfc4543(gcm(aes))",            "AES-256-GCM",       32, 4,  8,  1, 16,   NO,   NO, true,  false },
	{ "3des",             ALG_ENCR,   3, NO,  5,  3,  "cbc(des3_ede)",                "DES-EDE3-CBC",      24, 0,  8,  8,  0,   NO,   NO, false, true  },

	/* Integrity: the key is as long as the hash, the check value half of it (RFC 4868), for MD5 and SHA-1 96 bits (2403,
	 * 2404), as for XCBC and CMAC (3566, 4494). The GMAC rows are for AH, which carries their IV in front of the check value (4543 5). */
	{ "md5",              ALG_INTEG,  1, NO,  1,  1,  "hmac(md5)",                    "MD5",               16, 0,  0,  1, 12,   NO,   NO, false, true  },
	{ "sha1",             ALG_INTEG,  2, NO,  2,  2,  "hmac(sha1)",                   "SHA1",              20, 0,  0,  1, 12,   NO,   NO, false, true  },
	{ "sha256",           ALG_INTEG, 12, NO,  4,  5,  "hmac(sha256)",                 "SHA256",            32, 0,  0,  1, 16,   NO,   NO, false, false },
	{ "sha384",           ALG_INTEG, 13, NO,  5,  6,  "hmac(sha384)",                 "SHA384",            48, 0,  0,  1, 24,   NO,   NO, false, false },
	{ "sha512",           ALG_INTEG, 14, NO,  6,  7,  "hmac(sha512)",                 "SHA512",            64, 0,  0,  1, 32,   NO,   NO, false, false },
	{ "aesxcbc",          ALG_INTEG,  5, NO,  NO, 9,  "xcbc(aes)",                    "AES-XCBC",         16, 0,  0,  1, 12,   NO,   NO, false, false },
	{ "aescmac",          ALG_INTEG,  8, NO,  NO, NO, "cmac(aes)",                    "AES-CMAC",         16, 0,  0,  1, 12,   NO,   NO, false, false },
	{ "aes128gmac",       ALG_INTEG,  9, NO,  NO, 11, "rfc4543(gcm(aes))",            "AES-128-GCM",       16, 4,  8,  1, 16,   NO,   NO, true,  false },
	{ "aes192gmac",       ALG_INTEG, 10, NO,  NO, 12, "rfc4543(gcm(aes))",            "AES-192-GCM",       24, 4,  8,  1, 16,   NO,   NO, true,  false },
	{ "aes256gmac",       ALG_INTEG, 11, NO,  NO, 13, "rfc4543(gcm(aes))",            "AES-256-GCM",       32, 4,  8,  1, 16,   NO,   NO, true,  false },

	/* Pseudo-random functions: HMAC, or a MAC of AES (RFC 4434, 4615), whole. IKEv1 takes the hash that was negotiated. */
	{ "md5",              ALG_PRF,    1, NO,  1,  NO, NULL,                           "MD5",               16, 0,  0,  1,  0,   NO,   NO, false, true  },
	{ "sha1",             ALG_PRF,    2, NO,  2,  NO, NULL,                           "SHA1",              20, 0,  0,  1,  0,   NO,   NO, false, true  },
	{ "sha256",           ALG_PRF,    5, NO,  4,  NO, NULL,                           "SHA256",            32, 0,  0,  1,  0,   NO,   NO, false, false },
	{ "sha384",           ALG_PRF,    6, NO,  5,  NO, NULL,                           "SHA384",            48, 0,  0,  1,  0,   NO,   NO, false, false },
	{ "sha512",           ALG_PRF,    7, NO,  6,  NO, NULL,                           "SHA512",            64, 0,  0,  1,  0,   NO,   NO, false, false },
	{ "aesxcbc",          ALG_PRF,    4, NO,  NO, NO, NULL,                           "AES-XCBC",         16, 0,  0,  1,  0,   NO,   NO, false, false },
	{ "aescmac",          ALG_PRF,    8, NO,  NO, NO, NULL,                           "AES-CMAC",         16, 0,  0,  1,  0,   NO,   NO, false, false },

	/* Groups: MODP RFC 2409, 3526 and (with a subgroup) 5114, ECP 5903 and 5114, Brainpool 6954, Curve25519 and Curve448
	 * 8031. RFC 8247 2.4 retires 1, 2, 5 and those of 5114. key: our private value, for MODP twice the group's strength
	 * or more, in a subgroup as long as its order. */
	{ "modp768",          ALG_GROUP,  1, NO,  1,  1,  NULL,                           "modp_768",          32, 0,  0,  1,  0,   96,   96, false, true  },
	{ "modp1024",         ALG_GROUP,  2, NO,  2,  2,  NULL,                           "modp_1024",         32, 0,  0,  1,  0,  128,  128, false, true  },
	{ "modp1536",         ALG_GROUP,  5, NO,  5,  5,  NULL,                           "modp_1536",         32, 0,  0,  1,  0,  192,  192, false, true  },
	{ "modp2048",         ALG_GROUP, 14, NO,  14, 14, NULL,                           "modp_2048",         32, 0,  0,  1,  0,  256,  256, false, false },
	{ "modp3072",         ALG_GROUP, 15, NO,  15, 15, NULL,                           "modp_3072",         32, 0,  0,  1,  0,  384,  384, false, false },
	{ "modp4096",         ALG_GROUP, 16, NO,  16, 16, NULL,                           "modp_4096",         40, 0,  0,  1,  0,  512,  512, false, false },
	{ "modp6144",         ALG_GROUP, 17, NO,  17, 17, NULL,                           "modp_6144",         48, 0,  0,  1,  0,  768,  768, false, false },
	{ "modp8192",         ALG_GROUP, 18, NO,  18, 18, NULL,                           "modp_8192",         56, 0,  0,  1,  0, 1024, 1024, false, false },
	{ "modp1024s160",     ALG_GROUP, 22, NO,  22, 22, NULL,                           "dh_1024_160",      20, 0,  0,  1,  0,  128,  128, false, true  },
	{ "modp2048s224",     ALG_GROUP, 23, NO,  23, 23, NULL,                           "dh_2048_224",      28, 0,  0,  1,  0,  256,  256, false, true  },
	{ "modp2048s256",     ALG_GROUP, 24, NO,  24, 24, NULL,                           "dh_2048_256",      32, 0,  0,  1,  0,  256,  256, false, true  },
	{ "ecp256",           ALG_GROUP, 19, NO,  19, 19, NULL,                           "P-256",             32, 0,  0,  1,  0,   64,   32, false, false },
	{ "ecp384",           ALG_GROUP, 20, NO,  20, 20, NULL,                           "P-384",             48, 0,  0,  1,  0,   96,   48, false, false },
	{ "ecp521",           ALG_GROUP, 21, NO,  21, 21, NULL,                           "P-521",             66, 0,  0,  1,  0,  132,   66, false, false },
	{ "ecp192",           ALG_GROUP, 25, NO,  25, 25, NULL,                           "P-192",            24, 0,  0,  1,  0,   48,   24, false, true  },
	{ "ecp224",           ALG_GROUP, 26, NO,  26, 26, NULL,                           "P-224",            28, 0,  0,  1,  0,   56,   28, false, false },
	{ "brainpool224",     ALG_GROUP, 27, NO,  27, 27, NULL,                           "brainpoolP224r1",  28, 0,  0,  1,  0,   56,   28, false, false },
	{ "brainpool256",     ALG_GROUP, 28, NO,  28, 28, NULL,                           "brainpoolP256r1",  32, 0,  0,  1,  0,   64,   32, false, false },
	{ "brainpool384",     ALG_GROUP, 29, NO,  29, 29, NULL,                           "brainpoolP384r1",  48, 0,  0,  1,  0,   96,   48, false, false },
	{ "brainpool512",     ALG_GROUP, 30, NO,  30, 30, NULL,                           "brainpoolP512r1",  64, 0,  0,  1,  0,  128,   64, false, false },
	{ "x25519",           ALG_GROUP, 31, NO,  NO, NO, NULL,                           "X25519",            32, 0,  0,  1,  0,   32,   32, false, false },
	{ "x448",             ALG_GROUP, 32, NO,  NO, NO, NULL,                           "X448",              56, 0,  0,  1,  0,   56,   56, false, false },
};
#undef NO
/* clang-format on */
const size_t algorithms_count = ARRAY_LEN(algorithms);

enum { ID_NULL = 11, ID_GMAC = 21 };

const struct algorithm *algorithm_by_name(enum algorithm_kind kind, const char *name, size_t n)
{
	for (size_t i = 0; i < algorithms_count; i++) {
		const struct algorithm *a = &algorithms[i];

		if (a->kind == kind && strlen(a->name) == n && memcmp(a->name, name, n) == 0)
			return a;
	}
	return NULL;
}

const struct algorithm *algorithm_by_ikev2(enum algorithm_kind kind, uint16_t id, uint16_t key_bits)
{
	for (size_t i = 0; i < algorithms_count; i++) {
		const struct algorithm *a = &algorithms[i];

		if (a->kind == kind && a->ikev2 == id && a->key_bits == key_bits)
			return a;
	}
	return NULL;
}

const struct algorithm *algorithm_by_ikev1(enum algorithm_kind kind, uint16_t id, uint16_t key_bits)
{
	for (size_t i = 0; i < algorithms_count; i++) {
		const struct algorithm *a = &algorithms[i];

		if (id && a->kind == kind && a->ikev1 == id && a->key_bits == key_bits)
			return a;
	}
	return NULL;
}

/* GMAC for AH has its length in its number; the length attribute is of encryption alone. */
const struct algorithm *algorithm_by_ikev1_quick(enum algorithm_kind kind, uint16_t id, uint16_t key_bits)
{
	for (size_t i = 0; i < algorithms_count; i++) {
		const struct algorithm *a = &algorithms[i];

		if (id && a->kind == kind && a->ikev1_esp == id && (kind != ALG_ENCR || a->key_bits == key_bits))
			return a;
	}
	return NULL;
}

/* The two registries part company only at MD5 and SHA-1. */
uint8_t algorithm_ikev1_ah(const struct algorithm *integ)
{
	return (uint8_t)(integ->ikev1_esp == 1 || integ->ikev1_esp == 2 ? integ->ikev1_esp + 1 : integ->ikev1_esp);
}

/* ---- proposals as text ---- */

struct part {
	const char *at;
	size_t len;
};

enum { PARTS_MOST = 5, QUOTE_MOST = 48 };

/* What was written, short and without octets that could move a terminal's cursor. */
struct quote {
	char text[QUOTE_MOST + 4];
};

static struct quote quote(const char *at, size_t n)
{
	struct quote q = { 0 };
	size_t i;

	for (i = 0; i < n && i < QUOTE_MOST; i++)
		q.text[i] = at[i];
	for (size_t k = 0; k < i; k++)
		if ((unsigned char)q.text[k] < 0x20 || (unsigned char)q.text[k] > 0x7e)
			q.text[k] = '?';
	if (i < n)
		memcpy(q.text + i, "...", 4);
	return q;
}

static bool is_null(const struct algorithm *a)
{
	return a->kind == ALG_ENCR && a->ikev2 == ID_NULL;
}

static bool hides_data(const struct algorithm *encr)
{
	return encr && encr->ikev2 != ID_NULL && encr->ikev2 != ID_GMAC;
}

/* Number of parts between hyphens, 0 if there are more than a suite can have or one is empty. */
static size_t split(const char *text, size_t n, struct part parts[PARTS_MOST])
{
	size_t count = 0, start = 0;

	for (size_t i = 0; i <= n; i++) {
		if (i < n && text[i] != '-')
			continue;
		if (i == start || count == PARTS_MOST)
			return 0;
		parts[count++] = (struct part){ text + start, i - start };
		start = i + 1;
	}
	return count;
}

/* What other products name and we leave out on purpose. */
static const char *gone(struct part p)
{
	static const struct {
		const char *name, *why;
	} rows[] = {
		{ "des", "its 56 bits are tried out in a day" },
		{ "blowfish", "its blocks of 64 bits repeat; take aes256" },
		{ "cast128", "its blocks of 64 bits repeat; take aes256" },
		{ "rc4", "it is broken" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (p.len == strlen(rows[i].name) && memcmp(p.at, rows[i].name, p.len) == 0)
			return rows[i].why;
	return NULL;
}

static int fail_unknown(struct diag *d, const char *text, size_t n, struct part p, enum algorithm_kind kind,
			const char *what, bool main_mode)
{
	SCOPED(str_wipe) struct str known = { 0 };
	const char *why = gone(p);

	if (why)
		return diag_fail(d, ERR_SYNTAX, "'%s': there is no %s in Cordon, not even as legacy: %s",
				 quote(text, n).text, quote(p.at, p.len).text, why);
	for (size_t i = 0; i < algorithms_count; i++) {
		const struct algorithm *a = &algorithms[i];

		/* the usual ones: the page has the rest */
		if (a->kind != kind || (kind == ALG_INTEG && a->aead) || a->legacy || (a->aead && a->icv < 16) ||
		    (main_mode && kind == ALG_ENCR && !hides_data(a)))
			continue;
		str_addf(&known, "%s%s", known.len ? ", " : "", a->name);
	}
	return diag_fail(d, ERR_SYNTAX,
			 "'%s': '%s' is no %s; known are %s, and the rarer ones of docs/policy-language.md",
			 quote(text, n).text, quote(p.at, p.len).text, what, str_text(&known));
}

/* Right in its place elsewhere? Then saying where helps more than the list of what is known. */
static const struct algorithm *of_another_kind(struct part p, enum algorithm_kind but)
{
	for (size_t i = 0; i < algorithms_count; i++) {
		const struct algorithm *a = &algorithms[i];

		if (a->kind != but && strlen(a->name) == p.len && memcmp(a->name, p.at, p.len) == 0)
			return a;
	}
	return NULL;
}

static bool part_is(struct part p, const char *word)
{
	return p.len == strlen(word) && memcmp(p.at, word, p.len) == 0;
}

int ike_suite_parse(const char *text, size_t n, struct ike_suite *ret, struct diag *d)
{
	static const char like[] = "a main mode proposal is encryption, hash and group, such as aes256-sha384-ecp384";
	static const struct {
		enum algorithm_kind kind;
		const char *what;
	} places[] = {
		{ ALG_ENCR, "encryption algorithm" },
		{ ALG_PRF, "hash" },
		{ ALG_GROUP, "key exchange group" },
	};
	const struct algorithm *found[ARRAY_LEN(places)] = { 0 };
	struct part parts[PARTS_MOST];
	size_t count = split(text, n, parts);
	struct ike_suite s;

	if (count == 0)
		return diag_fail(d, ERR_SYNTAX, "'%s': %s", quote(text, n).text, like);
	if (part_is(parts[0], "esp") || part_is(parts[0], "ah"))
		return diag_fail(d, ERR_SYNTAX, "'%s' is a quick mode proposal; %s", quote(text, n).text, like);
	for (size_t i = 0; i < count && i < ARRAY_LEN(places); i++) {
		found[i] = algorithm_by_name(places[i].kind, parts[i].at, parts[i].len);
		if (found[i])
			continue;
		if (of_another_kind(parts[i], places[i].kind))
			return diag_fail(d, ERR_SYNTAX, "'%s': '%s' stands where the %s should: %s",
					 quote(text, n).text, quote(parts[i].at, parts[i].len).text, places[i].what,
					 like);
		return fail_unknown(d, text, n, parts[i], places[i].kind, places[i].what, true);
	}
	if (count < ARRAY_LEN(places))
		return diag_fail(d, ERR_SYNTAX, "'%s' names no %s: %s", quote(text, n).text, places[count].what, like);
	if (count > ARRAY_LEN(places))
		return diag_fail(d, ERR_SYNTAX, "'%s' has a part too many, '%s': %s", quote(text, n).text,
				 quote(parts[3].at, parts[3].len).text, like);
	if (!hides_data(found[0]))
		return diag_fail(d, ERR_SYNTAX, "'%s': main mode is always encrypted, and %s does not encrypt",
				 quote(text, n).text, found[0]->name);
	s = (struct ike_suite){ .encr = found[0], .prf = found[1], .group = found[2] };
	if (!s.encr->aead)
		s.integ = algorithm_by_name(ALG_INTEG, parts[1].at, parts[1].len);
	*ret = s;
	return 0;
}

/* One part behind the protocol goes where its name says; each place takes one. */
static int child_part(const char *text, size_t n, struct part p, struct child_suite *s, struct diag *d)
{
	const struct algorithm *encr = algorithm_by_name(ALG_ENCR, p.at, p.len);
	const struct algorithm *integ = algorithm_by_name(ALG_INTEG, p.at, p.len);
	const struct algorithm *group = algorithm_by_name(ALG_GROUP, p.at, p.len);
	const struct algorithm **to = group ? &s->group : encr ? &s->encr : &s->integ;

	if (encr && integ) /* GMAC is an integrity algorithm of AH, and a cipher of ESP that hides nothing */
		to = s->protocol == PROTO_AH ? &s->integ : &s->encr;
	if (!encr && !integ && !group)
		return s->encr || s->protocol == PROTO_AH
			       ? fail_unknown(d, text, n, p, ALG_INTEG, "integrity algorithm or group", false)
			       : fail_unknown(d, text, n, p, ALG_ENCR, "encryption algorithm", false);
	if (s->group)
		return diag_fail(d, ERR_SYNTAX, "'%s': the group comes last", quote(text, n).text);
	if (*to)
		return diag_fail(d, ERR_SYNTAX, "'%s' names both %s and %s: one is enough", quote(text, n).text,
				 (*to)->name, quote(p.at, p.len).text);
	*to = group ? group : to == &s->encr ? encr : integ;
	return 0;
}

static int child_complete(const char *text, size_t n, const struct child_suite *s, struct diag *d)
{
	struct quote q = quote(text, n);

	if (s->protocol == PROTO_AH && s->encr)
		return diag_fail(d, ERR_SYNTAX, "'%s': AH does not encrypt; use esp-%s", q.text,
				 s->encr->aead ? s->encr->name : "aes256gcm");
	if (s->protocol == PROTO_AH && !s->integ)
		return diag_fail(d, ERR_SYNTAX, "'%s' names no integrity algorithm, such as ah-sha256", q.text);
	if (s->protocol == PROTO_AH)
		return 0;
	if (!s->encr && s->integ)
		return diag_fail(d, ERR_SYNTAX,
				 "'%s' does not say what encrypts: esp-aes256-%s, or esp-%s-null for integrity only",
				 q.text, s->integ->name, s->integ->name);
	if (!s->encr)
		return diag_fail(d, ERR_SYNTAX, "'%s' names no encryption algorithm, such as esp-aes256gcm", q.text);
	if (s->encr->aead && s->integ)
		return diag_fail(d, ERR_SYNTAX, "'%s': %s checks integrity itself; leave %s out", q.text, s->encr->name,
				 s->integ->name);
	if (!s->encr->aead && !s->integ)
		return diag_fail(d, ERR_SYNTAX, "'%s' has no integrity; use esp-%s%s", q.text,
				 is_null(s->encr) ? "sha256-null" : s->encr->name, is_null(s->encr) ? "" : "-sha256");
	return 0;
}

int child_suite_parse(const char *text, size_t n, struct child_suite *ret, struct diag *d)
{
	struct part parts[PARTS_MOST];
	size_t count = split(text, n, parts);
	struct child_suite s = { 0 };
	int r;

	if (count && part_is(parts[0], "esp"))
		s.protocol = PROTO_ESP;
	else if (count && part_is(parts[0], "ah"))
		s.protocol = PROTO_AH;
	else
		return diag_fail(d, ERR_SYNTAX,
				 "'%s': a quick mode proposal begins with esp or ah, such as esp-aes256gcm, "
				 "esp-aes256-sha256, esp-sha256-null or ah-sha256",
				 quote(text, n).text);
	for (size_t i = 1; i < count; i++)
		if ((r = child_part(text, n, parts[i], &s, d)) < 0)
			return r;
	if ((r = child_complete(text, n, &s, d)) < 0)
		return r;
	*ret = s;
	return 0;
}

const char *ike_suite_text(const struct ike_suite *s, char buf[SUITE_TEXT])
{
	(void)snprintf(buf, SUITE_TEXT, "%s-%s-%s", s->encr->name, s->prf->name, s->group->name);
	return buf;
}

const char *child_suite_text(const struct child_suite *s, char buf[SUITE_TEXT])
{
	const char *group = s->group ? s->group->name : "", *hyphen = s->group ? "-" : "";

	if (s->protocol == PROTO_AH)
		(void)snprintf(buf, SUITE_TEXT, "ah-%s%s%s", s->integ->name, hyphen, group);
	else if (!s->integ)
		(void)snprintf(buf, SUITE_TEXT, "esp-%s%s%s", s->encr->name, hyphen, group);
	else if (is_null(s->encr))
		(void)snprintf(buf, SUITE_TEXT, "esp-%s-null%s%s", s->integ->name, hyphen, group);
	else
		(void)snprintf(buf, SUITE_TEXT, "esp-%s-%s%s%s", s->encr->name, s->integ->name, hyphen, group);
	return buf;
}

bool ike_suite_equal(const struct ike_suite *a, const struct ike_suite *b)
{
	return a->encr == b->encr && a->integ == b->integ && a->prf == b->prf && a->group == b->group;
}

bool child_suite_equal(const struct child_suite *a, const struct child_suite *b)
{
	return a->protocol == b->protocol && a->encr == b->encr && a->integ == b->integ;
}

static bool legacy(const struct algorithm *a)
{
	return a && a->legacy;
}

bool ike_suite_legacy(const struct ike_suite *s)
{
	return legacy(s->encr) || legacy(s->integ) || legacy(s->prf) || legacy(s->group);
}

bool child_suite_legacy(const struct child_suite *s)
{
	return legacy(s->encr) || legacy(s->integ) || legacy(s->group);
}

bool ike_suite_ikev1(const struct ike_suite *s)
{
	return !s->encr->aead && s->encr->ikev1 && s->prf->ikev1 && s->group->ikev1;
}

bool child_suite_ikev1(const struct child_suite *s)
{
	return (!s->encr || s->encr->ikev1_esp) && (!s->integ || s->integ->ikev1_esp) &&
	       (!s->group || s->group->ikev1_esp);
}

bool child_suite_encrypts(const struct child_suite *s)
{
	return hides_data(s->encr);
}
