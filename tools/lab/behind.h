/* tools/lab/behind.h - which hosts stand behind which gateway: what a policy's tunnels say of its network. */
#ifndef TOOLS_LAB_BEHIND_H
#define TOOLS_LAB_BEHIND_H
#include <stddef.h>

struct policy;

enum { BEHIND_NOBODY = -1 };

/* For each host of the policy the number of the host that is its gateway: the tunnel end before the smallest element
 * that holds one of its addresses. Hosts that are tunnel ends themselves, and hosts in no tunnel's end, are on the
 * common wire: BEHIND_NOBODY. free() it. */
int *behind_whom(const struct policy *p);

#endif
