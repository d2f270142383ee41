/* daemon/force/state.h - what survives: the policies there have been, which one is in force, the one that waits to be
 * confirmed, and whether protection is switched off. One folder; state.json in it is replaced whole, so that after
 * kill -9 or a power cut it tells either the old story or the new one.
 *
 *   state.json         which version is in force, what is pending, which source was last taken
 *   history/N.yaml     the policy text of version N, and N.json: when, by whom, from where
 *   boot.nft           the ruleset in force, to be loaded before the network is up (boot.h)
 *   crash-secret       what tokens for peers are made of (secret.h)
 *   disabled           exists while `cordon disable` holds (made by hand, it works too); the reason is in it */
#ifndef DAEMON_FORCE_STATE_H
#define DAEMON_FORCE_STATE_H
#include "base/scope.h"
#include "base/text.h"
#include <stdbool.h>
#include <stdint.h>

struct diag;

enum { STATE_HISTORY_MOST = 100, STATE_DIGEST = 65, STATE_BOOT_ID = 40 };

struct state_version {
	uint32_t number, previous; /* previous: what a rollback goes back to; 0: no policy */
	uint64_t at_ms;            /* Unix time */
	char by[40];
	char path[512]; /* where the text came from */
};

/* A version on probation. The deadline is kept by the clock that also runs while the machine sleeps, and by the wall
 * clock for when the machine has been started anew and the first clock with it. */
struct state_pending {
	uint32_t version, previous; /* version 0: nothing is pending */
	uint64_t deadline_boot_ms, deadline_wall_ms, since_wall_ms;
	char boot_id[STATE_BOOT_ID];
};

struct state {
	char *folder;
	uint32_t current;                 /* version in force, 0: none */
	uint32_t newest;                  /* highest number given out */
	char source_digest[STATE_DIGEST]; /* of the source's text when it was last taken */
	struct state_pending pending;
	bool disabled;
};

/* The clocks, in one place so that tests can set them. */
struct state_clock {
	uint64_t boot_ms, wall_ms;
	char boot_id[STATE_BOOT_ID];
};
void state_clock_now(struct state_clock *ret);

/* Makes the folder if need be. A state.json that cannot be read is an error: guessing which policy was in force could
 * open what was closed. */
int state_open(const char *folder, struct state **ret, struct diag *d);
void state_free(struct state *s);
SCOPE_FREEP(struct state, state)

/* Keep this text as a new version (not yet in force); *ret is filled in but for `by` and `path`, which are given. */
int state_add(struct state *s, const struct text *policy, struct state_version *v, struct diag *d);
void state_forget(struct state *s, uint32_t version); /* a version that came to nothing */
int state_policy(const struct state *s, uint32_t version, struct text **ret, struct diag *d);
int state_version_read(const struct state *s, uint32_t version, struct state_version *ret, struct diag *d);
/* Write down current, pending and source_digest as they are now in *s. */
int state_save(struct state *s, struct diag *d);

void state_pend(struct state *s, uint32_t version, uint32_t previous, uint64_t for_ms, const struct state_clock *now);
/* How long the pending version may still wait; 0: its time is over (or the clock was set back, which cannot be told
 * from it). */
uint64_t state_pending_left_ms(const struct state *s, const struct state_clock *now);

/* s->disabled changes even where it cannot be written down: then it holds until the next start. */
int state_disable(struct state *s, const char *reason, struct diag *d);
/* s->disabled stays if the flag cannot be removed: the next start would open what this one closed. */
int state_enable(struct state *s, struct diag *d);

#endif
