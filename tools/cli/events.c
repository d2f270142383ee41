/* cordon events: what has happened, and with --follow what happens. */
#include "base/diag.h"
#include "base/scope.h"
#include "base/str.h"
#include "observe/event.h"
#include "tools/cli/ask.h"
#include "tools/cli/columns.h"
#include "tools/cli/say.h"
#include "tools/cli/unanswered.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int run(int argc, char **argv);

const struct command command_events = {
	"events", "what has happened on this host",
	"usage: cordon events [--follow] [--last N] [--since WHEN] [--category NAMES] [--event NAMES]\n"
	"                     [--peer WHO] [--rule NAME] [--severity LEAST] [--json]\n"
	"       cordon events --list [--json]\n\n"
	"Prints the events that cordond keeps, the newest last.\n\n"
	"  --follow          go on with those to come\n"
	"  --last N          only the last N\n"
	"  --since WHEN      only those since then: 30m, 2h, 1d ago, or 2026-11-22 14:00\n"
	"  --category NAMES  only of these, separated by commas: main-mode,quick-mode (cordon audit show)\n"
	"  --event NAMES     only these, separated by commas: main-mode-failed,fallback\n"
	"  --peer WHO        only with this address, network, host of the policy, or identity\n"
	"  --rule NAME       only of this rule\n"
	"  --severity LEAST  only info, warning or error, and what is graver\n"
	"  --list            which events there are, and Windows' numbers for them\n"
	"  --json            one JSON object a line (docs/json.md)\n"
	"  --run-dir DIR     where cordond answers (default /run/cordon)\n",
	run
};

static void print_event(const json_t *e, bool json)
{
	const char *severity = ask_text(e, "severity");
	const char *colour = !command_colour()  ? ""
			     : *severity == 'e' ? "\033[31m"
			     : *severity == 'w' ? "\033[33m"
						: "";
	SCOPED(str_wipe) struct str line = { 0 };
	char when[AGO_TEXT];

	if (json) {
		(void)json_dumpf(e, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
		(void)putchar('\n');
		return;
	}
	(void)printf("%s  %s%s%s  ", ask_time(ask_number(e, "time_ms"), when), colour, ask_text(e, "event"),
		     *colour ? "\033[0m" : "");
	if (*ask_text(e, "remote"))
		(void)printf("%s  ", ask_text(e, "remote"));
	say_clean(ask_text(e, "text"), &line);
	if (*ask_text(e, "rule")) {
		str_add(&line, "  ('");
		say_clean(ask_text(e, "rule"), &line);
		str_add(&line, "')");
	}
	(void)puts(str_text(&line));
}

static int print_stream(struct control_link *l, bool follow, bool json, struct diag *why)
{
	bool first = true;

	do {
		json_t *reply = NULL;
		const json_t *all, *e;
		size_t i;
		int r = control_receive(l, first ? 30 : 0, &reply, why);

		if (r < 0)
			return r;
		if (json_is_false(json_object_get(reply, "ok"))) {
			r = diag_fail(why, ERR_UNEXPECTED, "%s", ask_text(reply, "error"));
			json_decref(reply);
			return r;
		}
		all = json_object_get(reply, "events");
		json_array_foreach(all, i, e)
		{
			print_event(e, json);
		}
		if (all && json_array_size(all) == 0 && !follow && !json)
			(void)puts("No such event is remembered. What else there is:  cordon events");
		if (!all) {
			if (ask_number(reply, "missed"))
				(void)fprintf(stderr, "cordon: %" PRIu64 " events were left out: they came too fast\n",
					      ask_number(reply, "missed"));
			print_event(reply, json);
		}
		first = false;
		json_decref(reply);
		(void)fflush(stdout);
	} while (follow && !ferror(stdout));
	return 0;
}

static void print_list_json(void)
{
	for (unsigned i = 0; i < EVENT_COUNT; i++) {
		const struct event_row *r = &event_rows[i];
		json_t *fields = json_array();
		json_t *o;

		for (unsigned f = 1; f < EVENT_FIELDS; f <<= 1)
			if (r->fields & f)
				(void)json_array_append_new(fields, json_string(event_field_name((enum event_field)f)));
		o = json_pack("{s:s,s:s,s:s,s:s,s:o,s:o,s:o,s:s}", "event", r->name, "category",
			      event_category_name(r->category), "severity", event_severity_name(r->severity), "result",
			      event_result_name(r->result), "windows",
			      r->windows ? json_integer(r->windows) : json_null(), "windows_certificate",
			      r->windows_certificate ? json_integer(r->windows_certificate) : json_null(), "fields",
			      fields, "meaning", r->meaning);
		(void)json_dumpf(o, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
		(void)putchar('\n');
		json_decref(o);
	}
}

static void print_list(void)
{
	struct columns c;

	columns_start(&c, "EVENT|CATEGORY|SEVERITY|RESULT|>WINDOWS|MEANING");
	for (unsigned i = 0; i < EVENT_COUNT; i++) {
		const struct event_row *r = &event_rows[i];

		columns_add(&c, "%s", r->name);
		columns_add(&c, "%s", event_category_name(r->category));
		columns_add(&c, "%s", event_severity_name(r->severity));
		columns_add(&c, "%s", event_result_name(r->result));
		if (r->windows_certificate)
			columns_add(&c, "%u/%u", r->windows, r->windows_certificate);
		else if (r->windows)
			columns_add(&c, "%u", r->windows);
		else
			columns_add(&c, "-");
		columns_add(&c, "%s", r->meaning);
	}
	columns_print(&c);
}

/* "2h" ago, or a local time: "2026-11-22", "2026-11-22 14:00", "2026-11-22T14:00:30". */
static bool read_since(const char *text, uint64_t *ret_ms)
{
	static const struct {
		char unit;
		unsigned seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
	static const char *const forms[] = { "%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S" };
	char *end = NULL;
	unsigned long n = strtoul(text, &end, 10);
	struct tm tm;

	for (size_t i = 0; i < ARRAY_LEN(units); i++)
		if (end != text && n < 100000000 && end[0] == units[i].unit && !end[1]) {
			uint64_t ago = (uint64_t)n * units[i].seconds * 1000, now = ask_now_ms();

			*ret_ms = now > ago ? now - ago : 0;
			return true;
		}
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		tm = (struct tm){ .tm_isdst = -1 };
		end = strptime(text, forms[i], &tm);
		if (end && !*end) {
			time_t at = mktime(&tm);

			*ret_ms = at > 0 ? (uint64_t)at * 1000 : 0;
			return true;
		}
	}
	return false;
}

/* What was wanted, for the request. */
struct wanted {
	const char *last, *since, *category, *event, *peer, *rule, *severity;
	bool follow, list;
};

static void put_text(json_t *request, const char *name, const char *text)
{
	if (text)
		(void)json_object_set_new(request, name, json_string(text));
}

static int make_request(const struct wanted *w, json_t *request)
{
	uint64_t since_ms;
	char *end = NULL;

	if (w->follow)
		(void)json_object_set_new(request, "follow", json_true());
	if (w->last) {
		unsigned long n = strtoul(w->last, &end, 10);

		if (!*w->last || *end || n > 100000)
			return command_usage_error(&command_events, "--last takes a number up to 100000");
		(void)json_object_set_new(request, "last", json_integer((json_int_t)n));
	}
	if (w->since && !read_since(w->since, &since_ms))
		return command_usage_error(&command_events,
					   "--since takes 30m, 2h or 1d, or a time like '2026-11-22 14:00'");
	if (w->since)
		(void)json_object_set_new(request, "since_ms", json_integer((json_int_t)since_ms));
	put_text(request, "category", w->category);
	put_text(request, "event", w->event);
	put_text(request, "peer", w->peer);
	put_text(request, "rule", w->rule);
	put_text(request, "severity", w->severity);
	return EXIT_OK;
}

static int ask_for(const struct ask *ask, const struct wanted *w)
{
	SCOPED(control_link_freep) struct control_link *l = NULL;
	const char *dir = ask->run_dir ? ask->run_dir : getenv("CORDON_RUN_DIR");
	json_t *request = control_request_new(CONTROL_EVENTS);
	struct diag why = { 0 };
	int r;

	if ((r = make_request(w, request)) != EXIT_OK) {
		json_decref(request);
		return r;
	}
	if ((r = control_connect(dir && *dir ? dir : "/run/cordon", &l, &why)) == 0 &&
	    (r = control_send(l, request, &why)) == 0)
		r = print_stream(l, w->follow, ask->json, &why);
	json_decref(request);
	if (r < 0) {
		(void)fprintf(stderr, "cordon: %s\n", why.text);
		unanswered_say(r);
	}
	return r < 0 ? EXIT_FAILED : EXIT_OK;
}

static int run(int argc, char **argv)
{
	struct ask ask = { 0 };
	struct wanted w = { 0 };
	const struct argument_option options[] = {
		ASK_OPTIONS(ask),
		{ "--follow", &w.follow, NULL },
		{ "--list", &w.list, NULL },
		{ "--last", NULL, &w.last },
		{ "--since", NULL, &w.since },
		{ "--category", NULL, &w.category },
		{ "--event", NULL, &w.event },
		{ "--peer", NULL, &w.peer },
		{ "--rule", NULL, &w.rule },
		{ "--severity", NULL, &w.severity },
	};
	size_t n;

	if (arguments_read(&command_events, argc, argv, options, ARRAY_LEN(options), NULL, 0, &n) != EXIT_OK)
		return EXIT_USAGE;
	if (!w.list)
		return ask_for(&ask, &w);
	if (ask.json)
		print_list_json();
	else
		print_list();
	return EXIT_OK;
}
