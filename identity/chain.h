/* identity/chain.h - from a certificate to an authority that we trust, and whether that path is what a policy asks for.
 * Stores are shared by threads and never changed after loading. */
#ifndef IDENTITY_CHAIN_H
#define IDENTITY_CHAIN_H
#include "base/crypto.h"
#include "base/scope.h"
#include "identity/handle.h"
#include "identity/peer.h"
#include "policy/policy.h"

struct diag;

enum { CHAIN_MOST = 8, CERTIFICATE_MOST = 16 * 1024 }; /* what a peer may send: certificates, and octets of each */

struct chain {
	STACK_OF(X509) * path; /* end entity first, the anchor last */
	char subject[PEER_TEXT];
	bool revoked;            /* some certificate of the path is on a list that we have */
	bool revocation_unknown; /* we have no current list of the end entity's issuer */
};
void chain_wipe(struct chain *c);

X509_STORE *chain_store_new(void);

/* Read what a peer sent. Every octet must belong to a certificate, and every key be of a kind that we deal with. */
int chain_read(const struct octets *der, size_t count, STACK_OF(X509) * *ret, struct diag *d);

/* Lead the first certificate to an anchor in the store: signatures, validity at now_s, authority flags, path length,
 * name constraints, strength. now_s 0: whatever the time. */
int chain_build(X509_STORE *store, STACK_OF(X509) * certificates, uint64_t now_s, struct chain *ret, struct diag *d);

/* Is the path what the method asks for: issuer, extended key usage, revocation? `asker` is the set's name, for the
 * words; NULL: the policy. */
int chain_satisfies(const struct chain *c, const struct auth_method *m, const char *asker, struct diag *d);

#endif
