/* cordon status: is this host protected as the policy promises? */
#include "base/str.h"
#include "tools/cli/ask.h"
#include "tools/cli/exempt.h"
#include "tools/cli/say.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { NAMED_MOST = 3 /* failing peers on the first line */ };

static int run(int argc, char **argv);

const struct command command_status = {
	"status", "is this host protected as promised?",
	"usage: cordon status [--json]\n\n"
	"Says whether this host is protected as its policy promises, which policy that is, how the\n"
	"negotiations with its peers fare, and which certificate expires next. Exits 0 if all is well, 1 if "
	"not.\n\n" ASK_HELP,
	run
};

/* Nothing protected flows without it; with the kernel's plane it only watches. */
static bool carries(const json_t *s, const json_t *process)
{
	return strcmp(ask_text(process, "name"), "dataplane") == 0 &&
	       strcmp(ask_text(json_object_get(s, "plane"), "kind"), "userspace") == 0;
}

static bool dies_again(const json_t *process)
{
	return json_is_true(json_object_get(process, "again"));
}

/* What stands first when it is not the peers that fail; NULL: all processes do their work. */
static const char *broken(const json_t *s)
{
	const json_t *p;
	const char *words = NULL;
	size_t i;

	json_array_foreach(json_object_get(s, "processes"), i, p)
	{
		if (carries(s, p) && !json_is_true(json_object_get(p, "ready")))
			return "Protected traffic is stopped: the data plane's process is away.";
		if (dies_again(p))
			words = "Protected, but a process of cordond ends again and again.";
	}
	return words;
}

static void print_verdict(const json_t *s)
{
	const char *state = ask_text(s, "state");
	const json_t *peers = json_object_get(s, "peers");
	const char *green = command_colour() ? "\033[32m" : "", *red = command_colour() ? "\033[31m" : "";
	const char *end = command_colour() ? "\033[0m" : "";

	if (strcmp(state, "disabled") == 0) {
		const char *reason = ask_text(json_object_get(s, "disabled"), "reason");

		(void)printf("%sNot protected: protection is disabled%s%s.%s  To enable it:  cordon enable\n", red,
			     *reason ? ": " : "", reason, end);
		return;
	}
	if (strcmp(state, "no-policy") == 0) {
		(void)printf("%sNot protected: there is no policy yet.%s  cordon init writes a first one\n", red, end);
		return;
	}
	if (ask_number(json_object_get(s, "policy"), "rules_here") == 0) {
		(void)puts("Nothing to protect: no rule of the policy speaks of this host's addresses.");
		return;
	}
	if (broken(s)) {
		(void)printf("%s%s%s   See Process below\n", red, broken(s), end);
		return;
	}
	if (json_is_true(json_object_get(json_object_get(s, "keying"), "away"))) {
		(void)puts("Protected, but nothing new is negotiated until keying is back.");
		return;
	}
	(void)printf(
		"%s%s%s   %" PRIu64 " peer%s encrypted, %" PRIu64 " authenticated, %" PRIu64 " clear for want of IKE\n",
		strcmp(state, "failing") == 0 ? red : green,
		strcmp(state, "failing") == 0                       ? "Protected, but not everybody gets through."
		: json_array_size(json_object_get(s, "exemptions")) ? "Protected, but for whom is exempted for a time."
								    : "Protected as promised.",
		end, ask_number(peers, "encrypted"), ask_number(peers, "encrypted") == 1 ? "" : "s",
		ask_number(peers, "authenticated"), ask_number(peers, "clear"));
}

/* Who spoke in clear lately, as the policy wants it or not. */
static void print_clear(const json_t *s)
{
	const json_t *hour = json_object_get(s, "last_hour");
	uint64_t exempt = ask_number(hour, "exempt"), clear = ask_number(hour, "clear");

	if (clear)
		(void)printf("Clear     %" PRIu64 " host%s in the last hour, though rules ask for protection; %" PRIu64
			     " exempt:  cordon show flows\n",
			     clear, clear == 1 ? "" : "s", exempt);
}

static void print_overruled(const json_t *tables)
{
	const json_t *row;
	size_t i;

	json_array_foreach(tables, i, row)
	{
		(void)printf("%s the nftables table '%s' may drop what a bypass lets in\n",
			     i ? "         " : "Firewall ", ask_text(row, "table"));
	}
}

/* "eth0 private: its connection is in zone home": where they are not all said by the host's page alone. */
static void print_profiles(const json_t *all)
{
	const json_t *row;
	size_t i;

	json_array_foreach(all, i, row)
	{
		(void)printf("%s%s %s: %s\n", i ? "          " : "Profiles  ", ask_text(row, "interface"),
			     ask_text(row, "profile"), ask_text(row, "why"));
	}
}

static void print_missing(const json_t *names)
{
	const json_t *name;
	size_t i;

	json_array_foreach(names, i, name)
	{
		(void)printf("%s %s, which host.yaml names, is not there\n", i ? "         " : "Interface",
			     json_string_value(name));
	}
}

static void print_waiting(const json_t *rules, bool first)
{
	const json_t *row;
	size_t i;

	json_array_foreach(rules, i, row)
	{
		(void)printf("%s '%s' is not in force: %s\n", first && !i ? "Firewall " : "         ",
			     ask_text(row, "rule"), ask_text(row, "why"));
	}
}

static void print_policy(const json_t *p)
{
	SCOPED(str_wipe) struct str rules = { 0 };
	char when[AGO_TEXT], left[AGO_TEXT];
	const json_t *pending = json_object_get(p, "pending");

	if (!json_is_object(p))
		return;
	say_count((size_t)ask_number(p, "rules"), "rule", "rules", &rules);
	if (ask_number(p, "firewall_rules")) {
		str_add(&rules, ", ");
		say_count((size_t)ask_number(p, "firewall_rules"), "firewall rule", "firewall rules", &rules);
	}
	(void)printf("Policy    v%" PRIu64 ", %s, applied %s by %s, from %s\n", ask_number(p, "version"),
		     str_text(&rules), ask_time(ask_number(p, "applied_ms"), when), ask_text(p, "by"),
		     ask_text(p, "path"));
	if (json_is_object(pending))
		(void)printf("          It is taken back in %s unless you confirm:  cordon confirm\n",
			     ask_span(ask_number(pending, "left_s"), left));
}

/* An older cordond does not say why. */
static void print_plane(const json_t *p)
{
	const char *why = json_string_value(json_object_get(p, "why"));
	const char *alone = json_string_value(json_object_get(p, "alone"));

	(void)printf("Plane     %s", ask_text(p, "kind"));
	if (why)
		(void)printf(" (%s)", why);
	if (ask_number(p, "workers") > 1)
		(void)printf(", %" PRIu64 " workers", ask_number(p, "workers"));
	else if (alone)
		(void)printf(", 1 worker: %s", alone);
	(void)puts("");
	if (alone && ask_number(p, "workers") <= 1)
		(void)printf("          %s workers: 1 in host.yaml\n",
			     strstr(alone, "BPF") ? "Give cordond the capability CAP_BPF, or say"
						  : "Nothing is wrong with that; to have it unsaid:");
}

static void print_keying(const json_t *k)
{
	const json_t *failures = json_object_get(k, "failures"), *f;
	size_t i;

	if (json_is_true(json_object_get(k, "away"))) {
		(void)puts("Keying    does not answer now; what it has negotiated goes on");
		return;
	}
	(void)printf("Keying    %" PRIu64 " main mode, %" PRIu64 " quick mode", ask_number(k, "main_mode"),
		     ask_number(k, "quick_mode"));
	if (ask_number(k, "negotiating"))
		(void)printf("; %" PRIu64 " under negotiation", ask_number(k, "negotiating"));
	if (json_array_size(failures))
		(void)printf("; %zu %s: ", json_array_size(failures),
			     json_array_size(failures) == 1 ? "peer fails" : "peers fail");
	json_array_foreach(failures, i, f)
	{
		if (i < NAMED_MOST)
			(void)printf("%s%s (%s)", i ? ", " : "",
				     *ask_text(f, "host") ? ask_text(f, "host") : ask_text(f, "remote"),
				     ask_text(json_object_get(f, "failed"), "brief"));
		else if (i == NAMED_MOST)
			(void)printf(" ...");
	}
	(void)putchar('\n');
	json_array_foreach(failures, i, f)
	{
		char ago[AGO_TEXT];
		uint64_t now_ms = ask_now_ms(), at_ms = ask_number(f, "failed_ms");

		(void)printf("          %s%s%s, %s ago, %s: %s\n", ask_text(f, "host"), *ask_text(f, "host") ? " " : "",
			     ask_text(f, "remote"), ask_span(now_ms > at_ms ? (now_ms - at_ms) / 1000 : 0, ago),
			     ask_text(json_object_get(f, "failed"), "code"), ask_text(f, "failure"));
		if (i == 4 && json_array_size(failures) > 5) {
			(void)printf("          and %zu more:  cordon show peers\n", json_array_size(failures) - 5);
			break;
		}
	}
}

static void print_first(const char *what, const json_t *names)
{
	const json_t *name;
	size_t i;

	if (!json_array_size(names))
		return;
	(void)printf("          %s: ", what);
	json_array_foreach(names, i, name)
	{
		(void)printf("%s%s", i ? ", " : "", json_string_value(name));
	}
	(void)putchar('\n');
}

/* Only where the policy names groups of the directory. */
static void print_directory(const json_t *t)
{
	uint64_t now_ms = ask_now_ms(), at_ms = ask_number(t, "learnt_ms");
	char ago[AGO_TEXT];

	if (!json_is_object(t))
		return;
	(void)printf("Directory %" PRIu64 " of %" PRIu64 " group%s of the policy known", ask_number(t, "known"),
		     ask_number(t, "groups"), ask_number(t, "groups") == 1 ? "" : "s");
	if (at_ms)
		(void)printf(", as it was %s ago", ask_span(now_ms > at_ms ? (now_ms - at_ms) / 1000 : 0, ago));
	(void)putchar('\n');
	print_first("NOT THERE, so nobody is let in as a member of", json_object_get(t, "missing"));
	if (json_array_size(json_object_get(t, "missing")))
		(void)puts("          is it spelt as in the directory, and of this host's own domain? Another "
			   "domain's: by SID");
	print_first("not learnt yet, so nobody is let in as a member of", json_object_get(t, "not_learnt"));
	if (*ask_text(t, "failure"))
		(void)printf("          it can't be asked now: %s\n", ask_text(t, "failure"));
}

/* Of a peer that fails for want of the same, the words stand there already. */
static bool told_of_a_peer(const json_t *failures, const char *why)
{
	const json_t *f;
	size_t i;

	json_array_foreach(failures, i, f)
	{
		if (strstr(ask_text(f, "failure"), why))
			return true;
	}
	return false;
}

/* Rules let nothing through whose authentication nothing of this host satisfies. */
static void print_unproven(const json_t *sets, const json_t *failures)
{
	const json_t *row;
	size_t i;

	json_array_foreach(sets, i, row)
	{
		if (told_of_a_peer(failures, ask_text(row, "why")))
			continue;
		(void)printf(
			"%s nothing of this host satisfies '%s', so its rules let nothing through:\n          %s\n",
			i ? "         " : "Unproven ", ask_text(row, "set"), ask_text(row, "why"));
	}
}

/* Only where the policy asks for Kerberos. */
static void print_kerberos(const json_t *k)
{
	const char *keytab_failure = ask_text(k, "keytab_failure"), *failure = ask_text(k, "failure");
	uint64_t now_ms = ask_now_ms(), until_ms = ask_number(k, "ticket_until_ms");
	const char *as = *ask_text(k, "client") ? ask_text(k, "client") : ask_text(k, "principal");
	char left[AGO_TEXT];

	if (!json_is_object(k) || (!*ask_text(k, "keytab") && !*as))
		return;
	(void)printf("Kerberos  ");
	if (!*as)
		(void)printf("no ticket: the keytab %s has not been read", ask_text(k, "keytab"));
	else if (until_ms > now_ms)
		(void)printf("%s, ticket good for another %s", as, ask_span((until_ms - now_ms) / 1000, left));
	else if (*failure)
		(void)printf("%s has no ticket: %s", as, failure);
	else
		(void)printf("%s has no ticket yet: it is got when the directory or a peer is first spoken to", as);
	(void)putchar('\n');
	if (until_ms > now_ms && *failure)
		(void)printf("          and no new one can be had: %s\n", failure);
	if (*ask_text(k, "keytab_warning"))
		(void)printf("          %s\n", ask_text(k, "keytab_warning"));
	if (*keytab_failure)
		(void)printf("          its keytab cannot be used%s: %s\n",
			     *as ? ", what it held before stays in use" : "", keytab_failure);
}

static void print_expiry(const json_t *first)
{
	uint64_t now_s = (uint64_t)time(NULL), end_s = ask_number(first, "not_after_ms") / 1000;
	bool authority = json_is_true(json_object_get(first, "authority"));
	char span[AGO_TEXT], whose[300] = "";

	if (!json_is_object(first))
		return;
	if (authority)
		(void)snprintf(whose, sizeof whose, ", an authority of our %s,", ask_text(first, "of"));
	if (end_s <= now_s)
		(void)printf("Expires   certificate %s%s HAS EXPIRED, %s ago\n", ask_text(first, "subject"), whose,
			     ask_span(now_s - end_s, span));
	else
		(void)printf("Expires   certificate %s%s in %s\n", ask_text(first, "subject"), whose,
			     ask_span(end_s - now_s, span));
}

/* well_ms: when all counts as well; 0: it is away. */
static void print_again(uint64_t well_ms, uint64_t now_ms)
{
	char left[AGO_TEXT];

	(void)puts("          That is a fault:  journalctl -u cordon  tells more;\n"
		   "          cordon support  collects what a report of it needs");
	if (well_ms > now_ms)
		(void)printf("          If it does not end once more, all is well again in %s\n",
			     ask_span((well_ms - now_ms + 999) / 1000, left));
}

/* Only what is not as usual: those that are away, and those that had to be started again. */
static void print_processes(const json_t *s)
{
	const json_t *p, *all = json_object_get(s, "processes");
	size_t i;

	json_array_foreach(all, i, p)
	{
		uint64_t now_ms = ask_now_ms(), since_ms = ask_number(p, "since_ms"),
			 restarts = ask_number(p, "restarts");
		char ago[AGO_TEXT];

		(void)ask_span(now_ms > since_ms ? (now_ms - since_ms) / 1000 : 0, ago);
		if (!json_is_true(json_object_get(p, "ready")))
			(void)printf("Process   %s is away for %s%s%s; it is started again by itself\n%s",
				     ask_text(p, "name"), ago, *ask_text(p, "ended") ? ": " : "", ask_text(p, "ended"),
				     carries(s, p) ? "          If it stays away:  journalctl -u cordon\n" : "");
		else if (restarts)
			(void)printf("Process   %s was started again %" PRIu64 " time%s, last %s ago: %s\n",
				     ask_text(p, "name"), restarts, restarts == 1 ? "" : "s", ago,
				     ask_text(p, "ended"));
		if (dies_again(p))
			print_again(ask_number(p, "well_ms"), now_ms);
		if (*ask_text(p, "lacks"))
			(void)printf("Process   %s is not locked in as it should be; its cage lacks: %s\n",
				     ask_text(p, "name"), ask_text(p, "lacks"));
	}
}

static void print_exempted(const json_t *rows)
{
	char who[EXEMPT_WHO], left[AGO_TEXT];
	const json_t *row;
	size_t i;

	json_array_foreach(rows, i, row)
	{
		(void)printf("%s%s for another %s, by %s: %s\n", i ? "          " : "Exempted  ", exempt_who(row, who),
			     exempt_left(ask_number(row, "left_s"), left), ask_text(row, "by"),
			     ask_text(row, "reason"));
	}
}

static bool is_well(const json_t *s)
{
	return strcmp(ask_text(s, "state"), "protected") == 0;
}

static int run(int argc, char **argv)
{
	struct ask ask = { 0 };
	const struct argument_option options[] = { ASK_OPTIONS(ask) };
	struct ask quiet;
	size_t n;
	json_t *s;
	int r;

	if (arguments_read(&command_status, argc, argv, options, 2, NULL, 0, &n) != EXIT_OK)
		return EXIT_USAGE;
	quiet = (struct ask){ ask.run_dir, false }; /* the exit status needs the answer, too */
	if ((r = ask_daemon(&quiet, control_request_new(CONTROL_STATUS), &s)) != EXIT_OK) {
		if (s)
			r = ask_refused(&ask, s);
		json_decref(s);
		return r;
	}
	if (ask.json) {
		(void)json_dumpf(s, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
		(void)putchar('\n');
	} else {
		print_verdict(s);
		print_policy(json_object_get(s, "policy"));
		print_exempted(json_object_get(s, "exemptions"));
		print_clear(s);
		print_keying(json_object_get(s, "keying"));
		print_plane(json_object_get(s, "plane"));
		print_profiles(json_object_get(s, "profiles"));
		print_missing(json_object_get(s, "interfaces_missing"));
		print_overruled(json_object_get(s, "bypass_overruled_by"));
		print_waiting(json_object_get(s, "firewall_waits"),
			      !json_array_size(json_object_get(s, "bypass_overruled_by")));
		if (json_is_false(json_object_get(s, "second_barrier")))
			(void)puts("Barrier   no second one on this kernel (older than 5.12): whoever flushes the "
				   "nftables\n"
				   "          ruleset opens this host for some milliseconds");
		print_processes(s);
		print_unproven(json_object_get(s, "unproven"),
			       json_object_get(json_object_get(s, "keying"), "failures"));
		print_kerberos(json_object_get(s, "kerberos"));
		print_directory(json_object_get(s, "directory"));
		print_expiry(json_object_get(s, "expires"));
	}
	r = is_well(s) ? EXIT_OK : EXIT_FAILED;
	json_decref(s);
	return r;
}
