#include "tools/lab/scenario.h"

#include "base/diag.h"
#include "base/mem.h"
#include "base/str.h"
#include "tools/lab/network.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void scenario_wipe(struct scenario *s)
{
	steps_free(s->steps);
	free(s->folder);
	policy_free(s->policy);
	report_free(s->report);
	free(s->policy_path);
	*s = (struct scenario){ 0 };
}

/* In a folder, the policy and, if they are there, steps beside it. */
static char *policy_path_of(const char *path, char **ret_steps)
{
	SCOPED(str_wipe) struct str inside = { 0 }, steps = { 0 };
	struct stat s;

	if (stat(path, &s) == 0 && S_ISDIR(s.st_mode)) {
		str_addf(&inside, "%s/policy.yaml", path);
		str_addf(&steps, "%s/scenario.yaml", path);
		if (stat(str_text(&steps), &s) == 0)
			*ret_steps = realpath(str_text(&steps), NULL);
		path = str_text(&inside);
	}
	return realpath(path, NULL);
}

/* What the twin cannot play, in words; NULL: it can. */
static const char *cannot(const struct policy *p, bool tests)
{
	const struct host *hosts;
	const struct policy_test *rows;
	size_t n = policy_hosts(p, &hosts);

	if (n == 0)
		return "the policy names no hosts: the lab plays its `hosts:`, so name some there";
	if (n > NETWORK_HOSTS_MOST)
		return "the policy has more than 500 hosts: make one with those that you want to try";
	if (tests && policy_tests(p, &rows) == 0)
		return "the policy has no tests: say in `tests:` who asks whom for what, and what you expect; or look "
		       "around with cordon lab up";
	for (size_t i = 0; i < n; i++) {
		if (strchr(hosts[i].name, '/') || hosts[i].name[0] == '.')
			return "a host's name has a slash or begins with a dot: the lab has a folder by that name";
		if (hosts[i].address_count == 0)
			return "a host has no address";
	}
	return NULL;
}

int scenario_load(const struct lab_options *o, bool tests, struct scenario *ret)
{
	const char *path = o->scenario;
	struct scenario s = { .report = report_new(), .wire = o->wire };
	SCOPED(str_wipe) struct str text = { 0 };
	char *steps = NULL;
	const char *why;
	int e;

	s.policy_path = policy_path_of(path, &steps);
	if (!s.policy_path) {
		struct stat st;
		bool folder = errno == ENOENT && stat(path, &st) == 0 && S_ISDIR(st.st_mode);

		(void)fprintf(stderr, "cordon lab: %s%s: %s\n", path, folder ? "/policy.yaml" : "", strerror(errno));
		scenario_wipe(&s);
		return -ENOENT;
	}
	e = policy_load(s.policy_path, NULL, s.report, &s.policy);
	if (e == 0 && steps && tests)
		e = steps_load(steps, s.policy, s.report, &s.steps);
	if (steps && (s.folder = mem_string(steps)))
		*strrchr(s.folder, '/') = '\0';
	free(steps);
	if (e < 0) {
		report_text(s.report, o->colour, &text);
		(void)fputs(str_text(&text), stderr);
	} else if ((why = cannot(s.policy, tests && !s.steps))) {
		(void)fprintf(stderr, "cordon lab: %s: %s\n", path, why);
		e = -EINVAL;
	}
	if (e < 0) {
		scenario_wipe(&s);
		return e;
	}
	*ret = s;
	return 0;
}
