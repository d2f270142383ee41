/* daemon/host/secret.h - a secret that outlives the process, in a file of the state folder that only root reads. Peers
 * that were given tokens made from it learn by them that this host has restarted (RFC 6290). */
#ifndef DAEMON_HOST_SECRET_H
#define DAEMON_HOST_SECRET_H
#include <stddef.h>
#include <stdint.h>

struct diag;

/* Made when it is not there, or not of this length. *ret is filled in even if it could not be written down. */
int secret_load(const char *folder, uint8_t *ret, size_t len, struct diag *d);

#endif
