/* daemon/keys/gss.h - the key holder's Kerberos: contexts of keying, and of sources where that asks the directory; and
 * what their tickets want of a KDC, carried by the process `sources`. On the loop's thread. */
#ifndef DAEMON_KEYS_GSS_H
#define DAEMON_KEYS_GSS_H
#include "daemon/process/channel.h"

struct diag;
struct keytab;

/* Before the cage. */
int gss_prepare(struct diag *d);
/* In it; one for the process. */
int gss_begin(uv_loop_t *loop, struct diag *d);
void gss_end(void); /* wipes */
/* The one in use from now on, or NULL. */
void gss_set_keytab(const struct keytab *keytab);
void gss_came(struct channel *c);
/* Its contexts end; what sources was asked fails. */
void gss_went(enum role peer);

ask_handler gss_on_step, gss_on_use, gss_on_end, gss_on_kdc_answer, gss_on_kdc_failed;

#endif
