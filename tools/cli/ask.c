#include "tools/cli/ask.h"

#include "base/diag.h"
#include "base/scope.h"
#include "tools/cli/unanswered.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void print_json(const json_t *value)
{
	(void)json_dumpf(value, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	(void)putchar('\n');
}

int ask_refused(const struct ask *a, const json_t *reply)
{
	if (a->json)
		print_json(reply);
	else
		(void)fprintf(stderr, "cordon: %s\n", ask_text(reply, "error"));
	return EXIT_FAILED;
}

/* Who waits at a terminal wants to know for what. */
static int ask_patiently(const char *dir, const json_t *request, json_t **ret, struct diag *why)
{
	enum { PATIENCE_MS = 2000 };
	SCOPED(control_link_freep) struct control_link *l = NULL;
	int r;

	if ((r = control_connect(dir, &l, why)) < 0 || (r = control_send(l, request, why)) < 0)
		return r;
	if (isatty(STDERR_FILENO) && !control_answers(l, PATIENCE_MS))
		(void)fputs("cordond is busy, it may be putting a policy in force; waiting\n", stderr);
	return control_receive(l, CONTROL_ANSWER_S, ret, why);
}

int ask_daemon(const struct ask *a, json_t *request, json_t **ret)
{
	const char *dir = a->run_dir ? a->run_dir : getenv("CORDON_RUN_DIR");
	struct diag why = { 0 };
	json_t *reply = NULL;
	int r = ask_patiently(dir && *dir ? dir : "/run/cordon", request, &reply, &why);

	json_decref(request);
	*ret = NULL;
	if (r < 0) {
		(void)fprintf(stderr, "cordon: %s\n", why.text);
		unanswered_say(r);
		return EXIT_FAILED;
	}
	if (!json_is_true(json_object_get(reply, "ok"))) {
		*ret = reply;
		return EXIT_FAILED;
	}
	if (a->json) {
		print_json(reply);
		json_decref(reply);
		return EXIT_OK;
	}
	*ret = reply;
	return EXIT_OK;
}

const char *ask_text(const json_t *o, const char *name)
{
	const char *text = json_string_value(json_object_get(o, name));

	return text ? text : "";
}

uint64_t ask_number(const json_t *o, const char *name)
{
	json_int_t n = json_integer_value(json_object_get(o, name));

	return n > 0 ? (uint64_t)n : 0;
}

uint64_t ask_now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

const char *ask_span(uint64_t s, char buf[AGO_TEXT])
{
	if (s >= 2 * 86400)
		(void)snprintf(buf, AGO_TEXT, "%" PRIu64 " days", s / 86400);
	else if (s >= 2 * 3600)
		(void)snprintf(buf, AGO_TEXT, "%" PRIu64 " h", s / 3600);
	else if (s >= 2 * 60)
		(void)snprintf(buf, AGO_TEXT, "%" PRIu64 " min", s / 60);
	else
		(void)snprintf(buf, AGO_TEXT, "%" PRIu64 " s", s);
	return buf;
}

bool ask_parse_span(const char *text, uint64_t *ret_s)
{
	char *end = NULL;
	unsigned long n = strtoul(text, &end, 10);
	unsigned long unit = *end == '\0' || *end == 's' ? 1 : *end == 'm' ? 60 : *end == 'h' ? 3600 : 0;

	if (end == text || text[0] == '-' || unit == 0 || (*end && end[1]) || n == 0 || n > 7ul * 86400 / unit)
		return false;
	*ret_s = n * unit;
	return true;
}

const char *ask_octets(uint64_t n, char buf[AGO_TEXT])
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB" };
	double v = (double)n;
	size_t u = 0;

	while (v >= 999.5 && u + 1 < sizeof units / sizeof units[0]) {
		v /= 1000;
		u++;
	}
	(void)snprintf(buf, AGO_TEXT, u && v < 9.95 ? "%.1f %s" : "%.0f %s", v, units[u]);
	return buf;
}

const char *ask_time(uint64_t unix_ms, char buf[AGO_TEXT])
{
	time_t then = (time_t)(unix_ms / 1000), now = time(NULL);
	struct tm a, b;

	(void)localtime_r(&then, &a);
	(void)localtime_r(&now, &b);
	(void)strftime(buf, AGO_TEXT,
		       a.tm_year == b.tm_year && a.tm_yday == b.tm_yday ? "%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &a);
	return buf;
}

int ask_plainly(const struct command *c, int argc, char **argv, enum control_request what,
		void (*tell)(const json_t *reply))
{
	struct ask ask = { 0 };
	const struct argument_option options[] = { ASK_OPTIONS(ask) };
	json_t *reply;
	size_t n;
	int r;

	if (arguments_read(c, argc, argv, options, ARRAY_LEN(options), NULL, 0, &n) != EXIT_OK)
		return EXIT_USAGE;
	r = ask_daemon(&ask, control_request_new(what), &reply);
	if (r == EXIT_OK && reply)
		tell(reply);
	else if (reply)
		r = ask_refused(&ask, reply);
	json_decref(reply);
	return r;
}
