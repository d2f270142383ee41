/* identity/store.h - what credential.c loads and verify.c reads: own keys, anchors, pre-shared keys. */
#ifndef IDENTITY_STORE_H
#define IDENTITY_STORE_H
#include "identity/chain.h"
#include "identity/credential.h"
#include "identity/revocation.h"
#include "identity/signature.h"

enum { PSK_MOST = 1024 };

struct psk {
	char *file; /* the name in the policy */
	uint8_t octets[PSK_MOST];
	size_t len;
};

struct own_certificate {
	char *path, *key_path;
	STACK_OF(X509) * file; /* all that the file holds */
	struct chain chain;    /* to the anchor if we know it, else what the file holds */
	struct signing_key key;
	uint8_t **der; /* what is sent */
	size_t *der_lens;
	size_t der_count;
	uint8_t *id;
	uint8_t authorities[CHAIN_MOST * 2][CREDENTIAL_HASH];
	size_t authority_count;
	char issuer[PEER_TEXT];
	char key_type[KEY_TYPE_TEXT];
};

struct trust_file {
	char *path;
	STACK_OF(X509) * certificates;
};

struct credential_store {
	X509_STORE *anchors;
	uint8_t (*authorities)[CREDENTIAL_HASH];
	size_t authority_count;
	struct trust_file *trust;
	size_t trust_count;
	struct revocation_lists *lists;
	struct own_certificate *certificates;
	size_t certificate_count;
	struct psk *psks;
	size_t psk_count;
	struct credential *credentials; /* certificates, then pre-shared keys */
	const struct lineage *lineage;
};

/* -ENOENT: no such key was loaded. */
int store_psk(const struct credential_store *s, const char *file, const struct psk **ret, struct diag *d);
/* prf(prf(psk, "Key Pad for IKEv2"), message): RFC 7296 2.15. */
int psk_proof(const struct psk *psk, const struct algorithm *prf, const struct octets *message, struct key *ret,
	      struct diag *d);

#endif
