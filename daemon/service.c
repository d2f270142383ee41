#include "daemon/service.h"

#include "base/scope.h"
#include "base/str.h"
#include "base/text.h"
#include "daemon/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PATH_TEXT = 4096, WAIT_MOST_S = 30, DOUBLINGS = 5 };

/* ---- alive ------------------------------------------------------------------------------------------------------- */

static void alive(uv_timer_t *t)
{
	(void)t;
	notify_manager("WATCHDOG=1");
}

void service_working(void)
{
	notify_manager("WATCHDOG=1\nEXTEND_TIMEOUT_USEC=30000000");
}

/* WATCHDOG_PID names whom it is meant for; our children inherit the environment. */
static uint64_t watchdog_ms(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");

	if (!usec || (pid && strtol(pid, NULL, 10) != (long)getpid()))
		return 0;
	return strtoull(usec, NULL, 10) / 1000;
}

static void failures_path(const char *run_dir, char ret[PATH_TEXT])
{
	(void)snprintf(ret, PATH_TEXT, "%s/failed-starts", run_dir);
}

void service_ready(struct daemon *d)
{
	uint64_t each = watchdog_ms() / 2;
	char path[PATH_TEXT];

	failures_path(d->options.run_dir, path);
	(void)unlink(path);
	service_say(d);
	notify_manager("READY=1");
	d->watchdog.data = d;
	(void)uv_timer_init(&d->loop, &d->watchdog);
	if (each)
		(void)uv_timer_start(&d->watchdog, alive, 0, each);
}

void service_stopping(struct daemon *d)
{
	notify_manager("STOPPING=1");
	if (d->watchdog.data && !uv_is_closing((uv_handle_t *)&d->watchdog))
		uv_close((uv_handle_t *)&d->watchdog, NULL);
}

/* ---- what is the case -------------------------------------------------------------------------------------------- */

/* A line feed would begin a message of its own. */
static void tell_status(const char *text)
{
	char line[512];

	(void)snprintf(line, sizeof line, "STATUS=%s", text);
	for (char *p = line; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
	notify_manager(line);
}

void service_say(struct daemon *d)
{
	char text[160];

	if (d->state->disabled)
		(void)snprintf(text, sizeof text, "Disabled: nothing is protected.  cordon enable  ends that");
	else if (!d->state->current)
		(void)snprintf(text, sizeof text, "No policy yet: nothing is protected.  cordon apply POLICY");
	else
		(void)snprintf(text, sizeof text, "Policy v%" PRIu32 " is in force%s", d->state->current,
			       d->state->pending.version ? ", to be confirmed" : "");
	if (strcmp(text, d->status_said) == 0)
		return;
	(void)snprintf(d->status_said, sizeof d->status_said, "%s", text);
	tell_status(text);
}

void service_reloading(void)
{
	struct timespec t;
	char text[64];

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	(void)snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
		       (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000);
	notify_manager(text);
}

void service_reloaded(void)
{
	notify_manager("READY=1");
}

/* ---- not started ------------------------------------------------------------------------------------------------- */

static unsigned failures_before(const char *path)
{
	SCOPED(text_freep) struct text *t = NULL;

	return text_read(path, 32, &t, NULL) == 0 ? (unsigned)strtoul(t->octets, NULL, 10) : 0;
}

void service_failed(const char *run_dir, const char *why)
{
	char path[PATH_TEXT], text[512];
	unsigned before, wait_s;
	int len;

	if (!getenv("NOTIFY_SOCKET"))
		return;
	failures_path(run_dir, path);
	before = failures_before(path);
	wait_s = before >= DOUBLINGS ? WAIT_MOST_S : before ? 1u << before : 0;
	len = snprintf(text, sizeof text, "%u\n", before + 1);
	(void)text_replace(path, text, (size_t)len, 0600, NULL);
	(void)snprintf(text, sizeof text, "Not started, tried again in %u s: %s", wait_s + 1, why);
	tell_status(text);
	if (wait_s)
		(void)sleep(wait_s); /* SIGTERM ends it */
}
