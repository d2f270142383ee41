/* daemon/keying/jobs.h - what takes long or needs a secret, done on worker threads: key exchange, signatures, proofs. A
 * job knows the credentials that were loaded when it was asked for, even if others have been loaded since. */
#ifndef DAEMON_KEYING_JOBS_H
#define DAEMON_KEYING_JOBS_H
#include "identity/credential.h"
#include "keying/keying.h"
#include <uv.h>

struct fetcher;
struct keys_asking;

/* A store that jobs share; counted on the loop's thread only. */
struct shared_store {
	struct credential_store *store;
	unsigned references;
};
struct shared_store *shared_store_new(struct credential_store *store); /* takes it over */
void shared_store_release(struct shared_store *s);                     /* or NULL */

/* Runs on the loop's thread when the job is done; the result is wiped afterwards. */
typedef void (*job_done)(void *context, const struct keying_job *job, const struct keying_result *r);

/* As many workers as there are processors; before the loop's first work. */
void jobs_prepare(void);
/* What jobs work with. asking: what needs a secret is asked through it. *fetcher: who gets revocation lists for them,
 * NULL: nobody (any more); fetched: those that it got. */
struct job_means {
	uv_loop_t *loop;
	struct shared_store *store;
	struct keys_asking *asking;
	struct fetcher *const *fetcher;
	struct revocation_lists *fetched;
};
/* Takes the job over. done is called exactly once. */
void job_start(const struct job_means *means, struct keying_job *job, job_done done, void *context);
/* The work itself, on whichever thread, but of what needs a secret. unknown not NULL: a job that needs revocation lists
 * ends with -EAGAIN, and where they are; it is then done again when they have been fetched. */
void job_do(const struct keying_job *job, const struct shared_store *store, struct revocation_lists *fetched,
	    struct revocation_verdict *unknown, struct keying_result *ret);

#endif
