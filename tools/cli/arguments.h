/* tools/cli/arguments.h - options and arguments of one command, from a table. */
#ifndef TOOLS_CLI_ARGUMENTS_H
#define TOOLS_CLI_ARGUMENTS_H
#include "tools/cli/command.h"
#include <stdbool.h>
#include <stddef.h>

struct argument_option {
	const char *name;   /* "--json" */
	bool *flag;         /* one of the two */
	const char **value; /* the argument behind it, or behind '=' */
};

/* Options may stand anywhere before "--". The other arguments go to rest, at most `most`, their number to *ret_count.
 * Returns EXIT_OK or, having said what is wrong, EXIT_USAGE. */
int arguments_read(const struct command *c, int argc, char **argv, const struct argument_option *options, size_t n,
		   const char **rest, size_t most, size_t *ret_count);

#endif
