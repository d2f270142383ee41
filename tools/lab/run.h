/* tools/lab/run.h - a number of questions asked at once and what was seen of them: the policy's tests (run.c), or the
 * probes of a scenario that stand together (play.c). Inside tools/lab/ only. */
#ifndef TOOLS_LAB_RUN_H
#define TOOLS_LAB_RUN_H
#include "analysis/tests.h"
#include "base/mem.h"
#include "tools/lab/lab.h"
#include "tools/lab/scenario.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct diag;
struct judge;
struct probe_want;
struct probes;
struct table_row;
struct twin;
struct why;

enum { LAB_OK = 0, LAB_FAILED = 1 };

struct run {
	const struct lab_options *options;
	struct scenario scenario;
	struct why *why;
	struct judge *judge;
	struct twin *twin;
	const struct policy_test *tests;
	struct test_result *predicted;
	size_t count;
	size_t base; /* the judge's number of the first probe */
	struct probe_want *wants;
	size_t *first; /* of test i's wants; count + 1 of them */
	struct table_row *rows;
	struct arena memory;
	uint64_t overflows; /* of the table of neighbours, before */
	bool ok;
};

size_t run_host(const struct run *r, const struct host *h); /* its number in the network */
int run_plan(struct run *r, struct diag *d);                /* from the tests: wants and first */
int run_probes(struct run *r, struct probes *probes, struct diag *d);
void run_judge(struct run *r, size_t i, const struct probes *probes); /* fills rows[i] */

#endif
