/* daemon/sources/kdc_call.h - one request to one KDC and its answer, by datagram or TCP. On the loop's thread. */
#ifndef DAEMON_SOURCES_KDC_CALL_H
#define DAEMON_SOURCES_KDC_CALL_H
#include "base/addr.h"
#include "base/crypto.h"
#include <stdbool.h>
#include <uv.h>

struct kdc_call;

/* answer NULL: none, and why in words. Once, never from within kdc_call_new; then the call has gone. */
typedef void kdc_call_done(void *context, const struct octets *answer, const char *why);

struct kdc_call *kdc_call_new(uv_loop_t *loop, const struct addr *to, bool stream, const struct octets *request,
			      unsigned ms, kdc_call_done *done, void *context);
void kdc_call_close(struct kdc_call *c); /* or NULL; done is not called any more */

#endif
