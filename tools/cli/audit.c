/* cordon audit: which categories of events are told, as auditpol has it. */
#include "tools/cli/ask.h"
#include "tools/cli/columns.h"

#include <stdio.h>
#include <string.h>

static int run(int argc, char **argv);

const struct command command_audit = {
	"audit", "which categories of events are told",
	"usage: cordon audit show [--json]\n"
	"       cordon audit enable | disable CATEGORY [--success] [--failure] [--json]\n\n"
	"Events are told by category, for success and for failure, as Windows' auditpol has it: main-mode, "
	"quick-mode,\n"
	"extended-mode, ipsec-driver, packet-drop, connection, policy-change, other-system-events. What is off is "
	"told\n"
	"nowhere. A change holds from now on, also behind a restart, and is told itself.\n\n"
	"  --success, --failure  only that; both if neither is named\n" ASK_HELP,
	run
};

static const char *word(const json_t *row, const char *name)
{
	return json_is_true(json_object_get(row, name)) ? "on" : "off";
}

static void print_rows(const json_t *reply)
{
	const json_t *rows = json_object_get(reply, "rows"), *row;
	struct columns c;
	size_t i;

	columns_start(&c, "CATEGORY|SUCCESS|FAILURE");
	json_array_foreach(rows, i, row)
	{
		columns_add(&c, "%s", ask_text(row, "category"));
		columns_add(&c, "%s", word(row, "success"));
		columns_add(&c, "%s", word(row, "failure"));
	}
	columns_print(&c);
}

static int run(int argc, char **argv)
{
	struct ask ask = { 0 };
	bool success = false, failure = false, change;
	const struct argument_option options[] = { ASK_OPTIONS(ask),
						   { "--success", &success, NULL },
						   { "--failure", &failure, NULL } };
	const char *rest[2] = { NULL, NULL };
	json_t *request, *reply;
	size_t n;
	int r;

	if (arguments_read(&command_audit, argc, argv, options, 4, rest, 2, &n) != EXIT_OK)
		return EXIT_USAGE;
	if (n == 0)
		return command_usage_error(&command_audit, "show, enable or disable?");
	change = strcmp(rest[0], "enable") == 0 || strcmp(rest[0], "disable") == 0;
	if (!change && strcmp(rest[0], "show") != 0)
		return command_usage_error(&command_audit, "'%s' is none of show, enable, disable", rest[0]);
	if (change != (n == 2) || (!change && (success || failure)))
		return command_usage_error(&command_audit, change ? "which category?" : "show takes no more");
	request = control_request_new(CONTROL_AUDIT);
	if (change) {
		(void)json_object_set_new(request, "category", json_string(rest[1]));
		(void)json_object_set_new(request, "on", json_boolean(rest[0][0] == 'e'));
		(void)json_object_set_new(request, "success", json_boolean(success));
		(void)json_object_set_new(request, "failure", json_boolean(failure));
	}
	if ((r = ask_daemon(&ask, request, &reply)) == EXIT_OK && reply)
		print_rows(reply);
	else if (reply)
		r = ask_refused(&ask, reply);
	json_decref(reply);
	return r;
}
