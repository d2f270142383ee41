/* cordon why: the fate of some traffic, and the reason. */
#include "analysis/question.h"
#include "base/diag.h"
#include "base/str.h"
#include "base/text.h"
#include "tools/cli/command.h"
#include "tools/cli/live.h"
#include "tools/cli/say.h"

#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const struct command command_why;

struct asked {
	const char *policy, *run_dir, *words[3]; /* from, to, traffic */
	size_t count;
	struct facts facts;
	bool json;
};

static int profile(const char *text, unsigned *ret)
{
	static const char *const names[] = { "domain", "private", "public" };

	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(text, names[i]) == 0) {
			*ret = 1u << i;
			return EXIT_OK;
		}
	return command_usage_error(&command_why, "--profile is domain, private or public, not '%s'", text);
}

/* "--policy FILE" or "--policy=FILE": at argv[*at]. */
static bool valued(int argc, char **argv, int *at, const char *name, const char **ret)
{
	const char *s = argv[*at];
	size_t n = strlen(name);

	if (strncmp(s, name, n) != 0 || (s[n] && s[n] != '='))
		return false;
	*ret = s[n] ? s + n + 1 : *at + 1 < argc ? argv[++*at] : "";
	return true;
}

/* false: it is none of these. */
static bool option(int argc, char **argv, int *at, struct asked *a, int *ret)
{
	const char *value = NULL, *missing = NULL;

	*ret = EXIT_OK;
	if (strcmp(argv[*at], "--json") == 0) {
		a->json = true;
		return true;
	}
	if (valued(argc, argv, at, "--policy", &value)) {
		a->policy = value;
		missing = "--policy: which file?";
	} else if (valued(argc, argv, at, "--run-dir", &value)) {
		a->run_dir = value;
		missing = "--run-dir: in which directory does cordond answer?";
	} else if (valued(argc, argv, at, "--interface", &value)) {
		a->facts.interface = value;
		missing = "--interface: which, such as eth0?";
	} else if (valued(argc, argv, at, "--program", &value) || valued(argc, argv, at, "--unit", &value)) {
		a->facts.program = value;
		missing = "--program: which unit (nginx.service) or control group (/system.slice/nginx.service)?";
	} else if (valued(argc, argv, at, "--profile", &value)) {
		*ret = *value ? profile(value, &a->facts.profiles) : EXIT_OK;
		missing = "--profile: domain, private or public?";
	} else {
		return false;
	}
	if (!*value)
		*ret = command_usage_error(&command_why, "%s", missing);
	return true;
}

static int arguments(int argc, char **argv, struct asked *a)
{
	bool options = true;
	int r;

	for (int i = 1; i < argc; i++) {
		const char *s = argv[i];

		if (options && strcmp(s, "--") == 0)
			options = false;
		else if (options && option(argc, argv, &i, a, &r)) {
			if (r != EXIT_OK)
				return r;
		} else if (options && s[0] == '-' && s[1])
			return command_usage_error(&command_why, "no option is called '%s'", s);
		else if (a->count == ARRAY_LEN(a->words))
			return command_usage_error(&command_why, "'%s' is one word too many", s);
		else
			a->words[a->count++] = s;
	}
	if (a->count < ARRAY_LEN(a->words))
		return command_usage_error(&command_why,
					   "it takes two hosts and the traffic: cordon why paw1 dc1 tcp/389");
	return EXIT_OK;
}

/* JSON (docs/json.md). */

static json_t *end_json(const struct why_verdict *v, unsigned side)
{
	const struct ends_who *who = side ? &v->point.to : &v->point.from;
	const struct rule *r = v->sides[side].entry.rule;
	char address[ADDR_TEXT];

	return json_pack("{s:o, s:s, s:o, s:o, s:s}", "host", say_string_json(who->host ? who->host->name : NULL),
			 "address", addr_text(&who->addr, address), "rule", say_string_json(r ? r->name : NULL), "mode",
			 say_string_json(r ? rule_mode_name(r->mode) : NULL), "verdict",
			 outcome_name(v->sides[side].verdict));
}

static json_t *contest_json(struct why *w, const struct why_verdict *v, const struct report *r)
{
	SCOPED(arena_wipe) struct arena memory = { 0 };
	const struct why_contender *rows;
	size_t n = why_contest(w, v, &memory, &rows);
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		const struct text *file = report_file(r, rows[i].rule->place.file);

		(void)json_array_append_new(list, json_pack("{s:o, s:o, s:i, s:b, s:o}", "rule",
							    say_string_json(rows[i].rule->name), "file",
							    say_string_json(file ? file->path : ""), "line",
							    (int)rows[i].rule->place.line, "won", rows[i].won, "reason",
							    say_string_json(rows[i].reason)));
	}
	return list;
}

static json_t *reason_json(const struct why *w, const struct answer *a, size_t number)
{
	struct str s = { 0 };
	json_t *value;

	why_reason(w, &a->cases[number].verdict, &s);
	if (number == 0 && a->count > 1) {
		str_addf(&s, " This is the weakest of %s%zu cases:", a->left ? "more than " : "", a->count);
		for (size_t i = 1; i < a->count && i <= 3; i++)
			str_addf(&s, "%s %s%s%s%s%s is %s", i > 1 ? ";" : "", a->cases[i].traffic,
				 a->cases[i].pairs ? " of " : "", a->cases[i].pairs ? a->cases[i].pairs : "",
				 a->cases[i].when ? " " : "", a->cases[i].when ? a->cases[i].when : "",
				 outcome_name(a->cases[i].verdict.verdict));
		str_add(&s, ".");
	}
	value = say_string_json(str_text(&s));
	str_wipe(&s);
	return value;
}

/* What the daemon makes of each case at this moment by the groups that it knows the peer to be in, where that is not
 * what the policy alone would. */
struct now {
	const struct why_verdict **cases; /* as many as the answer has; NULL: no other than the policy's */
};

static void judge_now(struct why *w, const struct answer *a, const struct live_answer *live, struct arena *memory,
		      struct now *ret)
{
	const struct why_point *first = &a->cases[0].verdict.point;
	struct known_groups *known = arena_new(memory, 1, sizeof *known);
	bool knows = live_groups(live->peer, memory, known);

	ret->cases = arena_new(memory, a->count + 1, sizeof *ret->cases);
	for (size_t i = 0; knows && i < a->count; i++) {
		const struct why_verdict *v = &a->cases[i].verdict;
		struct why_verdict *now = arena_new(memory, 1, sizeof *now);

		if (addr_equal(&v->point.from.addr, &first->from.addr) &&
		    addr_equal(&v->point.to.addr, &first->to.addr) &&
		    why_judge_knowing(w, &v->point, live->own, known, now, NULL) == 0 && now->verdict != v->verdict)
			ret->cases[i] = now;
	}
}

static json_t *now_json(const struct why *w, const struct why_verdict *v)
{
	struct str reason = { 0 }, advice = { 0 };
	json_t *value;

	why_reason(w, v, &reason);
	why_advice(w, v, &advice);
	value = json_pack("{s:s, s:o, s:o, s:o}", "verdict", outcome_name(v->verdict), "reason",
			  say_string_json(str_text(&reason)), "firewall",
			  say_string_json(v->firewall ? v->firewall->name : NULL), "advice",
			  say_string_json(advice.len ? str_text(&advice) : NULL));
	str_wipe(&reason);
	str_wipe(&advice);
	return value;
}

static void add_verdict(json_t *to, const struct why *w, const struct answer *a, const struct now *now, size_t number)
{
	const struct why_verdict *v = &a->cases[number].verdict;

	(void)json_object_set_new(to, "verdict", json_string(outcome_name(v->verdict)));
	(void)json_object_set_new(to, "guaranteed", json_string(outcome_name(v->guaranteed)));
	(void)json_object_set_new(to, "rule", say_string_json(v->rule ? v->rule->name : NULL));
	(void)json_object_set_new(to, "reason", reason_json(w, a, number));
	(void)json_object_set_new(to, "firewall", say_string_json(v->firewall ? v->firewall->name : NULL));
	(void)json_object_set_new(to, "when", say_string_json(a->cases[number].when));
	if (now->cases[number])
		(void)json_object_set_new(to, "now", now_json(w, now->cases[number]));
}

static void print_json(struct why *w, const struct answer *a, const struct now *now, const struct live_answer *live,
		       const struct report *r)
{
	const struct why_verdict *v = &a->cases[0].verdict;
	json_t *o = json_object(), *cases;

	add_verdict(o, w, a, now, 0);
	if (a->bounded) /* nothing is promised of what was not looked at */
		(void)json_object_set_new(o, "guaranteed", json_string(outcome_name(OUTCOME_CLEAR)));
	(void)json_object_set_new(o, "bounded", json_boolean(a->bounded || a->left));
	(void)json_object_set_new(o, "ends", json_pack("[o, o]", end_json(v, 0), end_json(v, 1)));
	(void)json_object_set_new(o, "contest", contest_json(w, v, r));
	if (a->count > 1) {
		cases = json_array();
		for (size_t i = 0; i < a->count; i++) {
			json_t *one = json_object();

			add_verdict(one, w, a, now, i);
			(void)json_object_set_new(one, "traffic", say_string_json(a->cases[i].traffic));
			(void)json_object_set_new(one, "pairs", say_string_json(a->cases[i].pairs));
			(void)json_array_append_new(cases, one);
		}
		(void)json_object_set_new(o, "cases", cases);
	}
	if (live->peer)
		(void)json_object_set(o, "live", live->peer);
	if (live->exempted)
		(void)json_object_set(o, "exempted", live->exempted);
	(void)say_json(o);
}

/* Text (ux.md, "Why"). */

static void say_who(const struct ends_who *who, struct str *out)
{
	char address[ADDR_TEXT];

	if (who->host) {
		say_clean(who->host->name, out);
		str_add(out, " ");
	}
	str_add(out, addr_text(&who->addr, address));
}

static const char *file_name(const struct report *r, struct place place)
{
	const struct text *t = report_file(r, place.file);
	const char *slash = t ? strrchr(t->path, '/') : NULL;

	return slash ? slash + 1 : t ? t->path : "built in";
}

static void say_contest(struct why *w, const struct why_verdict *v, const struct report *r, struct str *out)
{
	SCOPED(arena_wipe) struct arena memory = { 0 };
	const struct why_contender *rows;
	size_t n = why_contest(w, v, &memory, &rows);

	for (size_t i = 0; i < n; i++) {
		const struct rule *winner = rows[i].winner;
		struct str s = { 0 };

		if (rows[i].won || !winner)
			continue;
		if (winner != v->rule || v->cause != WHY_RULES)
			str_addf(&s, "'%s'", winner->name);
		else
			str_add(&s, "It");
		str_addf(&s, " wins over '%s' (%s:%u): %s.", rows[i].rule->name, file_name(r, rows[i].rule->place),
			 rows[i].rule->place.line, rows[i].contrast);
		say_paragraph("", str_text(&s), out);
		str_wipe(&s);
	}
}

static void say_because(struct why *w, const struct why_verdict *v, const struct report *r, struct str *out)
{
	struct str s = { 0 };

	why_reason(w, v, &s);
	if (v->cause == WHY_FIREWALL ? v->firewall != NULL : v->rule || v->firewall) {
		struct place place = v->cause == WHY_FIREWALL || !v->rule ? v->firewall->place : v->rule->place;

		str_addf(&s, "  (%s:%u)", file_name(r, place), place.line);
	}
	say_paragraph("Because", str_text(&s), out);
	str_wipe(&s);
}

/* Side by side if they fit, else one below the other. */
static void say_sides(const struct why_verdict *v, struct str *out)
{
	enum { HALF = 38, BOTH = 78, NAME = 10 };
	struct str sides[2] = { { 0 }, { 0 } };

	for (unsigned side = 0; side < 2; side++) {
		char buf[ADDR_TEXT];

		str_add(&sides[side], "At ");
		say_clean(why_name(side ? &v->point.to : &v->point.from, buf), &sides[side]);
		do
			str_add(&sides[side], " ");
		while (sides[side].len < NAME);
		why_side_words(v, side, &sides[side]);
	}
	if (sides[0].len + 1 < HALF && HALF + sides[1].len <= BOTH)
		str_addf(out, "%-*s%s\n", HALF, sides[0].text, sides[1].text);
	else
		str_addf(out, "%s\n%s\n", sides[0].text, sides[1].text);
	str_wipe(&sides[0]);
	str_wipe(&sides[1]);
}

/* Of what differs just now: what it would be if the other one were in the groups that the policy expects. */
static void say_policy(const struct why_verdict *v, const struct why_verdict *now, struct str *out)
{
	char buf[ADDR_TEXT];
	unsigned other = now->sides[0].firewall.known ? 1 : 0;
	struct str s = { 0 };

	str_addf(&s, "by the policy alone it would be %s; what %s has proven of its groups decides.",
		 outcome_name(v->verdict), why_name(other ? &v->point.to : &v->point.from, buf));
	say_paragraph("Policy", str_text(&s), out);
	str_wipe(&s);
}

static void say_case(struct why *w, const struct answer *a, size_t number, const struct why_verdict *now,
		     const struct report *r, struct str *out)
{
	const struct answer_case *c = &a->cases[number];
	const struct why_verdict *v = now ? now : &c->verdict;
	struct str s = { 0 };

	say_outcome(v->verdict, 9, command_colour(), out);
	str_add(out, " ");
	if (c->pairs) {
		say_clean(c->pairs, out);
	} else {
		say_who(&v->point.from, out);
		str_add(out, " -> ");
		say_who(&v->point.to, out);
		if (a->pairs > 1)
			str_addf(out, " (and %zu more %s)", a->pairs - 1,
				 a->pairs == 2 ? "pair of addresses" : "pairs of addresses");
	}
	str_add(out, "  ");
	say_clean(c->traffic, out);
	str_add(out, now ? "  at this moment\n\n" : "\n\n");
	if (c->when)
		say_paragraph("Only", c->when, out);
	say_because(w, v, r, out);
	say_contest(w, v, r, out);
	say_sides(v, out);
	why_advice(w, v, &s);
	if (s.len)
		say_paragraph("To allow", str_text(&s), out);
	str_wipe(&s);
	if (now)
		say_policy(&c->verdict, now, out);
}

static void say_live(struct why *w, const struct live_answer *live, bool stopped, struct str *out)
{
	const struct group *groups;
	struct str s = { 0 };

	if (live->peer)
		live_words(live->peer, stopped, &s);
	if (live->peer && live->exempted)
		str_add(&s, " ");
	if (live->exempted)
		live_exempted_words(live->exempted, &s);
	if (s.len)
		say_paragraph("Live", str_text(&s), out);
	str_wipe(&s);
	if (live->peer && policy_groups(why_policy(w), &groups) > 0)
		live_membership_words(live->peer, &s);
	if (s.len)
		say_paragraph("Groups", str_text(&s), out);
	str_wipe(&s);
}

/* What is not listed below, before anybody reads the list as all there is. */
static void say_bounded(const struct answer *a, struct str *out)
{
	struct str s = { 0 };

	if (a->bounded)
		str_add(&s, "there are more kinds of address or traffic than were looked at, and what was not may fare "
			    "worse. Ask about fewer: two hosts, and a port (tcp/445).");
	else if (a->left)
		str_addf(&s,
			 "too many cases to list; all were weighed, and these are the %zu weakest and one of the "
			 "strongest. Give a port for the others: tcp/445.",
			 a->count - 1);
	if (s.len) {
		say_paragraph("Not all", str_text(&s), out);
		str_add(out, "\n");
	}
	str_wipe(&s);
}

static void print_text(struct why *w, const struct question *q, const struct answer *a, const struct now *now,
		       const struct live_answer *live, const struct report *r)
{
	struct str out = { 0 };

	say_bounded(a, &out);
	for (size_t i = 0; i < a->count; i++) {
		if (i)
			str_add(&out, "\n");
		say_case(w, a, i, now->cases[i], r, &out);
		if (i == 0)
			say_live(w, live, (now->cases[0] ? now->cases[0] : &a->cases[0].verdict)->cause == WHY_FIREWALL,
				 &out);
	}
	if (a->count > 1) {
		str_addf(&out, "\n%zu cases, the weakest first%s.", a->count,
			 a->bounded ? " of what was looked at"
			 : a->left  ? " (not all; see the top)"
				    : "");
		for (size_t i = 0, said = 0; i < a->count && !said; i++)
			if (a->cases[i].when && ++said)
				str_add(&out, " Say which: --interface, --program, --profile.");
		if (q->from.zone || q->to.zone)
			str_add(&out, " An address stands for all like it that no host has.");
		str_add(&out, "\n");
	}
	say_print(&out);
}

/* That of --policy, else that which is in force here, else the usual one. */
static struct policy *load(const struct asked *asked, struct report *report)
{
	char *in_force = asked->policy ? NULL : live_policy(asked->run_dir);
	struct policy *p = say_load(asked->policy ? asked->policy : in_force ? in_force : SAY_DEFAULT_POLICY, report);

	if (!p && in_force)
		(void)fputs("  it is where the policy in force came from; name another one by --policy\n", stderr);
	free(in_force);
	return p;
}

static int why(int argc, char **argv)
{
	SCOPED(report_freep) struct report *report = report_new();
	SCOPED(policy_freep) struct policy *policy = NULL;
	SCOPED(why_freep) struct why *w = NULL;
	SCOPED(alike_freep) struct alike *alike = NULL;
	SCOPED(arena_wipe) struct arena memory = { 0 };
	struct asked asked = { 0 };
	struct live_answer live = { 0 };
	struct question *q = arena_new(&memory, 1, sizeof *q);
	struct answer a;
	struct now now;
	struct diag d = { 0 };
	int r;

	if ((r = arguments(argc, argv, &asked)) != EXIT_OK)
		return r;
	if (!(policy = load(&asked, report)))
		return EXIT_FAILED;
	w = why_new(policy, NULL);
	why_profiles(w, asked.facts.profiles);
	alike = alike_new(policy);
	if (question_parse(w, alike, asked.words[0], asked.words[1], asked.words[2], &memory, q, &d) < 0) {
		(void)fprintf(stderr, "cordon why: %s\n", d.text);
		return EXIT_USAGE;
	}
	q->facts = asked.facts;
	if (question_ask(w, q, &memory, &a, &d) < 0) {
		(void)fprintf(stderr, "cordon why: %s\n", d.text);
		return EXIT_FAILED;
	}
	if (!asked.policy || asked.run_dir || getenv("CORDON_RUN_DIR")) /* the policy in force, as far as we are told */
		live = live_ask(asked.run_dir, &a.cases[0].verdict.point.from.addr, &a.cases[0].verdict.point.to.addr);
	judge_now(w, &a, &live, &memory, &now);
	if (asked.json)
		print_json(w, &a, &now, &live, report);
	else
		print_text(w, q, &a, &now, &live, report);
	json_decref(live.peer);
	json_decref(live.exempted);
	return EXIT_OK;
}

const struct command command_why = {
	.name = "why",
	.summary = "the fate of some traffic between two hosts, and the reason",
	.usage =
		"usage: cordon why [--policy POLICY] [--json] [--interface NAME] [--program UNIT] [--profile PROFILE]\n"
		"                  [--run-dir DIR] FROM TO TRAFFIC\n\n"
		"Tells what becomes of traffic that FROM opens to TO, by which rule, and what each end does.\n"
		"FROM and TO are hosts, addresses or zones; TRAFFIC is tcp/445, udp/53, icmp, tcp, a protocol\n"
		"number, or a list such as dns.\n\n"
		"  --policy POLICY   the policy to ask; default that of the cordond that runs here,\n"
		"                    else /etc/cordon/policy.yaml\n"
		"  --interface NAME  by which interface it comes or goes, at the end that a firewall section rules\n"
		"  --program UNIT    whose socket it is there: a unit or a control group; --unit is the same\n"
		"  --profile P       in which profile that interface is: domain, private or public\n"
		"  --run-dir DIR     where cordond answers (default $CORDON_RUN_DIR, else /run/cordon)\n"
		"  --json            machine-readable\n\n"
		"Where a firewall rule asks for an interface, a program or a profile that you did not say, each\n"
		"answer is given with its condition.\n\n"
		"Exit status: 0 answered, 1 the policy has errors, 2 wrong usage.\n",
	.run = why,
};
