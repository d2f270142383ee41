#include "base/hmac.h"

#include "base/scope.h"

#include <nettle/hmac.h>
#include <nettle/nettle-meta.h>
#include <string.h>

bool hmac_init(struct hmac *h, const char *digest, const void *key, size_t key_len)
{
	const struct {
		const char *name;
		const struct nettle_hash *hash;
	} rows[] = {
		{ "SHA256", &nettle_sha256 }, { "SHA384", &nettle_sha384 }, { "SHA512", &nettle_sha512 },
		{ "SHA1", &nettle_sha1 },     { "MD5", &nettle_md5 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (strcmp(rows[i].name, digest) != 0)
			continue;
		h->hash = rows[i].hash;
		hmac_set_key(&h->outer, &h->inner, &h->state, h->hash, key_len, key);
		return true;
	}
	return false;
}

size_t hmac_octets(const struct hmac *h)
{
	return h->hash->digest_size;
}

void hmac_add(struct hmac *h, const void *octets, size_t n)
{
	if (n)
		hmac_update(&h->state, h->hash, n, octets);
}

void hmac_end(struct hmac *h, uint8_t *ret, size_t n)
{
	hmac_digest(&h->outer, &h->inner, &h->state, h->hash, n, ret);
}

void hmac_wipe(struct hmac *h)
{
	explicit_bzero(h, sizeof *h);
}
