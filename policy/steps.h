/* policy/steps.h - what a lab scenario does over time: scenario.yaml beside a policy.yaml, whose hosts it speaks of.
 * tools/lab plays it. Docs: docs/lab-scenarios.md; JSON Schema: docs/scenario.schema.json. */
#ifndef POLICY_STEPS_H
#define POLICY_STEPS_H
#include "policy/policy.h"

struct diag;

enum { STEPS_MOST = 4096, STEP_WORDS_MOST = 16 };

enum step_kind {
	STEP_PROBE,
	STEP_RUN,
	STEP_POLICY,
	STEP_WAIT,
	STEP_KILL,
	STEP_START,
	STEP_CUT,
	STEP_MEND,
	STEP_OFF,
	STEP_BOOT,
	STEP_DIRECTORY,
	STEP_FORGET_TICKETS,
	STEP_KINDS
};
extern const char *const step_names[STEP_KINDS]; /* as they are written */

enum step_change { CHANGE_ADD, CHANGE_REMOVE, CHANGE_DELETE };

struct step {
	enum step_kind kind;
	struct place place;
	const struct host *host;            /* where it is done; NULL for probe and wait */
	struct policy_test test;            /* probe */
	const char *words[STEP_WORDS_MOST]; /* run: a command of cordon without that word */
	size_t word_count;
	bool fails;       /* run: the command has to fail */
	const char *file; /* policy: as written */
	uint64_t wait_ms;
	enum step_change change; /* directory: the host into the group, out of it; or the group itself */
	const char *group;       /* as the directory calls it */
};

struct steps {
	struct step rows[STEPS_MOST];
	size_t count;
	uint32_t ticket_lifetime_s; /* 0: not said */
	struct arena *memory;       /* owns the texts */
};

/* -ERR_POLICY, -ERR_SYNTAX with findings. The policy outlives the steps. */
int steps_load(const char *path, const struct policy *p, struct report *r, struct steps **ret);
void steps_free(struct steps *s);
SCOPE_FREEP(struct steps, steps)

#endif
