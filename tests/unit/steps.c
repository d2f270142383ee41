/* Scenarios of the lab: what is read, and that mistakes are told where they are. */
#include "base/str.h"
#include "base/text.h"
#include "policy/steps.h"
#include "tests/unit/folder.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char policy_text[] = "cordon: 1\n"
				  "hosts: { a: { address: 10.0.0.1 }, b: { address: 10.0.0.2 },\n"
				  "         out: { address: 10.0.0.3, agent: none } }\n";

static int start(void **state)
{
	char path[] = "/tmp/cordon-steps.XXXXXX";

	assert_non_null(mkdtemp(path));
	*state = strdup(path);
	return 0;
}

static int finish(void **state)
{
	assert_int_equal(folder_remove(*state), 0);
	free(*state);
	return 0;
}

static int load(const char *folder, const char *text, struct steps **ret, struct str *words)
{
	SCOPED(report_freep) struct report *r = report_new();
	static struct policy *p; /* steps point into it */
	char path[128];
	FILE *f;
	int e;

	policy_free(p);
	p = NULL;
	assert_int_equal(policy_parse(text_new("policy.yaml", policy_text, strlen(policy_text)),
				      &(struct policy_load_options){ 0 }, r, &p),
			 0);
	(void)snprintf(path, sizeof path, "%s/scenario.yaml", folder);
	assert_non_null(f = fopen(path, "w"));
	(void)fputs(text, f);
	(void)fclose(f);
	e = steps_load(path, p, r, ret);
	report_text(r, false, words);
	if (e < 0) {
		policy_free(p);
		p = NULL;
	}
	return e;
}

static void every_kind_of_step_is_read(void **state)
{
	SCOPED(steps_freep) struct steps *s = NULL;
	SCOPED(str_wipe) struct str words = { 0 };

	assert_int_equal(
		load(*state,
		     "cordon: 1\nsteps:\n"
		     "  - probe: { from: a, to: b, traffic: tcp/445, expect: encrypted }\n"
		     "  - run: { on: a, command: [exempt, b, --for, 10m], fails: true }\n"
		     "  - policy: { on: b, file: other.yaml }\n"
		     "  - wait: 2s\n  - kill: a\n  - start: a\n  - cut: out\n  - mend: out\n"
		     "  - off: out\n  - boot: a\n  - directory: { add: a, to: trusted }\n  - forget-tickets: a\n"
		     "  - directory: { remove: b, from: trusted }\n  - directory: { delete: trusted }\n"
		     "ticket-lifetime: 3m\n",
		     &s, &words),
		0);
	assert_int_equal(s->count, STEP_KINDS + 2);
	assert_int_equal(s->ticket_lifetime_s, 180);
	assert_int_equal(s->rows[STEP_DIRECTORY].change, CHANGE_ADD);
	assert_string_equal(s->rows[STEP_DIRECTORY].group, "trusted");
	assert_string_equal(s->rows[STEP_DIRECTORY].host->name, "a");
	assert_int_equal(s->rows[STEP_KINDS].change, CHANGE_REMOVE);
	assert_string_equal(s->rows[STEP_KINDS].host->name, "b");
	assert_int_equal(s->rows[STEP_KINDS + 1].change, CHANGE_DELETE);
	assert_null(s->rows[STEP_KINDS + 1].host);
	for (size_t i = 0; i < STEP_KINDS; i++)
		assert_int_equal(s->rows[i].kind, (enum step_kind)i);
	assert_int_equal(s->rows[0].test.expect, OUTCOME_ENCRYPTED);
	assert_int_equal(s->rows[0].test.service.port2.lo, 445);
	assert_int_equal(s->rows[1].word_count, 4);
	assert_string_equal(s->rows[1].words[3], "10m");
	assert_true(s->rows[1].fails);
	assert_int_equal(s->rows[3].wait_ms, 2000);
	assert_int_equal(s->rows[4].place.line, 7);
}

static void mistakes_are_told_where_they_are(void **state)
{
	static const struct {
		const char *text, *said;
	} rows[] = {
		{ "steps: []\n", "cordon" },
		{ "cordon: 2\nsteps: [ { wait: 1s } ]\n", "version 1 of scenarios" },
		{ "cordon: 1\nsteps: []\n", "tries nothing" },
		{ "cordon: 1\nsteps: { wait: 1s }\n", "is a list" },
		{ "cordon: 1\nsteps:\n  - { wait: 1s, kill: a }\n",
		  "scenario.yaml:3:5: error: a step does one thing, this one 2" },
		{ "cordon: 1\nsteps:\n  - { sleep: 1s }\n", "sleep" },
		{ "cordon: 1\nsteps: [ { wait: 11m } ]\n", "at most 10m" },
		{ "cordon: 1\nsteps: [ { kill: nobody } ]\n", "no host 'nobody'" },
		{ "cordon: 1\nsteps: [ { kill: out } ]\n", "agent: none" },
		{ "cordon: 1\nsteps: [ { run: { on: a, command: [support] } } ]\n", "cannot run 'support'" },
		{ "cordon: 1\nsteps: [ { run: { on: a, command: [] } } ]\n", "at least one word" },
		{ "cordon: 1\nsteps: [ { run: { on: a } } ]\n", "command" },
		{ "cordon: 1\nsteps: [ { run: { on: a, command: [show,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16] } } ]\n",
		  "at most 16 words" },
		{ "cordon: 1\nsteps: [ { policy: { on: a, file: ../x } } ]\n", "not the name of a file beside" },
		{ "cordon: 1\nsteps: [ { policy: { on: a, file: .x } } ]\n", "not the name of a file beside" },
		{ "cordon: 1\nsteps: [ { probe: { from: a, to: a, traffic: tcp/1, expect: clear } } ]\n", "both ends" },
		{ "cordon: 1\nsteps: [ { probe: { from: a, to: b, traffic: tcp/1-9, expect: clear } } ]\n",
		  "one port" },
		{ "cordon: 1\nsteps: [ { probe: { from: a, to: b, traffic: tcp/1, expect: open } } ]\n", "expect" },
		{ "cordon: 1\nsteps: [ { probe: { from: a, to: b, expect: clear } } ]\n", "traffic" },
		{ "cordon: 1\nsteps: [ { forget-tickets: out } ]\n", "agent: none" },
		{ "cordon: 1\nsteps: [ { directory: { add: a, from: trusted } } ]\n", "directory does one thing" },
		{ "cordon: 1\nsteps: [ { directory: { delete: trusted, remove: a } } ]\n", "directory does one thing" },
		{ "cordon: 1\nsteps: [ { directory: {} } ]\n", "directory does one thing" },
		{ "cordon: 1\nsteps: [ { directory: { add: nobody, to: trusted } } ]\n", "no host 'nobody'" },
		{ "cordon: 1\nticket-lifetime: 60s\nsteps: [ { wait: 1s } ]\n", "130s to 10h" },
		{ "cordon: 1\nticket-lifetime: 11h\nsteps: [ { wait: 1s } ]\n", "130s to 10h" },
		{ "cordon: 1\nsteps: 7\n", "is a list" },
		{ "", "" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		SCOPED(str_wipe) struct str words = { 0 };
		struct steps *s = NULL;

		if (load(*state, rows[i].text, &s, &words) == 0 || !strstr(str_text(&words), rows[i].said))
			fail_msg("row %zu: %s", i, str_text(&words));
	}
}

static void there_are_so_many_steps_and_no_more(void **state)
{
	SCOPED(str_wipe) struct str text = { 0 }, words = { 0 };
	struct steps *s = NULL;

	str_add(&text, "cordon: 1\nsteps:\n");
	for (int i = 0; i <= STEPS_MOST; i++)
		str_add(&text, "  - wait: 1ms\n");
	assert_true(load(*state, str_text(&text), &s, &words) < 0);
	assert_non_null(strstr(str_text(&words), "at most 4096 steps"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_kind_of_step_is_read, start, finish),
		cmocka_unit_test_setup_teardown(mistakes_are_told_where_they_are, start, finish),
		cmocka_unit_test_setup_teardown(there_are_so_many_steps_and_no_more, start, finish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
