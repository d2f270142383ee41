/* identity/credential.h - what this host can prove itself with, whom it trusts, and whether a peer's certificates prove
 * it. Public data only: of private and pre-shared keys it knows that the key holder has them (identity/keyring.h).
 * Called by daemon/'s workers (any thread: a store is immutable once loaded, but for what its revocation lists
 * remember, which is locked) and by `cordon pki`. */
#ifndef IDENTITY_CREDENTIAL_H
#define IDENTITY_CREDENTIAL_H
#include "base/crypto.h"
#include "base/scope.h"
#include "identity/peer.h"
#include "policy/policy.h"

struct credential_store;
struct diag;
struct keytab_told;
struct lineage;
struct revocation_lists;
struct revocation_verdict;

enum {
	CREDENTIAL_CHAIN_MOST = 8, /* certificates that a peer may send; that a path may have */
	CREDENTIAL_HASH = 20,      /* SHA-1, by which CERTREQ names authorities */
};

struct credential_files {        /* as host.yaml names them */
	const char *certificate; /* PEM: end entity, then intermediates */
	const char *key;         /* PEM */
};

struct credential {
	/* The same for the same certificate, or the same key's file, whenever it is loaded; another for others. */
	uint32_t number;
	enum auth_kind kind;
	const char *psk_file; /* AUTH_PSK: the name in the policy */
	uint8_t id_type;      /* RFC 7296 3.5: 9 DER_ASN1_DN for certificates with a subject; 0 for AUTH_PSK: the
				 address that the exchange runs from */
	const uint8_t *id;
	size_t id_len;
	const uint8_t *const *chain;
	const size_t *chain_lens;
	size_t chain_count;
	const char *subject, *issuer;     /* for people; AUTH_KERBEROS: the principal that this host calls itself by */
	const char *path;                 /* the certificate's file, or the keytab's */
	const struct keytab_told *keytab; /* AUTH_KERBEROS */
	uint64_t not_before_s, not_after_s;
	const char *key_type; /* "ecdsa-p384", "rsa-2048", "ed25519" */
	/* The authorities that it leads to: SHA-1 of the SubjectPublicKeyInfo of each. */
	const uint8_t (*authorities)[CREDENTIAL_HASH];
	size_t authority_count;
	/* Bit n: hash n will do, if the peer announces any (RFC 7427 4). silent: it will also do for a peer that
	 * announces none. */
	uint16_t hashes;
	bool silent;
	/* Of before the last loading, and no longer there: it ends what has begun with it, and begins nothing. */
	bool retired;
};

/* Who holds the private and pre-shared keys and the keytab. It is asked for each while the store is loaded. */
struct keyring_item;
struct credential_holder {
	/* Take what is in the item's file; of a keytab, tell what it holds: of one that is taken unseen, nothing.
	 * *ret_fits: to which of the item's public keys it belongs. */
	int (*load)(void *context, const struct keyring_item *item, size_t *ret_fits, struct diag *d);
	/* Go on with what there was under that number before. */
	int (*keep)(void *context, uint32_t number, unsigned uses, struct diag *d);
	void *context;
};

struct credential_sources {
	const struct credential_holder *holder; /* NULL: nobody is asked, all keys are taken to be there */
	const struct credential_files *certificates;
	size_t certificate_count;
	const char *const *trust; /* PEM: authorities, and revocation lists */
	size_t trust_count;
	const char *const *revocation_lists; /* PEM or DER; of a folder, every file in it */
	size_t revocation_list_count;
	/* Opened in front of the names of pre-shared keys, which are kept as the policy has them, because by those
	 * names they are asked for; NULL: none. The lab gives each of its hosts a folder of its own. */
	const char *psk_root;
	const char *const *psks;
	size_t psk_count;
	const char *const *ppks; /* post-quantum ones; a file may be both */
	size_t ppk_count;
	const char *keytab;            /* NULL: none */
	const struct lineage *lineage; /* outlives the store; NULL: renewals are not known */
};

/* A file that cannot be used: it is passed over; kept: what a former loading had of it is used instead. */
typedef void credential_bad(void *context, const char *path, const char *why, bool kept);

/* Load and check: the key fits the certificate, and the holder has taken each key.
 * before: the store to take from what cannot be loaded now; NULL: none. bad NULL: the first such file is a failure. */
int credential_store_load(const struct credential_sources *from, const struct credential_store *before,
			  credential_bad *bad, void *context, struct credential_store **ret, struct diag *d);
void credential_store_free(struct credential_store *s);
SCOPE_FREEP(struct credential_store, credential_store)

size_t credential_count(const struct credential_store *s);
const struct credential *credential_get(const struct credential_store *s, size_t index);
/* false: there is none with that number. */
bool credential_find(const struct credential_store *s, uint32_t number, size_t *ret_index);
/* Why the keytab's file cannot be used as it is now, even if what it held before goes on being used; NULL: it can, or
 * none is named. */
const char *credential_keytab_failure(const struct credential_store *s);
/* SHA-1 of the SubjectPublicKeyInfo of each trusted authority. */
size_t credential_authorities(const struct credential_store *s, const uint8_t (**ret)[CREDENTIAL_HASH]);
/* The lists that were in files. */
struct revocation_lists *credential_lists(const struct credential_store *s);
/* Is this credential what the method asks for? If not, why not in words. */
bool credential_satisfies(const struct credential_store *s, size_t index, const struct auth_method *m, struct diag *d);
/* Can it be used at that time: is everything on its path valid, and nothing known to be revoked? */
bool credential_is_good(const struct credential_store *s, size_t index, uint64_t now_s, struct diag *d);
/* Remember the own certificates; true: some are new. */
bool credential_note_lineage(const struct credential_store *s, struct lineage *l);

/* Everything that ends some day and takes an own certificate with it: those themselves, and their authorities. */
struct credential_end {
	char subject[PEER_TEXT], of[PEER_TEXT]; /* of: the own certificate */
	uint64_t not_after_s;
	uint8_t digest[32];
	bool authority;
};
size_t credential_ends(const struct credential_store *s, struct credential_end *rows, size_t cap);

/* What to announce in SIGNATURE_HASH_ALGORITHMS: SHA2-256, 384, 512 and identity. */
enum { CREDENTIAL_HASHES = 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 };

/* Under which number the holder has the pre-shared key that a policy calls by that name. */
uint32_t credential_psk_number(const char *file);

/* The peer's proof. The chain's end entity must lead to a trusted authority, satisfy one certificate method of the set
 * (issuer, names, EKU, validity at now_s), match the claimed ID, and its key must have made the signature; and it must
 * not be revoked, as far as the method asks for that. On success *ret says who it is; on failure the diag says what is
 * wrong with which certificate, and what was asked for. */
struct credential_proof {
	const struct auth_set *set;
	uint8_t auth_method;
	bool ikev1;           /* signed_octets are HASH_I or HASH_R, auth_method is IKEv1's */
	uint16_t peer_hashes; /* bit n: the peer announced hash n (RFC 7427 4); 0: none, so SHA-1 passes in method 1 */
	struct octets auth, signed_octets;
	uint8_t id_type;
	struct octets id;
	const struct octets *chain; /* DER */
	size_t chain_count;
	uint16_t other_encodings;         /* bit n: the peer also sent a certificate in encoding n (RFC 7296 3.6) */
	struct revocation_lists *fetched; /* beside those of the store; NULL: none */
	/* NULL: what is unknown is unknown. Else, if all but that is well, and lists can be had somewhere: -EAGAIN,
	 * with where. No place is named for a peer that has not proven that it has the certificate's key. */
	struct revocation_verdict *ret_unknown;
	struct addr remote;
	uint64_t now_s;
};
int credential_verify(const struct credential_store *s, const struct credential_proof *proof, struct peer *ret,
		      struct diag *d);

/* A proof by pre-shared key (method 2) is for the holder to judge (keyring_prove): with which keys, and what comes of
 * its answer. Returns how many numbers there are, or negative: the set asks for no pre-shared key. */
enum { CREDENTIAL_PSKS_MOST = 32 };
int credential_psks_of(const struct auth_set *set, uint32_t ret[CREDENTIAL_PSKS_MOST], struct diag *d);
/* answer: 0, -EKEYREJECTED, -ENOENT (lacks: of which one), or another failure whose words are in *d. */
int credential_psk_verdict(const struct credential_proof *proof, int answer, size_t lacks, struct peer *ret,
			   struct diag *d);

/* A peer that a Kerberos context has proven, by its principal: does a method of the set take its realm? */
int credential_kerberos_verdict(const struct auth_set *set, const struct peer *peer, struct diag *d);

/* Would the certificates of a peer that has proven itself be taken today? Of revocation only what is known counts: an
 * SA does not end because a list could not be had. */
int credential_review(const struct credential_store *s, const struct credential_proof *proof, struct diag *d);

#endif
