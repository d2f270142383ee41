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

static void tell(const json_t *reply)
{
	(void)printf("v%" PRIu64 " stays in force.\n", ask_number(reply, "version"));
}

static int run(int argc, char **argv)
{
	return ask_plainly(&command_confirm, argc, argv, CONTROL_CONFIRM, tell);
}
