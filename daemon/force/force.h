/* daemon/force/force.h - putting a policy in force: text -> policy -> plan for this host -> ruleset, data plane and
 * keying. A candidate is everything that can be known to be right before anything is changed. */
#ifndef DAEMON_FORCE_FORCE_H
#define DAEMON_FORCE_FORCE_H
#include "daemon/daemon.h"
#include "daemon/messages/plan_wire.h"

struct candidate {
	struct report *report; /* filled in also when there is nothing else, to say why */
	struct policy *policy;
	struct plan *plan;
	struct plan_file *file; /* what the plan was made from, for other processes */
};
void candidate_wipe(struct candidate *c); /* for SCOPED */

/* Takes the text over. Fails with words in `why` (one line) and findings in the report. */
int candidate_make(struct daemon *d, struct text *text, struct candidate *ret, struct diag *why);

/* Put it in force, and take over what it holds. On failure all is as it was. While protection is disabled it is only
 * kept.
 */
int force_candidate(struct daemon *d, struct candidate *c, struct diag *why);
/* No policy any more. */
int force_nothing(struct daemon *d, struct diag *why);
/* Break-glass and back. */
int force_disable(struct daemon *d, struct diag *why);
int force_enable(struct daemon *d, struct diag *why);
/* The same policy for what the host's facts are now, or with credentials read again. */
int force_again(struct daemon *d, struct diag *why);

#endif
