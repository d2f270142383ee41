/* daemon/parts/lists.h - the parent's part in revocation lists: it keeps them on disk for whoever reads them, and tells
 * the process `sources` what this machine knows of names, again when that changes. It reads none of it. */
#ifndef DAEMON_PARTS_LISTS_H
#define DAEMON_PARTS_LISTS_H
#include "daemon/daemon.h"

/* Fills in d->lists. */
void lists_new(struct daemon *d);
void lists_close(struct daemon *d);
/* For parts.c. */
void lists_sources_came(void *context, struct channel *c);
ask_handler lists_on_recall, lists_on_keep;

#endif
