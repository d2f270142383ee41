/* daemon/jobs.h - what takes long or needs a secret, done on worker threads: key exchange, signatures, proofs. A job
 * knows the credentials that were loaded when it was asked for, even if others have been loaded since. */
#ifndef DAEMON_JOBS_H
#define DAEMON_JOBS_H
#include "identity/credential.h"
#include "keying/keying.h"
#include <uv.h>

/* A store that jobs share; counted on the loop's thread only. */
struct shared_store {
	struct credential_store *store;
	unsigned references;
};
struct shared_store *shared_store_new(struct credential_store *store); /* takes it over */
void shared_store_release(struct shared_store *s);                     /* or NULL */

/* Runs on the loop's thread when the job is done; the result is wiped afterwards. */
typedef void (*job_done)(void *context, const struct keying_result *r);

/* As many workers as there are processors; before the loop's first work. */
void jobs_prepare(void);
/* Takes the job over. done is called exactly once. */
void job_start(uv_loop_t *loop, struct keying_job *job, struct shared_store *store, job_done done, void *context);
/* The work itself, on whichever thread. */
void job_do(const struct keying_job *job, const struct credential_store *store, struct keying_result *ret);

#endif
