/* analysis/plans.h - the plans of a policy's hosts, each compiled when it is first asked for and kept up to a bound, so
 * that many questions about one policy are cheap. What compiling finds is reported once, however many hosts it
 * concerns. */
#ifndef ANALYSIS_PLANS_H
#define ANALYSIS_PLANS_H
#include "analysis/ends.h"
#include "base/report.h"
#include "policy/plan.h"

struct plans;
/* r may be NULL. */
struct plans *plans_new(const struct policy *policy, struct report *r);
void plans_free(struct plans *p);
SCOPE_FREEP(struct plans, plans)
/* Which profiles are in force on every host; before the first plan is asked for. 0, as from the start: all. */
void plans_profiles(struct plans *p, unsigned profiles);

/* The plan of that host, or of that bare address, with contests; NULL if its rules are in conflict. Good until the next
 * call. */
const struct plan *plans_get(struct plans *p, const struct ends_who *who);

#endif
