/* cordon events: what has happened, and with --follow what happens. */
#include "base/diag.h"
#include "base/scope.h"
#include "base/str.h"
#include "tools/cli/ask.h"
#include "tools/cli/say.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int run(int argc, char **argv);

const struct command command_events = { "events", "what has happened on this host",
					"usage: cordon events [--follow] [--last N] [--json]\n\n"
					"Prints the events that cordond keeps, the newest last.\n\n"
					"  --follow       go on with those to come\n"
					"  --last N       only the last N\n"
					"  --json         one JSON object a line (docs/json.md)\n"
					"  --run-dir DIR  where cordond answers (default /run/cordon)\n",
					run };

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
	uint64_t next = 0;

	do {
		json_t *reply = NULL;
		const json_t *all, *e;
		size_t i;
		int r = control_receive(l, follow && next ? 0 : 30, &reply, why);

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
		if (!all) {
			if (next > 1 && ask_number(reply, "number") > next)
				(void)fprintf(stderr, "cordon: some events were left out: they came too fast\n");
			print_event(reply, json);
			next = ask_number(reply, "number") + 1;
		} else if (next == 0) {
			next = 1;
		}
		json_decref(reply);
		(void)fflush(stdout);
	} while (follow && !ferror(stdout));
	return 0;
}

static int run(int argc, char **argv)
{
	SCOPED(control_link_freep) struct control_link *l = NULL;
	struct ask ask = { 0 };
	bool follow = false;
	const char *last = NULL, *dir;
	const struct argument_option options[] = { ASK_OPTIONS(ask),
						   { "--follow", &follow, NULL },
						   { "--last", NULL, &last } };
	struct diag why = { 0 };
	char *end = NULL;
	json_t *request;
	size_t n;
	int r;

	if (arguments_read(&command_events, argc, argv, options, 4, NULL, 0, &n) != EXIT_OK)
		return EXIT_USAGE;
	request = control_request_new(CONTROL_EVENTS);
	if (follow)
		(void)json_object_set_new(request, "follow", json_true());
	if (last) {
		unsigned long wanted = strtoul(last, &end, 10);

		if (!*last || *end || wanted > 100000) {
			json_decref(request);
			return command_usage_error(&command_events, "--last takes a number up to 100000");
		}
		(void)json_object_set_new(request, "last", json_integer((json_int_t)wanted));
	}
	dir = ask.run_dir ? ask.run_dir : getenv("CORDON_RUN_DIR");
	if ((r = control_connect(dir && *dir ? dir : "/run/cordon", &l, &why)) == 0 &&
	    (r = control_send(l, request, &why)) == 0)
		r = print_stream(l, follow, ask.json, &why);
	json_decref(request);
	if (r < 0)
		(void)fprintf(stderr, "cordon: %s\n", why.text);
	return r < 0 ? EXIT_FAILED : EXIT_OK;
}
