/* cordon check: compile, lint, and run the policy's own tests. */
#include "analysis/lint/lint.h"
#include "analysis/tests.h"
#include "base/diag.h"
#include "base/str.h"
#include "base/text.h"
#include "tools/cli/command.h"
#include "tools/cli/say.h"

#include <stdio.h>
#include <string.h>

extern const struct command command_check;

struct check {
	const char *path;
	bool json;
	struct report *report;
	struct policy *policy;
	struct arena memory;
	struct test_result *results;
	size_t result_count, passed;
};

static int arguments(int argc, char **argv, struct check *c)
{
	bool options = true;

	for (int i = 1; i < argc; i++) {
		if (options && strcmp(argv[i], "--") == 0)
			options = false;
		else if (options && strcmp(argv[i], "--json") == 0)
			c->json = true;
		else if (options && argv[i][0] == '-' && argv[i][1])
			return command_usage_error(&command_check, "no option is called '%s'", argv[i]);
		else if (c->path)
			return command_usage_error(&command_check, "one policy at a time: '%s' or '%s'?", c->path,
						   argv[i]);
		else
			c->path = argv[i];
	}
	if (!c->path)
		return command_usage_error(&command_check, "which policy?");
	return EXIT_OK;
}

static void run(struct check *c)
{
	SCOPED(why_freep) struct why *w = NULL;
	SCOPED(alike_freep) struct alike *a = NULL;
	struct diag d;

	if (policy_load(c->path, NULL, c->report, &c->policy) < 0)
		return;
	w = why_new(c->policy, c->report);
	a = alike_new(c->policy);
	lint_run(w, a, c->report);
	if (report_count(c->report, SEVERITY_ERROR))
		return;
	if (tests_run(w, &c->memory, &c->results, &c->result_count, &d) < 0)
		(void)report_add(c->report, SEVERITY_ERROR, "test", (struct place){ 0 }, "%s", d.text);
	for (size_t i = 0; i < c->result_count; i++)
		c->passed += c->results[i].passed;
}

static json_t *failure_json(const struct test_result *t)
{
	return json_pack("{s:o, s:o, s:o, s:s, s:s, s:o, s:i, s:i}", "from", say_string_json(t->test->from), "to",
			 say_string_json(t->test->to), "traffic", say_string_json(t->test->traffic), "expected",
			 outcome_name(t->test->expect), "got", outcome_name(t->got), "reason",
			 say_string_json(t->reason), "line", (int)t->test->place.line, "column",
			 (int)t->test->place.column);
}

static void print_json(const struct check *c, bool ok)
{
	json_t *failures = json_array();

	for (size_t i = 0; i < c->result_count; i++)
		if (!c->results[i].passed)
			(void)json_array_append_new(failures, failure_json(&c->results[i]));
	(void)say_json(json_pack("{s:b, s:o, s:o, s:{s:I, s:I, s:o}}", "ok", ok, "errors",
				 say_findings_json(c->report, SEVERITY_ERROR, SEVERITY_ERROR, c->path), "warnings",
				 say_findings_json(c->report, SEVERITY_NOTE, SEVERITY_WARNING, c->path), "tests",
				 "passed", (json_int_t)c->passed, "failed", (json_int_t)(c->result_count - c->passed),
				 "failures", failures));
}

static void failure_text(const struct check *c, const struct test_result *t, bool colour, struct str *out)
{
	const struct text *file = report_file(c->report, t->test->place.file);

	if (file)
		str_addf(out, "%s:%u:%u: ", file->path, t->test->place.line, t->test->place.column);
	str_addf(out, "%stest failed%s: ", colour ? "\033[1;31m" : "", colour ? "\033[0m" : "");
	say_clean(t->test->from, out);
	str_add(out, " -> ");
	say_clean(t->test->to, out);
	str_add(out, " ");
	say_clean(t->test->traffic, out);
	str_addf(out, " is %s, expected %s\n  ", outcome_name(t->got), outcome_name(t->test->expect));
	say_clean(t->reason, out);
	str_add(out, "\n");
}

/* Is an error one in the policy, and not that there is none to read? */
static bool in_the_file(const struct check *c)
{
	const struct finding *const *all;

	return report_findings(c->report, &all) && all[0]->place.file;
}

/* "3 rules, 2 firewall rules, 4 zones, 7 hosts. 10 tests passed." */
static void summary(const struct check *c, struct str *out)
{
	const struct rule *rules;
	const struct firewall *firewalls;
	const struct address_set *zones;
	const struct host *hosts;
	size_t errors = report_count(c->report, SEVERITY_ERROR), warnings = report_count(c->report, SEVERITY_WARNING);
	size_t notes = report_count(c->report, SEVERITY_NOTE), failed = c->result_count - c->passed;
	bool first = true;

	if (!errors) {
		say_count(policy_rules(c->policy, &rules), "rule, ", "rules, ", out);
		if (policy_firewalls(c->policy, &firewalls))
			say_count(policy_firewall_rule_count(c->policy), "firewall rule, ", "firewall rules, ", out);
		say_count(policy_zones(c->policy, &zones), "zone, ", "zones, ", out);
		say_count(policy_hosts(c->policy, &hosts), "host. ", "hosts. ", out);
		if (!c->result_count)
			str_add(out, "It has no tests. ");
		else
			say_count(c->passed, "test passed", "tests passed", out);
		if (failed)
			str_addf(out, ", %zu failed", failed);
		if (c->result_count)
			str_add(out, ". ");
	}
	if (errors) {
		say_count(errors, "error", "errors", out);
		first = false;
	}
	if (warnings) {
		str_add(out, first ? "" : ", ");
		say_count(warnings, "warning", "warnings", out);
		first = false;
	}
	if (notes) {
		str_add(out, first ? "" : ", ");
		say_count(notes, "note", "notes", out);
		first = false;
	}
	str_add(out, first ? "" : ". ");
	if (errors && in_the_file(c))
		str_add(out, "It would not be applied.");
	while (out->len && out->text[out->len - 1] == ' ')
		out->text[--out->len] = '\0';
	str_add(out, "\n");
}

static void print_text(const struct check *c)
{
	bool colour = command_colour();
	struct str out = { 0 };

	report_text(c->report, colour, &out);
	for (size_t i = 0; i < c->result_count; i++)
		if (!c->results[i].passed)
			failure_text(c, &c->results[i], colour, &out);
	summary(c, &out);
	say_print(&out);
}

static int check(int argc, char **argv)
{
	struct check c = { 0 };
	bool ok;
	int r;

	if ((r = arguments(argc, argv, &c)) != EXIT_OK)
		return r;
	c.report = report_new();
	run(&c);
	ok = !report_count(c.report, SEVERITY_ERROR) && c.passed == c.result_count;
	if (c.json)
		print_json(&c, ok);
	else
		print_text(&c);
	arena_wipe(&c.memory);
	policy_free(c.policy);
	report_free(c.report);
	return ok ? EXIT_OK : EXIT_FAILED;
}

const struct command command_check = {
	.name = "check",
	.summary = "compile a policy, look for mistakes, run its tests",
	.usage = "usage: cordon check POLICY [--json]\n\n"
		 "Compiles the policy for each of its hosts, looks for rules that do not do what their author\n"
		 "will believe, and runs the policy's own tests. Changes nothing. POLICY may be - for standard\n"
		 "input.\n\n"
		 "  --json   machine-readable: ok, errors, warnings, tests\n\n"
		 "Exit status: 0 all is well (there may be warnings), 1 errors or failed tests, 2 wrong usage.\n",
	.run = check,
};
