#include "tools/cli/arguments.h"

#include <string.h>

static const struct argument_option *option_of(const char *text, const struct argument_option *options, size_t n)
{
	size_t len = strcspn(text, "=");

	for (size_t i = 0; i < n; i++)
		if (strlen(options[i].name) == len && strncmp(options[i].name, text, len) == 0)
			return &options[i];
	return NULL;
}

/* How many of argv it took: 1 or 2; 0 when it is wrong. */
static int take_option(const struct command *c, char **argv, bool more, const struct argument_option *o)
{
	const char *equals = strchr(argv[0], '=');

	if (!o) {
		(void)command_usage_error(c, "it has no option '%s'", argv[0]);
		return 0;
	}
	if (o->flag) {
		if (equals) {
			(void)command_usage_error(c, "%s takes no value", o->name);
			return 0;
		}
		*o->flag = true;
		return 1;
	}
	if (equals) {
		*o->value = equals + 1;
		return 1;
	}
	if (!more) {
		(void)command_usage_error(c, "%s needs a value", o->name);
		return 0;
	}
	*o->value = argv[1];
	return 2;
}

int arguments_read(const struct command *c, int argc, char **argv, const struct argument_option *options, size_t n,
		   const char **rest, size_t most, size_t *ret_count)
{
	bool only_arguments = false;

	*ret_count = 0;
	for (int i = 1; i < argc;) {
		if (!only_arguments && strcmp(argv[i], "--") == 0) {
			only_arguments = true;
			i++;
			continue;
		}
		if (!only_arguments && argv[i][0] == '-' && argv[i][1]) {
			int taken = take_option(c, argv + i, i + 1 < argc, option_of(argv[i], options, n));

			if (!taken)
				return EXIT_USAGE;
			i += taken;
			continue;
		}
		if (*ret_count == most)
			return command_usage_error(c, "'%s' is one argument too many", argv[i]);
		rest[(*ret_count)++] = argv[i++];
	}
	return EXIT_OK;
}
