/* cordon lab: a virtual twin of a policy's network. */
#include "tools/lab/lab.h"
#include "base/diag.h"
#include "base/scope.h"
#include "tools/cli/command.h"

#include <stdio.h>
#include <string.h>

extern const struct command command_lab;

static int faults(const char *text, struct lab_options *o)
{
	struct diag d = { 0 };

	if (wire_faults_parse(text, &o->wire, &d) < 0)
		return command_usage_error(&command_lab, "--wire: %s", d.text);
	return EXIT_OK;
}

/* Options in front of the scenario or behind it; NULL where there is none. */
static int arguments(int argc, char **argv, struct lab_options *o)
{
	bool options = true;
	int e;

	for (int i = 1; i < argc; i++) {
		const char *s = argv[i];

		if (options && strcmp(s, "--") == 0)
			options = false;
		else if (options && strcmp(s, "--json") == 0)
			o->json = true;
		else if (options && strncmp(s, "--keep=", 7) == 0)
			o->keep = s + 7;
		else if (options && strcmp(s, "--keep") == 0) {
			if (++i == argc)
				return command_usage_error(&command_lab, "--keep: which folder?");
			o->keep = argv[i];
		} else if (options && strncmp(s, "--wire=", 7) == 0) {
			if ((e = faults(s + 7, o)) != EXIT_OK)
				return e;
		} else if (options && strcmp(s, "--wire") == 0) {
			if (++i == argc)
				return command_usage_error(&command_lab, "--wire: what does it do? loss=20%%, ...");
			if ((e = faults(argv[i], o)) != EXIT_OK)
				return e;
		} else if (options && s[0] == '-' && s[1])
			return command_usage_error(&command_lab, "no option is called '%s'", s);
		else if (o->scenario)
			return command_usage_error(&command_lab, "one scenario at a time: '%s' or '%s'?", o->scenario,
						   s);
		else
			o->scenario = s;
	}
	o->colour = command_colour();
	return EXIT_OK;
}

static int with_scenario(int argc, char **argv, int (*act)(const struct lab_options *o))
{
	struct lab_options o = { 0 };
	int e = arguments(argc, argv, &o);

	if (e != EXIT_OK)
		return e;
	if (!o.scenario)
		return command_usage_error(&command_lab, "which scenario? A policy file, or a folder with policy.yaml");
	return act(&o);
}

static int run(int argc, char **argv)
{
	return with_scenario(argc, argv, lab_run);
}

static int up(int argc, char **argv)
{
	return with_scenario(argc, argv, lab_up);
}

static int exec(int argc, char **argv)
{
	int at = 1;

	if (at < argc && strcmp(argv[at], "--") == 0)
		at++;
	if (at >= argc)
		return command_usage_error(&command_lab, "exec: on which host?");
	const char *host = argv[at++];

	if (at < argc && strcmp(argv[at], "--") == 0)
		at++;
	if (at >= argc)
		return command_usage_error(&command_lab, "exec: which command?");
	return lab_exec(host, argv + at);
}

static int down(int argc, char **argv)
{
	if (argc > 1)
		return command_usage_error(&command_lab, "down: '%s' is one word too many", argv[1]);
	return lab_down();
}

static int lab(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*act)(int argc, char **argv);
	} acts[] = { { "run", run }, { "up", up }, { "exec", exec }, { "down", down } };

	for (size_t i = 0; argc > 1 && i < ARRAY_LEN(acts); i++)
		if (strcmp(argv[1], acts[i].name) == 0)
			return acts[i].act(argc - 1, argv + 1);
	if (argc < 2)
		return command_usage_error(&command_lab, "what? run, up, exec or down");
	return command_usage_error(&command_lab, "'%s' is none of run, up, exec, down", argv[1]);
}

const struct command command_lab = {
	.name = "lab",
	.summary = "a virtual twin of the network: its tests as real traffic, judged on the wire",
	.usage =
		"usage: cordon lab run SCENARIO [--json] [--keep FOLDER] [--wire FAULTS]\n"
		"       cordon lab up SCENARIO [--keep FOLDER] [--wire FAULTS]\n"
		"       cordon lab exec HOST COMMAND [ARGUMENT ...]\n"
		"       cordon lab down\n\n"
		"Each of the policy's hosts becomes a network namespace on this machine, joined by one wire; where "
		"its\n"
		"agent is not `none`, a cordond runs in it, with a certificate made for this lab. run tries every "
		"test of\n"
		"the policy as real traffic, reads from a capture of the wire what it looked like, and takes all "
		"down.\n\n"
		"  SCENARIO       a policy file, or a folder with policy.yaml\n"
		"  --keep FOLDER  leave captures (HOST.pcap), keys to decode them (HOST.keys) and logs (HOST.log) "
		"there\n"
		"  --wire FAULTS  a bad wire: loss=20%,duplicate=5%,delay=10ms,jitter=200ms, from seed=1 on always the "
		"same;\n"
		"                 only=ike spares all that is not IKE\n"
		"  --json         "
		"{\"ok\":…,\"rows\":[{\"from\",\"to\",\"traffic\",\"expected\",\"predicted\",\"seen\"}]}\n\n"
		"Needs root. Exit status: 0 if every test agrees and no packet of a protected pair was seen in clear, "
		"1 if\n"
		"not, 2 for a mistake in the command.\n",
	.run = lab,
};
