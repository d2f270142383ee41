/* daemon/parts/directory.h - the parent's part in the directory: which names the policy has, what the process `sources`
 * is to ask a domain controller, what it said, kept on disk with the time; and telling keying, which judges peers by
 * it. It reads nothing that came from the network but what `sources` made of it. */
#ifndef DAEMON_PARTS_DIRECTORY_H
#define DAEMON_PARTS_DIRECTORY_H
#include "daemon/daemon.h"
#include <jansson.h>

enum {
	DIRECTORY_RETRY_MS = 5000, /* after the first failure; then doubled */
	DIRECTORY_RETRY_MOST_MS = 5 * 60 * 1000,
	DIRECTORY_PATIENCE_MS = 60000, /* for an answer, before it is asked again */
};

/* Fills in d->directory. */
void directory_new(struct daemon *d);
void directory_close(struct daemon *d);
/* There is another policy or page, or none, or other credentials: is there something to be asked? */
void directory_loaded(struct daemon *d);
/* Others have come, or some are gone. */
void directory_addresses_changed(struct daemon *d);
/* NULL where the policy names no group of the directory. */
json_t *directory_json(const struct daemon *d);

/* For parts.c. */
void directory_sources_came(struct daemon *d);
void directory_sources_went(struct daemon *d);
void directory_tell_keying(struct daemon *d, struct channel *keying);
void directory_keying_went(struct daemon *d);
ask_handler directory_on_said, directory_on_failed, directory_on_account;

#endif
