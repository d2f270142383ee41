/* identity/chain.h - from a certificate to an authority that we trust. Whether that path is what a policy asks for is
 * in criteria.h, whether any of it has been revoked in revocation.h. Stores are shared by threads and never changed
 * after loading. */
#ifndef IDENTITY_CHAIN_H
#define IDENTITY_CHAIN_H
#include "base/crypto.h"
#include "base/scope.h"
#include "identity/handle.h"
#include "identity/peer.h"

struct diag;

enum { CHAIN_MOST = 8, CERTIFICATE_MOST = 16 * 1024 }; /* what a peer may send: certificates, and octets of each */

struct chain {
	STACK_OF(X509) * path; /* end entity first, the anchor last */
	char subject[PEER_TEXT];
};
void chain_wipe(struct chain *c);

X509_STORE *chain_store_new(void);

/* Read what a peer sent, in any order but for the first, which is its own: every octet of that one must belong to a
 * certificate, with a key of a kind that we deal with. Others that are malformed or have another kind of key are left
 * out; if they were needed, the path ends there. */
int chain_read(const struct octets *der, size_t count, STACK_OF(X509) * *ret, struct diag *d);

/* Lead the first certificate to an anchor in the store: signatures, validity at now_s, authority flags, path length,
 * name constraints, strength. now_s 0: whatever the time. */
int chain_build(X509_STORE *store, STACK_OF(X509) * certificates, uint64_t now_s, struct chain *ret, struct diag *d);

#endif
