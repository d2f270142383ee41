/* A block cipher in CBC mode without integrity, for IKEv1, whose hashes are inside (RFC 2409 appendix B). */
#include "base/crypto.h"

#include "base/algorithm.h"
#include "base/diag.h"

#include <limits.h>
#include <openssl/evp.h>
#include <string.h>

static void cipher_freep(EVP_CIPHER **c)
{
	EVP_CIPHER_free(*c);
}

static void context_freep(EVP_CIPHER_CTX **c)
{
	EVP_CIPHER_CTX_free(*c); /* cleanses the key schedule */
}

int crypto_cbc(const struct algorithm *encr, const struct key *key, uint8_t *iv, uint8_t *text, size_t n, bool encrypt,
	       struct diag *d)
{
	SCOPED(cipher_freep) EVP_CIPHER *cipher = NULL;
	SCOPED(context_freep) EVP_CIPHER_CTX *c = NULL;
	uint8_t last[EVP_MAX_BLOCK_LENGTH];
	int done = 0;

	if (encr->aead || encr->block <= 1 || encr->iv != encr->block || encr->block > sizeof last || !encr->openssl ||
	    key->len != encr->key)
		return diag_fail(d, ERR_CRYPTO, "%s with a key of %zu octets is no cipher of blocks", encr->name,
				 key->len);
	if (n == 0 || n % encr->block != 0 || n > INT_MAX)
		return diag_fail(d, ERR_SYNTAX, "%zu octets are no whole number of %s blocks", n, encr->name);
	memcpy(last, text + n - encr->block, encr->block); /* of what is to be decrypted */
	cipher = EVP_CIPHER_fetch(NULL, encr->openssl, NULL);
	c = EVP_CIPHER_CTX_new();
	if (!cipher || !c || EVP_CipherInit_ex2(c, cipher, key->octets, iv, encrypt, NULL) != 1 ||
	    EVP_CIPHER_CTX_set_padding(c, 0) != 1 || EVP_CipherUpdate(c, text, &done, text, (int)n) != 1 ||
	    (size_t)done != n)
		return diag_fail(d, ERR_UNSUPPORTED, "this libcrypto has no %s", encr->openssl);
	memcpy(iv, encrypt ? text + n - encr->block : last, encr->block);
	return 0;
}
