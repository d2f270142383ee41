/* Two hosts in one process: two network namespaces joined by a veth pair, a kernel plane in each, and nobody but the
 * test to make keys. Runs as root in a guest whose kernel has IPsec; cases print a line each, and what leaves without
 * protection is seen by a packet socket on the wire.
 *
 * usage: xfrm-pair [CASE] */
#include "base/algorithm.h"
#include "base/crypto.h"
#include "base/diag.h"
#include "base/report.h"
#include "base/scope.h"
#include "base/text.h"
#include "dataplane/xfrm/xfrm.h"
#include "policy/reqid.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS_MOST = 256, PORT = 5000, TAKES_MS = 4000, IDLE_MS = 150 };

struct side {
	int ns;
	unsigned number;
	struct addr v4, v6;
	struct report *report;
	struct policy *policy;
	struct plan *plan;
	struct sad *sad;
	struct sad_event events[EVENTS_MOST];
	size_t event_count;
	uint64_t request, pair;
	unsigned mended, not_mended;
};

/* The other host has these, too: peers that are waited for at one policy of the plan. */
static const char *const more_addresses[] = { "10.9.0.3", "10.9.0.4", "10.9.0.5" };
static struct side sides[2];
static int wires[2], failures;
static const char *doing;

#define CHECK(what, ...) check(what, #what, __LINE__)
static bool check(bool good, const char *what, int line)
{
	if (!good) {
		(void)printf("  FAILED %s: line %d: %s\n", doing, line, what);
		failures++;
	}
	return good;
}

static void die(const char *what)
{
	(void)printf("FAILED %s: %s\n", what, strerror(errno));
	exit(1);
}

static void run(const char *command)
{
	if (system(command) != 0)
		die(command);
}

static uint64_t now_ms(void *context)
{
	struct timespec t;

	(void)context;
	(void)clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- hosts ------------------------------------------------------------------------------------------------------- */

static struct addr address(const char *text)
{
	struct addr a;

	if (addr_parse(text, strlen(text), &a, NULL) < 0)
		die(text);
	return a;
}

static void enter(const struct side *s)
{
	if (setns(s->ns, CLONE_NEWNET) < 0)
		die("setns");
}

static void event(void *context, const struct sad_event *e)
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

/* How many of this kind there have been; *ret is the last one. */
static size_t count_events(const struct side *s, enum sad_event_kind kind, struct sad_event *ret)
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

static void turn(int most_ms)
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

static bool wait_event(struct side *s, enum sad_event_kind kind, struct sad_event *ret, int ms)
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

static void plan_of(struct side *s, const char *rules)
{
	struct host_address own[2 + ARRAY_LEN(more_addresses)] = { { s->v4, 24 }, { s->v6, 64 } };
	struct plan_host host = { .own = own, .own_count = 2 };

	for (size_t i = 0; s->number == 1 && i < ARRAY_LEN(more_addresses); i++)
		own[host.own_count++] = (struct host_address){ address(more_addresses[i]), 24 };

	s->policy = policy_of(s, rules);
	if (plan_compile(s->policy, &host, s->report, &s->plan) < 0)
		die("plan");
}

static void side_up(struct side *s, const char *rules)
{
	struct xfrm_fds fds;
	struct xfrm_config c = { .fds = &fds,
				 .event = event,
				 .now_ms = now_ms,
				 .mended = mended,
				 .context = s,
				 .own_mark = 0x02000000,
				 .own_mask = 0x1f000000 };
	struct diag d = { 0 };

	plan_of(s, rules);
	c.plan = s->plan;
	enter(s);
	if (xfrm_fds_open(&fds, &d) < 0 || xfrm_new(&c, &s->sad, &d) < 0) {
		(void)printf("%s\n", d.text);
		die("xfrm_new");
	}
}

static void side_down(struct side *s)
{
	enter(s);
	sad_free(s->sad);
	(void)xfrm_remove_all(NULL);
	plan_free(s->plan);
	policy_free(s->policy);
	report_free(s->report);
	s->sad = NULL;
	s->event_count = 0;
}

static void both_up(const char *rules)
{
	side_up(&sides[0], rules);
	side_up(&sides[1], rules);
}

static void both_down(void)
{
	side_down(&sides[0]);
	side_down(&sides[1]);
}

static void network_up(void)
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
	run(command);
	for (unsigned i = 0; i < 2; i++) {
		enter(&sides[i]);
		(void)snprintf(command, sizeof command,
			       "ip link set lo up; ip link set w%u up; ip addr add 10.9.0.%u/24 dev w%u; "
			       "ip -6 addr add fd09::%u/64 dev w%u nodad; ip neigh replace 10.9.0.%u lladdr "
			       "02:00:00:00:00:0%u dev w%u nud permanent",
			       i, i + 1, i, i + 1, i, 2 - i, 2 - i, i);
		run(command);
		if (xfrm_hold_packets(NULL, NULL) < 0)
			die("xfrm_larval_drop");
		wires[i] = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(ETH_P_ALL));
		if (wires[i] < 0)
			die("packet socket");
	}
}

/* ---- what is on the wire ----------------------------------------------------------------------------------------- */

static const char secret[] = "nobody but the other host reads this";

struct seen {
	unsigned esp, ah, udp, other, readable;
};

/* What a host has put on the wire; what comes out of a tunnel is seen once more as if it had arrived. */
static ssize_t next_frame(int wire, uint8_t *frame, size_t cap)
{
	struct sockaddr_ll from = { 0 };
	socklen_t len = sizeof from;
	ssize_t n;

	do
		n = recvfrom(wire, frame, cap, 0, (struct sockaddr *)&from, &len);
	while (n > 0 && from.sll_pkttype != PACKET_OUTGOING);
	return n;
}

static void forget_wire(void)
{
	uint8_t frame[2048];

	for (int i = 0; i < 2; i++)
		while (next_frame(wires[i], frame, sizeof frame) > 0)
			;
}

static void count_frame(const uint8_t *frame, size_t n, struct seen *s)
{
	bool v4 = frame[12] == 0x08 && frame[13] == 0, v6 = frame[12] == 0x86 && frame[13] == 0xdd;
	uint8_t next = v4 ? frame[14 + 9] : frame[14 + 6];

	if (n < 54 || (!v4 && !v6) || frame[0] & 1 || next == IPPROTO_ICMPV6) /* neighbours */
		return;
	s->esp += next == IPPROTO_ESP;
	s->ah += next == IPPROTO_AH;
	s->udp += next == IPPROTO_UDP && frame[14 + (v4 ? 20 : 40) + 2] == 4500 >> 8;
	s->other += next != IPPROTO_ESP && next != IPPROTO_AH && next != IPPROTO_UDP;
	s->readable += memmem(frame, n, secret, sizeof secret - 1) != NULL;
}

static struct seen look(void)
{
	uint8_t frame[2048];
	struct seen s = { 0 };
	ssize_t n;

	for (int i = 0; i < 2; i++)
		while ((n = next_frame(wires[i], frame, sizeof frame)) > 0)
			count_frame(frame, (size_t)n, &s);
	if (getenv("XFRM_PAIR_SHOW"))
		(void)printf("  seen: esp %u, ah %u, udp 4500 %u, other %u, readable %u\n", s.esp, s.ah, s.udp, s.other,
			     s.readable);
	return s;
}

/* ---- traffic ----------------------------------------------------------------------------------------------------- */

static int udp_socket(const struct side *s, unsigned family, uint16_t port)
{
	struct sockaddr_storage own;
	size_t len = addr_to_sockaddr(family == 4 ? &s->v4 : &s->v6, port, &own);
	int fd;

	enter(s);
	fd = socket(family == 4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&own, (socklen_t)len) < 0)
		die("udp socket");
	return fd;
}

static bool send_to(int fd, const struct side *to, unsigned family, uint16_t port)
{
	struct sockaddr_storage peer;
	size_t len = addr_to_sockaddr(family == 4 ? &to->v4 : &to->v6, port, &peer);

	return sendto(fd, secret, sizeof secret, 0, (const struct sockaddr *)&peer, (socklen_t)len) > 0;
}

static bool came(int fd, int ms)
{
	uint64_t until = now_ms(NULL) + (uint64_t)ms;
	char octets[128];

	do {
		if (recv(fd, octets, sizeof octets, 0) == (ssize_t)sizeof secret)
			return true;
		turn(10);
	} while (now_ms(NULL) < until);
	return recv(fd, octets, sizeof octets, 0) == (ssize_t)sizeof secret;
}

/* ---- SAs --------------------------------------------------------------------------------------------------------- */

struct how {
	const char *suite;
	unsigned family;
	bool tunnel, encap, no_esn;
	uint32_t window;
	uint64_t soft, hard;
};

static uint32_t reserve(struct side *s, const struct side *other, unsigned family)
{
	struct sad_event e = { 0 };

	s->event_count = 0;
	if (sad_reserve_spi(s->sad, family == 4 ? &s->v4 : &s->v6, family == 4 ? &other->v4 : &other->v6, ++s->request,
			    NULL) < 0 ||
	    count_events(s, SAD_SPI_RESERVED, &e) != 1)
		die("reserve");
	return e.spi;
}

static struct sa_spec spec_of(const struct side *s, const struct how *h, bool inbound, uint32_t spi)
{
	const struct side *other = &sides[!s->number];
	bool v4 = h->family == 4;
	struct sa_spec spec = { .spi = spi,
				.inbound = inbound,
				.local = v4 ? s->v4 : s->v6,
				.remote = v4 ? other->v4 : other->v6,
				.tunnel = h->tunnel,
				.esn = !h->no_esn,
				.replay_window = h->window ? h->window : 128,
				.soft_octets = h->soft,
				.hard_octets = h->hard,
				.pair = s->pair };
	const struct plan_entry *e;
	struct plan_packet k = {
		.initiator = INITIATOR_EITHER, .protocol = IPPROTO_UDP, .local_port = PORT, .remote_port = PORT
	};
	size_t keys;

	k.local = spec.local;
	k.remote = spec.remote;
	if (child_suite_parse(h->suite, strlen(h->suite), &spec.suite, NULL) < 0)
		die(h->suite);
	e = plan_lookup_protecting(s->plan, &k);
	if (!e)
		die("no rule");
	spec.rule = e->rule;
	spec.selector = sa_selector_of(e, &spec.local, &spec.remote);
	if (h->encap)
		spec.encap_local_port = spec.encap_remote_port = 4500;
	spec.nat = h->encap;
	if (spec.suite.encr) {
		keys = (size_t)spec.suite.encr->key + spec.suite.encr->salt;
		spec.encr_key.len = keys;
		memset(spec.encr_key.octets, (int)(spi & 0x7f) + 1, keys);
		for (size_t i = 0; i < keys; i++) /* 3DES wants three keys */
			spec.encr_key.octets[i] = (uint8_t)(spec.encr_key.octets[i] + i);
	}
	if (spec.suite.integ) {
		spec.integ_key.len = spec.suite.integ->key;
		memset(spec.integ_key.octets, (int)(spi & 0x7f) + 2, spec.integ_key.len);
	}
	return spec;
}

static bool install(struct side *s, const struct how *h, bool inbound, uint32_t spi)
{
	struct sa_spec spec = spec_of(s, h, inbound, spi);
	struct diag d = { 0 };
	int r = sad_install(s->sad, &spec, ++s->request, &d);

	if (r < 0)
		(void)printf("  %s %s: %s\n", h->suite, inbound ? "in" : "out", d.text);
	return r == 0;
}

static bool pair_up(const struct how *h)
{
	uint32_t spi[2];
	bool good = true;

	for (int i = 0; i < 2; i++) {
		sides[i].pair++;
		spi[i] = reserve(&sides[i], &sides[!i], h->family);
	}
	for (int i = 0; i < 2; i++)
		good = good && install(&sides[i], h, true, spi[i]);
	for (int i = 0; i < 2; i++)
		good = good && install(&sides[i], h, false, spi[!i]);
	return good;
}

static void pair_down(void)
{
	for (int i = 0; i < 2; i++)
		(void)sad_remove(sides[i].sad, sides[i].pair, ++sides[i].request, NULL);
}

/* UDP 4500 where ESP in UDP arrives. */
static int nat_socket(const struct side *s)
{
	struct diag d = { 0 };
	int fd = udp_socket(s, 4, 4500);

	if (xfrm_exempt_socket(fd, 4, true, &d) < 0)
		die(d.text);
	return fd;
}

/* ---- cases ------------------------------------------------------------------------------------------------------- */

static const char require_all[] = "  - { name: All, endpoint1: [any], endpoint2: [any], mode: require, authentication: "
				  "machine, protection: all }\n";

static bool exchange(unsigned family)
{
	int a = udp_socket(&sides[0], family, PORT), b = udp_socket(&sides[1], family, PORT);
	bool good = CHECK(send_to(a, &sides[1], family, PORT)) && CHECK(came(b, TAKES_MS)) &&
		    CHECK(send_to(b, &sides[0], family, PORT)) && CHECK(came(a, TAKES_MS));

	(void)close(a);
	(void)close(b);
	return good;
}

static void every_suite(void)
{
	static const struct how rows[] = {
		{ .suite = "esp-aes256gcm", .family = 4 },
		{ .suite = "esp-aes256gcm", .family = 6 },
		{ .suite = "esp-aes128-sha256", .family = 4 },
		{ .suite = "esp-aes256-sha512", .family = 6 },
		{ .suite = "esp-aes128-sha256", .family = 4, .no_esn = true, .window = 64 },
		{ .suite = "esp-aes256gcm", .family = 4, .window = 4096 },
		{ .suite = "esp-sha256-null", .family = 4 },
		{ .suite = "esp-aes256gmac", .family = 4 },
		{ .suite = "esp-3des-sha1", .family = 4, .no_esn = true },
		{ .suite = "ah-sha256", .family = 4 },
		{ .suite = "ah-sha256", .family = 6 },
		{ .suite = "ah-sha1", .family = 4, .no_esn = true },
		{ .suite = "esp-aes256gcm", .family = 4, .encap = true },
	};
	int nat[2];

	both_up(require_all);
	nat[0] = nat_socket(&sides[0]);
	nat[1] = nat_socket(&sides[1]);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		bool ah = rows[i].suite[0] == 'a',
		     clear = ah || strstr(rows[i].suite, "null") || strstr(rows[i].suite, "gmac");
		struct seen seen;

		doing = rows[i].suite;
		forget_wire();
		if (!CHECK(pair_up(&rows[i])))
			continue;
		(void)exchange(rows[i].family);
		seen = look();
		CHECK((rows[i].encap ? seen.udp : ah ? seen.ah : seen.esp) >= 2);
		CHECK(seen.other == 0 && (clear || seen.readable == 0));
		CHECK(!clear || seen.readable >= 2);
		CHECK(wait_event(&sides[0], SAD_FIRST_IN, NULL, TAKES_MS));
		pair_down();
		(void)printf("  %s IPv%u%s%s: esp %u ah %u udp %u\n", rows[i].suite, rows[i].family,
			     rows[i].encap ? " in UDP" : "", rows[i].no_esn ? " without ESN" : "", seen.esp, seen.ah,
			     seen.udp);
	}
	(void)close(nat[0]);
	(void)close(nat[1]);
	both_down();
}

static void nothing_clear_without_an_sa(void)
{
	struct sad_event e;
	struct seen seen;
	int a, b;

	doing = "nothing clear";
	both_up(require_all);
	forget_wire();
	a = udp_socket(&sides[0], 4, PORT);
	b = udp_socket(&sides[1], 4, PORT);
	(void)send_to(a, &sides[1], 4, PORT);
	CHECK(wait_event(&sides[0], SAD_ACQUIRE, &e, TAKES_MS));
	CHECK(e.packet.protocol == IPPROTO_UDP && e.packet.remote_port == PORT && e.packet.local_port == PORT);
	CHECK(addr_equal(&e.selector.remote, &sides[1].v4) && e.selector.protocol == PROTOCOL_ANY);
	CHECK(!came(b, IDLE_MS));
	seen = look();
	CHECK(seen.readable == 0 && seen.esp == 0 && seen.other == 0);
	/* What waited goes as soon as there is an SA. */
	CHECK(pair_up(&(struct how){ .suite = "esp-aes256gcm", .family = 4 }));
	CHECK(came(b, TAKES_MS));
	seen = look();
	CHECK(seen.esp >= 1 && seen.readable == 0);
	/* With the plane gone, and its states, the policies hold. */
	enter(&sides[0]);
	sad_free(sides[0].sad);
	forget_wire();
	(void)send_to(a, &sides[1], 4, PORT);
	seen = look();
	CHECK(seen.esp == 0 && seen.readable == 0);
	plan_free(sides[0].plan);
	policy_free(sides[0].policy);
	report_free(sides[0].report);
	sides[0].event_count = 0;
	side_up(&sides[0], require_all); /* and the next one takes them over */
	(void)send_to(a, &sides[1], 4, PORT);
	CHECK(wait_event(&sides[0], SAD_ACQUIRE, &e, TAKES_MS));
	(void)close(a);
	(void)close(b);
	both_down();
}

static void other_is(const char *text)
{
	sides[1].v4 = address(text);
}

/* 10.9.0.3 does not answer, 10.9.0.4 and 10.9.0.5 do. All packets wait in one queue of the kernel's. */
static void several_wait_at_one_policy(void)
{
	static const struct how h = { .suite = "esp-aes256gcm", .family = 4 };
	int a, b[ARRAY_LEN(more_addresses)];
	struct sad_event e;
	uint64_t began;

	doing = "several wait";
	enter(&sides[1]);
	run("for i in 3 4 5; do ip addr add 10.9.0.$i/24 dev w1; done");
	enter(&sides[0]);
	run("for i in 3 4 5; do ip neigh replace 10.9.0.$i lladdr 02:00:00:00:00:02 dev w0 nud permanent; done");
	both_up(require_all);
	forget_wire();
	a = udp_socket(&sides[0], 4, PORT);
	for (size_t i = 0; i < ARRAY_LEN(more_addresses); i++) {
		other_is(more_addresses[i]);
		b[i] = udp_socket(&sides[1], 4, PORT);
		CHECK(send_to(a, &sides[1], 4, PORT));
	}
	turn(20);
	CHECK(count_events(&sides[0], SAD_ACQUIRE, NULL) == 3);
	began = now_ms(NULL);
	for (size_t i = 1; i < ARRAY_LEN(more_addresses); i++) {
		other_is(more_addresses[i]);
		CHECK(pair_up(&h));
	}
	/* Neither loses its first packet, nor waits for long for the one that stands in front. */
	CHECK(came(b[1], TAKES_MS) && came(b[2], TAKES_MS));
	(void)printf("  they came after %u ms\n", (unsigned)(now_ms(NULL) - began));
	CHECK(now_ms(NULL) - began < 1000);
	CHECK(!came(b[0], IDLE_MS) && look().readable == 0);
	/* That one is asked about again, and nothing is in the way of its SA. */
	other_is(more_addresses[0]);
	sides[0].event_count = 0;
	for (int i = 0; i < 100 && count_events(&sides[0], SAD_ACQUIRE, &e) == 0; i++) {
		(void)send_to(a, &sides[1], 4, PORT);
		turn(20);
	}
	CHECK(count_events(&sides[0], SAD_ACQUIRE, &e) >= 1 && addr_equal(&e.selector.remote, &sides[1].v4));
	CHECK(pair_up(&h));
	CHECK(send_to(a, &sides[1], 4, PORT) && came(b[0], TAKES_MS));
	CHECK(look().readable == 0);
	other_is("10.9.0.2");
	(void)close(a);
	for (size_t i = 0; i < ARRAY_LEN(more_addresses); i++)
		(void)close(b[i]);
	both_down();
}

static void failing_asks_again(void)
{
	struct sad_event e;
	int a;

	doing = "asks again";
	both_up(require_all);
	a = udp_socket(&sides[0], 4, PORT);
	(void)send_to(a, &sides[1], 4, PORT);
	CHECK(wait_event(&sides[0], SAD_ACQUIRE, &e, TAKES_MS));
	sides[0].event_count = 0;
	(void)send_to(a, &sides[1], 4, PORT);
	CHECK(!wait_event(&sides[0], SAD_ACQUIRE, &e, IDLE_MS)); /* not twice in a second */
	sad_release_held(sides[0].sad, &e.selector, false);
	CHECK(!send_to(a, &sides[1], 4, PORT) && errno == EPERM); /* who sends is told */
	CHECK(!wait_event(&sides[0], SAD_ACQUIRE, NULL, IDLE_MS));
	CHECK(send_to(a, &sides[1], 4, PORT));
	CHECK(wait_event(&sides[0], SAD_ACQUIRE, NULL, TAKES_MS));
	sides[0].event_count = 0;
	xfrm_ask_again(sides[0].sad);
	(void)send_to(a, &sides[1], 4, PORT);
	CHECK(wait_event(&sides[0], SAD_ACQUIRE, NULL, TAKES_MS));
	(void)close(a);
	both_down();
}

static void falls_back(void)
{
	static const char request[] = "  - { name: Maybe, endpoint1: [any], endpoint2: [any], mode: request, "
				      "authentication: machine, protection: all }\n";
	struct sad_event e;
	struct seen seen;
	int a, b;

	doing = "falls back";
	both_up(request);
	side_down(&sides[1]); /* a host without IKE */
	side_up(&sides[1], "  - { name: None, endpoint1: [10.99.0.1], endpoint2: [10.99.0.2], mode: exempt }\n");
	forget_wire();
	a = udp_socket(&sides[0], 4, PORT);
	b = udp_socket(&sides[1], 4, PORT);
	(void)send_to(a, &sides[1], 4, PORT);
	CHECK(wait_event(&sides[0], SAD_ACQUIRE, &e, TAKES_MS));
	CHECK(!came(b, IDLE_MS));
	sad_release_held(sides[0].sad, &e.selector, true);
	CHECK(came(b, TAKES_MS)); /* what waited */
	CHECK(send_to(a, &sides[1], 4, PORT) && came(b, TAKES_MS));
	CHECK(send_to(b, &sides[0], 4, PORT) && came(a, TAKES_MS));
	seen = look();
	CHECK(seen.readable >= 3 && seen.esp == 0);
	(void)close(a);
	(void)close(b);
	both_down();
}

/* Ports 5000 to 5009 in clear, all else protected: ranges and the order of rules. */
static void the_most_specific_wins(void)
{
	static const char rules[] =
		"  - { name: All, endpoint1: [any], endpoint2: [any], mode: require, authentication: "
		"machine, protection: all }\n"
		"  - { name: Open, endpoint1: [10.9.0.1], endpoint2: [10.9.0.2], protocol: udp, port1: "
		"5000-5009, port2: 5000-5009, mode: exempt }\n";
	struct seen seen;
	int a, b, c;

	doing = "most specific";
	both_up(rules);
	forget_wire();
	a = udp_socket(&sides[0], 4, 5003);
	b = udp_socket(&sides[1], 4, 5008);
	c = udp_socket(&sides[1], 4, 5010);
	CHECK(send_to(a, &sides[1], 4, 5008) && came(b, TAKES_MS));
	seen = look();
	CHECK(seen.readable == 1);
	(void)send_to(a, &sides[1], 4, 5010);
	CHECK(wait_event(&sides[0], SAD_ACQUIRE, NULL, TAKES_MS) && !came(c, IDLE_MS));
	CHECK(look().readable == 0);
	(void)close(a);
	(void)close(b);
	(void)close(c);
	both_down();
}

/* The other end has no policies and sends in clear what ours wants protected. */
static void clear_is_not_let_in(void)
{
	int a, b;

	doing = "clear in";
	both_up(require_all);
	side_down(&sides[0]);
	side_up(&sides[0], "  - { name: None, endpoint1: [10.99.0.1], endpoint2: [10.99.0.2], mode: exempt }\n");
	a = udp_socket(&sides[0], 4, PORT);
	b = udp_socket(&sides[1], 4, PORT);
	CHECK(send_to(a, &sides[1], 4, PORT) && !came(b, IDLE_MS));
	(void)sad_dropped(sides[1].sad, DROP_NO_SA);
	CHECK(sad_dropped(sides[1].sad, DROP_POLICY) >= 1);
	(void)close(a);
	(void)close(b);
	both_down();
}

static void expires(void)
{
	struct how h = { .suite = "esp-aes256gcm", .family = 4, .soft = 500, .hard = 3000 };
	struct sad_event e;
	struct sa_usage u;
	int a, b;

	doing = "expires";
	both_up(require_all);
	CHECK(pair_up(&h));
	a = udp_socket(&sides[0], 4, PORT);
	b = udp_socket(&sides[1], 4, PORT);
	for (int i = 0; i < 16; i++)
		CHECK(send_to(a, &sides[1], 4, PORT) && came(b, TAKES_MS));
	CHECK(sad_usage_of(sides[0].sad, sides[0].pair, &u) && u.packets_out == 16 && u.octets_out > 500);
	CHECK(sad_usage_of(sides[1].sad, sides[1].pair, &u) && u.packets_in == 16 && u.spi_in);
	CHECK(wait_event(&sides[0], SAD_EXPIRE_SOFT, &e, TAKES_MS) && e.pair == sides[0].pair);
	CHECK(count_events(&sides[0], SAD_EXPIRE_HARD, NULL) == 0);
	for (int i = 0; i < 60; i++)
		(void)send_to(a, &sides[1], 4, PORT);
	CHECK(wait_event(&sides[0], SAD_EXPIRE_HARD, &e, TAKES_MS) && e.pair == sides[0].pair);
	CHECK(count_events(&sides[0], SAD_EXPIRE_SOFT, NULL) == 1);
	CHECK(!sad_usage_of(sides[0].sad, sides[0].pair, &u));
	(void)close(a);
	(void)close(b);
	both_down();
}

/* Each of two machines is its own end of the tunnel: only the SA knows which. */
static void tunnels(void)
{
	static const char rules[] = "  - { name: Tunnel, endpoint1: [10.9.0.1, \"fd09::1\"], endpoint2: [10.9.0.2, "
				    "\"fd09::2\"], mode: require, authentication: machine, protection: all, tunnel: { "
				    "endpoint1: any, endpoint2: any } }\n";
	static const struct how rows[] = {
		{ .suite = "esp-aes256gcm", .family = 4, .tunnel = true },
		{ .suite = "esp-aes256gcm", .family = 6, .tunnel = true },
		{ .suite = "ah-sha256", .family = 4, .tunnel = true },
		{ .suite = "esp-aes128-sha256", .family = 4, .tunnel = true, .encap = true },
	};
	int nat[2];

	both_up(rules);
	nat[0] = nat_socket(&sides[0]);
	nat[1] = nat_socket(&sides[1]);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		bool ah = rows[i].suite[0] == 'a';
		struct seen seen;

		doing = rows[i].suite;
		forget_wire();
		if (!CHECK(pair_up(&rows[i])))
			continue;
		(void)exchange(rows[i].family);
		seen = look();
		CHECK((rows[i].encap ? seen.udp : ah ? seen.ah : seen.esp) >= 2);
		CHECK(seen.other == 0 && (ah || seen.readable == 0));
		pair_down();
	}
	(void)close(nat[0]);
	(void)close(nat[1]);
	both_down();
}

/* What the kernel has counted as lost. */
static void show_losses(const struct side *s)
{
	char text[4096], *line = text, *end;
	FILE *f;
	size_t n;

	enter(s);
	f = fopen("/proc/thread-self/net/xfrm_stat", "re");
	n = f ? fread(text, 1, sizeof text - 1, f) : 0;
	if (f)
		(void)fclose(f);
	text[n] = '\0';
	for (; (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		if (end - line > 2 && (end[-1] != '0' || end[-2] != '\t'))
			(void)printf("  host %u: %s\n", s->number, line);
	}
}

struct stream {
	int from, to;
	unsigned sent, got;
};

static void receive_all(struct stream *s)
{
	char octets[128];

	while (recv(s->to, octets, sizeof octets, 0) == (ssize_t)sizeof secret)
		s->got++;
}

/* With a full buffer the program waits, as any does. */
static void send_some(struct stream *s, unsigned count)
{
	struct pollfd room = { s->from, POLLOUT, 0 };

	for (unsigned i = 0; i < count; i++)
		if (poll(&room, 1, TAKES_MS) == 1)
			s->sent += send_to(s->from, &sides[1], 4, PORT);
	receive_all(s);
}

/* A packet may be long on its way: the guest's one processor delivers when it finds the time. Where keying lingers,
 * this waits. */
static bool all_came(struct stream *s, const char *before)
{
	struct pollfd more = { s->to, POLLIN, 0 };

	receive_all(s);
	while (s->got < s->sent && poll(&more, 1, TAKES_MS) == 1)
		receive_all(s);
	if (s->got == s->sent)
		return true;
	(void)printf("  %s: %u sent, %u came\n", before, s->sent, s->got);
	for (int i = 0; i < 2; i++)
		show_losses(&sides[i]);
	return false;
}

static struct stream stream_new(void)
{
	struct stream s = { udp_socket(&sides[0], 4, PORT), udp_socket(&sides[1], 4, PORT), 0, 0 };
	int octets = 4 << 20;

	if (setsockopt(s.to, SOL_SOCKET, SO_RCVBUFFORCE, &octets, sizeof octets) < 0)
		die("SO_RCVBUFFORCE");
	return s;
}

/* New SAs come while datagrams go, one direction after the other, and the old ones go: nothing is lost, nothing clear.
 * What came under the old one has come before its state goes, as it has with keying; what is sent from the moment that
 * there is a new one must not need it any more. */
static void rekeys_lose_nothing(void)
{
	enum { STEPS = 6, EACH = 20 };
	const char *turns_text = getenv("XFRM_PAIR_TURNS");
	unsigned turns = turns_text ? (unsigned)strtoul(turns_text, NULL, 10) : 10;
	struct how h = { .suite = "esp-aes256gcm", .family = 4 };
	struct stream s;
	uint64_t old[2];
	uint32_t spi[2];
	bool good = true;

	doing = "rekey";
	both_up(require_all);
	CHECK(pair_up(&h));
	s = stream_new();
	forget_wire();
	for (unsigned turn_number = 0; turn_number < turns && good; turn_number++) {
		for (int i = 0; i < 2; i++) {
			old[i] = sides[i].pair++;
			spi[i] = reserve(&sides[i], &sides[!i], 4);
		}
		for (unsigned step = 0; step < STEPS && good; step++) {
			unsigned own = step & 1;

			send_some(&s, EACH);
			if (step < 4) {
				good = CHECK(install(&sides[own], &h, step < 2, spi[step < 2 ? own : !own]));
				continue;
			}
			good = (own == 0 || CHECK(all_came(&s, "before the old one goes"))) &&
			       CHECK(sad_remove(sides[own].sad, old[own], ++sides[own].request, NULL) == 0);
		}
	}
	CHECK(all_came(&s, "at the end"));
	CHECK(s.sent == turns * STEPS * EACH);
	CHECK(look().readable == 0);
	(void)close(s.from);
	(void)close(s.to);
	both_down();
}

/* As many policies as a plan of many hosts makes, and another plan in their place. */
static void many_hosts(void)
{
	enum { HOSTS = 2000 };
	static char rules[HOSTS * 32 + 512];
	size_t n = (size_t)snprintf(rules, sizeof rules,
				    "  - { name: Many, mode: require, authentication: machine, "
				    "protection: all, endpoint1: [10.9.0.1], endpoint2: [");
	uint64_t began;

	doing = "many hosts";
	for (unsigned i = 0; i < HOSTS; i++)
		n += (size_t)snprintf(rules + n, sizeof rules - n, "%s10.20.%u.%u", i ? ", " : "", i * 2 / 256,
				      i * 2 % 256);
	(void)snprintf(rules + n, sizeof rules - n, "] }\n");
	began = now_ms(NULL);
	side_up(&sides[0], rules);
	(void)printf("  %d hosts: %u ms to put in force\n", HOSTS, (unsigned)(now_ms(NULL) - began));
	began = now_ms(NULL);
	sad_set_plan(sides[0].sad, sides[0].plan);
	CHECK(xfrm_trouble(sides[0].sad)[0] == '\0');
	(void)printf("  %u ms to put another in its place\n", (unsigned)(now_ms(NULL) - began));
	side_down(&sides[0]);
}

static void a_new_plan(void)
{
	static const char open_rules[] =
		"  - { name: All, endpoint1: [any], endpoint2: [any], mode: require, authentication: machine, "
		"protection: all }\n"
		"  - { name: Other, endpoint1: [10.9.0.1], endpoint2: [10.9.0.7], mode: exempt }\n";
	struct plan *old[2];
	struct policy *old_policy[2];
	struct report *old_report[2];
	struct sa_usage u;

	doing = "new plan";
	both_up(require_all);
	CHECK(pair_up(&(struct how){ .suite = "esp-aes256gcm", .family = 4 }));
	for (int i = 0; i < 2; i++) {
		old[i] = sides[i].plan;
		old_policy[i] = sides[i].policy;
		old_report[i] = sides[i].report;
		plan_of(&sides[i], open_rules);
		sad_set_plan(sides[i].sad, sides[i].plan);
		CHECK(xfrm_trouble(sides[i].sad)[0] == '\0');
		plan_free(old[i]);
		policy_free(old_policy[i]);
		report_free(old_report[i]);
	}
	CHECK(sad_usage_of(sides[0].sad, sides[0].pair, &u) && u.rule && strcmp(u.rule->name, "All") == 0);
	(void)exchange(4);
	/* A plan that does not have the rule any more takes the SA with it. */
	old[0] = sides[0].plan;
	old_policy[0] = sides[0].policy;
	old_report[0] = sides[0].report;
	plan_of(&sides[0], "  - { name: Other, endpoint1: [10.9.0.1], endpoint2: [10.9.0.7], mode: exempt }\n");
	sad_set_plan(sides[0].sad, sides[0].plan);
	plan_free(old[0]);
	policy_free(old_policy[0]);
	report_free(old_report[0]);
	CHECK(count_events(&sides[0], SAD_EXPIRE_HARD, NULL) == 1);
	CHECK(!sad_usage_of(sides[0].sad, sides[0].pair, &u));
	both_down();
}

static void others_are_left_alone(void)
{
	struct xfrm_fds fds;
	struct xfrm_config c = { .fds = &fds, .event = event, .now_ms = now_ms, .context = &sides[0] };
	struct diag d = { 0 };
	struct sad *sad;

	doing = "others";
	enter(&sides[0]);
	run("ip xfrm state add src 10.9.0.1 dst 10.9.0.9 proto esp spi 0x999 reqid 9 mode transport aead "
	    "'rfc4106(gcm(aes))' 0x0102030405060708090a0b0c0d0e0f1011121314 128");
	run("ip xfrm policy add src 10.8.0.0/24 dst 10.9.0.0/24 dir out priority 5 tmpl src 0.0.0.0 dst 0.0.0.0 proto "
	    "esp "
	    "reqid 9 mode transport");
	both_up(require_all);
	both_down();
	enter(&sides[0]);
	CHECK(system("ip xfrm state | grep -q 0x00000999") == 0);
	CHECK(system("test $(ip xfrm policy | grep -c 'reqid 9 ') = 1") == 0);
	CHECK(system("test $(ip xfrm policy list | grep -c ^src) = 1") == 0); /* and of ours there is nothing left */
	/* Where another's policy has the very selector that we need, that is said, and nothing has changed. */
	run("ip xfrm policy add src 10.9.0.1/32 dst 128.0.0.0/2 dir out priority 5");
	run("ip xfrm policy add src 10.9.0.1/32 dst 0.0.0.0/0 dir out priority 5");
	plan_of(&sides[0], require_all);
	c.plan = sides[0].plan;
	if (xfrm_fds_open(&fds, &d) < 0)
		die(d.text);
	CHECK(xfrm_new(&c, &sad, &d) == -EEXIST && strstr(d.text, "another program"));
	(void)printf("  \"%s\"\n", d.text);
	CHECK(system("test $(ip xfrm policy list | grep -c ^src) = 3") == 0);
	run("ip xfrm policy deleteall; ip xfrm state deleteall");
	plan_free(sides[0].plan);
	policy_free(sides[0].policy);
	report_free(sides[0].report);
}

static bool same_policies(const char *before)
{
	char command[256];

	(void)snprintf(command, sizeof command,
		       "ip xfrm policy list nosock | sort >/run/policies.now; cmp -s %s /run/policies.now", before);
	return system(command) == 0;
}

/* *count: of what was said, good or not. */
static bool wait_said(const unsigned *count, unsigned least)
{
	for (uint64_t until = now_ms(NULL) + TAKES_MS; *count < least && now_ms(NULL) < until;)
		turn(20);
	return *count == least;
}

static bool come_back(const struct side *s, const char *before, unsigned told)
{
	return wait_said(&s->mended, told) && same_policies(before);
}

/* Each line is a way in which another program takes away what is ours. */
static void what_others_remove_comes_back(void)
{
	static const char *const ways[] = {
		"ip xfrm policy flush",
		"ip xfrm policy delete src 10.9.0.1/32 dst 0.0.0.0/0 dir out",
		"ip xfrm policy update src 10.9.0.1/32 dst 0.0.0.0/0 dir out priority 1 action allow",
		"ip xfrm policy deleteall",
	};
	static const char before[] = "/run/policies.before";
	struct side *s = &sides[0];
	struct sad_event e;

	doing = "flushed";
	both_up(require_all);
	CHECK(pair_up(&(struct how){ .suite = "esp-aes256gcm", .family = 4 }));
	enter(s);
	run("ip xfrm policy list nosock | sort >/run/policies.before");
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		unsigned told = s->mended;

		doing = ways[i];
		enter(s);
		run(ways[i]);
		CHECK(come_back(s, before, told + 1) && s->not_mended == 0);
		(void)exchange(4);
	}
	/* What others do with their own is not ours to mend. */
	doing = "flushed";
	s->mended = 0;
	enter(s);
	run("ip xfrm policy add src 10.8.0.0/24 dst 10.9.0.0/24 dir out priority 5; ip xfrm policy delete src "
	    "10.8.0.0/24 "
	    "dst 10.9.0.0/24 dir out");
	CHECK(!wait_event(s, SAD_ACQUIRE, NULL, IDLE_MS) && s->mended == 0);
	/* Another one stands in the way: that is said once, and it is put back when it can be. */
	run("ip xfrm policy flush; ip xfrm policy add src 10.9.0.1/32 dst 0.0.0.0/0 dir out priority 5");
	CHECK(wait_said(&s->not_mended, 1) && !same_policies(before) && s->mended == 0);
	run("ip xfrm policy delete src 10.9.0.1/32 dst 0.0.0.0/0 dir out");
	CHECK(come_back(s, before, 1) && s->not_mended == 1);
	/* States cannot be put back: their keys are no longer here. Keying hears that they are gone. */
	s->event_count = 0;
	run("ip xfrm state flush");
	CHECK(wait_event(s, SAD_EXPIRE_HARD, &e, TAKES_MS) && e.pair == s->pair && s->mended == 2);
	CHECK(pair_up(&(struct how){ .suite = "esp-aes256gcm", .family = 4 }));
	(void)exchange(4);
	enter(s);
	s->event_count = 0;
	run("ip xfrm state deleteall src 10.9.0.1");
	CHECK(wait_event(s, SAD_EXPIRE_HARD, &e, TAKES_MS) && e.pair == s->pair && s->mended == 3);
	/* What we take away ourselves stays away. */
	CHECK(xfrm_remove_all(NULL) == 0);
	CHECK(!wait_event(s, SAD_ACQUIRE, NULL, IDLE_MS) && s->mended == 3);
	CHECK(system("test -z \"$(ip xfrm policy list nosock)\"") == 0);
	s->mended = s->not_mended = 0;
	both_down();
}

static void unknown_spis_are_heard(void)
{
	struct sad_event e;
	struct how h = { .suite = "esp-aes256gcm", .family = 4 };
	int a, b;

	doing = "unknown SPI";
	both_up(require_all);
	CHECK(pair_up(&h));
	a = udp_socket(&sides[0], 4, PORT);
	b = udp_socket(&sides[1], 4, PORT);
	CHECK(send_to(a, &sides[1], 4, PORT) && came(b, TAKES_MS));
	CHECK(sad_remove(sides[1].sad, sides[1].pair, ++sides[1].request, NULL) == 0);
	sides[1].event_count = 0;
	for (uint64_t until = now_ms(NULL) + 8000; now_ms(NULL) < until;) {
		(void)send_to(a, &sides[1], 4, PORT);
		turn(100);
		if (count_events(&sides[1], SAD_UNKNOWN_SPI, &e))
			break;
	}
	CHECK(count_events(&sides[1], SAD_UNKNOWN_SPI, &e) >= 1);
	CHECK(addr_equal(&e.packet.remote, &sides[0].v4) && addr_equal(&e.packet.local, &sides[1].v4));
	CHECK(sad_dropped(sides[1].sad, DROP_NO_SA) == 0 && sad_dropped(sides[1].sad, DROP_UNKNOWN_SPI) >= 1);
	(void)close(a);
	(void)close(b);
	both_down();
}

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	{ "every-suite", every_suite },
	{ "nothing-clear", nothing_clear_without_an_sa },
	{ "several-wait", several_wait_at_one_policy },
	{ "asks-again", failing_asks_again },
	{ "falls-back", falls_back },
	{ "most-specific", the_most_specific_wins },
	{ "clear-in", clear_is_not_let_in },
	{ "expires", expires },
	{ "tunnels", tunnels },
	{ "rekey", rekeys_lose_nothing },
	{ "new-plan", a_new_plan },
	{ "many-hosts", many_hosts },
	{ "others", others_are_left_alone },
	{ "flushed", what_others_remove_comes_back },
	{ "unknown-spi", unknown_spis_are_heard },
};

int main(int argc, char **argv)
{
	struct diag d = { 0 };

	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	network_up();
	if (xfrm_probe(&d) < 0) {
		(void)printf("skipped: %s\n", d.text);
		return 77;
	}
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int before = failures;
		uint64_t began = now_ms(NULL);

		if (argc > 1 && strcmp(argv[1], cases[i].name) != 0)
			continue;
		doing = cases[i].name;
		cases[i].run();
		(void)printf("%s %s (%u ms)\n", failures > before ? "FAILED" : "ok", cases[i].name,
			     (unsigned)(now_ms(NULL) - began));
	}
	return failures ? 1 : 0;
}
