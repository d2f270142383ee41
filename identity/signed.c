#include "identity/signed.h"

#include "base/crypto.h"

#include <pthread.h>
#include <string.h>

/* By the digest's first octets; SHA-256 is not to be steered into a place. */
static uint8_t known[SIGNED_MOST][SIGNED_DIGEST];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

bool signed_digest(X509 *certificate, EVP_PKEY *issuer, uint8_t ret[SIGNED_DIGEST])
{
	uint8_t *der = NULL, *key = NULL, digest[DIGEST_MAX];
	int der_len = i2d_X509(certificate, &der), key_len = i2d_PUBKEY(issuer, &key);
	size_t len = 0;
	bool made = false;

	if (der_len > 0 && key_len > 0) {
		/* The key first: its own encoding says how long it is. */
		const struct octets parts[] = { { key, (size_t)key_len }, { der, (size_t)der_len } };

		made = crypto_digest("SHA256", parts, 2, digest, &len, NULL) == 0 && len == SIGNED_DIGEST;
	}
	if (made)
		memcpy(ret, digest, SIGNED_DIGEST);
	OPENSSL_free(der);
	OPENSSL_free(key);
	return made;
}

static uint8_t *place(const uint8_t digest[SIGNED_DIGEST])
{
	return known[((unsigned)digest[0] << 8 | digest[1]) % SIGNED_MOST];
}

bool signed_known(const uint8_t digest[SIGNED_DIGEST])
{
	bool is;

	(void)pthread_mutex_lock(&lock);
	is = memcmp(place(digest), digest, SIGNED_DIGEST) == 0;
	(void)pthread_mutex_unlock(&lock);
	return is;
}

void signed_remember(const uint8_t digest[SIGNED_DIGEST])
{
	(void)pthread_mutex_lock(&lock);
	memcpy(place(digest), digest, SIGNED_DIGEST);
	(void)pthread_mutex_unlock(&lock);
}
