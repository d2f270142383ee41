#include "tools/lab/play.h"

#include "base/diag.h"
#include "base/str.h"
#include "tools/lab/directory.h"
#include "tools/lab/judge.h"
#include "tools/lab/member.h"
#include "tools/lab/network.h"
#include "tools/lab/probe.h"
#include "tools/lab/run.h"
#include "tools/lab/space.h"
#include "tools/lab/table.h"
#include "tools/lab/twin.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	TURN_MS = 20,
	COMMAND_WITHIN_MS = 30000,
	COMMAND_WORDS = 160,  /* octets of what a command said that are shown */
	TOGETHER_MOST = 1024, /* probes that are asked at once */
};

struct play {
	struct run run;
	const struct steps *steps;
	size_t passed, failed;
	json_t *rows, *told; /* with --json */
};

/* ---- telling ----------------------------------------------------------------------------------------------------- */

static void say(struct play *p, const struct step *s, const char *what, const char *outcome, const char *note, bool ok)
{
	const bool colour = p->run.options->colour;

	p->passed += ok;
	p->failed += !ok;
	if (p->run.options->json)
		(void)json_array_append_new(p->told,
					    json_pack("{s:i,s:i,s:s+,s:s,s:s+,s:b}", "step",
						      (int)(s - p->steps->rows) + 1, "line", (int)s->place.line, "what",
						      what, "", "seen", outcome, "note", note, "", "ok", ok));
	else
		(void)printf("%3d  %-48s %-13s %s%s%s%s\n", (int)(s - p->steps->rows) + 1, what, outcome, note,
			     ok       ? ""
			     : colour ? "\033[1;31m"
				      : "",
			     ok ? "" : "  <- differs", !ok && colour ? "\033[0m" : "");
	(void)fflush(stdout);
}

static void words_of(const struct step *s, struct str *out)
{
	switch (s->kind) {
	case STEP_PROBE:
		str_addf(out, "%s -> %s %s: %s", s->test.from, s->test.to, s->test.traffic,
			 outcome_name(s->test.expect));
		break;
	case STEP_RUN:
		str_addf(out, "%s: cordon", s->host->name);
		for (size_t i = 0; i < s->word_count; i++)
			str_addf(out, strchr(s->words[i], ' ') ? " \"%s\"" : " %s", s->words[i]);
		break;
	case STEP_POLICY:
		str_addf(out, "%s: policy from %s", s->host->name, s->file);
		break;
	case STEP_DIRECTORY:
		if (s->change == CHANGE_DELETE)
			str_addf(out, "directory: group %s is deleted", s->group);
		else
			str_addf(out, "directory: %s %s %s", s->host->name, s->change == CHANGE_ADD ? "into" : "out of",
				 s->group);
		break;
	case STEP_WAIT:
		str_addf(out, "wait %" PRIu64 " ms", s->wait_ms);
		break;
	default:
		str_addf(out, "%s: %s", s->host->name, step_names[s->kind]);
	}
}

/* ---- what is done to a host -------------------------------------------------------------------------------------- */

/* The twin goes on living while something else is waited for. */
static int turn(struct play *p, int timeout_ms, struct diag *d)
{
	struct pollfd *rows = mem_new(twin_rows(p->run.twin), sizeof *rows);
	int e = twin_turn(p->run.twin, rows, 0, timeout_ms, d);

	free(rows);
	return e;
}

static int wait_for(struct play *p, uint64_t ms, struct diag *d)
{
	uint64_t end = twin_now_ms() + ms, now;
	int e = 0;

	while (e == 0 && (now = twin_now_ms()) < end)
		e = turn(p, end - now < TURN_MS ? (int)(end - now) : TURN_MS, d);
	return e;
}

static void become_command(const struct play *p, const struct step *s, int said)
{
	char *argv[STEP_WORDS_MOST + 2] = { (char *)(uintptr_t) "cordon" };
	int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
	sigset_t none;

	for (size_t i = 0; i < s->word_count; i++)
		argv[i + 1] = (char *)(uintptr_t)s->words[i];
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)dup2(nothing, STDIN_FILENO);
	(void)dup2(said, STDOUT_FILENO);
	(void)dup2(said, STDERR_FILENO);
	(void)unsetenv("SSH_CONNECTION"); /* whoever runs the lab is not on its hosts */
	if (setenv("CORDON_RUN_DIR", twin_run_dir(p->run.twin, run_host(&p->run, s->host)), 1) < 0 ||
	    chdir(p->run.scenario.folder) < 0)
		_exit(126);
	(void)execv("/proc/self/exe", argv);
	_exit(127);
}

/* The first line of what it said, for the row. */
static void read_said(int fd, char said[COMMAND_WORDS])
{
	ssize_t n = pread(fd, said, COMMAND_WORDS - 1, 0);

	said[n < 0 ? 0 : n] = '\0';
	said[strcspn(said, "\n")] = '\0';
	for (char *c = said; *c; c++)
		if ((unsigned char)*c < ' ')
			*c = '?';
}

static int run_command(struct play *p, const struct step *s, char said[COMMAND_WORDS], bool *ret_ok, struct diag *d)
{
	uint64_t end = twin_now_ms() + COMMAND_WITHIN_MS;
	int fd = open(twin_folder(p->run.twin), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), status = 0, e = 0;
	pid_t pid = fd < 0 ? -1 : fork();

	if (pid < 0) {
		e = diag_errno(d, errno, "run a command");
		if (fd >= 0)
			(void)close(fd);
		return e;
	}
	if (pid == 0)
		become_command(p, s, fd);
	while (e == 0 && waitpid(pid, &status, WNOHANG) == 0) {
		if (twin_now_ms() > end)
			e = diag_fail(d, ETIMEDOUT, "a command has not ended after %d s", COMMAND_WITHIN_MS / 1000);
		else
			e = turn(p, TURN_MS, d);
	}
	if (e < 0) {
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
	}
	read_said(fd, said);
	(void)close(fd);
	*ret_ok = WIFEXITED(status) && (WEXITSTATUS(status) != 0) == s->fails;
	return e;
}

static int replace_policy(struct play *p, const struct step *s, struct diag *d)
{
	SCOPED(str_wipe) struct str path = { 0 };

	str_addf(&path, "%s/%s", p->run.scenario.folder, s->file);
	return member_replace_policy(twin_members(p->run.twin), run_host(&p->run, s->host), str_text(&path), d);
}

static int plug(struct play *p, const struct step *s, bool in, struct diag *d)
{
	size_t host = run_host(&p->run, s->host);
	const struct network *n = twin_network(p->run.twin);
	char port[16];
	const char *const argv[] = { "ip", "link", "set", port, in ? "up" : "down", NULL };

	network_port_name(host, port);
	return space_run(network_port_space(n, host), argv, "", d);
}

static bool is_controller(const struct play *p, const struct host *h)
{
	return twin_directory(p->run.twin) && (h->roles & ROLE_KDC) &&
	       run_host(&p->run, h) == twin_controller(p->run.twin);
}

/* As if its plug was drawn: nothing runs any more, and the kernel's rules are gone with its memory. */
static int turn_off(struct play *p, const struct step *s, struct diag *d)
{
	static const char *const forget[] = { "nft", "flush", "ruleset", NULL };
	size_t host = run_host(&p->run, s->host);

	if (is_controller(p, s->host))
		directory_stop(twin_directory(p->run.twin));
	member_kill(twin_members(p->run.twin), host);
	(void)space_run(network_space(twin_network(p->run.twin), host), forget, "", NULL);
	return plug(p, s, false, d);
}

static int boot(struct play *p, const struct step *s, struct diag *d)
{
	int e = plug(p, s, true, d);

	if (e == 0 && is_controller(p, s->host))
		e = directory_start(twin_directory(p->run.twin), d);
	if (e == 0 && (e = member_start(twin_members(p->run.twin), run_host(&p->run, s->host), d)) == 0)
		e = twin_wait_ready(p->run.twin, d);
	return e;
}

static int change_directory(struct play *p, const struct step *s, struct diag *d)
{
	struct directory *y = twin_directory(p->run.twin);

	if (!y)
		return diag_fail(d, EINVAL,
				 "the policy asks for no Kerberos, or no host has role kdc: there is no directory");
	if (s->change == CHANGE_DELETE)
		return directory_delete_group(y, s->group, d);
	return directory_member(y, s->group, s->host, s->change == CHANGE_ADD, d);
}

static int do_step(struct play *p, const struct step *s, struct diag *d)
{
	SCOPED(str_wipe) struct str what = { 0 };
	char said[COMMAND_WORDS] = "";
	bool ok = true;
	int e = 0;

	words_of(s, &what);
	switch (s->kind) {
	case STEP_RUN:
		e = run_command(p, s, said, &ok, d);
		break;
	case STEP_POLICY:
		e = replace_policy(p, s, d);
		break;
	case STEP_WAIT:
		e = wait_for(p, s->wait_ms, d);
		break;
	case STEP_KILL:
		member_kill(twin_members(p->run.twin), run_host(&p->run, s->host));
		break;
	case STEP_START:
		if ((e = member_start(twin_members(p->run.twin), run_host(&p->run, s->host), d)) == 0)
			e = twin_wait_ready(p->run.twin, d);
		break;
	case STEP_CUT:
	case STEP_MEND:
		e = plug(p, s, s->kind == STEP_MEND, d);
		break;
	case STEP_OFF:
		e = turn_off(p, s, d);
		break;
	case STEP_BOOT:
		e = boot(p, s, d);
		break;
	case STEP_DIRECTORY:
		e = change_directory(p, s, d);
		break;
	case STEP_FORGET_TICKETS:
		e = member_forget_tickets(twin_members(p->run.twin), run_host(&p->run, s->host), d);
		break;
	default:
		break;
	}
	if (e == 0)
		say(p, s, str_text(&what), ok ? "done" : s->fails ? "worked" : "failed", said, ok);
	return e;
}

/* ---- probes ------------------------------------------------------------------------------------------------------ */

static void tell_probe(struct play *p, const struct step *s, const struct table_row *row)
{
	SCOPED(str_wipe) struct str what = { 0 };
	bool ok = row->seen == seen_of(row->expected);

	words_of(s, &what);
	say(p, s, str_text(&what), seen_name(row->seen), row->note, ok);
	if (p->rows)
		(void)json_array_append_new(
			p->rows, json_pack("{s:s,s:s,s:s,s:s,s:s,s:i}", "from", row->from, "to", row->to, "traffic",
					   row->traffic, "expected", outcome_name(row->expected), "seen",
					   seen_name(row->seen), "step", (int)(s - p->steps->rows) + 1));
}

/* Those that stand together are asked at once. */
static int ask(struct play *p, const struct step *first, size_t n, struct diag *d)
{
	SCOPED(probes_freep) struct probes *probes = NULL;
	struct policy_test tests[TOGETHER_MOST];
	struct test_result predicted[TOGETHER_MOST] = { 0 };
	struct table_row rows[TOGETHER_MOST];
	struct run *r = &p->run;
	int e;

	for (size_t i = 0; i < n; i++) {
		tests[i] = first[i].test;
		predicted[i].got = tests[i].expect;
	}
	r->tests = tests;
	r->predicted = predicted;
	r->rows = rows;
	r->count = n;
	if ((e = run_plan(r, d)) == 0 && r->base + r->first[n] > JUDGE_PROBES_MOST)
		e = diag_fail(d, E2BIG, "the scenario asks too much: %d probes can be tried", JUDGE_PROBES_MOST);
	if (e == 0) {
		probes = probes_new(twin_network(r->twin), r->wants, r->first[n], r->judge, r->base);
		e = run_probes(r, probes, d);
	}
	for (size_t i = 0; e == 0 && i < n; i++) {
		run_judge(r, i, probes);
		tell_probe(p, &first[i], &rows[i]);
	}
	r->base += e == 0 ? r->first[n] : 0;
	free(r->wants);
	free(r->first);
	r->wants = NULL;
	r->first = NULL;
	r->rows = NULL;
	return e;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

/* Whose protection the scenario itself takes away says clear what the policy would have protected. That others do not
 * is for its probes to ask. */
static void excuse(struct play *p)
{
	for (size_t i = 0; i < p->steps->count; i++) {
		const struct step *s = &p->steps->rows[i];

		if (s->kind == STEP_RUN && strcmp(s->words[0], "disable") == 0)
			for (size_t a = 0; a < s->host->address_count; a++)
				judge_excuse(p->run.judge, &s->host->addresses[a].addr, NULL);
		if (s->kind != STEP_PROBE || s->test.expect != OUTCOME_CLEAR)
			continue;
		for (size_t a = 0; a < s->test.from_host->address_count; a++)
			for (size_t b = 0; b < s->test.to_host->address_count; b++)
				judge_excuse(p->run.judge, &s->test.from_host->addresses[a].addr,
					     &s->test.to_host->addresses[b].addr);
	}
}

static int play_steps(struct play *p, struct diag *d)
{
	int e = 0;

	for (size_t i = 0; e == 0 && i < p->steps->count;) {
		const struct step *s = &p->steps->rows[i];
		size_t n = 0;

		while (i + n < p->steps->count && s[n].kind == STEP_PROBE && n < TOGETHER_MOST)
			n++;
		e = n ? ask(p, s, n, d) : do_step(p, s, d);
		if (e < 0)
			return diag_wrap(d, e, "step %zu (line %u)", i + 1, s->place.line);
		i += n ? n : 1;
	}
	return e;
}

static void report(struct play *p, size_t lost, bool ended_well)
{
	size_t leaks = judge_leaks(p->run.judge);
	bool ok = p->failed == 0 && leaks == 0 && lost == 0 && ended_well;
	char *text;

	p->run.ok = ok;
	if (p->run.options->json) {
		json_t *all = json_pack("{s:b,s:O,s:O}", "ok", ok, "rows", p->rows, "steps", p->told);

		text = json_dumps(all, 0);
		(void)puts(text ? text : "{}");
		free(text);
		json_decref(all);
	} else {
		(void)printf("%zu of %zu steps are as expected. %zu packets captured.\n", p->passed,
			     p->passed + p->failed, judge_packets(p->run.judge));
	}
	(void)fflush(stdout);
	if (leaks)
		(void)fprintf(stderr, "error: %zu clear packets of pairs whose protection nothing took away:\n", leaks);
	for (size_t i = 0; leaks; i++) {
		SCOPED(str_wipe) struct str words = { 0 };

		if (!judge_leak_words(p->run.judge, i, &words))
			break;
		(void)fprintf(stderr, "  %s\n", str_text(&words));
	}
	if (lost)
		(void)fprintf(stderr, "error: the capture lost %zu packets, so nothing above is certain\n", lost);
}

static int up_and_play(struct play *p, struct diag *d)
{
	struct run *r = &p->run;
	struct twin_options to = { .scenario = &r->scenario,
				   .keep = r->options->keep,
				   .judge = r->judge,
				   .tell = isatty(STDERR_FILENO) == 1,
				   .own_policies = true };
	size_t lost;
	int e;

	if ((e = twin_new(&to, &r->twin, d)) < 0)
		return e;
	if ((e = play_steps(p, d)) < 0) {
		if (e == -ECHILD)
			twin_print_log(r->twin);
		return e;
	}
	lost = twin_capture(r->twin);
	e = twin_stop(r->twin, d);
	if (e < 0) {
		(void)fprintf(stderr, "cordon lab: %s\n", d->text);
		twin_print_log(r->twin);
	}
	report(p, lost, e == 0);
	return 0;
}

int lab_play(const struct lab_options *o, struct scenario *s)
{
	struct play p = { .run = { .options = o, .scenario = *s }, .steps = s->steps };
	struct diag d = { 0 };
	uint64_t random;
	int e;

	*s = (struct scenario){ 0 };
	p.rows = o->json ? json_array() : NULL;
	p.told = o->json ? json_array() : NULL;
	p.run.why = why_new(p.run.scenario.policy, p.run.scenario.report);
	if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random) {
		e = diag_errno(&d, errno, "getrandom");
	} else {
		p.run.judge = judge_new(p.run.why, random);
		excuse(&p);
		e = up_and_play(&p, &d);
	}
	if (e < 0) {
		(void)fprintf(stderr, "cordon lab: %s\n", d.text);
		if (o->json)
			(void)puts("{\"ok\": false, \"rows\": [], \"steps\": []}");
	}
	twin_free(p.run.twin);
	judge_free(p.run.judge);
	why_free(p.run.why);
	scenario_wipe(&p.run.scenario);
	json_decref(p.rows);
	json_decref(p.told);
	return e == 0 && p.run.ok ? LAB_OK : LAB_FAILED;
}
