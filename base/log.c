#include "base/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static struct {
	const char *program;
	bool journal;
} self;

void log_start(const char *program)
{
	self.program = program;
	self.journal = getenv("JOURNAL_STREAM") != NULL;
}

/* Peers choose parts of what we log: a control character would let them forge lines or steer a terminal. */
static void defuse(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

void log_say(enum log_level level, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	defuse(text);
	if (self.journal)
		(void)fprintf(stderr, "<%d>%s\n", level, text);
	else
		(void)fprintf(stderr, "%s%s%s\n", self.program ? self.program : "", self.program ? ": " : "", text);
}
