/* identity/signature.h - the signatures of IKE's AUTH payloads: RSA (method 1, RFC 7296 3.8), ECDSA (9 to 11, RFC 4754)
 * and any algorithm by its identifier (14, RFC 7427). What is refused: SHA-1 by identifier, RSA under 2048 bits, other
 * curves; SHA-1 in method 1 unless the peer announced no hashes, because then it can do no better. */
#ifndef IDENTITY_SIGNATURE_H
#define IDENTITY_SIGNATURE_H
#include "base/crypto.h"
#include "base/key.h"
#include <openssl/types.h>

struct diag;

enum {
	AUTH_RSA = 1,
	AUTH_SHARED_KEY = 2,
	AUTH_ECDSA_256 = 9,
	AUTH_ECDSA_384 = 10,
	AUTH_ECDSA_521 = 11,
	AUTH_DIGITAL = 14
};
enum { HASH_SHA1 = 1, HASH_SHA256 = 2, HASH_SHA384 = 3, HASH_SHA512 = 4, HASH_IDENTITY = 5 }; /* RFC 7427 7, 8420 */

enum { KEY_TYPE_TEXT = 24 };

/* Is it a key that we deal with: RSA of 2048 to 8192 bits with a sound exponent, P-256, P-384, P-521, Ed25519, Ed448?
 * Says its type ("rsa-3072", "ecdsa-p384"); `whose` begins the words of a refusal. */
int signature_key_check(EVP_PKEY *key, const char *whose, char ret_type[KEY_TYPE_TEXT], struct diag *d);

/* Shared by threads once made. */
struct signing_key {
	EVP_PKEY *key;
	struct key p384; /* the private number, for base/p384.h; else empty */
};
/* Takes a reference; also after a failure the key is to be wiped. */
int signing_key_init(struct signing_key *k, EVP_PKEY *key, struct diag *d);
void signing_key_wipe(struct signing_key *k);

/* Of which announced hashes one must be there for signature_make with that key; *ret_silent: a peer that announces none
 * will do. */
uint16_t signature_hashes(EVP_PKEY *key, bool *ret_silent);

/* peer_hashes: bit n for hash n that the peer announced; 0: it announced none. */
int signature_make(const struct signing_key *k, uint16_t peer_hashes, const struct octets *message, uint8_t *ret_method,
		   uint8_t *ret, size_t cap, size_t *ret_len, struct diag *d);
int signature_check(EVP_PKEY *key, uint16_t peer_hashes, uint8_t method, const struct octets *auth,
		    const struct octets *message, struct diag *d);

/* IKEv1: over HASH_I or HASH_R, which is what a PRF gave. RSA (RFC 2409's method 3) signs it as it is, PKCS #1 v1.5
 * without DigestInfo (5.1); ECDSA (9 to 11) signs its digest by the curve's hash (RFC 4754). Other keys have no number
 * there. */
enum { SIGNATURE_V1_RSA = 3 };
/* Whoever holds the key may let another make what it signs: RSA, where what is padded is like nothing else. */
bool signature_v1_takes_hashes(const struct signing_key *k);
uint8_t signature_v1_method(const char *key_type); /* of a key that signature_key_check calls so; 0: none */
int signature_make_v1(const struct signing_key *k, const struct octets *hash, uint8_t *ret_method, uint8_t *ret,
		      size_t cap, size_t *ret_len, struct diag *d);
int signature_check_v1(EVP_PKEY *key, uint8_t method, const struct octets *auth, const struct octets *hash,
		       struct diag *d);

/* ECDSA by P-384, DER as in certificates; -1: the key is of another curve. For chain.c. */
int signature_p384_der(EVP_PKEY *key, const uint8_t *digest, size_t digest_len, const struct octets *der);

#endif
