/* Every mistake is answered in the words of the file beside it: bad-policies/NAME.yaml is refused with NAME.txt. */
#include "policy/policy.h"

#include "base/diag.h"
#include "base/str.h"
#include "base/text.h"
#include "tests/unit/unit.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

static const char *folder;

static int is_policy(const struct dirent *e)
{
	size_t n = strlen(e->d_name);

	return n > 5 && strcmp(e->d_name + n - 5, ".yaml") == 0;
}

static struct text *read_file(const char *name, int n, const char *end)
{
	SCOPED(str_wipe) struct str path = { 0 };
	struct text *t = NULL;
	struct diag d = { 0 };

	str_addf(&path, "%s/%.*s%s", folder, n, name, end);
	if (text_read(path.text, 1 << 20, &t, &d) < 0)
		fail_msg("%s", d.text);
	return t;
}

static void check(const char *file)
{
	int n = (int)strlen(file) - 5;
	SCOPED(text_freep) struct text *yaml = read_file(file, n, ".yaml"), *want = read_file(file, n, ".txt");
	SCOPED(report_freep) struct report *r = report_new();
	SCOPED(policy_freep) struct policy *p = NULL;
	SCOPED(str_wipe) struct str got = { 0 };

	if (policy_parse(text_new(file, yaml->octets, yaml->len), NULL, r, &p) == 0)
		fail_msg("%s loads", file);
	assert_null(p);
	report_text(r, false, &got);
	if (strcmp(str_text(&got), want->octets) != 0)
		fail_msg("%s is answered\n%s", file, str_text(&got));
	assert_null(strstr(str_text(&got), "hunter2")); /* the key in those that hold one */
}

static void every_mistake_is_answered_in_these_words(void **state)
{
	struct dirent **files;
	int n = scandir(folder, &files, is_policy, alphasort);

	(void)state;
	assert_true(n > 60);
	for (int i = 0; i < n; i++) {
		check(files[i]->d_name);
		free(files[i]);
	}
	free(files);
}

/* Text that no editor writes: cut anywhere, and with each octet turned into another. */
static void a_damaged_policy_is_refused_or_read_but_never_kills(void **state)
{
	static const char damage[] = "\0{}[]:,-&*!|>'\"%@`#\t\n \xff";
	SCOPED(text_freep) struct text *whole = read_file("set-unknown", 11, ".yaml");

	(void)state;
	for (size_t cut = 0; cut < whole->len; cut++) {
		for (size_t k = 0; k < sizeof damage; k++) {
			SCOPED(report_freep) struct report *r = report_new();
			SCOPED(policy_freep) struct policy *p = NULL;
			struct text *t = text_new("cut.yaml", whole->octets, k ? whole->len : cut);

			if (k)
				t->octets[cut] = damage[k - 1];
			if (policy_parse(t, NULL, r, &p) < 0)
				assert_true(report_count(r, SEVERITY_ERROR) > 0);
		}
	}
}

static void what_is_no_file_is_refused(void **state)
{
	static const char *const paths[] = { "/nonexistent/policy.yaml", "/dev", "/dev/null" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		SCOPED(report_freep) struct report *r = report_new();
		struct policy *p = NULL;

		assert_true(policy_load(paths[i], NULL, r, &p) < 0);
		assert_null(p);
		assert_int_equal(report_count(r, SEVERITY_ERROR), 1);
	}
}

static void a_file_over_the_bound_is_refused_unread(void **state)
{
	SCOPED(report_freep) struct report *r = report_new();
	SCOPED(str_wipe) struct str out = { 0 };
	struct policy *p = NULL;
	struct text *t = text_new("big.yaml", "", 0);

	(void)state;
	free(t->octets);
	t->len = ((size_t)64 << 20) + 1;
	t->octets = calloc(t->len + 1, 1);
	assert_non_null(t->octets);
	assert_true(policy_parse(t, NULL, r, &p) < 0);
	report_text(r, false, &out);
	assert_string_equal(str_text(&out), "big.yaml: error: the file is over 64 MB, the most that is read\n");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_mistake_is_answered_in_these_words),
		cmocka_unit_test(a_damaged_policy_is_refused_or_read_but_never_kills),
		cmocka_unit_test(what_is_no_file_is_refused),
		cmocka_unit_test(a_file_over_the_bound_is_refused_unread),
	};

	folder = argc > 1 ? argv[1] : "tests/unit/bad-policies";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
