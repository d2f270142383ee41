/* cordon exempt: let one host speak in clear for a time, to repair it. */
#include "base/scope.h"
#include "tools/cli/ask.h"
#include "tools/cli/columns.h"
#include "tools/cli/exempt.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { REASON_MOST = 256, HOST_MOST = 127, MINUTE_S = 60, HOUR_S = 3600 };

static int run(int argc, char **argv);

const struct command command_exempt = {
	"exempt", "let one host speak in clear for a time, to repair it",
	"usage: cordon exempt HOST --for TIME --reason TEXT [--json]\n"
	"       cordon exempt --end HOST [--json]\n"
	"       cordon exempt --list [--json]\n\n"
	"Accepts clear packets of HOST on this host, and sends it clear ones, whatever the policy protects: for a\n"
	"host whose own protection is broken or disabled. HOST is an address, or a host or zone of the policy. No\n"
	"other address is let in, and what a rule blocks stays blocked. It holds on this host alone and ends by\n"
	"itself, at the next start of the machine, or by --end. If HOST negotiates again meanwhile, what is sent to\n"
	"it is protected from then on. Meanwhile whoever can forge its address can speak as HOST.\n\n"
	"  --for TIME     how long (90s, 30m, 2h); the host's page sets the longest, 24h if it does not\n"
	"  --reason TEXT  kept, shown by `cordon status`, and written into the events\n"
	"  --end HOST     end it now\n"
	"  --list         those in force (also: cordon show exemptions)\n" ASK_HELP,
	run
};

/* "1 h 12 min": how long is left must not be rounded by much. */
const char *exempt_left(uint64_t s, char buf[AGO_TEXT])
{
	if (s >= HOUR_S)
		(void)snprintf(buf, AGO_TEXT, "%" PRIu64 " h %" PRIu64 " min", s / HOUR_S, s % HOUR_S / MINUTE_S);
	else if (s >= 2 * MINUTE_S)
		(void)snprintf(buf, AGO_TEXT, "%" PRIu64 " min", s / MINUTE_S);
	else
		(void)snprintf(buf, AGO_TEXT, "%" PRIu64 " s", s);
	return buf;
}

const char *exempt_who(const json_t *row, char buf[EXEMPT_WHO])
{
	const json_t *addresses = json_object_get(row, "addresses");
	const char *host = ask_text(row, "host"), *first = json_string_value(json_array_get(addresses, 0));
	size_t n = json_array_size(addresses);

	if (n == 1 && first && strcmp(first, host) == 0)
		(void)snprintf(buf, EXEMPT_WHO, "%s", host);
	else if (n == 1)
		(void)snprintf(buf, EXEMPT_WHO, "%s (%s)", host, first ? first : "");
	else
		(void)snprintf(buf, EXEMPT_WHO, "%s (%s and %zu more)", host, first ? first : "", n ? n - 1 : 0);
	return buf;
}

void exempt_columns(struct columns *c, const json_t *row)
{
	char who[EXEMPT_WHO], span[AGO_TEXT];

	columns_add(c, "%s", exempt_who(row, who));
	columns_add(c, "%s", exempt_left(ask_number(row, "left_s"), span));
	columns_add(c, "%s", ask_text(row, "by"));
	columns_add(c, "%s", ask_text(row, "reason"));
}

static void print_begun(const json_t *reply)
{
	const json_t *x = json_object_get(reply, "exemption");
	char who[EXEMPT_WHO], when[AGO_TEXT], left[AGO_TEXT];

	(void)printf("%s is exempted on this host until %s (%s): clear text is accepted from it and sent to it.\n",
		     exempt_who(x, who), ask_time(ask_number(x, "ends_ms"), when),
		     exempt_left(ask_number(x, "left_s"), left));
	(void)puts("  An address can be forged: until then, what comes from it in clear proves nothing.");
	(void)printf("  It ends by itself, when this machine is started again, or by:  cordon exempt --end %s\n",
		     ask_text(x, "host"));
	if (json_is_true(json_object_get(reply, "disabled")))
		(void)puts("  Protection is disabled here now, so it changes nothing until:  cordon enable");
	else if (!json_is_true(json_object_get(reply, "matters")))
		(void)puts("  No rule in force here protects anything with it, so this changes nothing. Is it the "
			   "right host?");
	if (json_is_true(json_object_get(reply, "has_sas")))
		(void)puts("  It has proved itself to us, and while its SAs last what we send to it stays protected.\n"
			   "  They end when protection is disabled there (cordon disable).");
}

static int list(const struct ask *ask)
{
	json_t *request = control_request_new(CONTROL_SHOW), *reply;
	const json_t *rows, *row;
	struct columns c;
	size_t i;
	int r;

	(void)json_object_set_new(request, "what", json_string("exemptions"));
	if ((r = ask_daemon(ask, request, &reply)) != EXIT_OK || !reply) {
		if (reply)
			(void)ask_refused(ask, reply);
		json_decref(reply);
		return r;
	}
	rows = json_object_get(reply, "rows");
	if (json_array_size(rows) == 0) {
		(void)puts(EXEMPT_NONE);
	} else {
		columns_start(&c, EXEMPT_HEADING);
		json_array_foreach(rows, i, row)
		{
			exempt_columns(&c, row);
		}
		columns_print(&c);
	}
	json_decref(reply);
	return EXIT_OK;
}

static int end(const struct ask *ask, const char *host)
{
	json_t *request = control_request_new(CONTROL_END_EXEMPTION), *reply;
	int r;

	(void)json_object_set_new(request, "host", json_string(host));
	r = ask_daemon(ask, request, &reply);
	if (r == EXIT_OK && reply)
		(void)printf("%s is not exempted any more: the policy holds for it again.\n", host);
	else if (reply)
		r = ask_refused(ask, reply);
	json_decref(reply);
	return r;
}

static int begin(const struct ask *ask, const char *host, uint64_t for_s, const char *reason)
{
	json_t *request = control_request_new(CONTROL_EXEMPT), *reply;
	int r;

	(void)json_object_set_new(request, "host", json_string(host));
	(void)json_object_set_new(request, "for_s", json_integer((json_int_t)for_s));
	(void)json_object_set_new(request, "reason", json_string(reason));
	r = ask_daemon(ask, request, &reply);
	if (r == EXIT_OK && reply)
		print_begun(reply);
	else if (reply)
		r = ask_refused(ask, reply);
	json_decref(reply);
	return r;
}

static int run(int argc, char **argv)
{
	struct ask ask = { 0 };
	const char *span = NULL, *reason = NULL, *ended = NULL, *host = NULL;
	bool listed = false;
	const struct argument_option options[] = { ASK_OPTIONS(ask),
						   { "--for", NULL, &span },
						   { "--reason", NULL, &reason },
						   { "--end", NULL, &ended },
						   { "--list", &listed, NULL } };
	uint64_t for_s = 0;
	size_t n;

	if (arguments_read(&command_exempt, argc, argv, options, ARRAY_LEN(options), &host, 1, &n) != EXIT_OK)
		return EXIT_USAGE;
	if ((listed || ended) && (host || span || reason || (listed && ended)))
		return command_usage_error(&command_exempt, "--list and --end HOST stand alone");
	if (listed)
		return list(&ask);
	if (ended)
		return strlen(ended) <= HOST_MOST
			       ? end(&ask, ended)
			       : command_usage_error(&command_exempt, "a host's name has at most %d characters",
						     HOST_MOST);
	if (!host)
		return command_usage_error(&command_exempt, "exempt which host?");
	if (strlen(host) > HOST_MOST)
		return command_usage_error(&command_exempt, "a host's name has at most %d characters", HOST_MOST);
	if (!span)
		return command_usage_error(&command_exempt, "for how long? Say for example --for 2h");
	if (!ask_parse_span(span, &for_s))
		return command_usage_error(&command_exempt, "--for takes a time such as 90s, 30m or 2h, at most 168h");
	if (!reason || !*reason)
		return command_usage_error(&command_exempt,
					   "why? --reason TEXT tells those who find it in the status and the events");
	if (strlen(reason) > REASON_MOST)
		return command_usage_error(&command_exempt, "the reason may have %d characters", REASON_MOST);
	return begin(&ask, host, for_s, reason);
}
