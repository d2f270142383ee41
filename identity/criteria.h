/* identity/criteria.h - is a path what a policy's method asks of certificates: issuer, name, extended key usage,
 * thumbprint? Names and usages are those of Windows' certificate criteria. */
#ifndef IDENTITY_CRITERIA_H
#define IDENTITY_CRITERIA_H
#include "identity/chain.h"
#include "policy/policy.h"

struct lineage;

enum criteria_side { CRITERIA_OWN, CRITERIA_PEER }; /* whose certificate it is */

/* `asker` is the set's name, for the words; NULL: the policy. lineage: which own certificates followed which; NULL:
 * none is known. */
int criteria_satisfied(const struct chain *c, const struct auth_method *m, enum criteria_side side,
		       const struct lineage *lineage, const char *asker, struct diag *d);

#endif
