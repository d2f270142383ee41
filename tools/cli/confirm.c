/* cordon confirm: keep the policy that is on probation. */
#include "tools/cli/ask.h"

#include <inttypes.h>
#include <stdio.h>

static int run(int argc, char **argv);

const struct command command_confirm = {
	"confirm", "keep the policy that was applied with --confirm",
	"usage: cordon confirm [--json]\n\n"
	"Keeps the policy that was applied with --confirm and would be taken back.\n\n" ASK_HELP,
	run
};

static int run(int argc, char **argv)
{
	struct ask ask = { 0 };
	const struct argument_option options[] = { ASK_OPTIONS(ask) };
	json_t *reply;
	size_t n;
	int r;

	if (arguments_read(&command_confirm, argc, argv, options, 2, NULL, 0, &n) != EXIT_OK)
		return EXIT_USAGE;
	r = ask_daemon(&ask, control_request_new(CONTROL_CONFIRM), &reply);
	if (r == EXIT_OK && reply)
		(void)printf("v%" PRIu64 " stays in force.\n", ask_number(reply, "version"));
	else if (reply)
		r = ask_refused(&ask, reply);
	json_decref(reply);
	return r;
}
