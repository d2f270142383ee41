/* daemon/keys/filling.h - the parent's side of the key holder: it opens the files of private and pre-shared keys and
 * hands on the descriptors, never reading one, so that no octet of a secret is ever in its memory. A set of secrets is
 * prepared beside the one in use, and takes its place only when the policy or page that wants it is put in force.
 *
 * The holder answers within milliseconds, and is waited for; but not for longer than KEYS_FILLING_MS, then it is ended.
 * While it is away every file is taken to be good, and when it comes it is given all of them; if one turns out not to
 * be, `changed` is called. */
#ifndef DAEMON_KEYS_FILLING_H
#define DAEMON_KEYS_FILLING_H
#include "daemon/process/children.h"

struct credential_holder;
struct keys_filling;

enum { KEYS_FILLING_MS = 3000 };

/* *children: as they are when there is something to fill. changed: on the loop's thread, from the loop. */
struct keys_filling *keys_filling_new(uv_loop_t *loop, struct children *const *children, void (*changed)(void *context),
				      void *context);
void keys_filling_close(struct keys_filling *f); /* or NULL; memory goes with the loop's next turn */

/* Prepare another set: what is loaded through *ret belongs to it. */
void keys_filling_begin(struct keys_filling *f, struct credential_holder *ret);
/* What was prepared is in use from now on, before this returns. */
void keys_filling_commit(struct keys_filling *f);

/* The holder has come: it is given what is in use, before it hears anything else. */
void keys_filling_came(struct keys_filling *f, struct channel *c);
/* The body of ASK_KEYS_ANSWER. */
int keys_filling_heard(struct keys_filling *f, struct wire_in *body);

#endif
