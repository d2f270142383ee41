/* base/hmac.h - HMAC keyed once and used for many messages, for crypto.h's own files. By nettle: its contexts are plain
 * values, so that a packet costs no allocation (docs/decisions/crypto-libraries.md has the figures). */
#ifndef BASE_HMAC_H
#define BASE_HMAC_H
#include <nettle/md5.h>
#include <nettle/sha1.h>
#include <nettle/sha2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nettle_hash;

union hmac_state {
	struct md5_ctx md5;
	struct sha1_ctx sha1;
	struct sha256_ctx sha256;
	struct sha512_ctx sha512;
};

struct hmac {
	const struct nettle_hash *hash;
	union hmac_state outer, inner, state;
};

/* false: no such digest ("SHA256" as in the algorithm table). */
bool hmac_init(struct hmac *h, const char *digest, const void *key, size_t key_len);
size_t hmac_octets(const struct hmac *h); /* of the whole output */
void hmac_add(struct hmac *h, const void *octets, size_t n);
/* The first n octets of the value; then ready for the next message under the same key. */
void hmac_end(struct hmac *h, uint8_t *ret, size_t n);
void hmac_wipe(struct hmac *h);

#endif
