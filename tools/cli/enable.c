/* cordon enable: the end of break-glass. */
#include "tools/cli/ask.h"

#include <inttypes.h>
#include <stdio.h>

static int run(int argc, char **argv);

const struct command command_enable = { "enable", "protect this host again after `cordon disable`",
					"usage: cordon enable [--json]\n\n"
					"Puts the policy in force again that `cordon disable` took out.\n\n" ASK_HELP,
					run };

static int run(int argc, char **argv)
{
	struct ask ask = { 0 };
	const struct argument_option options[] = { ASK_OPTIONS(ask) };
	json_t *reply;
	size_t n;
	int r;

	if (arguments_read(&command_enable, argc, argv, options, 2, NULL, 0, &n) != EXIT_OK)
		return EXIT_USAGE;
	r = ask_daemon(&ask, control_request_new(CONTROL_ENABLE), &reply);
	if (r == EXIT_OK && reply && ask_number(reply, "version"))
		(void)printf("v%" PRIu64 " is in force again.\n", ask_number(reply, "version"));
	else if (r == EXIT_OK && reply)
		(void)puts("Protection is enabled, but there is no policy yet:  cordon init writes a first one");
	else if (reply)
		r = ask_refused(&ask, reply);
	json_decref(reply);
	return r;
}
