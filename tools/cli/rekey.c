/* cordon rekey [PEER]: renew SAs before their time. */
#include "tools/cli/ask.h"

#include <inttypes.h>
#include <stdio.h>

static int run(int argc, char **argv);

const struct command command_rekey = {
	"rekey", "renew the SAs with a peer, or with all, now",
	"usage: cordon rekey [PEER] [--main-mode | --proof] [--json]\n\n"
	"Makes new SAs in place of those that are up, as happens by itself before their lifetime ends; no packet\n"
	"is lost by it. PEER is an address or the name of a host of the policy; without it, all peers.\n\n"
	"  --main-mode    the IKE SAs; otherwise the quick mode SAs\n"
	"  --proof        the IKE SAs from scratch: both ends prove anew who they are, and what they are members of\n"
	"                 counts from then on\n" ASK_HELP,
	run
};

static void say_renewing(uint64_t count, const char *mode, const char *peer)
{
	if (count == 0 && peer)
		(void)printf("Nothing to renew: no %s SA with %s is up. cordon show peers has those that are.\n", mode,
			     peer);
	else if (count == 0)
		(void)printf("Nothing to renew: no %s SA is up.\n", mode);
	else
		(void)printf("%" PRIu64 " %s %s being renewed.\n", count, mode, count == 1 ? "SA is" : "SAs are");
}

static void say_proving(uint64_t count, const char *peer)
{
	if (count == 0) {
		say_renewing(0, "main mode", peer);
		return;
	}
	(void)printf("%" PRIu64
		     " main mode SA%s made again from scratch, with proofs and tickets of now: within seconds.\n",
		     count, count == 1 ? " is" : "s are");
	(void)puts("Until they are up the former groups count; then those of now, at their end and here:  cordon show "
		   "peers\n"
		   "  A ticket from before a change of groups still shows the old ones: first, on the member,  cordon "
		   "refresh");
}

static int run(int argc, char **argv)
{
	struct ask ask = { 0 };
	bool main_mode = false, proof = false;
	const struct argument_option options[] = { ASK_OPTIONS(ask),
						   { "--main-mode", &main_mode, NULL },
						   { "--proof", &proof, NULL } };
	const char *peer = NULL;
	json_t *request, *reply;
	size_t n;
	int r;

	if (arguments_read(&command_rekey, argc, argv, options, ARRAY_LEN(options), &peer, 1, &n) != EXIT_OK)
		return EXIT_USAGE;
	request = control_request_new(CONTROL_REKEY);
	if (peer)
		(void)json_object_set_new(request, "peer", json_string(peer));
	if (main_mode)
		(void)json_object_set_new(request, "main_mode", json_true());
	if (proof)
		(void)json_object_set_new(request, "proof", json_true());
	r = ask_daemon(&ask, request, &reply);
	if (r == EXIT_OK && reply && proof)
		say_proving(ask_number(reply, "renewing"), peer);
	else if (r == EXIT_OK && reply)
		say_renewing(ask_number(reply, "renewing"), main_mode ? "main mode" : "quick mode", peer);
	else if (reply)
		r = ask_refused(&ask, reply);
	json_decref(reply);
	return r;
}
