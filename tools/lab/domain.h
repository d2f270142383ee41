/* tools/lab/domain.h - the Active Directory domain that a policy speaks of: what it is called, which host answers for
 * it, and what its machines are called there. Pure; the lab builds it (directory.h) and gives hosts their part
 * (member.c). Inside tools/lab/ only. */
#ifndef TOOLS_LAB_DOMAIN_H
#define TOOLS_LAB_DOMAIN_H
#include "policy/policy.h"
#include <stdbool.h>
#include <stddef.h>

struct diag;
struct str;

enum { DOMAIN_NAME = 200, DOMAIN_ACCOUNT = 16, DOMAIN_HOST = DOMAIN_NAME + DOMAIN_ACCOUNT };

struct domain {
	const struct policy *policy;
	const struct host *controller; /* NULL: there is no domain */
	size_t controller_index;       /* among the policy's hosts */
	struct addr address;           /* the controller's */
	bool dns;                      /* it answers names too */
	char realm[DOMAIN_NAME];       /* BIGFIRM.COM */
	char name[DOMAIN_NAME];        /* bigfirm.com */
	char netbios[DOMAIN_ACCOUNT];  /* BIGFIRM */
};

/* No host with role kdc, or nobody asks for Kerberos: ret->controller is NULL, and 0 returned. */
int domain_of(const struct policy *p, struct domain *ret, struct diag *d);
/* Is there no domain although the policy asks for one? In words, with what to do. */
bool domain_lacks(const struct domain *m, struct str *out);

/* Is its name one that DNS can have? Those with an account have such names. */
bool domain_can_name(const struct host *h);
/* Has the host an account? The controller, whoever may prove itself by Kerberos or by a certificate that stands
 * for an account, and members of directory groups. */
bool domain_has(const struct domain *m, const struct host *h);
void domain_account(const struct host *h, char ret[DOMAIN_ACCOUNT]);                        /* XPCLIENT */
void domain_host_name(const struct domain *m, const struct host *h, char ret[DOMAIN_HOST]); /* xpclient.bigfirm.com */
/* The name within this domain of what a policy calls BIGFIRM\trusted; NULL: it is of another. */
const char *domain_group_name(const struct domain *m, const char *text);
/* Is the host in it, by what its `groups:` say? */
bool domain_group_has(const struct domain *m, const char *group, const struct host *h);

/* "dc=bigfirm,dc=com" and what stands below it, as distinguished names. */
void domain_add_base(const struct domain *m, struct str *out);
void domain_add_computer(const struct domain *m, const struct host *h, struct str *out);
void domain_add_group(const struct domain *m, const char *group, struct str *out);

#endif
