/* base/crypto.h - the thin wrapper on libcrypto, nettle and intel-ipsec-mb (which does what:
 * docs/decisions/crypto-libraries.md). Every use of a cipher, hash, key exchange or random number goes through here.
 * Knows algorithms, not IPsec. Fails closed: an error leaves outputs untouched or wiped. Any thread may call; a seal
 * belongs to one at a time. */
#ifndef BASE_CRYPTO_H
#define BASE_CRYPTO_H
#include "base/key.h"
#include "base/scope.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct algorithm;
struct diag;

enum { DIGEST_MAX = 64 };

/* A piece of input; several make one message without copying. */
struct octets {
	const void *at;
	size_t len;
};

int crypto_random(void *to, size_t n, struct diag *d);

/* A digest by libcrypto name ("SHA256"). Returns its length in *ret_len. */
int crypto_digest(const char *name, const struct octets *parts, size_t n, uint8_t ret[DIGEST_MAX], size_t *ret_len,
		  struct diag *d);

/* prf(key, parts) of a PRF or integrity row of the algorithm table; `ret` gets the whole output. */
int crypto_prf(const struct algorithm *prf, const void *key, size_t key_len, const struct octets *parts, size_t n,
	       struct key *ret, struct diag *d);
/* prf+ (RFC 7296 2.13): ret_len octets, at most 255 blocks. */
int crypto_prf_plus(const struct algorithm *prf, const struct key *key, const struct octets *seed, size_t n,
		    uint8_t *ret, size_t ret_len, struct diag *d);

/* Who does AES-GCM: "intel-ipsec-mb 1.3.0 by AVX512", found out and tried once, by the first who asks or makes a seal.
 * NULL: libcrypto, and *d says why. crypto_gcm_broken: because it gave wrong answers. */
const char *crypto_gcm(struct diag *d);
bool crypto_gcm_broken(void);

/* Cipher and integrity of one direction, keyed once, used for many packets. Not for two threads at once. encr may be
 * NULL or the null cipher, integ NULL with AEAD. The key is KEYMAT in its order: cipher key, salt; integrity key apart.
 */
struct seal;
int seal_new(const struct algorithm *encr, const struct key *encr_key, const struct algorithm *integ,
	     const struct key *integ_key, struct seal **ret, struct diag *d);
/* Give the keyed contexts back, which are ten times as large as the keys; the next packet makes them anew. */
void seal_cool(struct seal *s);
void seal_free(struct seal *s);
SCOPE_FREEP(struct seal, seal)
/* Encrypt text[0..n) in place and write the check value (algorithm's icv octets) to icv.
 * aad is what the AEAD authenticates before the text. With separate integrity the check value is over: covered (one
 * run of octets that holds header, IV and text as they will be on the wire), then `behind` (ESN's high half), which for
 * an AEAD are not used. iv has the algorithm's iv octets. */
struct sealed {
	const uint8_t *iv;
	const uint8_t *from; /* closing: where the clear text stands; NULL: in place */
	uint8_t *text;
	size_t text_len;
	struct octets aad;
	struct octets covered, behind;
	uint8_t *icv;
};
int seal_close(struct seal *s, const struct sealed *packet, struct diag *d);
/* Check first, then decrypt in place. -ERR_CRYPTO if the check value is wrong; the text is then not to be used. */
int seal_open(struct seal *s, const struct sealed *packet, struct diag *d);

/* CBC without integrity, in place: for IKEv1, which has its hashes inside. iv: encr->block octets, afterwards the last
 * block of what is encrypted, with which the next message begins. */
int crypto_cbc(const struct algorithm *encr, const struct key *key, uint8_t *iv, uint8_t *text, size_t n, bool encrypt,
	       struct diag *d);

/* Key exchange. private is opaque to the caller (the table's key octets, at most KEY_MAX). */
int crypto_ke_generate(const struct algorithm *group, struct key *ret_private, uint8_t *ret_public, size_t cap,
		       size_t *ret_len, struct diag *d);
/* The shared secret, padded as the group's RFC says. A public value of the wrong length, not on the curve, in a small
 * subgroup, or that gives all zeroes is refused with -ERR_CRYPTO. MODP secrets exceed a struct key: octets, wiped by
 * the caller. */
int crypto_ke_derive(const struct algorithm *group, const struct key *private, const uint8_t *peer, size_t peer_len,
		     uint8_t *ret, size_t cap, size_t *ret_len, struct diag *d);

#endif
