/* identity/credential.h - this host's own keys and certificates, whom it trusts, and the proofs made and checked with
 * them. Called by daemon/'s workers (any thread: a store is immutable once loaded) and by `cordon pki`. Private keys
 * stay in here. */
#ifndef IDENTITY_CREDENTIAL_H
#define IDENTITY_CREDENTIAL_H
#include "base/crypto.h"
#include "base/scope.h"
#include "identity/peer.h"
#include "policy/policy.h"

struct credential_store;
struct diag;

struct credential_files {        /* as host.yaml names them */
	const char *certificate; /* PEM: end entity, then intermediates */
	const char *key;         /* PEM */
};

struct credential {
	enum auth_kind kind;
	const char *psk_file; /* AUTH_PSK: the name in the policy */
	uint8_t id_type;      /* RFC 7296 3.5: 9 DER_ASN1_DN for certificates with a subject; 0 for AUTH_PSK: the
				 address that the exchange runs from */
	const uint8_t *id;
	size_t id_len;
	const uint8_t *const *chain;
	const size_t *chain_lens;
	size_t chain_count;
	const char *subject; /* for people */
	uint64_t not_after_s;
	const char *key_type; /* "ecdsa-p384", "rsa-2048", "ed25519" */
};

/* Load and check: the key fits the certificate, key files are not readable by others, PSKs are not empty.
 * psk_root: opened in front of the names in psk_files, which are kept as the policy has them, because by those names
 * they are asked for; NULL: none. The lab gives each of its hosts a folder of its own. */
int credential_store_load(const struct credential_files *certificates, size_t certificate_count,
			  const char *const *trust_files, size_t trust_count, const char *psk_root,
			  const char *const *psk_files, size_t psk_count, struct credential_store **ret,
			  struct diag *d);
void credential_store_free(struct credential_store *s); /* wipes */
SCOPE_FREEP(struct credential_store, credential_store)

size_t credential_count(const struct credential_store *s);
const struct credential *credential_get(const struct credential_store *s, size_t number);
/* SHA-1 of the SubjectPublicKeyInfo of each trusted authority. */
size_t credential_authorities(const struct credential_store *s, const uint8_t (**ret)[20]);
/* Can this credential prove what the set asks for (issuer, extended key usage)? If not, why not in words. */
bool credential_satisfies(const struct credential_store *s, size_t number, const struct auth_method *m, struct diag *d);

/* What to announce in SIGNATURE_HASH_ALGORITHMS: SHA2-256, 384, 512 and identity. */
enum { CREDENTIAL_HASHES = 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 };

/* An IKEv2 AUTH payload: method (RFC 7296 3.8; 14 by RFC 7427 when peer_hashes says which hashes the peer takes) and
 * data. psk_prf: for AUTH_PSK. */
int credential_sign(const struct credential_store *s, size_t number, const struct algorithm *psk_prf,
		    uint16_t peer_hashes, const void *octets, size_t len, uint8_t *ret_method, uint8_t *ret, size_t cap,
		    size_t *ret_len, struct diag *d);

/* The peer's proof. The chain's end entity must lead to a trusted authority, satisfy one certificate method of the set
 * (issuer, EKU, validity at now_s), match the claimed ID, and its key must have made the signature. On success *ret
 * says who it is; on failure the diag says what is wrong with which certificate, and what was asked for. */
struct credential_proof {
	const struct auth_set *set;
	uint8_t auth_method;
	uint16_t peer_hashes; /* bit n: the peer announced hash n (RFC 7427 4); 0: none, so SHA-1 passes in method 1 */
	struct octets auth, signed_octets;
	uint8_t id_type;
	struct octets id;
	const struct octets *chain; /* DER */
	size_t chain_count;
	const struct algorithm *psk_prf;
	struct addr remote;
	uint64_t now_s;
};
int credential_verify(const struct credential_store *s, const struct credential_proof *proof, struct peer *ret,
		      struct diag *d);

#endif
