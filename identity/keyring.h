/* identity/keyring.h - the secrets that this host proves itself with, and all that is done with them: signatures,
 * proofs by a pre-shared key, mixing in a post-quantum one. Held by the key holder's process alone; whoever asks it
 * gets results and no octet of a secret. The public side of the same things is identity/credential.h; the two know each
 * other by numbers.
 *
 * One thread fills a ring; then it is immutable, and any thread may use it. */
#ifndef IDENTITY_KEYRING_H
#define IDENTITY_KEYRING_H
#include "base/crypto.h"
#include "base/scope.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct algorithm;
struct key;
struct credential_holder;
struct diag;
struct keytab;
struct keytab_told;
struct keyring;

/* What a secret may be used for: none does another's work, whoever asks. */
enum keyring_use {
	KEYRING_SIGN = 1,   /* private key */
	KEYRING_PROVE = 2,  /* pre-shared key */
	KEYRING_MIX = 4,    /* post-quantum pre-shared key */
	KEYRING_KEYTAB = 8, /* Kerberos, by identity/kerberos/kerberos.h */
};
enum { KEYRING_SECRETS_MOST = 4096, KEYRING_PUBLICS_MOST = 16, KEYRING_PSK_MOST = 1024 };

struct keyring_item {
	uint32_t number; /* as in struct credential */
	unsigned uses;
	const char *path;             /* for people */
	const struct octets *publics; /* KEYRING_SIGN: the certificates' keys (DER), in the order of their file */
	size_t public_count;
	struct keytab_told *told; /* KEYRING_KEYTAB: what it holds is told here; NULL: it is not wanted */
};

struct keyring *keyring_new(void);
void keyring_free(struct keyring *k); /* wipes; or NULL */
SCOPE_FREEP(struct keyring, keyring)

/* Add what the file holds. *ret_fits: KEYRING_SIGN: to which of the public keys the private one belongs; it is kept
 * only if that is the first. public_count: none. */
int keyring_load(struct keyring *k, const struct keyring_item *item, int fd, size_t *ret_fits, struct diag *d);
/* Add what `before` has under that number. -ENOENT: it has nothing. */
int keyring_keep(struct keyring *k, const struct keyring *before, uint32_t number, unsigned uses, struct diag *d);
size_t keyring_count(const struct keyring *k);
/* The keytab, until the ring is freed; NULL: there is none. */
const struct keytab *keyring_keytab(const struct keyring *k);
/* "private key", "keytab", "pre-shared key". */
const char *keyring_what(unsigned uses);
/* Do signatures of that one take so long that others should not wait for them? */
bool keyring_is_slow(const struct keyring *k, uint32_t number);

/* Is it what IKE_AUTH signs (RFC 7296 2.15): a first message whole, a nonce, a PRF's output? Nothing else is signed for
 * another process, so that a key which also serves TLS or a certificate request cannot be made to do that work. */
bool keyring_may_sign(const struct octets *octets);

/* IKEv1: a hash to be signed is as long as a PRF's output. None of these lengths is that of a DigestInfo, so a plain
 * RSA signature over one is never one that TLS or a certificate would take. And the two nonces that SKEYID is made of:
 * with one of ours they are far longer than what IKEv2 pads a key with. */
bool keyring_may_sign_hash(const struct octets *hash);
bool keyring_may_sign_keyed(const struct algorithm *prf, size_t key_len, const struct octets *octets);
bool keyring_may_make_skeyid(const struct octets *nonces);

/* An IKEv2 AUTH payload: method (RFC 7296 3.8; 14 by RFC 7427 when peer_hashes says which hashes the peer takes) and
 * data. prf: for pre-shared keys. */
struct keyring_proof {
	uint8_t method;
	size_t len;
	uint8_t auth[2048];
};
int keyring_sign(const struct keyring *k, uint32_t number, const struct algorithm *prf, uint16_t peer_hashes,
		 const struct octets *octets, struct keyring_proof *ret, struct diag *d);
/* IKEv1: a signature over HASH_I or HASH_R; prf(the pre-shared key, both nonces), which is SKEYID (RFC 2409 5). */
int keyring_sign_hash(const struct keyring *k, uint32_t number, const struct octets *hash, struct keyring_proof *ret,
		      struct diag *d);
/* The same by ECDSA, which signs what is as long as a hash as it is, so that a hash made elsewhere could be one of TLS
 * or of a certificate request. It is made here: prf(key, octets), by HMAC of SHA-2. Whoever chooses key and octets has
 * then signed H(outer || H(inner || octets)). Of that, the outer block is theirs as far as the key reaches (it is
 * SKEYID, by main mode's own PRF, which is another than the curve's; with SHA-512's under SHA-256 that is the whole
 * block), and what follows is a hash that they cannot choose, and nothing else: 96, 176 or 192 octets, the last 32, 48
 * or 64 without a meaning. We know no message of TLS, certificate or request for one that is as short and ends so.
 * keyring_may_sign_keyed holds both to what IKEv1 has there. */
int keyring_sign_keyed(const struct keyring *k, uint32_t number, const struct algorithm *prf, const struct key *key,
		       const struct octets *octets, struct keyring_proof *ret, struct diag *d);
int keyring_skeyid(const struct keyring *k, uint32_t number, const struct algorithm *prf, const struct octets *nonces,
		   struct key *ret, struct diag *d);
/* Does one of the pre-shared keys make that AUTH over the octets? 0: yes; -EKEYREJECTED: no; -ENOENT: *ret_lacks of
 * them is not held. The right AUTH stays in here. */
int keyring_prove(const struct keyring *k, const uint32_t *numbers, size_t n, const struct algorithm *prf,
		  const struct octets *octets, const struct octets *auth, size_t *ret_lacks, struct diag *d);
/* prf+ of the post-quantum pre-shared key over each key, in place (RFC 8784 3). */
int keyring_mix(const struct keyring *k, uint32_t number, const struct algorithm *prf, struct key *const *keys,
		size_t n, struct diag *d);

/* For a program that holds its keys itself (tests, benches): files are opened and loaded into the ring. before: what
 * may be kept; NULL: nothing. *ret refers to *l. */
struct keyring_loading {
	struct keyring *ring;
	const struct keyring *before;
};
void keyring_holder(struct keyring_loading *l, struct credential_holder *ret);

#endif
