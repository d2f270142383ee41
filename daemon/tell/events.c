#include "daemon/daemon.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

uint64_t unix_now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void daemon_event(struct daemon *d, enum event_id id, const char *fmt, ...)
{
	struct event e = { .id = id };
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(e.text, sizeof e.text, fmt, ap);
	va_end(ap);
	observe(&d->observer, &e);
}

void daemon_event_by(struct daemon *d, enum event_id id, const char *by, const char *fmt, ...)
{
	struct event e = { .id = id };
	va_list ap;

	(void)snprintf(e.user, sizeof e.user, "%s", by);
	va_start(ap, fmt);
	(void)vsnprintf(e.text, sizeof e.text, fmt, ap);
	va_end(ap);
	observe(&d->observer, &e);
}
