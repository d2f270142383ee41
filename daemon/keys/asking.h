/* daemon/keys/asking.h - what needs a secret, asked of the key holder: jobs go out as messages and come back as
 * outcomes. What was asked of a holder that has died is asked again of the next one; what nobody answers fails in the
 * end. On the loop's thread. */
#ifndef DAEMON_KEYS_ASKING_H
#define DAEMON_KEYS_ASKING_H
#include "daemon/process/channel.h"
#include "identity/keyring.h"
#include "keying/keying.h"

struct keys_asking;
struct keys_stepped;

enum {
	KEYS_ASKING_MS = 5000,  /* then it is given up */
	KEYS_TICKET_MS = 20000, /* a first step that may need a ticket, and so a KDC */
};

struct keys_outcome {
	int error;                         /* 0, or negative with words in why */
	const char *why;                   /* */
	size_t lacks;                      /* JOB_VERIFY, -ENOENT: which of the set's pre-shared keys is not held */
	const struct keyring_proof *proof; /* JOB_SIGN */
	const struct keying_mix *mix;      /* JOB_PPK */
	const struct keys_stepped *step;   /* JOB_GSS, also of one that failed */
	struct octets octets;              /* JOB_GSS_KEY, _WRAP, _UNWRAP */
};
typedef void keys_done(void *context, const struct keys_outcome *o);

struct keys_asking *keys_asking_new(uv_loop_t *loop);
/* What is waited for ends with -ECANCELED, at once; memory goes with the loop's next turn. Or NULL. */
void keys_asking_close(struct keys_asking *a);
/* The key holder's channel; NULL: it is away. */
void keys_asking_channel(struct keys_asking *a, struct channel *c);
/* A job of kind SIGN, PPK, GSS*, or VERIFY by pre-shared key; it stays the caller's, and there, until done is called:
 * exactly once, maybe before this returns. */
void keys_ask(struct keys_asking *a, const struct keying_job *job, keys_done *done, void *context);
/* The body of what came by ASK_KEYS_SIGNED, _PROVEN, _MIXED, _REFUSED or _GSS_*: to be called by their handlers. */
int keys_asking_heard(struct keys_asking *a, enum ask what, struct wire_in *body);

#endif
