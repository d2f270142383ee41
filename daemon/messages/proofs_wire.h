/* daemon/messages/proofs_wire.h - what this host can prove, and whom it trusts, on its way to keying: public data, and
 * the secret by which peers notice that keying began anew. Sets and files of the policy go by their place in it. */
#ifndef DAEMON_MESSAGES_PROOFS_WIRE_H
#define DAEMON_MESSAGES_PROOFS_WIRE_H
#include "base/mem.h"
#include "base/wire.h"
#include "daemon/keying/driver.h"
#include "policy/policy.h"

struct diag;

enum { PROOFS_WIRE_MOST = 320 << 20 };

int proofs_seal(const struct proofs *p, const struct policy *policy, struct diag *d); /* memory_file.h */

/* Refers to the policy; the rest is in the memory. */
struct received_proofs {
	struct proofs proofs;
	struct arena memory;
};
int proofs_receive(int fd, const struct policy *policy, struct received_proofs *ret, struct diag *d);
int proofs_decode(struct wire_in *in, const struct policy *policy, struct received_proofs *ret, struct diag *d);
void received_proofs_wipe(struct received_proofs *p); /* for SCOPED */

#endif
