/* Bench `policy`: from YAML text to one host's plan, and a packet's look-up in it. Every rule concerns the host, each
 * at an address of its own, so nothing is left out by luck. One JSON object a line. */
#include "base/mem.h"
#include "base/scope.h"
#include "base/str.h"
#include "base/text.h"
#include "policy/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 7, LOOKUPS = 2000000 };

static double seconds(clockid_t clock)
{
	struct timespec t;

	(void)clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int compare_doubles(const void *x, const void *y)
{
	const double *a = x, *b = y;

	return *a < *b ? -1 : *a > *b;
}

static void print(const char *what, unsigned rules, const char *unit, double *values, size_t n, double cpu_s)
{
	qsort(values, n, sizeof *values, compare_doubles);
	(void)printf("{\"bench\":\"policy\",\"case\":\"%s-%u\",\"who\":\"cordon\",\"unit\":\"%s\","
		     "\"min\":%.3f,\"median\":%.3f,\"max\":%.3f,\"cpu_s\":%.3f}\n",
		     what, rules, unit, values[0], values[n / 2], values[n - 1], cpu_s);
	(void)fflush(stdout);
}

static struct addr remote(uint32_t i)
{
	return addr_v4((uint8_t)(20 + (i >> 16)), (uint8_t)(i >> 8), (uint8_t)i, 7);
}

/* Rules as people write them: a service at a host for one of three sorts of traffic, protected or exempt. */
static void write_policy(struct str *out, unsigned rules)
{
	static const char *const services[] = { "", ", protocol: tcp, port2: 443", ", traffic: [dns]",
						", protocol: udp, port2: 5000-5010" };

	str_add(out, "cordon: 1\n"
		     "zones:\n  servers: [10.0.0.0/16]\n"
		     "authentication:\n  default: [ { certificate: { issuer: \"CN=bench\" } } ]\n"
		     "protection:\n  sign: { proposals: [esp-sha256-null] }\n"
		     "connection-security:\n");
	for (unsigned i = 0; i < rules; i++) {
		struct addr a = remote(i);
		char text[ADDR_TEXT];

		str_addf(out, "  - { name: Rule number %u, endpoint1: [servers], endpoint2: [%s]%s, mode: %s }\n", i,
			 addr_text(&a, text), services[i % 4], i % 3 ? "require" : "exempt");
	}
}

static void give_up(const struct report *r)
{
	SCOPED(str_wipe) struct str words = { 0 };

	report_text(r, false, &words);
	(void)fprintf(stderr, "bench: %s", str_text(&words));
	exit(1);
}

static struct plan *compile(const char *text, size_t len)
{
	SCOPED(report_freep) struct report *r = report_new();
	SCOPED(policy_freep) struct policy *p = NULL;
	struct host_address own = { addr_v4(10, 0, 0, 1), 16 };
	struct plan_host host = { .own = &own, .own_count = 1 };
	struct plan *plan = NULL;

	if (policy_parse(text_new("bench.yaml", text, len), NULL, r, &p) < 0 || plan_compile(p, &host, r, &plan) < 0)
		give_up(r);
	return plan;
}

static void bench_compile(const struct str *text, unsigned rules)
{
	double times[ROUNDS], cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);

	for (size_t i = 0; i < ROUNDS; i++) {
		double start = seconds(CLOCK_MONOTONIC);
		struct plan *plan = compile(text->text, text->len);

		times[i] = (seconds(CLOCK_MONOTONIC) - start) * 1e3;
		plan_free(plan);
	}
	print("compile", rules, "ms", times, ROUNDS, seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu);
}

static void bench_lookup(const struct str *text, unsigned rules)
{
	SCOPED(plan_freep) struct plan *plan = compile(text->text, text->len);
	double times[ROUNDS], cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
	uint32_t random = 1;
	size_t found = 0;

	for (size_t i = 0; i < ROUNDS; i++) {
		double start = seconds(CLOCK_MONOTONIC);

		for (size_t k = 0; k < LOOKUPS; k++) {
			struct plan_packet packet = {
				.local = addr_v4(10, 0, 0, 1),
				.initiator = INITIATOR_LOCAL,
				.protocol = 6,
				.local_port = 40000,
				.remote_port = 443,
			};

			random = random * 1664525 + 1013904223;
			packet.remote = remote((random >> 8) % rules);
			found += plan_lookup(plan, &packet) != NULL;
		}
		times[i] = (seconds(CLOCK_MONOTONIC) - start) / LOOKUPS * 1e9;
	}
	if (found == 0)
		(void)fprintf(stderr, "bench: no packet met a rule\n");
	print("lookup", rules, "ns", times, ROUNDS, seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu);
}

/* The most memory that a process of its own takes, text included. */
static void bench_memory(unsigned rules)
{
	double peaks[3], cpu = 0;

	for (size_t i = 0; i < ARRAY_LEN(peaks); i++) {
		struct rusage used = { 0 };
		pid_t child = fork();

		if (child == 0) {
			struct str text = { 0 };

			write_policy(&text, rules);
			plan_free(compile(text.text, text.len));
			_exit(0);
		}
		if (child < 0 || wait4(child, NULL, 0, &used) != child)
			exit(1);
		peaks[i] = (double)used.ru_maxrss / 1e3;
		cpu += (double)used.ru_utime.tv_sec + (double)used.ru_utime.tv_usec / 1e6;
	}
	print("memory", rules, "MB", peaks, ARRAY_LEN(peaks), cpu);
}

int main(void)
{
	static const unsigned sizes[] = { 1000, 100000 };

	bench_memory(100000); /* first: a child begins with the parent's size */
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		SCOPED(str_wipe) struct str text = { 0 };

		write_policy(&text, sizes[i]);
		bench_compile(&text, sizes[i]);
		bench_lookup(&text, sizes[i]);
	}
	return 0;
}
