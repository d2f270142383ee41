/* daemon/sources/kdc.h - to a KDC and back, for the key holder: a request goes to the KDCs of its realm, one after
 * another until one answers, by datagram where it is small and else by TCP (RFC 4120 7.2). What came is not read but
 * for whether it is a Kerberos message at all, and whether that KDC sends us to another. Where a realm's KDCs are is
 * told by the parent; else DNS knows. On the loop's thread. */
#ifndef DAEMON_SOURCES_KDC_H
#define DAEMON_SOURCES_KDC_H
#include "base/crypto.h"
#include "daemon/messages/kdc_wire.h"
#include <uv.h>

enum {
	KDC_AT_ONCE = 64,
	KDC_DATAGRAM_MOST = 1400, /* longer requests go by TCP at once */
	KDC_DATAGRAM_MS = 1000,
	KDC_STREAM_MS = 2500,
	KDC_TIME_MS = 12000, /* for all of it */
	KDC_TRIED_MOST = 8,  /* KDCs for one request */
};

/* answer NULL: none came, and why. Maybe from within kdc_ask. */
typedef void kdc_done(void *context, uint32_t number, const struct octets *answer, const char *why);

void kdc_start(uv_loop_t *loop, kdc_done *done, void *context);
void kdc_realms(const struct kdc_realms *r);
void kdc_ask(const struct kdc_ask *m);
/* Who asked has gone: nothing is told any more of what it asked. */
void kdc_forget(void);

#endif
