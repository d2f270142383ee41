/* cordon enable: the end of break-glass. */
#include "tools/cli/ask.h"

#include <inttypes.h>
#include <stdio.h>

static int run(int argc, char **argv);

const struct command command_enable = { "enable", "protect this host again after `cordon disable`",
					"usage: cordon enable [--json]\n\n"
					"Puts the policy in force again that `cordon disable` took out.\n\n" ASK_HELP,
					run };

static void tell(const json_t *reply)
{
	if (ask_number(reply, "version"))
		(void)printf("v%" PRIu64 " is in force again.\n", ask_number(reply, "version"));
	else
		(void)puts("Protection is enabled, but there is no policy yet:  cordon init writes a first one");
}

static int run(int argc, char **argv)
{
	return ask_plainly(&command_enable, argc, argv, CONTROL_ENABLE, tell);
}
