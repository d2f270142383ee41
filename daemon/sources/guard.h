/* daemon/sources/guard.h - a GSS-API context with a server, which the key holder has: this process sees tokens and what
 * they seal, and neither a ticket nor a key. One at a time. On the loop's thread. */
#ifndef DAEMON_SOURCES_GUARD_H
#define DAEMON_SOURCES_GUARD_H
#include "base/crypto.h"
#include "base/diag.h"
#include "daemon/process/channel.h"

struct guard_user {
	void *context;
	/* why: NULL, or why not. */
	void (*stepped)(void *context, struct octets token, bool complete, const struct diag *why);
	void (*used)(void *context, struct octets text, const struct diag *why);
};

/* NULL: the key holder is away. What was asked of the one before is answered in these words. */
void guard_keys(struct channel *keys);
/* A new context, of the keytab's credential; nothing that was asked for the one before is answered. */
void guard_begin(const struct guard_user *user, uint32_t credential);
void guard_end(void);

void guard_step(const char *target, struct octets token); /* target: of the first step; else NULL */
enum guard_use { GUARD_SEAL, GUARD_SIGN, GUARD_OPEN };
void guard_use(enum guard_use use, struct octets text);

/* What the key holder says. */
ask_handler guard_on_stepped, guard_on_text, guard_on_refused;

#endif
