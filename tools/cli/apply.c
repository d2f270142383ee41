/* cordon apply POLICY: put a policy in force, on probation if wanted. */
#include "base/diag.h"
#include "base/text.h"
#include "tools/cli/ask.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int run(int argc, char **argv);

const struct command command_apply = {
	"apply", "put a policy in force on this host",
	"usage: cordon apply POLICY [--confirm TIME] [--force] [--json]\n\n"
	"Checks the policy, makes this host's plan from it and puts it in force. A policy with errors changes\n"
	"nothing. One that could cut off your own ssh connection is refused unless it is on probation.\n\n"
	"  --confirm TIME take it back after TIME (90s, 2m, 1h) unless `cordon confirm` is said before,\n"
	"                 whatever happens meanwhile, a crash or a reboot included\n"
	"  --force        even if your own connection could be cut off\n" ASK_HELP,
	run
};

static void print_ssh(const json_t *ssh)
{
	if (!json_is_object(ssh))
		return;
	if (json_is_true(json_object_get(ssh, "cut")))
		(void)printf("Your connection (ssh from %s) is %s under the new policy by '%s', and may not survive.\n",
			     ask_text(ssh, "peer"),
			     strcmp(ask_text(ssh, "outcome"), "blocked") == 0 ? "blocked" : "to be protected",
			     ask_text(ssh, "rule"));
	else
		(void)printf("Your connection (ssh from %s) is %s under the new policy.\n", ask_text(ssh, "peer"),
			     ask_text(ssh, "outcome"));
}

static void print_applied(const json_t *reply)
{
	char when[AGO_TEXT];

	(void)fputs(ask_text(reply, "text"), stdout);
	(void)printf("Applied v%" PRIu64 ".", ask_number(reply, "version"));
	if (json_is_integer(json_object_get(reply, "taken_back_ms")))
		(void)printf(" It is taken back at %s unless you confirm:  cordon confirm",
			     ask_time(ask_number(reply, "taken_back_ms"), when));
	(void)putchar('\n');
	if (json_is_true(json_object_get(reply, "disabled")))
		(void)puts("Protection is disabled, so it has no effect until:  cordon enable");
	else if (ask_number(reply, "rules_here") == 0)
		(void)puts("No rule of it speaks of this host's addresses, so nothing is protected here: is it the "
			   "right file?");
	print_ssh(json_object_get(reply, "ssh"));
}

static int print_refused(const struct ask *ask, const json_t *reply, const char *path)
{
	if (ask->json)
		return ask_refused(ask, reply);
	(void)fputs(ask_text(reply, "text"), stderr);
	(void)fprintf(stderr, "cordon: %s. Nothing was applied.\n", ask_text(reply, "error"));
	if (json_is_true(json_object_get(reply, "refused_ssh")))
		(void)fprintf(stderr,
			      "  To try it safely:  cordon apply %s --confirm 2m\n"
			      "  If you know better:  cordon apply %s --force\n",
			      path, path);
	return EXIT_FAILED;
}

static json_t *request_for(const struct text *policy, const char *path, uint64_t confirm_s, bool force)
{
	json_t *request = control_request_new(CONTROL_APPLY), *text = json_stringn(policy->octets, policy->len);
	char *full = realpath(path, NULL);
	const char *ssh = getenv("SSH_CONNECTION");

	if (!text) { /* jansson takes UTF-8 only, as YAML does */
		json_decref(request);
		free(full);
		return NULL;
	}
	(void)json_object_set_new(request, "policy", text);
	(void)json_object_set_new(request, "path", json_string(full ? full : path));
	(void)json_object_set_new(request, "colour", json_boolean(command_colour()));
	if (confirm_s)
		(void)json_object_set_new(request, "confirm_s", json_integer((json_int_t)confirm_s));
	if (force)
		(void)json_object_set_new(request, "force", json_true());
	if (ssh && strlen(ssh) <= 256)
		(void)json_object_set_new(request, "ssh", json_string(ssh));
	free(full);
	return request;
}

static int run(int argc, char **argv)
{
	SCOPED(text_freep) struct text *policy = NULL;
	struct ask ask = { 0 };
	bool force = false;
	const char *confirm = NULL, *path = NULL;
	const struct argument_option options[] = { ASK_OPTIONS(ask),
						   { "--confirm", NULL, &confirm },
						   { "--force", &force, NULL } };
	struct diag why = { 0 };
	uint64_t confirm_s = 0;
	json_t *reply = NULL, *request;
	size_t n;
	int r;

	if (arguments_read(&command_apply, argc, argv, options, 4, &path, 1, &n) != EXIT_OK)
		return EXIT_USAGE;
	if (n == 0)
		return command_usage_error(&command_apply, "which policy?");
	if (confirm && !ask_parse_span(confirm, &confirm_s))
		return command_usage_error(&command_apply,
					   "--confirm takes a time such as 90s, 2m or 1h, at most 168h");
	if (text_read(path, CONTROL_POLICY_MOST, &policy, &why) < 0) {
		(void)fprintf(stderr, "cordon: %s\n", why.text);
		return EXIT_FAILED;
	}
	if (!(request = request_for(policy, path, confirm_s, force))) {
		(void)fprintf(stderr, "cordon: %s is not UTF-8 text\n", path);
		return EXIT_FAILED;
	}
	r = ask_daemon(&ask, request, &reply);
	if (r == EXIT_OK && reply)
		print_applied(reply);
	else if (reply)
		r = print_refused(&ask, reply, path);
	json_decref(reply);
	return r;
}
