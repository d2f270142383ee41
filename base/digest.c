/* Random numbers, digests, and the pseudo-random functions of IKE. */
#include "base/crypto.h"

#include "base/algorithm.h"
#include "base/diag.h"
#include "base/mac.h"

#include <limits.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

int crypto_random(void *to, size_t n, struct diag *d)
{
	if (n > INT_MAX || RAND_bytes(to, (int)n) != 1) {
		explicit_bzero(to, n);
		return diag_fail(d, ERR_CRYPTO, "the system gives no random numbers");
	}
	return 0;
}

static void md_ctx_freep(EVP_MD_CTX **c)
{
	EVP_MD_CTX_free(*c);
}

static void md_freep(EVP_MD **m)
{
	EVP_MD_free(*m);
}

int crypto_digest(const char *name, const struct octets *parts, size_t n, uint8_t ret[DIGEST_MAX], size_t *ret_len,
		  struct diag *d)
{
	SCOPED(md_freep) EVP_MD *md = EVP_MD_fetch(NULL, name, NULL);
	SCOPED(md_ctx_freep) EVP_MD_CTX *c = EVP_MD_CTX_new();
	uint8_t out[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	bool ok = md && c && EVP_MD_get_size(md) <= DIGEST_MAX && EVP_DigestInit_ex2(c, md, NULL) == 1;

	for (size_t i = 0; ok && i < n; i++)
		ok = EVP_DigestUpdate(c, parts[i].at, parts[i].len) == 1;
	if (!ok || EVP_DigestFinal_ex(c, out, &len) != 1)
		return diag_fail(d, ERR_CRYPTO, "this libcrypto has no digest %s", name);
	memcpy(ret, out, len);
	*ret_len = len;
	return 0;
}

int crypto_prf(const struct algorithm *prf, const void *key, size_t key_len, const struct octets *parts, size_t n,
	       struct key *ret, struct diag *d)
{
	SCOPED(mac_wipe) struct mac h;

	if (!prf->openssl || !mac_init(&h, prf->openssl, key, key_len))
		return diag_fail(d, ERR_UNSUPPORTED, "%s is no pseudo-random function", prf->name);
	for (size_t i = 0; i < n; i++)
		mac_add(&h, parts[i].at, parts[i].len);
	key_wipe(ret);
	ret->len = mac_octets(&h);
	mac_end(&h, ret->octets, ret->len);
	return 0;
}

int crypto_prf_plus(const struct algorithm *prf, const struct key *key, const struct octets *seed, size_t n,
		    uint8_t *ret, size_t ret_len, struct diag *d)
{
	SCOPED(mac_wipe) struct mac h;
	SCOPED(key_wipe) struct key block = { 0 };
	size_t done = 0;

	if (!prf->openssl || !mac_init(&h, prf->openssl, key->octets, key->len))
		return diag_fail(d, ERR_UNSUPPORTED, "%s is no pseudo-random function", prf->name);
	if (ret_len > 255 * mac_octets(&h)) /* the counter is one octet */
		return diag_fail(d, ERR_CRYPTO, "prf+ gives at most 255 blocks");
	for (uint8_t counter = 1; done < ret_len; counter++) {
		size_t take = mac_octets(&h);

		mac_add(&h, block.octets, block.len);
		for (size_t i = 0; i < n; i++)
			mac_add(&h, seed[i].at, seed[i].len);
		mac_add(&h, &counter, 1);
		block.len = take;
		mac_end(&h, block.octets, block.len);
		if (take > ret_len - done)
			take = ret_len - done;
		memcpy(ret + done, block.octets, take);
		done += take;
	}
	return 0;
}
