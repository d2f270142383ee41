#include "base/report.h"

#include "base/mem.h"
#include "base/str.h"
#include "base/text.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

static void add_file(struct report *r, const char *path, const char *octets)
{
	assert_int_equal(report_add_file(r, text_new(path, octets, strlen(octets))), 1);
}

static void assert_report(const struct report *r, bool colour, const char *want)
{
	SCOPED(str_wipe) struct str out = { 0 };

	report_text(r, colour, &out);
	assert_string_equal(str_text(&out), want);
}

static void assert_first(const struct report *r, const char *want)
{
	SCOPED(str_wipe) struct str out = { 0 };

	report_first(r, &out);
	assert_string_equal(str_text(&out), want);
}

static void an_error_quotes_the_line_with_a_caret(void **state)
{
	SCOPED(report_freep) struct report *r = report_new();
	struct finding *f;

	(void)state;
	add_file(r, "office.yaml", "cordon: 1\n    endpoint1: [server, paws]\r\n");
	assert_first(r, "");
	f = report_add(r, SEVERITY_ERROR, "unknown-name", (struct place){ 1, 2, 17, 6 },
		       "no zone or host is called '%s'", "server");
	finding_advise(f, "did you mean 'servers' (%s:%d)?", "office.yaml", 6);
	assert_report(r, false,
		      "office.yaml:2:17: error: no zone or host is called 'server'\n"
		      "    endpoint1: [server, paws]\n"
		      "                ^~~~~~\n"
		      "  did you mean 'servers' (office.yaml:6)?\n");
	assert_first(r, "office.yaml:2:17: no zone or host is called 'server'");
}

static void errors_come_first_then_places(void **state)
{
	SCOPED(report_freep) struct report *r = report_new();

	(void)state;
	add_file(r, "a", "x\ny\n");
	(void)report_add(r, SEVERITY_WARNING, "wide", (struct place){ 1, 1, 1, 1 }, "w1");
	finding_advise(report_add(r, SEVERITY_ERROR, "e", (struct place){ 1, 2, 1, 0 }, "e2"), "one\ntwo");
	(void)report_add(r, SEVERITY_ERROR, "e", (struct place){ 1, 1, 5, 0 }, "e1");
	(void)report_add(r, SEVERITY_ERROR, "e", (struct place){ 0 }, "e0");
	assert_report(r, false,
		      "error: e0\na:1:5: error: e1\na:2:1: error: e2\n  one\n  two\na:1:1: warning [wide]: w1\n");
	assert_first(r, "e0 (and 2 more)");
	assert_int_equal(report_count(r, SEVERITY_ERROR), 3);
	assert_int_equal(report_count(r, SEVERITY_WARNING), 1);
}

static void a_file_cannot_write_to_the_terminal(void **state)
{
	SCOPED(report_freep) struct report *r = report_new();

	(void)state;
	add_file(r, "a", "\t\xc3\xa4\033[31mred \xff\xc2\x9b");
	(void)report_add(r, SEVERITY_ERROR, "e", (struct place){ 1, 1, 3, 2 }, "%s", "bad \033[0m\nname");
	assert_report(r, false, "a:1:3: error: bad ?[0m name\n    \xc3\xa4?[31mred ???\n     ^~\n");
}

static void a_long_line_is_cut_around_the_caret(void **state)
{
	SCOPED(report_freep) struct report *r = report_new();
	SCOPED(str_wipe) struct str out = { 0 };
	char line[4001];

	(void)state;
	memset(line, 'x', 4000);
	line[4000] = 0;
	line[3000] = '!';
	add_file(r, "a", line);
	(void)report_add(r, SEVERITY_ERROR, "e", (struct place){ 1, 1, 3001, 1 }, "there");
	report_text(r, true, &out);
	assert_true(out.len < 400);
	assert_non_null(strchr(out.text, '!'));
	assert_non_null(strchr(out.text, '^'));
	/* The caret stands right below. */
	const char *bang = strchr(out.text, '!'), *line_start = bang;
	while (line_start[-1] != '\n')
		line_start--;
	const char *caret = strchr(out.text, '^'), *caret_start = caret;
	while (caret_start[-1] != '\n')
		caret_start--;
	assert_int_equal(bang - line_start, caret - caret_start);
}

static void places_outside_the_file_are_harmless(void **state)
{
	static const struct place places[] = { { 1, 9, 1, 3 }, { 1, 1, 99, 3 }, { 7, 1, 1, 1 }, { 1, 0, 0, 5 } };
	SCOPED(report_freep) struct report *r = report_new();
	SCOPED(str_wipe) struct str out = { 0 };

	(void)state;
	add_file(r, "a", "x");
	for (size_t i = 0; i < ARRAY_LEN(places); i++)
		(void)report_add(r, SEVERITY_ERROR, "e", places[i], "m");
	report_text(r, false, &out);
	assert_non_null(strstr(out.text, "a:9:1: error: m\n"));
}

static void findings_are_bounded_and_counted(void **state)
{
	SCOPED(report_freep) struct report *r = report_new();
	SCOPED(str_wipe) struct str out = { 0 };
	const struct finding *const *all;

	(void)state;
	for (int i = 0; i < 300; i++)
		finding_advise(report_add(r, SEVERITY_WARNING, "w", (struct place){ 0 }, "warning %d", i), "a");
	(void)report_add(r, SEVERITY_ERROR, "e", (struct place){ 0 }, "the error is not lost among them");
	assert_int_equal(report_count(r, SEVERITY_WARNING), 300);
	assert_int_equal(report_findings(r, &all), REPORT_FINDINGS_MOST + 1);
	assert_int_equal(all[0]->severity, SEVERITY_ERROR);
	report_text(r, false, &out);
	assert_non_null(strstr(out.text, "and 200 more that are not shown\n"));
}

static void nearest_finds_what_was_meant(void **state)
{
	static const char *const names[] = { "servers", "paws", "endpoint1", "endpoint2", "require-encryption", "db" };
	static const struct {
		const char *wrong, *want;
	} rows[] = {
		{ "server", "servers" },
		{ "Servers", "servers" },
		{ "sevrers", "servers" },
		{ "pws", "paws" },
		{ "endpoint", "endpoint1" },
		{ "require_encryption", "require-encryption" },
		{ "requireencryption", "require-encryption" },
		{ "printers", NULL },
		{ "x", NULL },
		{ "", NULL },
		{ "bd", "db" },
		{ "require", "require-encryption" }, /* the beginning of this one alone */
		{ "endp", NULL },
		{ "req", NULL },
		{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		  NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *got = report_nearest(rows[i].wrong, names, ARRAY_LEN(names));

		if (got != rows[i].want && (!got || !rows[i].want || strcmp(got, rows[i].want) != 0))
			fail_msg("%s: %s", rows[i].wrong, got ? got : "none");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_error_quotes_the_line_with_a_caret),
		cmocka_unit_test(errors_come_first_then_places),
		cmocka_unit_test(a_file_cannot_write_to_the_terminal),
		cmocka_unit_test(a_long_line_is_cut_around_the_caret),
		cmocka_unit_test(places_outside_the_file_are_harmless),
		cmocka_unit_test(findings_are_bounded_and_counted),
		cmocka_unit_test(nearest_finds_what_was_meant),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
