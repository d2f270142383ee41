/* tests/bench/firewall.c - how long the gate takes: to put a plan with 10,000 remote intervals in force (from nothing,
 * and in place of another), and to add one peer to the set of those that fell back beside it; to put 10,000 rules of
 * the policy's firewall in force; and what a packet pays for 100, 1,000 and 10,000 of them, beside the same rules as a
 * plain list of nft. In network namespaces of its own. One JSON object a line, docs of the form in docs/. */
#include "base/addr.h"
#include "base/diag.h"
#include "base/report.h"
#include "base/str.h"
#include "base/text.h"
#include "enforce/gate.h"
#include "enforce/nft.h"
#include "policy/plan.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

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

/* ---- the policy's firewall --------------------------------------------------------------------------------------- */

enum { PORT = 7000, BATCH = 64, PACKETS = 64000, LISTED = 20000000, PACKET_ROUNDS = 5 };

/* What such lists are made of: one peer to one port, a network to some ports, a port for everybody, a range of peers to
 * everything. Rule i as its addresses and ports; the last one is the only one that matches what is sent. */
struct sample {
	char remote[64]; /* "": any */
	int protocol;
	unsigned ports[2]; /* 0: any */
};

static struct sample sample_of(int i, int count)
{
	struct sample s = { .protocol = i % 2 ? 17 : 6 };
	int a = 1 + i / 60000, b = i / 250 % 240, c = i % 250;

	if (i == count - 1)
		return (struct sample){ "10.0.0.2", 17, { PORT, PORT } };
	switch (i % 4) {
	case 0:
		snprintf(s.remote, sizeof s.remote, "10.%d.%d.%d", a, b, c);
		s.ports[0] = s.ports[1] = 443;
		break;
	case 1:
		snprintf(s.remote, sizeof s.remote, "10.%d.%d.%d/31", 20 + a, b, c & ~1);
		s.ports[0] = 8000;
		s.ports[1] = 8010;
		break;
	case 2:
		s.ports[0] = s.ports[1] = (unsigned)(10000 + i);
		break;
	default:
		snprintf(s.remote, sizeof s.remote, "10.%d.%d.%d-10.%d.%d.%d", 40 + a, b, c, 40 + a, b, c + 1);
		break;
	}
	return s;
}

static struct plan *firewall_plan(int count)
{
	SCOPED(str_wipe) struct str text = { 0 }, words = { 0 };
	SCOPED(report_freep) struct report *report = report_new();
	SCOPED(policy_freep) struct policy *policy = NULL;
	struct host_address own = { addr_v4(10, 0, 0, 1), 24 };
	struct plan_host host = { .own = &own, .own_count = 1 };
	struct plan *plan = NULL;

	str_add(&text, "cordon: 1\nfirewall:\n  hosts: [10.0.0.1]\n  inbound: block\n  outbound: allow\n  rules:\n");
	for (int i = 0; i < count; i++) {
		struct sample s = sample_of(i, count);

		str_addf(&text, "    - { name: rule %d, action: allow, protocol: %s", i,
			 s.protocol == 6 ? "tcp" : "udp");
		if (*s.remote)
			str_addf(&text, ", remote: [%s]", s.remote);
		if (s.ports[0])
			str_addf(&text, ", local-port: %u-%u", s.ports[0], s.ports[1]);
		str_add(&text, " }\n");
	}
	if (policy_parse(text_new("bench.yaml", str_text(&text), text.len), NULL, report, &policy) < 0 ||
	    plan_compile(policy, &host, report, &plan) < 0) {
		report_text(report, false, &words);
		give_up(str_text(&words));
	}
	return plan;
}

static void plain_list(int count, struct str *text)
{
	str_add(text, "table inet plain {\n\tchain in {\n\t\ttype filter hook input priority 10; policy drop;\n");
	for (int i = 0; i < count; i++) {
		struct sample s = sample_of(i, count);

		str_add(text, "\t\t");
		if (*s.remote)
			str_addf(text, "ip saddr %s ", s.remote);
		str_addf(text, "%s ", s.protocol == 6 ? "tcp" : "udp");
		if (s.ports[0])
			str_addf(text, "dport %u-%u ", s.ports[0], s.ports[1]);
		else
			str_add(text, "dport 0-65535 ");
		str_add(text, "counter accept\n");
	}
	str_add(text, "\t}\n}\n");
}

/* A neighbour in a namespace of its own that sends when it is told to, and answers when it has. */
struct neighbour {
	pid_t pid;
	int tell[2], hear[2];
};

static void run_or_give_up(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void run_or_give_up(const char *fmt, ...)
{
	char command[256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(command, sizeof command, fmt, args);
	va_end(args);
	if (system(command) != 0)
		give_up(command);
}

static void send_packets(uint32_t count)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	struct mmsghdr messages[BATCH] = { 0 };
	struct iovec octets = { "cordon", 6 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	to.sin_addr.s_addr = htonl(0x0a000001);
	for (size_t i = 0; i < BATCH; i++)
		messages[i].msg_hdr = (struct msghdr){
			.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &octets, .msg_iovlen = 1
		};
	for (uint32_t sent = 0; sent < count; sent += BATCH)
		if (sendmmsg(fd, messages, BATCH, 0) < 0 && errno != ENOBUFS)
			give_up("send");
	close(fd);
}

static void be_neighbour(struct neighbour *n)
{
	uint32_t count;
	char word;

	if (unshare(CLONE_NEWNET) < 0 || write(n->hear[1], "u", 1) != 1 || read(n->tell[0], &word, 1) != 1)
		_exit(1);
	run_or_give_up("ip addr add 10.0.0.2/24 dev bench1 && ip link set bench1 up");
	while (write(n->hear[1], "r", 1) == 1 && read(n->tell[0], &count, sizeof count) == sizeof count)
		send_packets(count);
	_exit(0);
}

static void wait_word(struct neighbour *n)
{
	char word;

	if (read(n->hear[0], &word, 1) != 1)
		give_up("the neighbour has gone");
}

static void neighbour_start(struct neighbour *n)
{
	if (pipe2(n->tell, O_CLOEXEC) < 0 || pipe2(n->hear, O_CLOEXEC) < 0 || (n->pid = fork()) < 0)
		give_up("fork");
	if (n->pid == 0) {
		close(n->tell[1]);
		close(n->hear[0]);
		be_neighbour(n);
	}
	close(n->tell[0]);
	close(n->hear[1]);
	wait_word(n);
	run_or_give_up(
		"ip link add bench0 type veth peer name bench1 netns %d && ip addr add 10.0.0.1/24 dev bench0 && "
		"ip link set bench0 up",
		(int)n->pid);
	if (write(n->tell[1], "g", 1) != 1)
		give_up("tell the neighbour");
	wait_word(n);
}

static double packet_ns(struct neighbour *n, uint32_t count)
{
	double start = now_ms();

	if (write(n->tell[1], &count, sizeof count) != sizeof count)
		give_up("tell the neighbour");
	wait_word(n);
	return (now_ms() - start) * 1e6 / count;
}

static void print_packets(int count, const char *who, double times[PACKET_ROUNDS])
{
	qsort(times, PACKET_ROUNDS, sizeof *times, by_size);
	printf("{\"bench\":\"firewall\",\"case\":\"packet-%d\",\"who\":\"%s\",\"unit\":\"ns\",\"min\":%.0f,\"median\":%"
	       ".0f,"
	       "\"max\":%.0f}\n",
	       count, who, times[0], times[PACKET_ROUNDS / 2], times[PACKET_ROUNDS - 1]);
}

/* What the rules add to a packet that the last of them lets in: each round measures none, ours and the list in turn. */
static void bench_packets(struct gate *g, struct neighbour *n, int count)
{
	SCOPED(plan_freep) struct plan *plan = firewall_plan(count);
	SCOPED(str_wipe) struct str list = { 0 };
	uint32_t few = LISTED / (uint32_t)count < PACKETS ? LISTED / (uint32_t)count : PACKETS; /* it takes so long */
	double ours[PACKET_ROUNDS], plain[PACKET_ROUNDS];
	struct diag d;

	plain_list(count, &list);
	for (size_t i = 0; i < PACKET_ROUNDS; i++) {
		double none = packet_ns(n, PACKETS);

		if (gate_apply(g, plan, &d) < 0)
			give_up(d.text);
		ours[i] = packet_ns(n, PACKETS) - none;
		if (gate_uninstall(NULL, &d) < 0 || nft_load(str_text(&list), list.len, &d) < 0)
			give_up(d.text);
		plain[i] = packet_ns(n, few) - none;
		if (nft_load("delete table inet plain", 23, &d) < 0)
			give_up(d.text);
	}
	print_packets(count, "cordon", ours);
	print_packets(count, "limit", plain);
}

static void bench_firewall(struct gate *g)
{
	static const int counts[] = { 100, 1000, 10000 };
	SCOPED(plan_freep) struct plan *plan = firewall_plan(10000);
	struct neighbour n = { 0 };

	bench_load(g, plan, "rules-10000", true);
	bench_load(g, plan, "replace-rules-10000", false);
	neighbour_start(&n);
	for (size_t i = 0; i < ARRAY_LEN(counts); i++)
		bench_packets(g, &n, counts[i]);
	close(n.tell[1]);
	waitpid(n.pid, NULL, 0);
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
	if (gate_uninstall(NULL, &d) < 0)
		give_up(d.text);
	bench_firewall(g);
	return 0;
}
