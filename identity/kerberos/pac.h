/* identity/kerberos/pac.h - what a Kerberos ticket of Active Directory says of its client's groups: the logon
 * information of the privilege attribute certificate (MS-PAC 2.5, KERB_VALIDATION_INFO in NDR). Whoever has the octets
 * must have seen that their signature is right: GSS-API hands out "urn:mspac:logon-info" only then. Pure, and takes
 * anything. */
#ifndef IDENTITY_KERBEROS_PAC_H
#define IDENTITY_KERBEROS_PAC_H
#include "base/crypto.h"
#include "identity/sid.h"

struct diag;

enum { PAC_GROUPS_MOST = 4096 /* of each kind; tickets of 1,024 are the most that Windows makes */ };

/* The SIDs of the account, its primary group, its groups, its SID history and the groups of the resource's domain.
 * Only enabled ones, and none that a ticket can't give (those that every host makes up for itself: BUILTIN, Everyone,
 * integrity levels). On an error there are none, and the words say what is wrong with the ticket. */
int pac_logon_info_decode(struct octets value, struct sid_list *ret, struct diag *d);

#endif
