/* identity/store.h - what credential.c loads and verify.c reads: own certificates, anchors. No secret. */
#ifndef IDENTITY_STORE_H
#define IDENTITY_STORE_H
#include "identity/chain.h"
#include "identity/credential.h"
#include "identity/kerberos/keytab.h"
#include "identity/revocation.h"
#include "identity/signature.h" /* KEY_TYPE_TEXT */

struct psk {
	char *file; /* the name in the policy */
	unsigned uses;
};

struct own_keytab {
	char *path;    /* NULL: there is none */
	char *failure; /* why what is in the file now is not used; NULL: it is, or none is named */
	struct keytab_told told;
};

struct own_certificate {
	char *path, *key_path;
	STACK_OF(X509) * file; /* all that the file holds */
	struct chain chain;    /* to the anchor if we know it, else what the file holds */
	uint8_t **der;         /* what is sent */
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
	struct own_keytab keytab;
	struct credential *credentials; /* certificates, then pre-shared keys, then the keytab */
	const struct lineage *lineage;
};

#endif
