/* daemon/options.h - the command line of cordond. */
#ifndef DAEMON_OPTIONS_H
#define DAEMON_OPTIONS_H
#include <stdbool.h>

#define OPTIONS_STATE_DIR "/var/lib/cordon"

struct options {
	const char *config, *policy, *run_dir, *state_dir;
	const char *root;        /* NULL: none */
	const char *export_keys; /* NULL: not */
	bool check, load_rules, uninstall_rules;
};

/* What to do: RUN, or leave with the status in *ret_status (help, version, a mistake). */
bool options_parse(int argc, char **argv, struct options *ret, int *ret_status);

#endif
