/* The table of commands, in the order of `cordon --help`. Each one is declared here and lives in a file of its own. */
#include "tools/cli/command.h"
#include "base/scope.h"

const struct command commands[] = {
	{ 0 },
};
const unsigned commands_count = ARRAY_LEN(commands) - 1;
