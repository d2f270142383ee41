/* daemon/force/exempt.h - temporary exemptions, in force: asked for and ended by the administrator, ended by their
 * time. */
#ifndef DAEMON_FORCE_EXEMPT_H
#define DAEMON_FORCE_EXEMPT_H
#include "daemon/daemon.h"
#include <jansson.h>

struct exempted_host;

/* Before the policy is put in force: what is left of the exemptions of this boot. */
void exempt_start(struct daemon *d);
/* host: an address, or a host or zone of the policy. *ret is the list's. */
int exempt_begin(struct daemon *d, const char *host, uint32_t for_s, const char *reason, const char *by,
		 struct exempted_host **ret, struct diag *why);
int exempt_end(struct daemon *d, const char *host, const char *by, struct diag *why);

json_t *exempt_json(const struct exempted_host *x); /* one row of `show exemptions` */
void exempt_rows(const struct daemon *d, json_t *rows);
/* Does some rule protect something between this host and that one? */
bool exempt_matters(const struct daemon *d, const struct exempted_host *x);
/* While there are SAs with it, what we send stays protected. */
bool exempt_has_sas(const struct daemon *d, const struct exempted_host *x);

#endif
