/* tests/unit/ask.h - a policy from text, and one question to it. */
#ifndef TESTS_UNIT_ASK_H
#define TESTS_UNIT_ASK_H
#include "analysis/question.h"
#include "base/diag.h"
#include "base/str.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct asked_policy {
	struct report *report;
	struct policy *policy;
	struct why *why;
	struct alike *alike;
	struct arena memory;
};

static inline void ask_open(struct asked_policy *a, const char *yaml)
{
	struct str whole = { 0 }, words = { 0 };

	str_addf(&whole, "cordon: 1\n%s", yaml);
	*a = (struct asked_policy){ .report = report_new() };
	if (policy_parse(text_new("policy.yaml", whole.text, whole.len), NULL, a->report, &a->policy) < 0) {
		report_text(a->report, false, &words);
		fail_msg("the policy does not load:\n%s%s", str_text(&words), yaml);
	}
	a->why = why_new(a->policy, a->report);
	a->alike = alike_new(a->policy);
	str_wipe(&whole);
}

static inline void ask_close(struct asked_policy *a)
{
	arena_wipe(&a->memory);
	alike_free(a->alike);
	why_free(a->why);
	policy_free(a->policy);
	report_free(a->report);
}

static inline struct answer ask(struct asked_policy *a, const char *from, const char *to, const char *traffic)
{
	struct question *q = arena_new(&a->memory, 1, sizeof *q);
	struct answer answer = { 0 };
	struct diag d = { 0 };

	if (question_parse(a->why, a->alike, from, to, traffic, &a->memory, q, &d) < 0 ||
	    question_ask(a->why, q, &a->memory, &answer, &d) < 0)
		fail_msg("%s -> %s %s: %s", from, to, traffic, d.text);
	if (!answer.cases)
		abort();
	return answer;
}
#endif
