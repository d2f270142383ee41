/* daemon/host/credentials.h - certificates, keys, pre-shared keys, trust and revocation lists while the daemon runs:
 * read again when their files change, without an SA ending; certificates that end soon are told of. */
#ifndef DAEMON_HOST_CREDENTIALS_H
#define DAEMON_HOST_CREDENTIALS_H
#include "daemon/daemon.h"

struct credentials;

/* Fills in d->credentials; nothing is read yet. */
void credentials_new(struct daemon *d);
void credentials_close(struct daemon *d);
/* A plan has been put in force, and its credentials with it. */
void credentials_loaded(struct daemon *d);
/* A key that the holder was given is not what it was. */
void credentials_stale(void *context);
/* Read everything again, now. */
void credentials_reload(struct daemon *d);
/* That everything was read again. */
void credentials_tell(struct daemon *d);

/* The rows of `cordon show credentials` and `cordon show revocation-lists`. */
void credentials_rows(struct daemon *d, const struct engine_view *v, json_t *rows);
void credentials_list_rows(struct daemon *d, const struct engine_view *v, json_t *rows);
/* What ends first, {subject, of, authority, not_after_ms}, or null. */
json_t *credentials_expiry(const struct daemon *d);

#endif
