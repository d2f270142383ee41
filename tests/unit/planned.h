/* tests/unit/planned.h - a policy's text as the plan of one host. What cannot be read or compiled fails the test. */
#ifndef TESTS_UNIT_PLANNED_H
#define TESTS_UNIT_PLANNED_H
#include "base/report.h"
#include "base/text.h"
#include "policy/plan.h"
#include "tests/unit/unit.h"
#include <string.h>

struct planned {
	struct report *report;
	struct policy *policy;
	struct plan *plan;
};

static inline void planned_wipe(struct planned *p)
{
	plan_free(p->plan);
	policy_free(p->policy);
	report_free(p->report);
	*p = (struct planned){ 0 };
}

/* The plan of a host with this address, of the same policy; the caller's. */
static inline struct plan *planned_for(const struct planned *p, struct host_address own)
{
	struct plan *plan = NULL;

	assert_int_equal(plan_compile(p->policy, &(struct plan_host){ .own = &own, .own_count = 1 }, p->report, &plan),
			 0);
	return plan;
}

/* What p was goes. */
static inline void planned_make(struct planned *p, const char *text, struct host_address own)
{
	planned_wipe(p);
	p->report = report_new();
	assert_int_equal(policy_parse(text_new("test.yaml", text, strlen(text)), NULL, p->report, &p->policy), 0);
	p->plan = planned_for(p, own);
}

#endif
