/* analysis/tests.h - a policy's own tests: what its author says each pair's traffic should be, against what it is. */
#ifndef ANALYSIS_TESTS_H
#define ANALYSIS_TESTS_H
#include "analysis/question.h"

struct test_result {
	const struct policy_test *test;
	bool passed;
	enum outcome got;
	const char *reason; /* why it is so */
};

/* All tests, in the order of the file. *ret lives in `memory`. */
int tests_run(struct why *w, struct arena *memory, struct test_result **ret, size_t *ret_count, struct diag *d);

#endif
