/* The table of commands, in the order of `cordon --help`. Each one lives in a file of its own. */
#include "tools/cli/command.h"
#include "base/scope.h"

extern const struct command command_check;
extern const struct command command_matrix;
extern const struct command command_pki;
extern const struct command command_why;

const struct command *const commands[] = {
	&command_check,
	&command_why,
	&command_matrix,
	&command_pki,
};
const unsigned commands_count = ARRAY_LEN(commands);
