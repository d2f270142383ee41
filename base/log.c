#include "base/log.h"

#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { WAIT_MS = 100 };

static struct {
	const char *program;
	bool journal;
	atomic_bool stuck; /* the last line found no room; threads log, too */
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

/* A pipe that nobody empties would hold us for good. It is waited for once, and not again for each line. */
static bool has_room(void)
{
	struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };

	bool room = poll(&p, 1, atomic_load(&self.stuck) ? 0 : WAIT_MS) == 1 && (p.revents & POLLOUT);

	atomic_store(&self.stuck, !room);
	return room;
}

bool log_say(enum log_level level, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (!has_room())
		return false;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	defuse(text);
	if (self.journal)
		(void)fprintf(stderr, "<%d>%s\n", level, text);
	else
		(void)fprintf(stderr, "%s%s%s\n", self.program ? self.program : "", self.program ? ": " : "", text);
	return true;
}
