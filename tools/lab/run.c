/* `cordon lab run`: up, every test as real traffic, what the wire saw, down. */
#include "analysis/tests.h"
#include "base/diag.h"
#include "base/mem.h"
#include "base/str.h"
#include "tools/lab/judge.h"
#include "tools/lab/lab.h"
#include "tools/lab/neighbours.h"
#include "tools/lab/network.h"
#include "tools/lab/play.h"
#include "tools/lab/probe.h"
#include "tools/lab/run.h"
#include "tools/lab/scenario.h"
#include "tools/lab/table.h"
#include "tools/lab/twin.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum {
	PAIRS_MOST = 16,             /* address pairs that one test is tried on */
	PATIENCE_BLOCKED_MS = 6000,  /* longer than packets are held for a negotiation */
	PATIENCE_OUTSIDER_MS = 3000, /* which nobody holds */
	PATIENCE_MS = 20000,         /* a first negotiation on a slow machine */
	SETTLE_MS = 300,             /* for what is still on the wire when the last answer is in */
	TURN_MS = 50,
	ANY_PORT = 4660, /* tried where a test names none */
};

size_t run_host(const struct run *r, const struct host *h)
{
	const struct host *hosts;

	(void)policy_hosts(r->scenario.policy, &hosts);
	return (size_t)(h - hosts);
}

static bool protected(enum outcome o)
{
	return o == OUTCOME_AUTHENTICATED || o == OUTCOME_ENCRYPTED;
}

static struct probe_want want_of(const struct run *r, size_t test, const struct addr *from, const struct addr *to)
{
	const struct policy_test *t = &r->tests[test];
	const struct service *s = &t->service;
	enum outcome expected = t->expect, predicted = r->predicted[test].got;
	bool icmp = s->protocol == PACKET_ICMP || s->protocol == PACKET_ICMPV6;
	struct probe_want w = {
		.from_host = run_host(r, t->from_host),
		.to_host = run_host(r, t->to_host),
		.from = *from,
		.to = *to,
		.dial = t->to_host->nat_address.family == to->family ? t->to_host->nat_address : *to,
		.protocol = s->protocol == PROTOCOL_ANY ? PACKET_TCP : s->protocol,
		.port = port_given(s->port2) ? s->port2.lo : ANY_PORT,
		.icmp_type = -1,
		.insist = protected(expected) || protected(predicted),
		.patience_ms = expected != OUTCOME_BLOCKED && predicted != OUTCOME_BLOCKED ? PATIENCE_MS
			       : t->from_host->agent == AGENT_NONE && t->to_host->agent != AGENT_NONE
				       ? PATIENCE_OUTSIDER_MS
				       : PATIENCE_BLOCKED_MS,
	};

	if (icmp) {
		w.protocol = to->family == 6 ? PACKET_ICMPV6 : PACKET_ICMP;
		w.port = 0;
	}
	return w;
}

/* Behind a NAT only the first address of its family is: the NAT's address leads there. */
static bool found_by_others(const struct host *h, const struct addr *a)
{
	for (size_t i = 0; i < h->address_count && h->nat_address.family == a->family; i++)
		if (h->addresses[i].addr.family == a->family)
			return addr_equal(&h->addresses[i].addr, a);
	return true;
}

/* Every pair of addresses of one family, for every test. */
int run_plan(struct run *r, struct diag *d)
{
	size_t used = 0, cap = 0;

	r->first = mem_new(r->count + 1, sizeof *r->first);
	for (size_t i = 0; i < r->count; i++) {
		const struct host *from = r->tests[i].from_host, *to = r->tests[i].to_host;
		size_t before = used;

		r->first[i] = used;
		for (size_t a = 0; a < from->address_count; a++) {
			for (size_t b = 0; b < to->address_count && used - before < PAIRS_MOST; b++) {
				const struct addr *f = &from->addresses[a].addr, *t = &to->addresses[b].addr;

				if (f->family != t->family || !found_by_others(to, t))
					continue;
				r->wants = mem_grow(r->wants, used, &cap, sizeof *r->wants);
				r->wants[used++] = want_of(r, i, f, t);
			}
		}
		if (used > JUDGE_PROBES_MOST)
			return diag_fail(d, E2BIG, "the policy has too many tests for one lab: %d can be tried",
					 JUDGE_PROBES_MOST);
	}
	r->first[r->count] = used;
	return 0;
}

int run_probes(struct run *r, struct probes *probes, struct diag *d)
{
	size_t own = twin_rows(r->twin), all = r->first[r->count], told = SIZE_MAX;
	struct pollfd *rows = mem_new(own + PROBE_POLL_MOST, sizeof *rows);
	bool tell = isatty(STDERR_FILENO) == 1;
	uint64_t settled = 0;
	int e = 0;

	probes_step(probes, rows, 0, twin_now_ms());
	while (e == 0) {
		size_t n = probes_poll(probes, rows + own, PROBE_POLL_MOST);
		uint64_t now;

		if (tell && probes_open(probes) != told) {
			told = probes_open(probes);
			(void)fprintf(stderr, "\r\033[Ktrying: %zu of %zu questions are answered or given up ...",
				      all - told, all);
		}
		if ((e = twin_turn(r->twin, rows, n, TURN_MS, d)) < 0)
			break;
		now = twin_now_ms();
		probes_step(probes, rows + own, n, now);
		if (!probes_done(probes))
			continue;
		if (settled == 0)
			settled = now + SETTLE_MS;
		else if (now >= settled)
			break;
	}
	if (tell)
		(void)fputs("\r\033[K", stderr);
	free(rows);
	return e;
}

/* ---- the rows -------------------------------------------------------------------------------------------------- */

static const char *question_word(int16_t protocol, unsigned n)
{
	if (protocol == PACKET_TCP)
		return n == 1 ? "SYN" : "SYNs";
	return n == 1 ? "packet" : "packets";
}

static void note_of(const struct probe_want *w, const struct probe_result *p, const struct judge_sight *s, char *ret,
		    size_t cap)
{
	switch (s->seen) {
	case SEEN_AUTHENTICATED:
	case SEEN_ENCRYPTED:
		(void)snprintf(ret, cap, "%s, %u packets", s->ah ? "ah" : "esp", s->sealed);
		break;
	case SEEN_BLOCKED:
		if (s->opened)
			(void)snprintf(ret, cap, "%u %s, no answer", s->opened, question_word(w->protocol, s->opened));
		else if (s->went)
			(void)snprintf(ret, cap, "%u %s in %s, no answer", s->went, question_word(PACKET_UDP, s->went),
				       s->ah ? "ah" : "esp");
		else
			(void)snprintf(ret, cap, "nothing left the host%s%s", *p->note ? ": " : "", p->note);
		break;
	case SEEN_MIXED:
		(void)snprintf(ret, cap, "protected one way and not the other");
		break;
	case SEEN_ONE_WAY:
		(void)snprintf(ret, cap, "the question arrived, no answer came back");
		break;
	case SEEN_NOWHERE:
		(void)snprintf(ret, cap, "answered, but nothing of it was on the wire");
		break;
	default:
		*ret = '\0';
	}
}

void run_judge(struct run *r, size_t i, const struct probes *probes)
{
	const struct policy_test *t = &r->tests[i];
	struct table_row *row = &r->rows[i];
	size_t pairs = r->first[i + 1] - r->first[i];

	*row = (struct table_row){ .from = t->from,
				   .to = t->to,
				   .traffic = t->traffic,
				   .expected = t->expect,
				   .predicted = r->predicted[i].got,
				   .seen = SEEN_BLOCKED };
	if (pairs == 0)
		(void)snprintf(row->note, sizeof row->note, "no address family in common");
	for (size_t k = r->first[i]; k < r->first[i + 1]; k++) {
		const struct probe_result *p = probe_result(probes, k);
		struct judge_sight s = judge_sight(r->judge, r->base + k, p->answered, p->heard);
		char from[ADDR_TEXT], to[ADDR_TEXT];
		size_t at;

		if (*p->error)
			s.seen = SEEN_ERROR;
		/* The first pair speaks for all, unless one of the others is not as expected. */
		if (k != r->first[i] && s.seen == seen_of(t->expect))
			continue;
		row->seen = s.seen;
		note_of(&r->wants[k], p, &s, row->note, sizeof row->note);
		if (*p->error)
			(void)snprintf(row->note, sizeof row->note, "%s", p->error);
		at = strlen(row->note);
		if (k != r->first[i])
			(void)snprintf(row->note + at, sizeof row->note - at, " (%s -> %s)",
				       addr_text(&r->wants[k].from, from), addr_text(&r->wants[k].to, to));
		if (s.seen != seen_of(t->expect))
			break;
	}
}

/* What was wrong besides the rows, to standard error; the sum, to standard output or, with JSON, nowhere. */
static void report_rest(const struct run *r, size_t lost, size_t agree)
{
	size_t leaks = judge_leaks(r->judge), packets = judge_packets(r->judge), readable = 0;

	for (size_t i = 0; i < r->count; i++)
		readable += r->rows[i].seen == SEEN_AUTHENTICATED;

	if (!r->options->json)
		(void)printf("%zu of %zu agree. ", agree, r->count);
	if (!r->options->json && readable)
		(void)printf("%zu %s authenticated only: who listens reads all of it. ", readable,
			     readable == 1 ? "is" : "are");
	if (!r->options->json && leaks == 0 && lost == 0)
		(void)printf("No clear packet of a protected pair in %zu captured.\n", packets);
	else if (!r->options->json)
		(void)printf("\n");
	(void)fflush(stdout);
	if (leaks)
		(void)fprintf(stderr, "error: %zu clear packets of protected pairs in %zu captured:\n", leaks, packets);
	for (size_t i = 0; leaks; i++) {
		SCOPED(str_wipe) struct str words = { 0 };

		if (!judge_leak_words(r->judge, i, &words))
			break;
		(void)fprintf(stderr, "  %s\n", str_text(&words));
	}
	if (lost)
		(void)fprintf(stderr,
			      "error: the capture lost %zu packets, so nothing above is certain: try again on a "
			      "machine with less to do\n",
			      lost);
	if (agree < r->count && neighbours_overflows() != r->overflows)
		(void)fprintf(
			stderr,
			"error: this machine's table of neighbours, which all its namespaces share, was full, and "
			"the kernel\n  dropped packets: try again with a larger one, such as sysctl "
			"net.ipv4.neigh.default.gc_thresh3=16384 (and ipv6)\n");
	if (agree < r->count && !r->options->keep)
		(void)fprintf(stderr, "  --keep FOLDER keeps the captures, keys and logs of such a run\n");
}

static void report_all(struct run *r, size_t lost, double up_s)
{
	SCOPED(str_wipe) struct str out = { 0 };
	size_t hosts = network_hosts(twin_network(r->twin)), certificates = twin_certificates(r->twin), agree = 0;

	for (size_t i = 0; i < r->count; i++)
		agree += table_row_agrees(&r->rows[i]);
	r->ok = r->ok && agree == r->count && judge_leaks(r->judge) == 0 && lost == 0;
	if (r->options->json) {
		table_json(r->rows, r->count, r->ok, &out);
	} else {
		char line[96];
		int n = snprintf(line, sizeof line, "%zu hosts on one wire, %zu certificates issued", hosts,
				 certificates);

		str_addf(&out, "%s%*s%.1f s\n", line, n < 72 ? 72 - n : 1, "", up_s);
		table_text(r->rows, r->count, r->options->colour, &out);
	}
	(void)fputs(str_text(&out), stdout);
	report_rest(r, lost, agree);
}

/* ---- the whole ------------------------------------------------------------------------------------------------- */

static int bring_up_and_try(struct run *r, struct diag *d)
{
	SCOPED(probes_freep) struct probes *probes = NULL;
	struct twin_options to = { .scenario = &r->scenario,
				   .keep = r->options->keep,
				   .judge = r->judge,
				   .tell = isatty(STDERR_FILENO) == 1 };
	uint64_t began = twin_now_ms();
	double up_s;
	size_t lost;
	int e, ended;

	r->overflows = neighbours_overflows();
	if ((e = twin_new(&to, &r->twin, d)) < 0)
		return e;
	up_s = (double)(twin_now_ms() - began) / 1000;
	probes = probes_new(twin_network(r->twin), r->wants, r->first[r->count], r->judge, 0);
	e = run_probes(r, probes, d);
	if (e < 0) {
		if (e == -ECHILD)
			twin_print_log(r->twin);
		return e;
	}
	r->rows = mem_new(r->count, sizeof *r->rows);
	for (size_t i = 0; i < r->count; i++)
		run_judge(r, i, probes);
	lost = twin_capture(r->twin);
	r->ok = true;
	ended = twin_stop(r->twin, d);
	if (ended < 0) {
		r->ok = false;
		(void)fprintf(stderr, "cordon lab: %s\n", d->text);
		twin_print_log(r->twin);
	}
	report_all(r, lost, up_s);
	return 0;
}

static int prepare(struct run *r, struct diag *d)
{
	uint64_t random;
	size_t n;
	int e;

	if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
		return diag_errno(d, errno, "getrandom");
	r->why = why_new(r->scenario.policy, r->scenario.report);
	r->judge = judge_new(r->why, random);
	r->count = policy_tests(r->scenario.policy, &r->tests);
	if ((e = tests_run(r->why, &r->memory, &r->predicted, &n, d)) < 0)
		return e;
	return run_plan(r, d);
}

static void run_wipe(struct run *r)
{
	twin_free(r->twin);
	judge_free(r->judge);
	why_free(r->why);
	scenario_wipe(&r->scenario);
	arena_wipe(&r->memory);
	free(r->wants);
	free(r->first);
	free(r->rows);
}

/* Words have been said; a program gets its value all the same. */
static int failed(const struct lab_options *o)
{
	SCOPED(str_wipe) struct str out = { 0 };

	if (o->json) {
		table_json(NULL, 0, false, &out);
		(void)fputs(str_text(&out), stdout);
	}
	return LAB_FAILED;
}

int lab_run(const struct lab_options *o)
{
	SCOPED(run_wipe) struct run r = { .options = o };
	struct diag d = { 0 };

	if (geteuid() != 0) {
		(void)fprintf(stderr,
			      "cordon lab: needs root, because it makes network namespaces: sudo cordon lab ...\n");
		return failed(o);
	}
	if (scenario_load(o, true, &r.scenario) < 0)
		return failed(o);
	if (r.scenario.steps)
		return lab_play(o, &r.scenario);
	if (prepare(&r, &d) < 0 || bring_up_and_try(&r, &d) < 0) {
		(void)fprintf(stderr, "cordon lab: %s\n", d.text);
		return failed(o);
	}
	return r.ok ? LAB_OK : LAB_FAILED;
}
