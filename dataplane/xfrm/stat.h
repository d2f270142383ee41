/* dataplane/xfrm/stat.h - the kernel's own counters of /proc/net/xfrm_stat as our named drops. They count for the whole
 * network namespace. */
#ifndef DATAPLANE_XFRM_STAT_H
#define DATAPLANE_XFRM_STAT_H
#include "dataplane/sad.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Adds them up. false: it cannot be read. */
bool stat_read(int fd, uint64_t ret[DROP_COUNT]);
/* The same of its text, which need not end in a zero. */
void stat_parse(const char *text, size_t len, uint64_t ret[DROP_COUNT]);

#endif
