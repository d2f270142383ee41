/* cordon disable: break-glass. */
#include "tools/cli/ask.h"

#include <stdio.h>
#include <string.h>

static int run(int argc, char **argv);

const struct command command_disable = {
	"disable", "break-glass: let all traffic through, until `cordon enable`",
	"usage: cordon disable [--reason TEXT] [--json]\n\n"
	"Takes all protection from this host: no packet is held, dropped or protected any more. It is logged, survives "
	"a\n"
	"reboot, and ends with `cordon enable`. Peers that require protection will not talk to this host meanwhile.\n\n"
	"  --reason TEXT  kept and shown by `cordon status`\n" ASK_HELP,
	run
};

static int run(int argc, char **argv)
{
	struct ask ask = { 0 };
	const char *reason = NULL;
	const struct argument_option options[] = { ASK_OPTIONS(ask), { "--reason", NULL, &reason } };
	json_t *request, *reply;
	size_t n;
	int r;

	if (arguments_read(&command_disable, argc, argv, options, 3, NULL, 0, &n) != EXIT_OK)
		return EXIT_USAGE;
	if (reason && strlen(reason) > 256)
		return command_usage_error(&command_disable, "the reason may have 256 characters");
	request = control_request_new(CONTROL_DISABLE);
	if (reason)
		(void)json_object_set_new(request, "reason", json_string(reason));
	r = ask_daemon(&ask, request, &reply);
	if (r == EXIT_OK && reply)
		(void)puts(
			"Protection is disabled: all traffic flows, unprotected. To enable it again:  cordon enable");
	else if (reply)
		r = ask_refused(&ask, reply);
	else if (r != EXIT_OK)
		(void)fputs("  To open this host without cordond:  touch /var/lib/cordon/disabled; cordond "
			    "--uninstall-rules\n",
			    stderr);
	json_decref(reply);
	return r;
}
