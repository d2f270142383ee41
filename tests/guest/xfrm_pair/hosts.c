#include "tests/guest/xfrm_pair/hosts.h"

#include "base/text.h"
#include "tests/guest/xfrm_pair/wire.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *const more_addresses[MORE_ADDRESSES] = { "10.9.0.3", "10.9.0.4", "10.9.0.5" };
const char require_all[] = "  - { name: All, endpoint1: [any], endpoint2: [any], mode: require, authentication: "
			   "machine, protection: all }\n";
const char say_nothing[] = "  - { name: None, endpoint1: [10.99.0.1], endpoint2: [10.99.0.2], mode: exempt }\n";
struct side sides[2];

struct addr address(const char *text)
{
	struct addr a;

	if (addr_parse(text, strlen(text), &a, NULL) < 0)
		die(text);
	return a;
}

void enter(const struct side *s)
{
	if (setns(s->ns, CLONE_NEWNET) < 0)
		die("setns");
}

void hear(void *context, const struct sad_event *e)
{
	struct side *s = context;

	if (getenv("XFRM_PAIR_SHOW"))
		(void)printf("  host %u: event %d spi %08x pair %u\n", s->number, (int)e->kind, e->spi,
			     (unsigned)e->pair);
	if (s->event_count < EVENTS_MOST)
		s->events[s->event_count++] = *e;
}

static void mended(void *context, bool good, const char *text)
{
	struct side *s = context;

	(void)printf("  host %u: %s\n", s->number, text);
	*(good ? &s->mended : &s->not_mended) += 1;
}

size_t count_events(const struct side *s, enum sad_event_kind kind, struct sad_event *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < s->event_count; i++)
		if (s->events[i].kind == kind) {
			n++;
			if (ret)
				*ret = s->events[i];
		}
	return n;
}

void turn(int most_ms)
{
	struct pollfd fds[2] = { { xfrm_fd(sides[0].sad), POLLIN, 0 }, { xfrm_fd(sides[1].sad), POLLIN, 0 } };
	uint64_t now = now_ms(NULL), next = now + (uint64_t)most_ms;

	for (int i = 0; i < 2; i++)
		if (xfrm_deadline(sides[i].sad) < next)
			next = xfrm_deadline(sides[i].sad);
	(void)poll(fds, 2, next > now ? (int)(next - now) : 0);
	for (int i = 0; i < 2; i++) {
		if (fds[i].revents)
			xfrm_readable(sides[i].sad);
		if (xfrm_deadline(sides[i].sad) <= now_ms(NULL))
			xfrm_tick(sides[i].sad);
	}
}

bool wait_event(struct side *s, enum sad_event_kind kind, struct sad_event *ret, int ms)
{
	uint64_t until = now_ms(NULL) + (uint64_t)ms;

	while (count_events(s, kind, ret) == 0 && now_ms(NULL) < until)
		turn(20);
	return count_events(s, kind, ret) > 0;
}

static struct policy *policy_of(struct side *s, const char *rules)
{
	static char text[131072];
	struct policy *p = NULL;
	int n = snprintf(text, sizeof text,
			 "cordon: 1\n"
			 "authentication:\n  machine: [ { certificate: { issuer: \"CN=A\" } } ]\n"
			 "protection:\n"
			 "  all: { legacy: allow, proposals: [esp-aes256gcm, esp-aes128-sha256, esp-aes256-sha512, "
			 "esp-sha256-null, esp-aes256gmac, esp-chacha20poly1305, esp-3des-sha1, ah-sha256, ah-sha1, "
			 "ah-sha512] }\n"
			 "connection-security:\n%s",
			 rules);

	s->report = report_new();
	if (n < 0 || (size_t)n >= sizeof text ||
	    policy_parse(text_new("test.yaml", text, (size_t)n), NULL, s->report, &p) < 0) {
		const struct finding *const *f;

		for (size_t i = 0; i < report_findings(s->report, &f); i++)
			(void)printf("%u: %s\n", f[i]->place.line, f[i]->message);
		die("the test's own policy");
	}
	return p;
}

void plan_make(struct side *s, const char *rules)
{
	struct host_address own[2 + ARRAY_LEN(more_addresses)] = { { s->v4, 24 }, { s->v6, 64 } };
	struct plan_host host = { .own = own, .own_count = 2 };

	for (size_t i = 0; s->number == 1 && i < ARRAY_LEN(more_addresses); i++)
		own[host.own_count++] = (struct host_address){ address(more_addresses[i]), 24 };

	s->policy = policy_of(s, rules);
	if (plan_compile(s->policy, &host, s->report, &s->plan) < 0)
		die("plan");
}

void plan_forget(struct side *s)
{
	plan_free(s->plan);
	policy_free(s->policy);
	report_free(s->report);
}

void side_plan(struct side *s, const char *rules)
{
	struct side before = *s;

	plan_make(s, rules);
	sad_set_plan(s->sad, s->plan);
	plan_forget(&before);
}

void side_up(struct side *s, const char *rules)
{
	struct xfrm_fds fds;
	struct xfrm_config c = { .fds = &fds,
				 .event = hear,
				 .now_ms = now_ms,
				 .mended = mended,
				 .context = s,
				 .own_mark = 0x02000000,
				 .own_mask = 0x1f000000 };
	struct diag d = { 0 };

	plan_make(s, rules);
	c.plan = s->plan;
	enter(s);
	if (xfrm_fds_open(&fds, &d) < 0 || xfrm_new(&c, &s->sad, &d) < 0) {
		(void)printf("%s\n", d.text);
		die("xfrm_new");
	}
}

void side_down(struct side *s)
{
	enter(s);
	sad_free(s->sad);
	(void)xfrm_remove_all(NULL);
	plan_forget(s);
	s->sad = NULL;
	s->event_count = 0;
}

void both_up(const char *rules)
{
	side_up(&sides[0], rules);
	side_up(&sides[1], rules);
}

void both_down(void)
{
	side_down(&sides[0]);
	side_down(&sides[1]);
}

void network_up(void)
{
	char command[1024];

	if (unshare(CLONE_NEWNET) < 0)
		die("unshare");
	sides[0].ns = open("/proc/self/ns/net", O_RDONLY);
	if (unshare(CLONE_NEWNET) < 0)
		die("unshare");
	sides[1].ns = open("/proc/self/ns/net", O_RDONLY);
	for (unsigned i = 0; i < 2; i++) {
		char text[32];

		sides[i].number = i;
		(void)snprintf(text, sizeof text, "10.9.0.%u", i + 1);
		sides[i].v4 = address(text);
		(void)snprintf(text, sizeof text, "fd09::%u", i + 1);
		sides[i].v6 = address(text);
	}
	enter(&sides[0]);
	(void)snprintf(
		command, sizeof command,
		"ip link add w0 address 02:00:00:00:00:01 type veth peer name w1 address 02:00:00:00:00:02 netns "
		"/proc/%d/fd/%d",
		(int)getpid(), sides[1].ns);
	shell(command);
	for (unsigned i = 0; i < 2; i++) {
		enter(&sides[i]);
		(void)snprintf(command, sizeof command,
			       "ip link set lo up; ip link set w%u up; ip addr add 10.9.0.%u/24 dev w%u; "
			       "ip -6 addr add fd09::%u/64 dev w%u nodad; ip neigh replace 10.9.0.%u lladdr "
			       "02:00:00:00:00:0%u dev w%u nud permanent",
			       i, i + 1, i, i + 1, i, 2 - i, 2 - i, i);
		shell(command);
		if (xfrm_hold_packets(NULL) < 0)
			die("xfrm_larval_drop");
		wire_open(i);
	}
}
