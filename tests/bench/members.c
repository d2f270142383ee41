/* tests/bench/members.c - how long it takes to tell the firewall who is behind a pair of addresses, beside 10,000 that
 * it knows already: one peer comes into the sets of its groups and goes out of them again, by the gate and, for
 * comparison, by the nft program. And how long a table takes that has them all. In a network namespace of its own;
 * called by the case `member-10000` of the bench `firewall`. One JSON object a line. */
#include "base/addr.h"
#include "base/diag.h"
#include "base/report.h"
#include "base/str.h"
#include "base/text.h"
#include "enforce/gate.h"
#include "enforce/identity_sets.h"
#include "identity/groups.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 51, NFT_ROUNDS = 7, PEERS = 10000, AT_ONCE = 500 };

static const char policy_text[] =
	"cordon: 1\n"
	"authentication: { default: [ { pre-shared-key: { file: /nowhere } } ] }\n"
	"groups:\n"
	"  trusted: [ { certificate: OU=Trusted } ]\n"
	"  servers: [ { certificate: OU=Servers } ]\n"
	"  barred: [ { certificate: OU=Barred } ]\n"
	"connection-security:\n"
	"  - { name: all, endpoint1: [10.0.0.1], endpoint2: [10.0.0.0/8], mode: require, authentication: default }\n"
	"firewall:\n"
	"  hosts: [10.0.0.1]\n"
	"  inbound: block\n"
	"  outbound: allow\n"
	"  rules:\n"
	"    - { name: in, action: bypass, direction: in, traffic: [tcp/80], secure: authenticated,\n"
	"        machines: { allow: [trusted, servers], except: [barred] } }\n";

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

static void print(const char *name, const char *who, double *times, size_t n)
{
	qsort(times, n, sizeof *times, by_size);
	printf("{\"bench\":\"firewall\",\"case\":\"%s\",\"who\":\"%s\",\"unit\":\"ms\",\"min\":%.3f,\"median\":%.3f,"
	       "\"max\":%.3f}\n",
	       name, who, times[0], times[n / 2], times[n - 1]);
	(void)fflush(stdout);
}

static void give_up(const char *what)
{
	fprintf(stderr, "bench-members: %s\n", what);
	exit(1);
}

static struct plan *make_plan(void)
{
	SCOPED(str_wipe) struct str words = { 0 };
	SCOPED(report_freep) struct report *report = report_new();
	SCOPED(policy_freep) struct policy *policy = NULL;
	struct host_address own = { addr_v4(10, 0, 0, 1), 8 };
	struct plan_host host = { .own = &own, .own_count = 1 };
	struct plan *plan = NULL;

	if (policy_parse(text_new("bench.yaml", policy_text, strlen(policy_text)), NULL, report, &policy) < 0 ||
	    plan_compile(policy, &host, report, &plan) < 0) {
		report_text(report, false, &words);
		give_up(str_text(&words));
	}
	return plan;
}

static struct gate_identity peer(unsigned n, const struct membership *is)
{
	return (struct gate_identity){ addr_v4(10, 0, 0, 1), addr_v4(10, 1, (uint8_t)(n >> 8), (uint8_t)n), is };
}

static void fill(struct gate *g, const struct membership *is)
{
	struct gate_identity some[AT_ONCE];
	double start = now_ms(), times[1];
	struct diag d;

	for (unsigned n = 0; n < PEERS; n += AT_ONCE) {
		for (unsigned i = 0; i < AT_ONCE; i++)
			some[i] = peer(n + i, is);
		if (gate_identify(g, some, AT_ONCE, &d) < 0)
			give_up(d.text);
	}
	times[0] = now_ms() - start;
	print("members-all-10000", "cordon", times, 1);
}

static void bench_gate(struct gate *g, const struct membership *is)
{
	double adds[ROUNDS], removes[ROUNDS];
	struct diag d;

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct gate_identity one = peer(PEERS + i, is);
		double start = now_ms(), between;

		if (gate_identify(g, &one, 1, &d) < 0)
			give_up(d.text);
		between = now_ms();
		one.is = NULL;
		if (gate_identify(g, &one, 1, &d) < 0)
			give_up(d.text);
		adds[i] = between - start;
		removes[i] = now_ms() - between;
	}
	print("member-10000", "cordon", adds, ROUNDS);
	print("member-gone-10000", "cordon", removes, ROUNDS);
}

/* The same three sets, as a person would. */
static void bench_nft(void)
{
	char proven[IDENTITY_SET_NAME], trusted[IDENTITY_SET_NAME], servers[IDENTITY_SET_NAME], command[512];
	double times[NFT_ROUNDS];

	for (unsigned i = 0; i < NFT_ROUNDS; i++) {
		double start = now_ms();

		(void)snprintf(command, sizeof command,
			       "nft 'add element inet cordon %s { 10.2.0.%u . 10.0.0.1 }; add element inet cordon %s { "
			       "10.2.0.%u . 10.0.0.1 }; add element inet cordon %s { 10.2.0.%u . 10.0.0.1 }'",
			       identity_set_name(IDENTITY_PROVEN, 0, 4, proven), i,
			       identity_set_name(IDENTITY_SURE, 0, 4, trusted), i,
			       identity_set_name(IDENTITY_SURE, 1, 4, servers), i);
		if (system(command) != 0) /* NOLINT(cert-env33-c): a shell is what such a person has */
			give_up(command);
		times[i] = now_ms() - start;
	}
	print("member-10000", "nft", times, NFT_ROUNDS);
}

static void bench_replace(struct gate *g, const struct plan *plan)
{
	double times[NFT_ROUNDS];
	struct diag d;

	for (size_t i = 0; i < NFT_ROUNDS; i++) {
		double start = now_ms();

		if (gate_apply(g, plan, &d) < 0)
			give_up(d.text);
		times[i] = now_ms() - start;
	}
	print("replace-with-10000-members", "cordon", times, NFT_ROUNDS);
}

int main(void)
{
	SCOPED(plan_freep) struct plan *plan = make_plan();
	SCOPED(membership_freep) struct membership *is = membership_new(3);
	SCOPED(gate_freep) struct gate *g = NULL;
	struct diag d;

	membership_put(is, 0, MEMBER_YES);
	membership_put(is, 1, MEMBER_YES);
	if (unshare(CLONE_NEWNET) < 0)
		give_up("needs root, to make a network namespace");
	if (gate_new(NULL, &g, &d) < 0 || gate_apply(g, plan, &d) < 0)
		give_up(d.text);
	fill(g, is);
	bench_gate(g, is);
	bench_replace(g, plan);
	bench_nft();
	return 0;
}
