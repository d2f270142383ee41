/* tools/lab/scenario.h - what the lab is to bring up: a policy whose hosts can be played. */
#ifndef TOOLS_LAB_SCENARIO_H
#define TOOLS_LAB_SCENARIO_H
#include "base/report.h"
#include "policy/policy.h"
#include "policy/steps.h"
#include "tools/lab/lab.h"

struct scenario {
	char *policy_path; /* absolute */
	struct report *report;
	struct policy *policy;
	struct wire_faults wire;
	char *folder;        /* absolute, NULL: not of a folder with steps */
	struct steps *steps; /* likewise */
};

/* Errors have been printed. tests: it must have tests too. */
int scenario_load(const struct lab_options *o, bool tests, struct scenario *ret);
void scenario_wipe(struct scenario *s); /* for SCOPED */

#endif
