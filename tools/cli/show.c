/* cordon show WHAT: one table of live state. */
#include "base/report.h"
#include "base/scope.h"
#include "base/str.h"
#include "tools/cli/ask.h"
#include "tools/cli/columns.h"
#include "tools/cli/exempt.h"
#include "tools/cli/firewall.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int run(int argc, char **argv);

const struct command command_show = {
	"show", "live state: main-mode, quick-mode, rules, firewall, peers, flows, drops, exemptions, credentials",
	"usage: cordon show main-mode | quick-mode | rules | firewall | peers | credentials |\n"
	"                   revocation-lists | exemptions | flows | drops [--all] [--json]\n\n"
	"  main-mode      IKE SAs: who proved to be whom (also: ike-sa)\n"
	"  quick-mode     CHILD SAs: what is protected how, and how much went through (also: child-sa)\n"
	"  rules          the policy's rules and what they have stopped here\n"
	"  firewall       the policy's firewall here: rules, what they let pass or dropped, groups\n"
	"  peers          the other hosts and how each fares\n"
	"  credentials    what this host can prove itself with, and for which sets of the policy\n"
	"  revocation-lists\n"
	"                 which certificates are revoked: the lists of files, and those fetched\n"
	"  exemptions     hosts that may speak in clear for a time (cordon exempt)\n"
	"  flows          what passed between this host and others: by rule and outcome, how much, and when\n"
	"  drops          what was dropped, and what the firewall let past, by reason; with --all\n"
	"                 also what never was\n\n" ASK_HELP,
	run
};

/* "dc1  10.77.1.10": the host's name is for people, the address for certainty. */
static void add_peer(struct columns *c, const json_t *row)
{
	columns_add(c, "%s", ask_text(row, "remote"));
}

static const char *or_dash(const char *text)
{
	return *text ? text : "-";
}

static void add_span(struct columns *c, const json_t *row, const char *name)
{
	char buf[AGO_TEXT];

	columns_add(c, "%s", json_is_integer(json_object_get(row, name)) ? ask_span(ask_number(row, name), buf) : "-");
}

static void add_octets(struct columns *c, const json_t *row, const char *name)
{
	char buf[AGO_TEXT];

	columns_add(c, "%s", ask_octets(ask_number(row, name), buf));
}

/* Who is behind it; the peer with the address and port that it has outside. */
static void add_nat(struct columns *c, const json_t *row)
{
	const char *nat = ask_text(row, "nat");

	if (strcmp(nat, "here") == 0)
		columns_add(c, "we are behind it");
	else if (strcmp(nat, "there") == 0 || strcmp(nat, "both") == 0)
		columns_add(c, "%s: %s", *nat == 't' ? "peer" : "both", ask_text(row, "path"));
	else
		columns_add(c, "-");
}

static void main_mode(struct columns *c, const json_t *row)
{
	add_peer(c, row);
	columns_add(c, "%s", or_dash(ask_text(row, "identity")));
	columns_add(c, "%s", ask_text(row, "state"));
	columns_add(c, "%s", ask_text(row, "role"));
	columns_add(c, "%s%s", or_dash(ask_text(row, "suite")), ask_number(row, "version") == 1 ? " (IKEv1)" : "");
	add_nat(c, row);
	columns_add(c, "%" PRIu64, ask_number(row, "quick_modes"));
	add_span(c, row, "rekey_in_s");
}

/* "tcp port 445", "udp local 53", "all" */
static void add_traffic(struct columns *c, const json_t *row)
{
	static const struct {
		const char *member, *words;
	} sides[] = { { "local_ports", "local" }, { "remote_ports", "port" } };
	SCOPED(str_wipe) struct str text = { 0 };
	uint64_t protocol = ask_number(row, "protocol");

	if (!json_is_integer(json_object_get(row, "protocol")))
		str_add(&text, "all");
	else if (protocol == 6 || protocol == 17)
		str_add(&text, protocol == 6 ? "tcp" : "udp");
	else
		str_addf(&text, "protocol %" PRIu64, protocol);
	for (size_t i = 0; i < ARRAY_LEN(sides); i++) {
		const json_t *ports = json_object_get(row, sides[i].member);
		json_int_t lo = json_integer_value(json_array_get(ports, 0));
		json_int_t hi = json_integer_value(json_array_get(ports, 1));

		if (!json_is_array(ports))
			continue;
		str_addf(&text, " %s %" JSON_INTEGER_FORMAT, sides[i].words, lo);
		if (hi != lo)
			str_addf(&text, "-%" JSON_INTEGER_FORMAT, hi);
	}
	if (json_is_object(json_object_get(row, "tunnel")))
		str_addf(&text, " in a tunnel to %s", ask_text(json_object_get(row, "tunnel"), "remote"));
	columns_add(c, "%s", str_text(&text));
}

static void quick_mode(struct columns *c, const json_t *row)
{
	add_peer(c, row);
	columns_add(c, "%s", or_dash(ask_text(row, "rule")));
	columns_add(c, "%s %s%s", ask_text(row, "protection"), ask_text(row, "suite"),
		    strcmp(ask_text(row, "encapsulation"), "udp") == 0 ? " in UDP" : "");
	add_traffic(c, row);
	add_octets(c, row, "octets_in");
	add_octets(c, row, "octets_out");
	add_span(c, row, "rekey_in_s");
}

static void rule(struct columns *c, const json_t *row)
{
	const json_t *counters = json_object_get(row, "counters"), *counter;
	const char *name, *proposal = json_string_value(json_array_get(json_object_get(row, "proposals"), 0));
	uint64_t dropped = 0;

	json_object_foreach((json_t *)counters, name, counter)
	{
		dropped += ask_number(counter, "packets");
	}
	columns_add(c, "%s", ask_text(row, "name"));
	columns_add(c, "%s", ask_text(row, "mode"));
	columns_add(c, "%" PRIu64, ask_number(row, "line"));
	columns_add(c, "%s", json_is_true(json_object_get(row, "here")) ? "yes" : "no");
	columns_add(c, "%s", proposal ? proposal : "-");
	columns_add(c, "%" PRIu64, ask_number(row, "quick_modes"));
	columns_add(c, "%" PRIu64, dropped);
}

/* "2 main, 3 quick", "negotiating" */
static void add_modes(struct columns *c, const json_t *row)
{
	uint64_t main = ask_number(row, "main_modes"), quick = ask_number(row, "quick_modes");

	if (main || quick)
		columns_add(c, "%" PRIu64 " main, %" PRIu64 " quick", main, quick);
	else
		columns_add(c, "%s", ask_number(row, "negotiating") ? "negotiating" : "-");
}

/* "usage-missing 40 s ago, next try in 12 s: we refused ..." */
static void add_failure(struct columns *c, const json_t *row)
{
	const json_t *failed = json_object_get(row, "failed");
	uint64_t now_ms = ask_now_ms(), at_ms = ask_number(row, "failed_ms");
	uint64_t next_ms = ask_number(failed, "next_try_ms");
	char ago[AGO_TEXT], next[AGO_TEXT];
	SCOPED(str_wipe) struct str text = { 0 };

	if (!json_is_object(failed)) {
		columns_add(c, "%s", "");
		return;
	}
	str_addf(&text, "%s %s ago", ask_text(failed, "code"),
		 ask_span(now_ms > at_ms ? (now_ms - at_ms) / 1000 : 0, ago));
	if (ask_number(failed, "times") > 1)
		str_addf(&text, ", %" PRIu64 " times", ask_number(failed, "times"));
	if (next_ms > now_ms)
		str_addf(&text, ", next try in %s", ask_span((next_ms - now_ms + 999) / 1000, next));
	else if (next_ms)
		str_add(&text, ", next try with the next packet");
	columns_add(c, "%s: %s", str_text(&text), ask_text(row, "failure"));
}

/* "trusted, servers (3 min ago)": when that was learnt */
static void add_groups(struct columns *c, const json_t *row)
{
	const json_t *groups = json_object_get(row, "groups"), *one;
	SCOPED(str_wipe) struct str list = { 0 };
	uint64_t now_ms = ask_now_ms(), at_ms = ask_number(row, "membership_ms");
	char ago[AGO_TEXT];
	size_t i;

	json_array_foreach(groups, i, one) str_addf(&list, "%s%s", i ? ", " : "", json_string_value(one));
	if (!list.len) {
		columns_add(c, "-");
		return;
	}
	columns_add(c, "%s (%s ago)", str_text(&list), ask_span(now_ms > at_ms ? (now_ms - at_ms) / 1000 : 0, ago));
}

static void peer(struct columns *c, const json_t *row)
{
	columns_add(c, "%s", or_dash(ask_text(row, "host")));
	add_peer(c, row);
	columns_add(c, "%s",
		    *ask_text(row, "outcome")   ? ask_text(row, "outcome")
		    : *ask_text(row, "failure") ? "fails"
						: "-");
	columns_add(c, "%s", or_dash(ask_text(row, "identity")));
	columns_add(c, "%s", or_dash(ask_text(row, "method")));
	add_groups(c, row);
	add_modes(c, row);
	add_octets(c, row, "octets_in");
	add_octets(c, row, "octets_out");
	add_failure(c, row);
}

/* Of what is exempt or dropped packets are known as far as events told of them. */
static void flow(struct columns *c, const json_t *row)
{
	char when[AGO_TEXT];

	columns_add(c, "%s", or_dash(ask_text(row, "host")));
	add_peer(c, row);
	columns_add(c, "%s%s", ask_text(row, "outcome"),
		    json_is_true(json_object_get(row, "exempt")) ? ", exempt" : "");
	columns_add(c, "%s", or_dash(ask_text(row, "rule")));
	columns_add(c, "%s", or_dash(ask_text(row, "identity")));
	add_octets(c, row, "octets_in");
	add_octets(c, row, "octets_out");
	columns_add(c, "%" PRIu64, ask_number(row, "packets_in") + ask_number(row, "packets_out"));
	columns_add(c, "%s", ask_time(ask_number(row, "first_ms"), when));
	columns_add(c, "%s", ask_time(ask_number(row, "last_ms"), when));
}

static void drop(struct columns *c, const json_t *row)
{
	columns_add(c, "%" PRIu64, ask_number(row, "count"));
	columns_add(c, "%s", ask_text(row, "unit"));
	columns_add(c, "%s", ask_text(row, "where"));
	columns_add(c, "%s", ask_text(row, "name"));
	columns_add(c, "%s", *ask_text(row, "rule") ? ask_text(row, "rule") : ask_text(row, "meaning"));
}

static void add_end(struct columns *c, const json_t *row, const char *key)
{
	uint64_t now_s = (uint64_t)time(NULL), end_s = ask_number(row, key) / 1000;
	char span[AGO_TEXT];

	if (!json_is_integer(json_object_get(row, key)))
		columns_add(c, "-");
	else if (end_s <= now_s)
		columns_add(c, "ENDED");
	else
		columns_add(c, "%s", ask_span(end_s - now_s, span));
}

/* The sets that it satisfies, or why none. */
static void add_sets(struct columns *c, const json_t *row)
{
	const json_t *sets = json_object_get(row, "satisfies"), *lacks = json_object_get(row, "lacks"), *set, *why;
	char text[300] = "";
	const char *name;
	size_t i, n = 0;

	json_array_foreach(sets, i, set)
	{
		if (n < sizeof text)
			n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", i ? ", " : "", json_string_value(set));
	}
	if (*ask_text(row, "unusable"))
		(void)snprintf(text, sizeof text, "none: %s", ask_text(row, "unusable"));
	json_object_foreach((json_t *)lacks, name, why)
	{
		if (!*text)
			(void)snprintf(text, sizeof text, "none: %s", json_string_value(why));
	}
	columns_add(c, "%s", json_is_true(json_object_get(row, "replaced")) ? "none: it was replaced" : or_dash(text));
}

/* "3, 2" */
static void add_up(char *text, size_t cap, const json_t *all)
{
	size_t n = strlen(text), i;
	const json_t *one;

	json_array_foreach(all, i, one)
	{
		if (n < cap && json_is_integer(one))
			n += (size_t)snprintf(text + n, cap - n, "%s%" JSON_INTEGER_FORMAT, i ? ", " : "",
					      json_integer_value(one));
		else if (n < cap)
			n += (size_t)snprintf(text + n, cap - n, "%s%s", i ? ", " : "", json_string_value(one));
	}
}

/* What a keytab has of one principal. */
static void add_keys(struct columns *c, const json_t *principal)
{
	char text[160] = "version ";

	add_up(text, sizeof text, json_object_get(principal, "key_versions"));
	(void)snprintf(text + strlen(text), sizeof text - strlen(text), ": ");
	add_up(text, sizeof text, json_object_get(principal, "encryption_types"));
	columns_add(c, "%s", text);
}

/* A row for each principal; by the first this host calls itself. */
static void keytab(struct columns *c, const json_t *row)
{
	const json_t *all = json_object_get(row, "keytab"), *one;
	const char *own = ask_text(row, "subject");
	bool told = false;
	size_t i;

	columns_add(c, "%s", or_dash(own));
	columns_add(c, "keytab %s", ask_text(row, "file"));
	json_array_foreach(all, i, one)
	{
		if (!told && strcmp(ask_text(one, "principal"), own) == 0) {
			add_keys(c, one);
			told = true;
		}
	}
	if (!told)
		columns_add(c, "-");
	columns_add(c, "-");
	columns_add(c, "%" PRIu64, ask_number(row, "main_modes"));
	add_sets(c, row);
	json_array_foreach(all, i, one)
	{
		if (strcmp(ask_text(one, "principal"), own) == 0)
			continue;
		columns_add(c, "%s", ask_text(one, "principal"));
		columns_add(c, "the same");
		add_keys(c, one);
		columns_add(c, "-");
		columns_add(c, "-");
		columns_add(c, "-");
	}
}

static void credential(struct columns *c, const json_t *row)
{
	if (strcmp(ask_text(row, "kind"), "kerberos") == 0) {
		keytab(c, row);
		return;
	}
	columns_add(c, "%s", ask_text(row, "subject"));
	columns_add(c, "%s", or_dash(ask_text(row, "issuer")));
	columns_add(c, "%s", ask_text(row, "key_type"));
	add_end(c, row, "not_after_ms");
	columns_add(c, "%" PRIu64, ask_number(row, "main_modes"));
	add_sets(c, row);
}

/* What is wrong with a keytab although it is in use. */
static void say_warnings(const json_t *rows)
{
	const json_t *row, *one;
	size_t i, n;

	json_array_foreach(rows, i, row)
	{
		json_array_foreach(json_object_get(row, "warnings"), n, one)
		{
			(void)printf("warning: %s\n", json_string_value(one));
		}
	}
}

static void list(struct columns *c, const json_t *row)
{
	columns_add(c, "%s", ask_text(row, "issuer"));
	columns_add(c, "%" PRIu64, ask_number(row, "revoked"));
	add_end(c, row, "until_ms");
	columns_add(c, "%s", ask_text(row, "source"));
}

static const struct {
	const char *name, *also, *heading;
	void (*add)(struct columns *c, const json_t *row);
	const char *none; /* what an empty table means */
} tables[] = {
	{ "main-mode", "ike-sa", "PEER|IDENTITY|STATE|ROLE|SUITE|NAT|>QUICK|>REKEY IN", main_mode,
	  "No main mode: nothing that needs protection was said yet." },
	{ "quick-mode", "child-sa", "PEER|RULE|PROTECTION|TRAFFIC|>IN|>OUT|>REKEY IN", quick_mode,
	  "No quick mode: nothing that needs protection was said yet." },
	{ "rules", "rule", "RULE|MODE|>LINE|HERE|PROPOSAL|>QUICK|>DROPPED", rule, "No rule: there is no policy." },
	{ "peers", "peer", "HOST|ADDRESS|OUTCOME|IDENTITY|METHOD|GROUPS|MODES|>IN|>OUT|LAST FAILURE", peer,
	  "No peer yet." },
	{ "credentials", "credential", "SUBJECT|ISSUER|KEY|>ENDS IN|>MAIN MODES|SATISFIES", credential,
	  "This host has nothing to prove itself with: name certificates or a keytab in host.yaml." },
	{ "revocation-lists", "revocation-list", "ISSUER|>REVOKED|>GOOD FOR|FROM", list,
	  "No revocation list: name some in host.yaml; those that certificates name are fetched when they are "
	  "needed." },
	{ "exemptions", "exemption", EXEMPT_HEADING, exempt_columns, EXEMPT_NONE },
	{ "flows", "flow", "HOST|ADDRESS|OUTCOME|RULE|IDENTITY|>IN|>OUT|>PACKETS|FIRST|LAST", flow,
	  "No flow yet: nothing was protected, exempted or dropped." },
	{ "firewall", "firewall-rules", FIREWALL_HEADING, firewall_columns, FIREWALL_NONE },
	{ "drops", "drop", ">COUNT|UNIT|WHERE|NAME|RULE OR MEANING", drop,
	  "Nothing was dropped. With --all: what is counted." },
};

/* What stands above the rules for a time. */
static void say_exempted(const json_t *rows)
{
	char who[EXEMPT_WHO], left[AGO_TEXT];
	const json_t *row;
	size_t i;

	json_array_foreach(rows, i, row)
	{
		(void)printf("%s is exempted for another %s, whatever these rules protect: %s\n", exempt_who(row, who),
			     exempt_left(ask_number(row, "left_s"), left), ask_text(row, "reason"));
	}
}

static int unknown_table(const char *word)
{
	const char *names[ARRAY_LEN(tables)], *near;

	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		names[i] = tables[i].name;
	near = report_nearest(word, names, ARRAY_LEN(tables));
	if (near)
		return command_usage_error(&command_show, "there is nothing called '%s' to show. Did you mean: %s?",
					   word, near);
	return command_usage_error(&command_show, "there is nothing called '%s' to show", word);
}

static int run(int argc, char **argv)
{
	struct ask ask = { 0 };
	bool all = false, shown = false;
	const struct argument_option options[] = { ASK_OPTIONS(ask), { "--all", &all, NULL } };
	const char *what = NULL;
	struct columns c;
	size_t n, t, i;
	json_t *request, *reply;
	const json_t *rows, *row;
	int r;

	if (arguments_read(&command_show, argc, argv, options, ARRAY_LEN(options), &what, 1, &n) != EXIT_OK)
		return EXIT_USAGE;
	if (n == 0)
		return command_usage_error(&command_show, "show what?");
	for (t = 0; t < ARRAY_LEN(tables); t++)
		if (strcmp(what, tables[t].name) == 0 || strcmp(what, tables[t].also) == 0)
			break;
	if (t == ARRAY_LEN(tables))
		return unknown_table(what);
	request = control_request_new(CONTROL_SHOW);
	(void)json_object_set_new(request, "what", json_string(tables[t].name));
	if ((r = ask_daemon(&ask, request, &reply)) != EXIT_OK || !reply) {
		if (reply)
			(void)ask_refused(&ask, reply);
		json_decref(reply);
		return r;
	}
	rows = json_object_get(reply, "rows");
	if (json_is_true(json_object_get(reply, "away")) && !ask.json)
		(void)fputs("cordon: keying does not answer now, so what it knows is left out; see  cordon status\n",
			    stderr);
	json_array_foreach(rows, i, row)
	{
		if (!all && tables[t].add == drop && !ask_number(row, "count"))
			continue;
		if (!shown)
			columns_start(&c, tables[t].heading);
		shown = true;
		tables[t].add(&c, row);
	}
	if (shown)
		columns_print(&c);
	else if (!json_is_true(json_object_get(reply, "away")))
		(void)puts(tables[t].none);
	if (strcmp(tables[t].name, "firewall") == 0)
		firewall_say(json_object_get(reply, "firewall"));
	if (strcmp(tables[t].name, "credentials") == 0)
		say_warnings(rows);
	if (strcmp(tables[t].name, "rules") == 0)
		say_exempted(json_object_get(reply, "exemptions"));
	json_decref(reply);
	return EXIT_OK;
}
