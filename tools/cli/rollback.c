/* cordon rollback [N]: an earlier policy again. */
#include "tools/cli/ask.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static int run(int argc, char **argv);

const struct command command_rollback = {
	"rollback", "put an earlier policy in force again",
	"usage: cordon rollback [N] [--json]\n\n"
	"Goes back to the policy before the one in force, or to version N of `cordon history`.\n\n" ASK_HELP,
	run
};

static bool parse_version(const char *text, unsigned long *ret)
{
	const char *digits = *text == 'v' ? text + 1 : text;
	char *end = NULL;

	*ret = strtoul(digits, &end, 10);
	return *digits >= '0' && *digits <= '9' && !*end && *ret > 0 && *ret <= 1000000000;
}

static int run(int argc, char **argv)
{
	struct ask ask = { 0 };
	const struct argument_option options[] = { ASK_OPTIONS(ask) };
	const char *which = NULL;
	unsigned long version = 0;
	json_t *request, *reply;
	size_t n;
	int r;

	if (arguments_read(&command_rollback, argc, argv, options, 2, &which, 1, &n) != EXIT_OK)
		return EXIT_USAGE;
	if (which && !parse_version(which, &version))
		return command_usage_error(&command_rollback, "'%s' is no version; cordon history lists them", which);
	request = control_request_new(CONTROL_ROLLBACK);
	if (which)
		(void)json_object_set_new(request, "version", json_integer((json_int_t)version));
	r = ask_daemon(&ask, request, &reply);
	if (r == EXIT_OK && reply && ask_number(reply, "version"))
		(void)printf("v%" PRIu64 " is in force again.\n", ask_number(reply, "version"));
	else if (r == EXIT_OK && reply)
		(void)puts("No policy is in force, as before the first one. Nothing is protected.");
	else if (reply)
		r = ask_refused(&ask, reply);
	json_decref(reply);
	return r;
}
