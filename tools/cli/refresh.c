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

static void tell(const json_t *reply)
{
	const json_t *line;
	size_t i;

	if (json_is_true(json_object_get(reply, "changed")))
		(void)printf("%s has changed: v%" PRIu64 " is in force.\n", ask_text(reply, "source"),
			     ask_number(reply, "version"));
	else
		(void)printf("%s is as it was last taken: the policy in force stays. Certificates, keys and lists were "
			     "read again.\n",
			     ask_text(reply, "source"));
	json_array_foreach(json_object_get(reply, "next_start"), i, line)
	{
		(void)puts(json_string_value(line));
	}
	if (json_is_true(json_object_get(reply, "tickets")))
		(void)puts("Kerberos tickets are got anew when they are next needed.\n"
			   "  To show them to the peers at once:  cordon rekey --proof");
}

static int run(int argc, char **argv)
{
	return ask_plainly(&command_refresh, argc, argv, CONTROL_REFRESH, tell);
}
