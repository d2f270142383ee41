/* daemon/host/page.h - this host's own page, host.yaml: read at start, and again on a reload. */
#ifndef DAEMON_HOST_PAGE_H
#define DAEMON_HOST_PAGE_H
#include "daemon/daemon.h"

struct str;

/* A host without a page has the defaults; one that is named must be there. */
int page_read(struct daemon *d, struct diag *why);
/* The same while the daemon runs. If it has changed, *ret_changed, and what is in force is made anew from it; no SA
 * ends that is still wanted. A page that has errors, or that nothing can be made from, changes nothing. */
int page_again(struct daemon *d, bool *ret_changed, struct diag *why);
/* What the page says and only the next start takes up, and how to have that: one line each. Nothing: all is as it says.
 */
void page_waits(const struct daemon *d, struct str *out);

#endif
