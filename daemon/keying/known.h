/* daemon/keying/known.h - the certificates of peers that we have SAs with, so that they can be judged again when whom
 * we trust, or what is revoked, changes. On the loop's thread, but for the judging. */
#ifndef DAEMON_KEYING_KNOWN_H
#define DAEMON_KEYING_KNOWN_H
#include "daemon/keying/jobs.h"
#include "identity/revocation.h"
#include "policy/policy.h"

struct known;

struct known *known_new(uv_loop_t *loop);
/* Memory goes when the judging under way has ended. */
void known_close(struct known *k);
/* A peer has proven itself by the job's certificates. */
void known_note(struct known *k, const struct keying_job *job, const struct peer *peer);

/* Judge all that are in use again, on a worker; those that are no longer good are told by `bad` on the loop's thread.
 * Others are forgotten. One judging at a time: a request during one makes another follow it. */
struct known_review {
	struct shared_store *store;
	struct revocation_lists *fetched;
	const struct policy *policy; /* a reference is taken */
	const struct keying *keying;
	void (*bad)(void *context, const uint8_t certificate[PEER_DIGEST], const char *why);
	void *context;
};
/* false: one is under way. */
bool known_judge(struct known *k, const struct known_review *r);

#endif
