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

bool options_parse(int argc, char **argv, struct options *ret, int *ret_status)
{
	enum {
		CONFIG = 256,
		POLICY,
		RUN_DIR,
		STATE_DIR,
		ROOT,
		CHECK,
		LOAD,
		UNINSTALL,
		EXPORT,
		FOREGROUND,
		HELP,
		VERSION
	};
	static const struct option known[] = {
		{ "config", required_argument, NULL, CONFIG },
		{ "policy", required_argument, NULL, POLICY },
		{ "run-dir", required_argument, NULL, RUN_DIR },
		{ "state-dir", required_argument, NULL, STATE_DIR },
		{ "root", required_argument, NULL, ROOT },
		{ "check", no_argument, NULL, CHECK },
		{ "load-rules", no_argument, NULL, LOAD },
		{ "uninstall-rules", no_argument, NULL, UNINSTALL },
		{ "export-keys", required_argument, NULL, EXPORT },
		{ "foreground", no_argument, NULL, FOREGROUND },
		{ "help", no_argument, NULL, HELP },
		{ "version", no_argument, NULL, VERSION },
		{ 0 },
	};
	struct options o = { .run_dir = "/run/cordon", .state_dir = OPTIONS_STATE_DIR };
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (c) {
		case CONFIG:
			o.config = optarg;
			break;
		case POLICY:
			o.policy = optarg;
			break;
		case RUN_DIR:
			o.run_dir = optarg;
			break;
		case STATE_DIR:
			o.state_dir = optarg;
			break;
		case ROOT:
			o.root = optarg;
			break;
		case CHECK:
			o.check = true;
			break;
		case LOAD:
			o.load_rules = true;
			break;
		case UNINSTALL:
			o.uninstall_rules = true;
			break;
		case EXPORT:
			o.export_keys = optarg;
			break;
		case FOREGROUND:
			break;
		case HELP:
			(void)fputs(usage, stdout);
			*ret_status = EXIT_WELL;
			return false;
		case VERSION:
			(void)puts("cordond " CORDON_VERSION);
			*ret_status = EXIT_WELL;
			return false;
		default:
			(void)fputs("  cordond --help tells what it takes\n", stderr);
			*ret_status = EXIT_USAGE;
			return false;
		}
	}
	if (optind < argc) {
		(void)fprintf(stderr, "cordond: '%s': it takes options only\n  cordond --help tells which\n",
			      argv[optind]);
		*ret_status = EXIT_USAGE;
		return false;
	}
	*ret = o;
	return true;
}
