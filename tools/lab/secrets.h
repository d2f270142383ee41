/* tools/lab/secrets.h - the twin's credentials: for every authentication set of the policy, the authority that it names
 * and a certificate with the usage that it asks for, or a random pre-shared key, on each host that is to hold it. */
#ifndef TOOLS_LAB_SECRETS_H
#define TOOLS_LAB_SECRETS_H
#include "base/scope.h"
#include "policy/policy.h"
#include <stddef.h>

struct diag;
struct secrets;
struct str;

/* Makes the authorities, in folders below `folder`, and the pre-shared keys. */
int secrets_new(const struct policy *p, const char *folder, struct secrets **ret, struct diag *d);
void secrets_free(struct secrets *s); /* wipes */
SCOPE_FREEP(struct secrets, secrets)

size_t secrets_certificates(const struct secrets *s); /* issued so far */

/* Write what the host is to hold below `root`, the folder that stands for its /, and add to its page where that is.
 * account: the DNS name of its account in the directory, for certificates that are mapped to it; NULL: it has none. */
int secrets_issue(struct secrets *s, const struct host *h, const char *account, const char *root, struct str *page,
		  struct diag *d);

#endif
