/* identity/pki.h - a small certificate authority in a folder, for labs and small networks: `cordon pki` and the lab.
 * DIR/ca.pem and DIR/ca.key are the authority; each host gets NAME.pem and NAME.key. */
#ifndef IDENTITY_PKI_H
#define IDENTITY_PKI_H
#include "base/addr.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct diag;
struct str;

enum pki_key { PKI_ECDSA_P384, PKI_ECDSA_P256, PKI_RSA_3072, PKI_ED25519, PKI_KEYS };
const char *pki_key_name(enum pki_key k);
bool pki_key_by_name(const char *name, enum pki_key *ret);

enum { PKI_AUTHORITY_DAYS = 3650, PKI_HOST_DAYS = 730, PKI_PATH = 4096, PKI_LIST_MOST = 64 };

/* Make the folder, its key and its certificate. `name` is a distinguished name: write the one that the policy's
 * `issuer` asks for. Refuses a folder that has an authority. */
int pki_init(const char *dir, const char *name, enum pki_key key, unsigned days, struct diag *d);

struct pki_request {
	const char *name; /* of the host; also the file name, and CN=name unless `subject` is given */
	const char *subject;
	const struct addr *addresses;
	size_t address_count;
	const char *const *dns; /* none: the host's name, if it can be one */
	size_t dns_count;
	const char *const *ekus; /* names or numbers; none: ike-intermediate, ipsecIKE, serverAuth, clientAuth */
	size_t eku_count;
	enum pki_key key;
	unsigned days;
	bool replace; /* overwrite the files that are there */
};

struct pki_issued {
	char certificate[PKI_PATH], key[PKI_PATH];
	char subject[256], issuer[256];
	int64_t not_after_s; /* no later than the authority's own */
};
/* The key file is readable by its owner alone; both files appear whole or not at all. out_dir is made if need be. */
int pki_issue(const char *dir, const struct pki_request *r, const char *out_dir, struct pki_issued *ret,
	      struct diag *d);

/* The authority's revocation list of today, good for `days`, with nobody on it: PEM, added to *out. */
int pki_revocations(const char *dir, unsigned days, struct str *out, struct diag *d);

/* The subject of the first certificate of a PEM file, as a policy's `issuer` names it. */
int pki_subject(const char *path, char *ret, size_t cap, struct diag *d);

/* What the certificates of a PEM file say, for people. */
int pki_show(const char *path, int64_t now_s, struct str *out, struct diag *d);

#endif
