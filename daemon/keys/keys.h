/* daemon/keys/keys.h - the key holder at work: what it is filled with by the parent, what it does when it is asked. It
 * sees no packet and opens no file. On its loop's thread, but for signatures that take long. */
#ifndef DAEMON_KEYS_KEYS_H
#define DAEMON_KEYS_KEYS_H
#include "daemon/process/channel.h"

struct diag;
struct keys;

struct keys *keys_new(void);
void keys_free(struct keys *k); /* wipes; when no signature is under way */
/* prepare, begin, came, went and end of a child_program whose context it is. */
int keys_prepare(void *context, struct diag *d);
int keys_begin(void *context, uv_loop_t *loop, struct channel *parent, struct diag *d);
/* Their context too. */
extern ask_handler *const keys_handlers[ASK_COUNT];
void keys_came(void *context, struct channel *c);
void keys_went(void *context, enum role peer);
void keys_end(void *context); /* wipes */

#endif
