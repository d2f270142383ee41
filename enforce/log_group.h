/* enforce/log_group.h - the group of netfilter's log to which the table writes some of what it drops and lets pass in
 * clear: opened where the rights are, read where packets may be looked at (observe/nflog.h). */
#ifndef ENFORCE_LOG_GROUP_H
#define ENFORCE_LOG_GROUP_H
#include <stdint.h>

struct diag;

/* A descriptor that does not block and needs no right to read. It serves all of nfnetlink: who has it and NET_ADMIN
 * can change every rule. -EBUSY: another program has the group. */
int log_group_open(uint16_t group, struct diag *d);

#endif
