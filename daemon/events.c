#include "base/log.h"
#include "daemon/daemon.h"
#include "observe/event_json.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

enum { FOLLOWER_BACKLOG_MOST = 1 << 20 };

uint64_t unix_now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void to_journal(const struct event *e)
{
	static const enum log_level levels[] = {
		[EVENT_INFO] = LOG_LEVEL_INFO, [EVENT_WARNING] = LOG_LEVEL_WARNING, [EVENT_ERROR] = LOG_LEVEL_ERROR
	};
	char remote[ADDR_TEXT] = "";

	if (e->remote.family)
		(void)addr_text(&e->remote, remote);
	log_say(levels[event_severity(e->id)], "%s%s%s%s%s%s: %s", event_name(e->id), *remote ? " " : "", remote,
		e->rule[0] ? " '" : "", e->rule, e->rule[0] ? "'" : "", e->text);
}

/* A follower that does not read misses events, and sees it by their numbers. */
static void to_followers(struct daemon *d, const struct event *e, uint64_t number)
{
	for (size_t i = 0; i < FOLLOWERS_MOST; i++)
		if (d->followers[i] && control_backlog(d->followers[i]) < FOLLOWER_BACKLOG_MOST)
			control_reply(d->followers[i], event_json(e, number));
}

static void emit(void *context, const struct event *e)
{
	struct daemon *d = context;
	uint64_t number = event_ring_next(d->events);

	event_ring_add(d->events, e);
	e = event_ring_get(d->events, number);
	to_journal(e);
	to_followers(d, e, number);
}

void daemon_events_start(struct daemon *d)
{
	d->events = event_ring_new(EVENTS_KEPT);
	d->observer = (struct observer){ emit, d };
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
