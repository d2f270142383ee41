/* tests/bench/firewall.c - how long the gate takes: to put a plan with 10,000 remote intervals in force (from nothing,
 * and in place of another), and to add one peer to the set of those that fell back beside it. In a network namespace of
 * its own. One JSON object a line, docs of the form in docs/. */
#include "base/addr.h"
#include "base/diag.h"
#include "base/report.h"
#include "base/str.h"
#include "base/text.h"
#include "enforce/gate.h"
#include "policy/plan.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 7, ADDRESSES = 10000, RULES = 1000 };

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int by_size(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void print(const char *name, double times[ROUNDS])
{
	qsort(times, ROUNDS, sizeof *times, by_size);
	printf("{\"bench\":\"firewall\",\"case\":\"%s\",\"who\":\"cordon\",\"unit\":\"ms\",\"min\":%.2f,\"median\":%."
	       "2f,"
	       "\"max\":%.2f}\n",
	       name, times[0], times[ROUNDS / 2], times[ROUNDS - 1]);
}

static void give_up(const char *what)
{
	fprintf(stderr, "bench-firewall: %s\n", what);
	exit(1);
}

/* Every other address, so that no two make one interval; in one rule, or in RULES rules of which every third has a
 * port, which needs a chain of its own. */
static void write_policy(struct str *text, int rules)
{
	str_add(text, "cordon: 1\nauthentication:\n  default: [ { pre-shared-key: { file: /nowhere } } ]\nzones:\n");
	for (int z = 0; z < rules; z++) {
		str_addf(text, "  z%d: [", z);
		for (int i = z; i < ADDRESSES; i += rules)
			str_addf(text, "%s10.%d.%d.%d", i == z ? "" : ", ", 1 + i / 32768, i / 128 % 256, i % 128 * 2);
		str_add(text, "]\n");
	}
	str_add(text, "connection-security:\n");
	for (int z = 0; z < rules; z++)
		str_addf(text,
			 "  - { name: r%d, endpoint1: [10.0.0.1], endpoint2: [z%d], mode: require, authentication: "
			 "default%s "
			 "}\n",
			 z, z, z % 3 == 1 ? ", protocol: tcp, port2: 445" : "");
}

static struct plan *make_plan(int rules)
{
	SCOPED(str_wipe) struct str policy_text = { 0 }, words = { 0 };
	SCOPED(report_freep) struct report *report = report_new();
	SCOPED(policy_freep) struct policy *policy = NULL;
	struct host_address own = { addr_v4(10, 0, 0, 1), 24 };
	struct plan_host host = { .own = &own, .own_count = 1 };
	struct plan *plan = NULL;

	write_policy(&policy_text, rules);
	if (policy_parse(text_new("bench.yaml", str_text(&policy_text), policy_text.len), NULL, report, &policy) < 0 ||
	    plan_compile(policy, &host, report, &plan) < 0) {
		report_text(report, false, &words);
		give_up(str_text(&words));
	}
	return plan;
}

static void bench_load(struct gate *g, const struct plan *plan, const char *name, bool from_nothing)
{
	double times[ROUNDS];
	struct diag d;

	for (size_t i = 0; i < ROUNDS; i++) {
		double start;

		if (from_nothing && gate_uninstall(NULL, &d) < 0)
			give_up(d.text);
		start = now_ms();
		if (gate_apply(g, plan, &d) < 0)
			give_up(d.text);
		times[i] = now_ms() - start;
	}
	print(name, times);
}

static void bench_element(struct gate *g)
{
	struct addr local = addr_v4(10, 0, 0, 1);
	double times[ROUNDS];
	struct diag d;

	for (size_t i = 0; i < ROUNDS; i++) {
		struct addr remote = addr_v4(10, 1, 0, (uint8_t)(2 * i));
		double start = now_ms();

		if (gate_fallback_add(g, &local, &remote, 60, &d) < 0)
			give_up(d.text);
		times[i] = now_ms() - start;
	}
	print("fallback-add", times);
}

int main(void)
{
	SCOPED(plan_freep) struct plan *one = make_plan(1), *many = make_plan(RULES);
	SCOPED(gate_freep) struct gate *g = NULL;
	struct diag d;

	if (unshare(CLONE_NEWNET) < 0)
		give_up("needs root, to make a network namespace");
	if (gate_new(NULL, &g, &d) < 0)
		give_up(d.text);
	bench_load(g, one, "load-10000", true);
	bench_load(g, one, "replace-10000", false);
	bench_element(g);
	bench_load(g, many, "load-10000-in-1000-rules", true);
	return 0;
}
