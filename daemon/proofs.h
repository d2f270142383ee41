/* daemon/proofs.h - what this host can prove under a plan: its certificates and the pre-shared keys that the plan's
 * rules ask for, loaded and matched with the policy's authentication sets. */
#ifndef DAEMON_PROOFS_H
#define DAEMON_PROOFS_H
#include "base/mem.h"
#include "daemon/daemon.h"

struct loaded_proofs {
	struct proofs proofs;
	struct arena memory;
};

/* Never fails: what cannot be loaded is said by a warning each and left out; its rules then protect nothing and let
 * nothing through, which is safe. */
void proofs_load(const struct daemon *d, const struct plan *plan, struct loaded_proofs *ret);
void proofs_wipe(struct loaded_proofs *p); /* for SCOPED */

/* One line for each authentication set that a rule of this plan asks for and nothing of this host proves. */
struct str;
void proofs_lacking(const struct plan *plan, const struct proofs *p, struct str *out);

#endif
