#include "daemon/options.h"

#include <getopt.h>
#include <stdio.h>

#ifndef CORDON_VERSION
#define CORDON_VERSION "unknown"
#endif

enum { EXIT_WELL = 0, EXIT_USAGE = 2 };

static const char usage[] =
	"usage: cordond [OPTION ...]\n\n"
	"Protects this host as the policy says, and answers `cordon`. Stays in the foreground; systemd runs it.\n\n"
	"  --config FILE       the host's own page            (default /etc/cordon/host.yaml)\n"
	"  --policy FILE       the policy's file source       (default: as the page says, /etc/cordon/policy.yaml)\n"
	"  --run-dir DIR       control socket and lock        (default /run/cordon)\n"
	"  --state-dir DIR     last good policy and history   (default /var/lib/cordon)\n"
	"  --root DIR          in front of the paths of keys and certificates that policy and page name\n"
	"  --check             validate page and policy, change nothing; exit 0 or 1\n"
	"  --load-rules        put the rules of the last good policy in force, without a network; exit\n"
	"  --uninstall-rules   remove every rule and route of Cordon from this host; exit\n"
	"  --export-keys FILE  write the keys of all SAs to FILE (mode 0600), for captures in a lab: whoever has it\n"
	"                      reads everything\n"
	"  --foreground        the default, accepted for clarity\n"
	"  --help, --version\n";

/* Takes a value, is set when it is there, or is answered with a text, and that is all. */
struct option_row {
	const char *name;
	const char **value;
	bool *flag;
	const char *answer;
};
enum { OPTIONS = 12, FIRST = 256, GO_ON = -1 };

/* The status to leave with, or GO_ON. */
static int read_options(int argc, char **argv, const struct option_row rows[OPTIONS])
{
	struct option known[OPTIONS + 1] = { 0 };
	int c;

	for (int i = 0; i < OPTIONS; i++)
		known[i] = (struct option){ rows[i].name, rows[i].value ? required_argument : no_argument, NULL,
					    FIRST + i };
	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		const struct option_row *row = c < FIRST ? NULL : &rows[c - FIRST];

		if (!row) {
			(void)fputs("  cordond --help tells what it takes\n", stderr);
			return EXIT_USAGE;
		}
		if (row->answer) {
			(void)fputs(row->answer, stdout);
			return EXIT_WELL;
		}
		if (row->value)
			*row->value = optarg;
		else
			*row->flag = true;
	}
	if (optind == argc)
		return GO_ON;
	(void)fprintf(stderr, "cordond: '%s': it takes options only\n  cordond --help tells which\n", argv[optind]);
	return EXIT_USAGE;
}

bool options_parse(int argc, char **argv, struct options *ret, int *ret_status)
{
	struct options o = { .run_dir = "/run/cordon", .state_dir = OPTIONS_STATE_DIR };
	bool foreground;
	const struct option_row rows[OPTIONS] = {
		{ "config", .value = &o.config },
		{ "policy", .value = &o.policy },
		{ "run-dir", .value = &o.run_dir },
		{ "state-dir", .value = &o.state_dir },
		{ "root", .value = &o.root },
		{ "check", .flag = &o.check },
		{ "load-rules", .flag = &o.load_rules },
		{ "uninstall-rules", .flag = &o.uninstall_rules },
		{ "export-keys", .value = &o.export_keys },
		{ "foreground", .flag = &foreground },
		{ "help", .answer = usage },
		{ "version", .answer = "cordond " CORDON_VERSION "\n" },
	};
	int status = read_options(argc, argv, rows);

	if (status != GO_ON) {
		*ret_status = status;
		return false;
	}
	*ret = o;
	return true;
}
