/* identity/trust_wire.h - whom this host trusts and what is revoked, as octets: all that another process needs to judge
 * peers' certificates. Nothing of this host's own goes with it. */
#ifndef IDENTITY_TRUST_WIRE_H
#define IDENTITY_TRUST_WIRE_H
#include "base/wire.h"
#include "identity/credential.h"

enum { TRUST_WIRE_MOST = 256 << 20, TRUST_WIRE_ANCHORS_MOST = 4096 };

void trust_encode(struct wire_out *out, const struct credential_store *s);
/* A store with anchors and lists, and no credential. */
int trust_decode(struct wire_in *in, struct credential_store **ret, struct diag *d);

#endif
