/* tools/cli/command.h - one command of the program `cordon`: a file of its own, NAME.c, that defines
 * `const struct command command_NAME`, and two lines in commands.c. */
#ifndef TOOLS_CLI_COMMAND_H
#define TOOLS_CLI_COMMAND_H
#include <stdbool.h>

/* Exit statuses, the same for every command. */
enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct command {
	const char *name;
	const char *summary;               /* one line for `cordon --help` */
	const char *usage;                 /* for `cordon NAME --help`: synopsis, then options */
	int (*run)(int argc, char **argv); /* argv[0] is the command's name */
};

/* Say what is wrong with the arguments and how to get help; returns EXIT_USAGE. */
int command_usage_error(const struct command *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Colour: on a terminal, and NO_COLOR is not set. */
bool command_colour(void);

extern const struct command *const commands[];
extern const unsigned commands_count;

#endif
