/* The program `cordon`: finds the command and hands over. */
#include "tools/cli/command.h"
#include "base/mem.h"
#include "base/report.h"
#include "base/scope.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef CORDON_VERSION
#define CORDON_VERSION "unknown"
#endif

int command_usage_error(const struct command *c, const char *fmt, ...)
{
	va_list ap;

	(void)fprintf(stderr, "cordon %s: ", c->name);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fprintf(stderr, "\n  cordon %s --help tells what it takes\n", c->name);
	return EXIT_USAGE;
}

bool command_colour(void)
{
	return isatty(STDOUT_FILENO) == 1 && !getenv("NO_COLOR");
}

static int help(FILE *to)
{
	(void)fputs("cordon - one policy says which machines must authenticate each other and encrypt\n\n"
		    "usage: cordon COMMAND [ARGUMENT ...]\n\n",
		    to);
	for (unsigned i = 0; i < commands_count; i++)
		(void)fprintf(to, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
	(void)fputs("\n  cordon COMMAND --help tells more.\n", to);
	return EXIT_OK;
}

static int unknown_command(const char *word)
{
	const char **names = mem_new(commands_count, sizeof *names), *near;

	for (unsigned i = 0; i < commands_count; i++)
		names[i] = commands[i]->name;
	near = report_nearest(word, names, commands_count);
	(void)fprintf(stderr, "cordon: no command is called '%s'\n", word);
	if (near)
		(void)fprintf(stderr, "  did you mean: cordon %s?\n", near);
	(void)fputs("  cordon --help lists them\n", stderr);
	free(names);
	return EXIT_USAGE;
}

/* What follows `lab exec HOST COMMAND` is the command's: a --help there is for it. */
static int own_words(const struct command *c, int argc, char **argv)
{
	enum { COMMAND = 4 };

	if (argc > COMMAND && strcmp(c->name, "lab") == 0 && strcmp(argv[2], "exec") == 0)
		return COMMAND + 1;
	return argc;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		(void)help(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0)
		return help(stdout);
	if (strcmp(argv[1], "--version") == 0) {
		(void)puts("cordon " CORDON_VERSION);
		return EXIT_OK;
	}
	for (unsigned i = 0; i < commands_count; i++) {
		const struct command *c = commands[i];

		if (strcmp(argv[1], c->name) != 0)
			continue;
		for (int a = 2; a < own_words(c, argc, argv) && strcmp(argv[a], "--") != 0; a++)
			if (strcmp(argv[a], "--help") == 0) {
				(void)printf("%s", c->usage);
				return EXIT_OK;
			}
		return c->run(argc - 1, argv + 1);
	}
	return unknown_command(argv[1]);
}
