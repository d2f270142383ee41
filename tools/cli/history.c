/* cordon history: the policies there have been. */
#include "tools/cli/ask.h"
#include "tools/cli/columns.h"

#include <inttypes.h>
#include <stdio.h>

static int run(int argc, char **argv);

const struct command command_history = {
	"history", "the policies there have been on this host",
	"usage: cordon history [--json]\n\n"
	"Lists the policies that were applied here, the newest first. `cordon rollback N` puts\n"
	"one in force again.\n\n" ASK_HELP,
	run
};

static int run(int argc, char **argv)
{
	struct ask ask = { 0 };
	const struct argument_option options[] = { ASK_OPTIONS(ask) };
	const json_t *rows, *row;
	json_t *reply;
	struct columns c;
	size_t n, i;
	int r;

	if (arguments_read(&command_history, argc, argv, options, 2, NULL, 0, &n) != EXIT_OK)
		return EXIT_USAGE;
	if ((r = ask_daemon(&ask, control_request_new(CONTROL_HISTORY), &reply)) != EXIT_OK || !reply) {
		if (reply)
			(void)ask_refused(&ask, reply);
		json_decref(reply);
		return r;
	}
	rows = json_object_get(reply, "rows");
	if (json_array_size(rows) == 0)
		(void)puts("No policy was applied here yet.");
	columns_start(&c, ">VERSION|APPLIED|BY|FROM|");
	json_array_foreach(rows, i, row)
	{
		char when[AGO_TEXT];

		columns_add(&c, "v%" PRIu64, ask_number(row, "version"));
		columns_add(&c, "%s", ask_time(ask_number(row, "applied_ms"), when));
		columns_add(&c, "%s", ask_text(row, "by"));
		columns_add(&c, "%s", ask_text(row, "path"));
		columns_add(&c, "%s%s", json_is_true(json_object_get(row, "current")) ? "in force" : "",
			    json_is_true(json_object_get(row, "pending")) ? ", to be confirmed" : "");
	}
	if (json_array_size(rows))
		columns_print(&c);
	json_decref(reply);
	return EXIT_OK;
}
