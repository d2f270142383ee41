/* daemon/keying/driver.h - what drives keying: the IKE sockets, the keying engine, what stands behind sad.h and the
 * worker threads, tied together on one loop. What one asks for is carried to the others, and nothing is decided here.
 * It knows neither the ruleset nor the host's page: what only the parent can do is asked for through doors. */
#ifndef DAEMON_KEYING_DRIVER_H
#define DAEMON_KEYING_DRIVER_H
#include "daemon/keying/jobs.h"
#include "keying/keying.h"
#include "observe/event.h"
#include <uv.h>

struct channel;
struct diag;
struct directory_names;
struct driver;
struct sockets;

/* What the parent does for it. */
struct driver_doors {
	/* A peer without IKE is talked to in clear for so long; 0: no more. */
	void (*fallback)(void *context, const struct addr *local, const struct addr *remote, uint32_t seconds);
	/* The first SA with that peer is up; the last one has gone. */
	void (*secured)(void *context, const struct addr *local, const struct addr *remote, bool up);
	/* Who is behind which addresses (members_wire.h): a message to be filled, and its end; answered later. */
	struct wire_out *(*members_begin)(void *context);
	void (*members_end)(void *context);
	/* Keys for a capture decoder; only where that is wanted. */
	void (*keys)(void *context, const char *line);
	void *context;
};

struct driver_config {
	uv_loop_t *loop;
	struct sockets *sockets; /* outlive it */
	const struct observer *observer;
	struct driver_doors doors;
	struct keys_asking *asking; /* of what needs a secret; outlives it */
	/* Revocation lists: who fetches them (*fetcher may become NULL), and those that were. They outlive it. */
	struct fetcher *const *fetcher;
	struct revocation_lists *fetched;
};

/* What this host can prove, made for one plan. */
struct proofs {
	struct shared_store *store; /* NULL: nothing */
	struct keying_config keying;
};

/* Nothing is heard before driver_start. number: the plan's, as the parent counts them. */
int driver_new(const struct driver_config *c, uint64_t number, struct plan *plan, const struct proofs *proofs,
	       struct driver **ret, struct diag *d);
void driver_start(struct driver *e);
/* The channel with the data plane's process, and its end: the SAs are then gone, and made anew. */
void driver_plane_came(struct driver *e, struct channel *c);
void driver_plane_went(struct driver *e);
void driver_members_answered(struct driver *e, uint64_t request, bool done);
void driver_address_gone(struct driver *e, const struct addr *a);
void driver_set_plan(struct driver *e, uint64_t number, struct plan *plan, const struct proofs *proofs);
/* The plan is the same: other credentials, whom we trust, and what is revoked. No SA ends. */
void driver_set_proofs(struct driver *e, const struct proofs *proofs);
/* What the directory says of the policy's groups, taken over. */
void driver_set_names(struct driver *e, struct directory_names *names);
/* Whom we trust, or what is revoked, has changed: judge the certificates of the peers that we have SAs with again, on a
 * worker. Those that are no longer good end theirs. */
void driver_judge(struct driver *e);
/* Tell the peers that we go, stop, free. Memory goes when the loop has run the closings. */
void driver_close(struct driver *e);

/* Renew SAs now (keying_renew). */
size_t driver_rekey(struct driver *e, const struct addr *peer, enum keying_renewal what);
/* Ask the data plane for its counters; `seen` is called once, when they are here or cannot be had. */
void driver_look(struct driver *e, void (*seen)(struct driver *e, void *context), void *context);
const struct keying *driver_keying(const struct driver *e);
const struct sad *driver_sad(const struct driver *e);
/* Lifetimes go on while the machine sleeps. */
uint64_t driver_now_ms(void);

#endif
