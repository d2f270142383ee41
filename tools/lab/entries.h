/* tools/lab/entries.h - what stands in the lab's directory, as LDIF for ldbadd and ldbmodify: machines, groups and
 * names. Pure; directory.c has it written. Inside tools/lab/ only. */
#ifndef TOOLS_LAB_ENTRIES_H
#define TOOLS_LAB_ENTRIES_H
#include "tools/lab/domain.h"

struct str;

/* The password of a machine's account: of 24 characters or so, made for this lab. */
struct entries_secret {
	char text[49];
};

/* An account for each machine of the domain but the controller, the groups that the policy names with their members,
 * and an address record for each name. secrets: by host. */
void entries_all(const struct domain *m, const struct entries_secret *secrets, struct str *out);
/* What the controller itself lacks: the names of its LDAP service. */
void entries_controller(const struct domain *m, struct str *out);

/* Changes of a group that is there. */
void entries_member(const struct domain *m, const char *group, const struct host *h, bool add, struct str *out);
void entries_delete_group(const struct domain *m, const char *group, struct str *out);

#endif
