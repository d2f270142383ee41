/* daemon/sources/resolve.h - names to addresses: hosts first, then DNS by c-ares, which after its beginning opens
 * nothing but sockets. One for the process. On the loop's thread. */
#ifndef DAEMON_SOURCES_RESOLVE_H
#define DAEMON_SOURCES_RESOLVE_H
#include "base/diag.h"
#include "daemon/sources/names.h"
#include <uv.h>

/* why: NULL: addresses[0..count) are the name's. */
typedef void resolve_done(void *context, const struct addr *addresses, size_t count, const char *why);

enum { RESOLVE_TIME_MS = 1500 /* for one question; each server is asked twice */ };

/* Hosts that offer a service (RFC 2782), the preferred first. why: NULL, or why there are none. */
typedef void resolve_service_done(void *context, const char *const *hosts, size_t count, const char *why);

/* Before the cage. */
int resolve_prepare(struct diag *d);
/* In it. */
void resolve_start(uv_loop_t *loop);
void resolve_names(struct names *n); /* taken over */
/* done may run from in here. */
void resolve(const char *name, resolve_done *done, void *context);
/* By DNS only. name: "_ldap._tcp.dc._msdcs.corp.example". */
void resolve_service(const char *name, resolve_service_done *done, void *context);

#endif
