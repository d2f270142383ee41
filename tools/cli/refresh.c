/* cordon refresh: look at the policy's source now. */
#include "tools/cli/ask.h"

#include <inttypes.h>
#include <stdio.h>

static int run(int argc, char **argv);

const struct command command_refresh = {
	"refresh",
	"look at the policy's source now",
	"usage: cordon refresh [--json]\n\n"
	"Reads the policy's source (the file that the host's page names) and puts it in force if it has changed\n"
	"since it was last taken. One with errors is refused, and what is in force stays. Certificates, keys and\n"
	"lists are read again in any case, and Kerberos tickets are got anew when they are next needed.\n\n" ASK_HELP,
	run,
};

static int run(int argc, char **argv)
{
	struct ask ask = { 0 };
	const struct argument_option options[] = { ASK_OPTIONS(ask) };
	json_t *reply;
	size_t n;
	int r;

	if (arguments_read(&command_refresh, argc, argv, options, 2, NULL, 0, &n) != EXIT_OK)
		return EXIT_USAGE;
	r = ask_daemon(&ask, control_request_new(CONTROL_REFRESH), &reply);
	if (r == EXIT_OK && reply && json_is_true(json_object_get(reply, "changed")))
		(void)printf("%s has changed: v%" PRIu64 " is in force.\n", ask_text(reply, "source"),
			     ask_number(reply, "version"));
	else if (r == EXIT_OK && reply)
		(void)printf("%s is as it was last taken: the policy in force stays. Certificates, keys and lists were "
			     "read again.\n",
			     ask_text(reply, "source"));
	else if (reply)
		r = ask_refused(&ask, reply);
	if (r == EXIT_OK && reply && json_is_true(json_object_get(reply, "tickets")))
		(void)puts("Kerberos tickets are got anew when they are next needed.\n"
			   "  To show them to the peers at once:  cordon rekey --proof");
	json_decref(reply);
	return r;
}
