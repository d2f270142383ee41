/* Two namespaces, the plane's loop, and what the host's programs do. */
#include "tests/conformance/world.h"

#include "base/mem.h"
#include "base/report.h"
#include "base/scope.h"
#include "base/str.h"
#include "base/text.h"
#include "policy/plan.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { AWAIT_MS = 4000, HEAR_MS = 1000, QUIET_MS = 60, PREFIX = 24 };

static _Noreturn void die(const char *what)
{
	(void)fprintf(stderr, "conformance: %s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

int world_in(const char *ns)
{
	int before = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), there;
	char path[256];

	(void)snprintf(path, sizeof path, "/run/netns/%s", ns);
	there = open(path, O_RDONLY | O_CLOEXEC);
	if (before < 0 || there < 0 || setns(there, CLONE_NEWNET) < 0)
		die(path);
	(void)close(there);
	return before;
}

void world_back(int before)
{
	if (setns(before, CLONE_NEWNET) < 0)
		die("back to the own namespace");
	(void)close(before);
}

uint64_t world_now_ms(void *context)
{
	struct timespec t;

	(void)context;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void world_event(void *context, const struct sad_event *e)
{
	struct world *w = context;

	if (e->kind == SAD_DROPPED)
		return; /* for the log: nobody promises it */
	if (w->event_count == EVENTS_MOST)
		world_forget(w);
	w->events[w->event_count++] = *e;
}

/* ---- making it ---- */

struct plan *world_plan(const char *rules)
{
	static const char head[] = "cordon: 1\n"
				   "zones: { host: [10.202.0.1], others: [10.202.0.2, 10.203.0.0/16] }\n"
				   "authentication: { how: [ { pre-shared-key: { file: /psk } } ] }\n"
				   "protection: { so: { proposals: [esp-aes256gcm] } }\n"
				   "connection-security:\n";
	SCOPED(str_wipe) struct str words = { 0 };
	SCOPED(report_freep) struct report *report = report_new();
	SCOPED(policy_freep) struct policy *policy = NULL;
	struct host_address own = { addr_v4(10, 202, 0, 1), PREFIX };
	struct plan_host host = { .own = &own, .own_count = 1 };
	struct plan *plan = NULL;

	str_add(&words, head);
	str_add(&words, rules);
	if (policy_parse(text_new("conformance.yaml", str_text(&words), words.len), NULL, report, &policy) < 0 ||
	    plan_compile(policy, &host, report, &plan) < 0) {
		report_text(report, false, &words);
		(void)fprintf(stderr, "%s\n", str_text(&words));
		exit(EXIT_FAILURE);
	}
	return plan;
}

static int datagrams(const char *ns, uint16_t port, bool own)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
	int before = world_in(ns), fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), mark = MARK_OWN;

	world_back(before);
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) < 0 ||
	    (own && setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) < 0))
		die("UDP socket");
	return fd;
}

static int raw(const char *ns, int protocol)
{
	int before = world_in(ns), fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol), yes = 1,
	    room = 8 << 20;

	world_back(before);
	if (fd < 0 || setsockopt(fd, IPPROTO_IP, IP_HDRINCL, &yes, sizeof yes) < 0)
		die("raw socket");
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
	return fd;
}

int world_open(struct world *w, struct diag *d)
{
	int before, r;

	w->local = addr_v4(10, 202, 0, 1);
	w->plan = world_plan(
		"  - { name: all, endpoint1: [host], endpoint2: [others], mode: require, authentication: how, "
		"protection: so }\n"
		"  - { name: asked, endpoint1: [host], endpoint2: [10.203.250.0/24], mode: request, "
		"authentication: how, protection: so }\n");
	w->app = datagrams(w->ns_host, APP_PORT, false);
	w->app_other = datagrams(w->ns_host, APP_PORT + 1, false);
	w->udp = datagrams(w->ns_host, ENCAP_PORT, true);
	w->raw = raw(w->ns_peer, IPPROTO_ESP);
	w->udp_tap = raw(w->ns_peer, IPPROTO_UDP);
	w->clear = datagrams(w->ns_peer, PEER_PORT, false);
	before = world_in(w->ns_host);
	r = w->door->open(w, d);
	if (r == 0)
		w->door->begin_udp(w);
	world_back(before);
	return r;
}

void world_close(struct world *w)
{
	const int fds[] = { w->app, w->app_other, w->udp, w->raw, w->udp_tap, w->clear };

	sad_free(w->sad);
	w->door->close(w);
	plan_free(w->plan);
	for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
		(void)close(fds[i]);
}

/* ---- the loop ---- */

bool world_run(struct world *w, unsigned ms, int fd)
{
	uint64_t end = world_now_ms(NULL) + ms, now;

	do {
		uint64_t deadline = w->door->deadline(w->sad);
		struct pollfd fds[] = { { .fd = w->door->fd(w->sad), .events = POLLIN },
					{ .fd = w->udp, .events = POLLIN },
					{ .fd = fd, .events = POLLIN } };

		now = world_now_ms(NULL);
		if (deadline > end)
			deadline = end;
		if (poll(fds, 3, deadline > now ? (int)(deadline - now) : 0) < 0 && errno != EINTR)
			die("poll");
		if (fds[0].revents)
			w->door->readable(w->sad);
		if (fds[1].revents)
			w->door->read_udp(w);
		now = world_now_ms(NULL);
		if (now >= w->door->deadline(w->sad))
			w->door->tick(w->sad);
		if (fds[2].revents)
			return true;
	} while (now < end);
	return false;
}

static bool take(struct world *w, enum sad_event_kind kind, struct sad_event *ret)
{
	for (size_t i = 0; i < w->event_count; i++)
		if (w->events[i].kind == kind) {
			*ret = w->events[i];
			w->event_count--;
			memmove(&w->events[i], &w->events[i + 1], (w->event_count - i) * sizeof w->events[0]);
			return true;
		}
	return false;
}

bool world_await(struct world *w, enum sad_event_kind kind, struct sad_event *ret)
{
	uint64_t end = world_now_ms(NULL) + AWAIT_MS;

	while (!take(w, kind, ret)) {
		if (world_now_ms(NULL) >= end)
			return false;
		(void)world_run(w, 10, -1);
	}
	return true;
}

size_t world_count(const struct world *w, enum sad_event_kind kind)
{
	size_t n = 0;

	for (size_t i = 0; i < w->event_count; i++)
		n += w->events[i].kind == kind;
	return n;
}

void world_forget(struct world *w)
{
	w->event_count = 0;
}

bool world_check(struct world *w, bool kept, const char *what)
{
	if (!kept) {
		(void)printf("FAIL  %s: %s\n", w->promise, what);
		w->broken++;
	}
	return kept;
}

/* ---- the host's programs ---- */

void app_sends(struct world *w, const struct addr *to, const char *text)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(PEER_PORT) };

	memcpy(&at.sin_addr, to->octets, sizeof at.sin_addr);
	(void)sendto(w->app, text, strlen(text), 0, (struct sockaddr *)&at, sizeof at);
	(void)world_run(w, 5, -1);
}

bool app_hears_on(struct world *w, int fd, const char *text)
{
	char got[256];
	ssize_t n = -1;

	if (world_run(w, HEAR_MS, fd))
		n = recv(fd, got, sizeof got, 0);
	return n >= 0 && (size_t)n == strlen(text) && memcmp(got, text, (size_t)n) == 0;
}

bool app_hears(struct world *w, const char *text)
{
	return app_hears_on(w, w->app, text);
}

bool app_hears_nothing(struct world *w)
{
	char got[256];

	(void)world_run(w, QUIET_MS, -1);
	return recv(w->app, got, sizeof got, 0) < 0 && recv(w->app_other, got, sizeof got, 0) < 0;
}

bool peer_hears_clear(struct world *w, const char *text)
{
	return app_hears_on(w, w->clear, text);
}
