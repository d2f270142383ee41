/* daemon/parts/engine.h - protection at work, as the rest of the daemon sees it: keying and the data plane, told what
 * to do and asked how they are. What they are asked is answered later. It is there while a policy is enforced, and not
 * while protection is disabled or there is no policy. */
#ifndef DAEMON_PARTS_ENGINE_H
#define DAEMON_PARTS_ENGINE_H
#include "base/scope.h"
#include "daemon/keying/driver.h"
#include "enforce/gate.h"
#include "keying/keying.h"
#include "observe/event.h"
#include <uv.h>

struct channel;
struct diag;
struct doors;
struct engine;
struct plan_file;
struct sockets;

struct engine_config {
	uv_loop_t *loop;
	struct sockets *sockets; /* the daemon's, which outlive the engine */
	const struct gate_config *gate_config;
	struct gate *gate;
	const struct observer *observer;
	struct channel *keying; /* NULL: it is away now */
	int export_fd;          /* -1: keys are not exported */
};

/* Nothing is said to anybody before engine_start. References are taken. */
void engine_new(const struct engine_config *c, struct plan *plan, struct plan_file *file, const struct proofs *proofs,
		struct engine **ret);
void engine_start(struct engine *e);
/* Keying's process is there, or away. */
void engine_keying_came(struct engine *e, struct channel *c);
void engine_keying_went(struct engine *e);
/* What it answers. Negative: it is not well-formed. */
int engine_rows_came(struct engine *e, uint32_t request, int fd);
void engine_rekeyed(struct engine *e, uint32_t request, size_t n);
struct doors *engine_doors(const struct engine *e);
void engine_address_gone(struct engine *e, const struct addr *a);
void engine_set_plan(struct engine *e, struct plan *plan, struct plan_file *file, const struct proofs *proofs);
/* The plan is the same: other credentials, whom we trust, and what is revoked. No SA ends. */
void engine_set_proofs(struct engine *e, const struct proofs *proofs);
/* Tell the peers that we go, stop, free. Memory goes when the loop has run the closings. */
void engine_close(struct engine *e);

/* Renew SAs now (keying_renew) with these peers, none: all; `begun` is told how many begin. */
void engine_rekey(struct engine *e, const struct addr *peers, size_t count, enum keying_renewal what,
		  void (*begun)(void *context, size_t n), void *context);

/* What keying and the data plane said when they were asked. Valid while `seen` runs. */
struct engine_view {
	const struct keying_ike_row *ike;
	const struct keying_child_row *children;
	const struct keying_failure *failures;
	const struct sa_usage *usage; /* by pair */
	size_t ike_count, child_count, failure_count, usage_count;
	uint64_t keying_dropped[KEYING_DROP_COUNT], plane_dropped[DROP_COUNT];
	const struct revocation_row *lists; /* that were fetched */
	size_t list_count;
	bool keying_away; /* it said nothing: there are no rows, although SAs may go on */
};
/* Ask them; `seen` runs exactly once, maybe before this returns. */
void engine_look(struct engine *e, void (*seen)(void *context, const struct engine_view *v), void *context);

const struct credential_store *engine_store(const struct engine *e); /* NULL: this host has nothing to prove itself */
/* Has the other end proven itself to us, and are there SAs with it? */
bool engine_has_peer(const struct engine *e, const struct addr *remote);
/* Peers without IKE that request modes talk to in clear, some of them maybe no more. */
struct engine_fallback {
	struct addr local, remote;
	uint64_t until_ms;
};
size_t engine_fallbacks(const struct engine *e, const struct engine_fallback **ret);
uint64_t engine_now_ms(void);

#endif
