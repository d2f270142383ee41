/* AES-GCM by intel-ipsec-mb's direct functions: one call a packet, no job queue. They are chosen and tried once, at
 * the first use: nothing of theirs is trusted that has not given the answers that others published, and the same as
 * libcrypto for packets of all kinds of lengths. */
#include "base/gcm.h"

#include "base/diag.h"
#include "base/gcm_functions.h"
#include "base/key.h"
#include "base/mem.h"

#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct gcm_functions functions[GCM_SIZES];

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool found, broken;
static atomic_bool refused; /* gcm_allow */
static struct diag why_not;
static char words[64];

struct gcm {
	alignas(64) struct gcm_key_data key;
	struct gcm_context_data context; /* of the packet in hand: holds key stream */
	const struct gcm_functions *by;
};

static struct gcm *make(const struct gcm_functions *by, const uint8_t *key)
{
	struct gcm *g = mem_new_aligned(alignof(struct gcm), sizeof *g);

	g->by = by;
	by->expand(key, &g->key);
	return g;
}

void gcm_free(struct gcm *g)
{
	if (!g)
		return;
	explicit_bzero(g, sizeof *g);
	free(g);
}

void gcm_close(struct gcm *g, const uint8_t nonce[GCM_NONCE], const struct octets *aad, const uint8_t *from,
	       uint8_t *text, size_t len, uint8_t *icv, size_t icv_len)
{
	g->by->close(&g->key, &g->context, text, from, len, nonce, aad->at, aad->len, icv, icv_len);
}

bool gcm_open(struct gcm *g, const uint8_t nonce[GCM_NONCE], const struct octets *aad, uint8_t *text, size_t len,
	      const uint8_t *icv, size_t icv_len)
{
	uint8_t made[GCM_ICV] = { 0 };

	g->by->open(&g->key, &g->context, text, text, len, nonce, aad->at, aad->len, made, icv_len);
	if (octets_equal(made, icv, icv_len))
		return true;
	explicit_bzero(text, len); /* what was decrypted before the check failed is nobody's business */
	return false;
}

/* ---- known answers ----------------------------------------------------------------------------------------------- */

static const struct vector {
	size_t key_len, text_len, aad_len;
	uint8_t key[32], nonce[GCM_NONCE], aad[20], plain[64], sealed[64], icv[GCM_ICV];
} vectors[] = {
/* The GCM specification of McGrew and Viega, test cases 4, 10 and 16, as NIST took them over */
#define PLAIN \
	{ \
		0xd9, 0x31, 0x32, 0x25, 0xf8, 0x84, 0x06, 0xe5, 0xa5, 0x59, 0x09, 0xc5, 0xaf, 0xf5, 0x26, 0x9a, 0x86, \
			0xa7, 0xa9, 0x53, 0x15, 0x34, 0xf7, 0xda, 0x2e, 0x4c, 0x30, 0x3d, 0x8a, 0x31, 0x8a, 0x72, \
			0x1c, 0x3c, 0x0c, 0x95, 0x95, 0x68, 0x09, 0x53, 0x2f, 0xcf, 0x0e, 0x24, 0x49, 0xa6, 0xb5, \
			0x25, 0xb1, 0x6a, 0xed, 0xf5, 0xaa, 0x0d, 0xe6, 0x57, 0xba, 0x63, 0x7b, 0x39 \
	}
#define KEY \
	0xfe, 0xff, 0xe9, 0x92, 0x86, 0x65, 0x73, 0x1c, 0x6d, 0x6a, 0x8f, 0x94, 0x67, 0x30, 0x83, 0x08, 0xfe, 0xff, \
		0xe9, 0x92, 0x86, 0x65, 0x73, 0x1c, 0x6d, 0x6a, 0x8f, 0x94, 0x67, 0x30, 0x83, 0x08
#define REST \
	.text_len = 60, .aad_len = 20, .key = { KEY }, .plain = PLAIN, \
	.nonce = { 0xca, 0xfe, 0xba, 0xbe, 0xfa, 0xce, 0xdb, 0xad, 0xde, 0xca, 0xf8, 0x88 }, \
	.aad = { 0xfe, 0xed, 0xfa, 0xce, 0xde, 0xad, 0xbe, 0xef, 0xfe, 0xed, \
		 0xfa, 0xce, 0xde, 0xad, 0xbe, 0xef, 0xab, 0xad, 0xda, 0xd2 }
	{ .key_len = 16,
	  REST,
	  .sealed = { 0x42, 0x83, 0x1e, 0xc2, 0x21, 0x77, 0x74, 0x24, 0x4b, 0x72, 0x21, 0xb7, 0x84, 0xd0, 0xd4,
		      0x9c, 0xe3, 0xaa, 0x21, 0x2f, 0x2c, 0x02, 0xa4, 0xe0, 0x35, 0xc1, 0x7e, 0x23, 0x29, 0xac,
		      0xa1, 0x2e, 0x21, 0xd5, 0x14, 0xb2, 0x54, 0x66, 0x93, 0x1c, 0x7d, 0x8f, 0x6a, 0x5a, 0xac,
		      0x84, 0xaa, 0x05, 0x1b, 0xa3, 0x0b, 0x39, 0x6a, 0x0a, 0xac, 0x97, 0x3d, 0x58, 0xe0, 0x91 },
	  .icv = { 0x5b, 0xc9, 0x4f, 0xbc, 0x32, 0x21, 0xa5, 0xdb, 0x94, 0xfa, 0xe9, 0x5a, 0xe7, 0x12, 0x1a, 0x47 } },
	{ .key_len = 24,
	  REST,
	  .sealed = { 0x39, 0x80, 0xca, 0x0b, 0x3c, 0x00, 0xe8, 0x41, 0xeb, 0x06, 0xfa, 0xc4, 0x87, 0x2a, 0x27,
		      0x57, 0x85, 0x9e, 0x1c, 0xea, 0xa6, 0xef, 0xd9, 0x84, 0x62, 0x85, 0x93, 0xb4, 0x0c, 0xa1,
		      0xe1, 0x9c, 0x7d, 0x77, 0x3d, 0x00, 0xc1, 0x44, 0xc5, 0x25, 0xac, 0x61, 0x9d, 0x18, 0xc8,
		      0x4a, 0x3f, 0x47, 0x18, 0xe2, 0x44, 0x8b, 0x2f, 0xe3, 0x24, 0xd9, 0xcc, 0xda, 0x27, 0x10 },
	  .icv = { 0x25, 0x19, 0x49, 0x8e, 0x80, 0xf1, 0x47, 0x8f, 0x37, 0xba, 0x55, 0xbd, 0x6d, 0x27, 0x61, 0x8c } },
	{ .key_len = 32,
	  REST,
	  .sealed = { 0x52, 0x2d, 0xc1, 0xf0, 0x99, 0x56, 0x7d, 0x07, 0xf4, 0x7f, 0x37, 0xa3, 0x2a, 0x84, 0x42,
		      0x7d, 0x64, 0x3a, 0x8c, 0xdc, 0xbf, 0xe5, 0xc0, 0xc9, 0x75, 0x98, 0xa2, 0xbd, 0x25, 0x55,
		      0xd1, 0xaa, 0x8c, 0xb0, 0x8e, 0x48, 0x59, 0x0d, 0xbb, 0x3d, 0xa7, 0xb0, 0x8b, 0x10, 0x56,
		      0x82, 0x88, 0x38, 0xc5, 0xf6, 0x1e, 0x63, 0x93, 0xba, 0x7a, 0x0a, 0xbc, 0xc9, 0xf6, 0x62 },
	  .icv = { 0x76, 0xfc, 0x6e, 0xce, 0x0f, 0x4e, 0x17, 0x68, 0xcd, 0xdf, 0x88, 0x53, 0xbb, 0x2d, 0x55, 0x1b } },
#undef PLAIN
#undef KEY
#undef REST
};

static bool gives(const struct gcm_functions *f, const struct vector *v)
{
	struct gcm *g = make(&f[v->key_len / 8 - 2], v->key);
	struct octets aad = { v->aad, v->aad_len };
	uint8_t text[sizeof v->plain], icv[GCM_ICV] = { 0 };
	bool ok;

	memcpy(text, v->plain, sizeof text);
	gcm_close(g, v->nonce, &aad, text, text, v->text_len, icv, GCM_ICV);
	ok = memcmp(text, v->sealed, v->text_len) == 0 && memcmp(icv, v->icv, GCM_ICV) == 0 &&
	     gcm_open(g, v->nonce, &aad, text, v->text_len, icv, GCM_ICV) && memcmp(text, v->plain, v->text_len) == 0;
	memcpy(text, v->sealed, v->text_len);
	icv[GCM_ICV - 1] ^= 1; /* and nothing else is taken */
	ok = ok && !gcm_open(g, v->nonce, &aad, text, v->text_len, icv, GCM_ICV);
	gcm_free(g);
	return ok;
}

static bool by_libcrypto(const EVP_CIPHER *cipher, const uint8_t *key, const uint8_t *nonce, const struct octets *aad,
			 uint8_t *text, size_t len, uint8_t *icv)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	int n;
	bool ok = c && EVP_EncryptInit_ex(c, cipher, NULL, key, nonce) == 1 &&
		  EVP_EncryptUpdate(c, NULL, &n, aad->at, (int)aad->len) == 1 &&
		  EVP_EncryptUpdate(c, text, &n, text, (int)len) == 1 && EVP_EncryptFinal_ex(c, text + len, &n) == 1 &&
		  EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, GCM_ICV, icv) == 1;

	EVP_CIPHER_CTX_free(c);
	return ok;
}

/* The lengths at which the code takes another way: around every block up to 48 of them, and what packets have. */
static bool agrees_with_libcrypto(const struct gcm_functions *f, size_t size)
{
	static const size_t more[] = { 1400, 1420, 1436, 1456, 1500, 4096, 8999, 9000 };
	const EVP_CIPHER *const ciphers[GCM_SIZES] = { EVP_aes_128_gcm(), EVP_aes_192_gcm(), EVP_aes_256_gcm() };
	enum { MOST = 9000, STEPS = 48 * 16 };
	uint8_t *ours = mem_new(3, MOST + GCM_ICV), *theirs = ours + MOST + GCM_ICV, *plain = theirs + MOST + GCM_ICV;
	uint8_t key[32], nonce[GCM_NONCE], icv[2][GCM_ICV];
	struct gcm *g;
	bool ok = true;

	for (size_t i = 0; i < MOST; i++)
		plain[i] = (uint8_t)(i * 167 + (i >> 8));
	for (size_t i = 0; i < sizeof key; i++)
		key[i] = (uint8_t)(i * 59 + size);
	g = make(&f[size], key);
	for (size_t i = 0; ok && i < STEPS + ARRAY_LEN(more); i++) {
		size_t len = i < STEPS ? i : more[i - STEPS];
		struct octets aad = { plain + i % 7, i & 1 ? 8 : 12 };

		if (i < STEPS && i > 32 && i % 16 > 1 && i % 16 < 15)
			continue;
		memset(nonce, (int)(i & 255), sizeof nonce);
		memcpy(ours, plain, len);
		memcpy(theirs, plain, len);
		gcm_close(g, nonce, &aad, i & 2 ? plain : ours, ours, len, icv[0], GCM_ICV);
		ok = by_libcrypto(ciphers[size], key, nonce, &aad, theirs, len, icv[1]) &&
		     memcmp(ours, theirs, len) == 0 && memcmp(icv[0], icv[1], GCM_ICV) == 0 &&
		     gcm_open(g, nonce, &aad, ours, len, icv[1], GCM_ICV) && memcmp(ours, plain, len) == 0;
	}
	gcm_free(g);
	free(ours);
	return ok;
}

/* ---- choosing ---------------------------------------------------------------------------------------------------- */

static const char *arch_name(IMB_ARCH arch)
{
	switch (arch) {
	case IMB_ARCH_AVX512:
		return "AVX512";
	case IMB_ARCH_AVX2:
		return "AVX2";
	case IMB_ARCH_AVX:
		return "AVX";
	default:
		return "SSE";
	}
}

bool gcm_functions_right(const struct gcm_functions f[GCM_SIZES])
{
	bool right = true;

	for (size_t i = 0; right && i < ARRAY_LEN(vectors); i++)
		right = gives(f, &vectors[i]);
	for (size_t i = 0; right && i < GCM_SIZES; i++)
		right = agrees_with_libcrypto(f, i);
	return right;
}

bool gcm_functions_find(struct gcm_functions ret[GCM_SIZES], const char **ret_arch, bool *ret_library_failed)
{
	const uint64_t needs = IMB_FEATURE_AESNI | IMB_FEATURE_PCLMULQDQ, tested = IMB_FEATURE_SELF_TEST;
	IMB_MGR *m = alloc_mb_mgr(0);
	IMB_ARCH arch = IMB_ARCH_NONE;
	bool there;

	if (!m)
		return false;
	init_mb_mgr_auto(m, &arch);
	*ret_arch = arch_name(arch);
	*ret_library_failed = (m->features & tested) && !(m->features & IMB_FEATURE_SELF_TEST_PASS);
	there = (m->features & needs) == needs && !(m->features & IMB_FEATURE_AESNI_EMU) &&
		(imb_get_errno(m) == 0 || *ret_library_failed);
	ret[0] = (struct gcm_functions){ m->gcm128_pre, m->gcm128_enc, m->gcm128_dec };
	ret[1] = (struct gcm_functions){ m->gcm192_pre, m->gcm192_enc, m->gcm192_dec };
	ret[2] = (struct gcm_functions){ m->gcm256_pre, m->gcm256_enc, m->gcm256_dec };
	free_mb_mgr(m); /* they know nothing of it */
	return there;
}

static void start(void)
{
	const char *arch = "";
	bool library_failed = false;

	if (!gcm_functions_find(functions, &arch, &library_failed)) {
		(void)diag_fail(&why_not, ENOSYS, "this CPU has no instructions for AES-GCM that intel-ipsec-mb knows");
		return;
	}
	broken = library_failed || !gcm_functions_right(functions);
	if (broken)
		(void)diag_fail(&why_not, ERR_CRYPTO, "intel-ipsec-mb %s gave wrong answers in its self test, by %s",
				imb_get_version_str(), arch);
	else
		(void)snprintf(words, sizeof words, "intel-ipsec-mb %s by %s", imb_get_version_str(), arch);
	found = !broken;
}

static bool is_ready(void)
{
	return pthread_once(&once, start) == 0 && found && !refused;
}

const char *crypto_gcm(struct diag *d)
{
	if (is_ready())
		return words;
	if (d)
		*d = why_not;
	return NULL;
}

bool crypto_gcm_broken(void)
{
	(void)is_ready();
	return broken;
}

void gcm_allow(bool allowed)
{
	refused = !allowed;
}

struct gcm *gcm_new(const uint8_t *key, size_t len)
{
	size_t size = len / 8 - 2;

	return len % 8 == 0 && size < GCM_SIZES && is_ready() ? make(&functions[size], key) : NULL;
}
