/* daemon/sources/transfer.h - files from web servers: by HTTP and HTTPS, bounded in size, time and number, without
 * redirects, proxies or other protocols. Names are resolved by c-ares, which needs no file once it has begun. What came
 * is in a sealed memory file. On the loop's thread. */
#ifndef DAEMON_SOURCES_TRANSFER_H
#define DAEMON_SOURCES_TRANSFER_H
#include "base/diag.h"
#include "base/scope.h"
#include <uv.h>

struct transfers;

enum {
	TRANSFER_AT_ONCE = 8,
	TRANSFER_WAITING_MOST = 512, /* more than fetchers ask for */
	TRANSFER_TIME_MS = 30000,
	TRANSFER_CONNECT_MS = 3000,
	TRANSFER_URL_MOST = 512,
};

/* fd: what came, taken back when this returns; -1: nothing, and why. */
typedef void transfer_done(void *context, uint32_t number, int fd, const struct diag *why);

/* Before the cage: the libraries read their files, and the certificates by which web servers are known. */
int transfers_prepare(struct diag *d);
/* In it. */
int transfers_new(uv_loop_t *loop, size_t octets_most, transfer_done *done, void *context, struct transfers **ret,
		  struct diag *d);
/* Names from now on; the descriptors stay the caller's. */
void transfers_names(struct transfers *t, int resolv_conf, int hosts);
void transfers_start(struct transfers *all, uint32_t number, const char *url);

#endif
