/* analysis/lint/lint.h - what a policy says that its author will not have meant. Each finding has a stable code with a
 * page in docs/lints.md. Rules of equal rank that differ are found here too, by compiling the plan of every host. */
#ifndef ANALYSIS_LINT_LINT_H
#define ANALYSIS_LINT_LINT_H
#include "analysis/alike.h"
#include "analysis/why.h"

/* Everything goes into the report. The work is bounded; where the bound was met, a note says so. */
void lint_run(struct why *w, const struct alike *a, struct report *r);

#endif
