/* daemon/engine.h - protection at work: the IKE sockets, the keying engine, the data plane and the worker threads, tied
 * together on the daemon's loop. What one asks for is carried to the others, and nothing is decided here. It is there
 * while a policy is enforced, and not while protection is disabled or there is no policy. */
#ifndef DAEMON_ENGINE_H
#define DAEMON_ENGINE_H
#include "base/scope.h"
#include "daemon/jobs.h"
#include "enforce/gate.h"
#include "keying/keying.h"
#include "observe/event.h"
#include <uv.h>

struct diag;
struct engine;
struct sockets;

struct engine_config {
	uv_loop_t *loop;
	struct sockets *sockets; /* the daemon's, which outlive the engine */
	const struct gate_config *gate_config;
	struct gate *gate;
	const struct observer *observer;
	int export_fd; /* -1: keys are not exported */
	/* Revocation lists: who fetches them (*fetcher may become NULL), and those that were. They outlive the engine.
	 */
	struct fetcher *const *fetcher;
	struct revocation_lists *fetched;
	/* A peer has proven itself by what the job holds. */
	void (*proven)(void *context, const struct keying_job *job, const struct peer *peer);
	void *proven_context;
};

/* What this host can prove, made for one plan. */
struct proofs {
	struct shared_store *store; /* NULL: nothing */
	struct keying_config keying;
};

/* Makes the data plane, so that whatever is missing is said before anything is changed. Packets
 * do not flow before engine_start. */
int engine_new(const struct engine_config *c, struct plan *plan, const struct proofs *proofs, struct engine **ret,
	       struct diag *d);
void engine_start(struct engine *e);
void engine_address_gone(struct engine *e, const struct addr *a);
void engine_set_plan(struct engine *e, struct plan *plan, const struct proofs *proofs);
/* The plan is the same: other credentials, whom we trust, and what is revoked. No SA ends. */
void engine_set_proofs(struct engine *e, const struct proofs *proofs);
/* SAs of peers that proved themselves by that certificate end. */
void engine_distrust(struct engine *e, const uint8_t certificate[PEER_DIGEST], const char *why);
/* Tell the peers that we go, stop, free. Memory goes when the loop has run the closings. */
void engine_close(struct engine *e);

/* Renew SAs now (keying_renew). */
size_t engine_rekey(struct engine *e, const struct addr *peer, bool main_mode);
const struct keying *engine_keying(const struct engine *e);
const struct sad *engine_sad(const struct engine *e);
const struct credential_store *engine_store(const struct engine *e); /* NULL: this host has nothing to prove itself */
struct shared_store *engine_shared_store(const struct engine *e);    /* likewise */
/* Peers without IKE that request modes talk to in clear, some of them maybe no more. */
struct engine_fallback {
	struct addr local, remote;
	uint64_t until_ms;
};
size_t engine_fallbacks(const struct engine *e, const struct engine_fallback **ret);
uint64_t engine_now_ms(void);

#endif
