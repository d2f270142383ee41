/* daemon/host/proofs.h - what this host can prove under a plan: its certificates and the pre-shared keys that the
 * plan's rules ask for, loaded and matched with the policy's authentication sets. */
#ifndef DAEMON_HOST_PROOFS_H
#define DAEMON_HOST_PROOFS_H
#include "base/mem.h"
#include "base/str.h"
#include "daemon/daemon.h"

struct loaded_proofs {
	struct proofs proofs;
	struct arena memory;
	struct str strange; /* proofs_strange_keytab */
};

/* Never fails: of what cannot be loaded, what was loaded before stays in use; an event each tells. If there was nothing
 * before, it is left out, and its rules then protect nothing and let nothing through, which is safe. */
void proofs_load(const struct daemon *d, const struct plan *plan, struct loaded_proofs *ret);
void proofs_wipe(struct loaded_proofs *p); /* for SCOPED */

/* For `cordond --check`, which starts no key holder and ends at once: a line on stderr for each file of the page, or of
 * the plan's rules, that cannot be used, and for what proofs_say would tell; how many. */
size_t proofs_check(const struct daemon *d, const struct plan *plan);

/* The files and folders that proofs_load reads; *ret and what it points to are in the arena. */
size_t proofs_files(const struct daemon *d, const struct plan *plan, struct arena *a, const char *const **ret);

/* To the log, a warning each: authentication sets that a rule of the plan asks for and nothing of this host proves, and
 * a strange keytab. */
void proofs_say(const struct loaded_proofs *loaded);
/* Of a keytab that has keys of other machines alone, so that this one would call itself by their name: which, and what
 * it should have. Else nothing is added. */
void proofs_strange_keytab(const struct daemon *d, const struct credential_store *s, struct str *out);
/* Why nothing of the store proves the set, certificate by certificate. keytab: as the page names it, or NULL. */
void proofs_why_not(const struct credential_store *s, const char *keytab, const struct auth_set *set, uint64_t now_s,
		    struct str *out);
/* Of what is in force: each set that nothing of this host proves now, and why. true: some set asks for Kerberos. */
bool proofs_each(const struct daemon *d, void (*each)(void *context, const struct auth_set *set, const char *why),
		 void *context);

#endif
