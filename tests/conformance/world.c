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
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { AWAIT_MS = 4000, HEAR_MS = 1000, QUIET_MS = 60, PREFIX = 24, PREFIX6 = 64 };

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

struct addr world_address(const char *text)
{
	struct addr a = { 0 };

	if (addr_parse(text, strlen(text), &a, NULL) < 0)
		die(text);
	return a;
}

struct plan *world_plan(const char *rules)
{
	static const char head[] =
		"cordon: 1\n"
		"zones: { host: [10.202.0.1, \"fd00:202::1\"], others: [10.202.0.2, 10.203.0.0/16, "
		"\"fd00:203::/64\"],\n"
		"  signed: [10.205.0.0/16, \"fd00:205::/64\"] }\n"
		"authentication: { how: [ { pre-shared-key: { file: /psk } } ] }\n"
		"protection: { so: { proposals: [esp-aes256gcm] }, only-signed: { proposals: [ah-sha256] } }\n"
		"connection-security:\n";
	SCOPED(str_wipe) struct str words = { 0 };
	SCOPED(report_freep) struct report *report = report_new();
	SCOPED(policy_freep) struct policy *policy = NULL;
	struct host_address own[2] = { { addr_v4(10, 202, 0, 1), PREFIX }, { { 0 }, PREFIX6 } };
	struct plan_host host = { .own = own, .own_count = 2 };
	struct plan *plan = NULL;

	own[1].addr = world_address("fd00:202::1");
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

static int opened(const char *ns, int family, int kind, int protocol)
{
	int before = world_in(ns), fd = socket(family, kind | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol), room = 8 << 20;

	world_back(before);
	if (fd < 0)
		die("socket");
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
	return fd;
}

/* family 0: both. */
static int datagrams(const char *ns, uint8_t family, uint16_t port, bool own)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int fd = opened(ns, family == 4 ? AF_INET : AF_INET6, SOCK_DGRAM, 0), mark = MARK_OWN, alone = family == 6;

	if ((family != 4 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &alone, sizeof alone) < 0) ||
	    bind(fd, family == 4 ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6,
		 family == 4 ? sizeof v4 : sizeof v6) < 0 ||
	    (own && setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) < 0))
		die("UDP socket");
	return fd;
}

static int tap(const char *ns)
{
	int before = world_in(ns);
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_ALL),
				  .sll_ifindex = (int)if_nametoindex("eth0") };
	int fd;

	world_back(before);
	fd = opened(ns, AF_PACKET, SOCK_DGRAM, htons(ETH_P_ALL));
	if (!at.sll_ifindex || bind(fd, (struct sockaddr *)&at, sizeof at) < 0)
		die("the peer's wire");
	return fd;
}

#define TUNNEL(behind, protection, own, gateway) \
	"  - { name: \"tunnel to " behind "\", endpoint1: [host], endpoint2: [\"" behind "\"], mode: require, " \
	"authentication: how, protection: " protection ", tunnel: { endpoint1: \"" own "\", endpoint2: \"" gateway \
	"\" } }\n"

int world_open(struct world *w, struct diag *d)
{
	int before, r;

	w->local = addr_v4(10, 202, 0, 1);
	w->local6 = world_address("fd00:202::1");
	w->plan = world_plan(
		"  - { name: all, endpoint1: [host], endpoint2: [others], mode: require, authentication: how, "
		"protection: so }\n"
		"  - { name: asked, endpoint1: [host], endpoint2: [10.203.250.0/24], mode: request, "
		"authentication: how, protection: so }\n"
		"  - { name: signed, endpoint1: [host], endpoint2: [signed], mode: require, authentication: how, "
		"protection: only-signed }\n" TUNNEL("10.206.0.0/16", "so", "any", "10.202.0.2")
			TUNNEL("fd00:206::/64", "so", "any", "fd00:202::2")
				TUNNEL("10.207.0.0/16", "only-signed", "any", "10.202.0.2")
					TUNNEL("fd00:207::/64", "only-signed", "any", "fd00:202::2")
						TUNNEL("fd00:208::/64", "so", "10.202.0.1", "10.202.0.2"));
	w->app = datagrams(w->ns_host, 0, APP_PORT, false);
	w->app_other = datagrams(w->ns_host, 0, APP_PORT + 1, false);
	w->udp = datagrams(w->ns_host, 4, ENCAP_PORT, true);
	w->udp6 = datagrams(w->ns_host, 6, ENCAP_PORT, true);
	w->raw = opened(w->ns_peer, AF_INET, SOCK_RAW, IPPROTO_RAW);
	w->raw6 = opened(w->ns_peer, AF_INET6, SOCK_RAW, IPPROTO_RAW);
	w->tap = tap(w->ns_peer);
	w->clear = datagrams(w->ns_peer, 0, PEER_PORT, false);
	before = world_in(w->ns_host);
	r = w->door->open(w, d);
	if (r == 0) {
		w->door->begin_udp(w, w->udp, 4);
		w->door->begin_udp(w, w->udp6, 6);
	}
	world_back(before);
	return r;
}

void world_close(struct world *w)
{
	const int fds[] = { w->app, w->app_other, w->udp, w->udp6, w->raw, w->raw6, w->tap, w->clear };

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
					{ .fd = w->udp6, .events = POLLIN },
					{ .fd = fd, .events = POLLIN } };

		now = world_now_ms(NULL);
		if (deadline > end)
			deadline = end;
		if (poll(fds, 4, deadline > now ? (int)(deadline - now) : 0) < 0 && errno != EINTR)
			die("poll");
		if (fds[0].revents)
			w->door->readable(w->sad);
		for (int i = 1; i <= 2; i++)
			if (fds[i].revents)
				w->door->read_udp(w, fds[i].fd);
		now = world_now_ms(NULL);
		if (now >= w->door->deadline(w->sad))
			w->door->tick(w->sad);
		if (fds[3].revents)
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

bool world_await_of(struct world *w, enum sad_event_kind kind, uint64_t pair)
{
	struct sad_event e = { 0 };

	while (world_await(w, kind, &e))
		if (e.pair == pair)
			return true;
	return false;
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
	struct sockaddr_in6 at = { .sin6_family = AF_INET6, .sin6_port = htons(PEER_PORT) };

	if (to->family == 6)
		memcpy(&at.sin6_addr, to->octets, 16);
	else { /* by the same socket */
		memset(at.sin6_addr.s6_addr + 10, 0xff, 2);
		memcpy(at.sin6_addr.s6_addr + 12, to->octets, 4);
	}
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
