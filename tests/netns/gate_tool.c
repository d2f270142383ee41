/* tests/netns/gate_tool.c - a host with a gate and nothing behind it but a stand-in for the data plane, for tests that
 * are about the gate alone. The stand-in hides a packet (XOR with a running number) in IP protocol 50, sent by a raw
 * socket with our mark, and shows it again on the other side: no keys, no negotiation, no promise.
 *
 *     gate-tool [--no-tun] [--interface NAME=PROFILE] ADDRESS...
 *
 * GATE_RULES_APART in the environment: gate_config's rules_apart. With 0 all rules that do the same share their chains.
 * It reads commands, a line each, and answers each with "ok", "ok NUMBER" or "error: ...":
 *     apply FILE | disable | enable-plane | hold | fallback L R SECONDS | secured L R | unsecured L R | exempt R MS
 *     identify L R GROUPS | forget L R | counters | others | check | close-tun | open-tun
 * identify: a letter for each group that the plan asks about, y, n or m (may be).
 * hold: the plane swallows what it gets from the TUN, as while negotiating; release: sends it in clear, in order, as
 * when a peer has no IKE. When somebody changes our rules it restores them and says "restored" between answers. */
#include "base/addr.h"
#include "base/diag.h"
#include "base/report.h"
#include "base/str.h"
#include "enforce/gate.h"
#include "identity/groups.h"
#include "policy/plan.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ADDRESSES_MOST = 64, INTERFACES_MOST = 4, PACKET_MOST = 65536, HELD_MOST = 64 };

struct held {
	uint8_t *packet;
	size_t len;
};

struct tool {
	struct gate *gate;
	struct plan *plan;
	struct host_address own[ADDRESSES_MOST];
	size_t own_count;
	struct plan_interface interfaces[INTERFACES_MOST];
	size_t interface_count;
	int tun, esp4, esp6, clear4, clear6;
	bool holding;
	struct held held[HELD_MOST];
	size_t held_count;
};

static void die(const char *what)
{
	fprintf(stderr, "gate-tool: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int open_tun(void)
{
	struct ifreq q = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK),
	    s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(q.ifr_name, sizeof q.ifr_name, "%s", gate_default.tun);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &q) < 0)
		die("open the TUN");
	q.ifr_mtu = 65535;
	if (ioctl(s, SIOCSIFMTU, &q) < 0)
		die("the TUN's MTU");
	q.ifr_flags = IFF_UP | IFF_RUNNING;
	if (ioctl(s, SIOCSIFFLAGS, &q) < 0)
		die("the TUN up");
	close(s);
	return fd;
}

static int open_raw(int family, int protocol)
{
	uint32_t mark = gate_default.mark_own;
	int one = 1, fd = socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) < 0)
		die("a raw socket");
	if (protocol == IPPROTO_RAW && family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_HDRINCL, &one, sizeof one) < 0)
		die("a raw socket with header");
	return fd;
}

static void send_to(int fd, const uint8_t *packet, const void *octets, size_t n)
{
	struct sockaddr_in to4 = { .sin_family = AF_INET };
	struct sockaddr_in6 to6 = { .sin6_family = AF_INET6 };
	ssize_t sent;

	if (packet[0] >> 4 == 4) {
		memcpy(&to4.sin_addr, packet + 16, 4);
		sent = sendto(fd, octets, n, 0, (struct sockaddr *)&to4, sizeof to4);
	} else {
		memcpy(&to6.sin6_addr, packet + 24, 16);
		sent = sendto(fd, octets, n, 0, (struct sockaddr *)&to6, sizeof to6);
	}
	if (sent < 0)
		fprintf(stderr, "gate-tool: send: %s\n", strerror(errno));
}

static uint8_t veil(size_t i)
{
	return (uint8_t)(0xa5 + 7 * i);
}

static void seal_and_send(struct tool *h, uint8_t *packet, size_t n)
{
	static uint8_t hidden[PACKET_MOST];

	for (size_t i = 0; i < n; i++)
		hidden[i] = packet[i] ^ veil(i);
	send_to(packet[0] >> 4 == 4 ? h->esp4 : h->esp6, packet, hidden, n);
}

static void from_tun(struct tool *h)
{
	static uint8_t packet[PACKET_MOST];
	ssize_t n;

	while ((n = read(h->tun, packet, sizeof packet)) > 0) {
		if (packet[0] >> 4 == 6 && packet[24] == 0xff)
			continue; /* the kernel's own multicast on a fresh interface */
		if (!h->holding)
			seal_and_send(h, packet, (size_t)n);
		else if (h->held_count < HELD_MOST) {
			struct held *k = &h->held[h->held_count++];

			k->packet = malloc((size_t)n);
			k->len = (size_t)n;
			memcpy(k->packet, packet, (size_t)n);
		}
	}
}

static void from_wire(struct tool *h, int fd)
{
	static uint8_t packet[PACKET_MOST];
	size_t head = fd == h->esp4 ? 20 : 0;
	ssize_t n;

	while ((n = recv(fd, packet, sizeof packet, 0)) > (ssize_t)head) {
		for (ssize_t i = (ssize_t)head; i < n; i++)
			packet[i] ^= veil((size_t)i - head);
		if (h->tun >= 0 && write(h->tun, packet + head, (size_t)n - head) < 0)
			fprintf(stderr, "gate-tool: write to the TUN: %s\n", strerror(errno));
	}
}

static void release(struct tool *h, bool clear)
{
	h->holding = false;
	for (size_t i = 0; i < h->held_count; i++) {
		struct held *k = &h->held[i];

		if (clear)
			send_to(k->packet[0] >> 4 == 4 ? h->clear4 : h->clear6, k->packet, k->packet, k->len);
		else
			seal_and_send(h, k->packet, k->len);
		free(k->packet);
	}
	h->held_count = 0;
}

static int apply(struct tool *h, const char *file, struct diag *d)
{
	SCOPED(report_freep) struct report *report = report_new();
	SCOPED(policy_freep) struct policy *policy = NULL;
	SCOPED(plan_freep) struct plan *plan = NULL;
	SCOPED(str_wipe) struct str text = { 0 };
	struct plan_host host = { .own = h->own,
				  .own_count = h->own_count,
				  .interfaces = h->interfaces,
				  .interface_count = h->interface_count };
	int r;

	if ((r = policy_load(file, NULL, report, &policy)) < 0 ||
	    (r = plan_compile(policy, &host, report, &plan)) < 0) {
		report_text(report, false, &text);
		return diag_fail(d, r, "%.400s", str_text(&text));
	}
	if ((r = gate_apply(h->gate, plan, d)) < 0)
		return r;
	plan_free(h->plan);
	h->plan = TAKE(plan);
	return 0;
}

static struct addr parse(const char *text)
{
	struct addr a = { 0 };

	if (addr_parse(text, strlen(text), &a, NULL) < 0)
		die(text);
	return a;
}

static int count(struct tool *h, struct diag *d)
{
	static struct gate_counter rows[4096];
	size_t n = gate_counters(h->gate, rows, ARRAY_LEN(rows), d);

	for (size_t i = 0; i < n && i < ARRAY_LEN(rows); i++)
		printf("count %s %" PRIu64 " %s\n", rows[i].name, rows[i].packets,
		       rows[i].rule       ? rows[i].rule->name
		       : rows[i].firewall ? rows[i].firewall->name
					  : "-");
	return 0;
}

static int others(struct tool *h, struct diag *d)
{
	struct gate_other *rows;
	size_t n;
	int r = gate_others(h->gate, &rows, &n, d);

	for (size_t i = 0; r == 0 && i < n; i++)
		printf("other %s: %s\n", rows[i].table, rows[i].drops_by_default ? "default" : "rules");
	if (r == 0)
		free(rows);
	return r;
}

static int exempt(struct tool *h, const char *remote, uint64_t for_ms, struct diag *d)
{
	struct addr a = parse(remote);
	struct timespec now;

	(void)clock_gettime(CLOCK_BOOTTIME, &now);
	return gate_exempt_add(h->gate, &a, (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 + for_ms, d);
}

static int identify(struct tool *h, const char *local, const char *remote, const char *groups, struct diag *d)
{
	struct gate_identity change = { .local = parse(local), .remote = parse(remote) };
	struct membership *m = groups ? membership_new((uint32_t)strlen(groups)) : NULL;
	int r;

	for (size_t i = 0; groups && groups[i]; i++)
		membership_put(m, i, groups[i] == 'y' ? MEMBER_YES : groups[i] == 'm' ? MEMBER_MAYBE : MEMBER_NO);
	change.is = m;
	r = gate_identify(h->gate, &change, 1, d);
	membership_free(m);
	return r;
}

static void take_interface(struct tool *h, const char *text)
{
	static const struct {
		const char *name;
		unsigned profile;
	} profiles[] = { { "domain", PROFILE_DOMAIN }, { "private", PROFILE_PRIVATE }, { "public", PROFILE_PUBLIC } };
	struct plan_interface *i = &h->interfaces[h->interface_count];
	const char *at = strchr(text, '=');

	for (size_t k = 0; at && k < ARRAY_LEN(profiles); k++)
		if (strcmp(at + 1, profiles[k].name) == 0 && h->interface_count < INTERFACES_MOST) {
			snprintf(i->name, sizeof i->name, "%.*s", (int)(at - text), text);
			i->profile = profiles[k].profile;
			h->interface_count++;
			return;
		}
	die(text);
}

static int obey(struct tool *h, char *line, struct diag *d)
{
	char *words[4] = { 0 }, *at = line;
	size_t n = 0;

	for (char *w; n < ARRAY_LEN(words) && (w = strsep(&at, " \n"));)
		if (*w)
			words[n++] = w;
	if (n == 0)
		return 0;
	if (n == 2 && strcmp(words[0], "apply") == 0)
		return apply(h, words[1], d);
	if (n == 4 && strcmp(words[0], "fallback") == 0) {
		struct addr local = parse(words[1]), remote = parse(words[2]);

		return gate_fallback_add(h->gate, &local, &remote, (uint32_t)atoi(words[3]), d);
	}
	if (n >= 3 && (strcmp(words[0], "identify") == 0 || strcmp(words[0], "forget") == 0))
		return identify(h, words[1], words[2], *words[0] == 'i' ? words[3] ? words[3] : "" : NULL, d);
	if (n == 3 && strcmp(words[0], "exempt") == 0)
		return exempt(h, words[1], (uint64_t)atoi(words[2]), d);
	if (n == 3) {
		struct addr local = parse(words[1]), remote = parse(words[2]);

		if (strcmp(words[0], "secured") == 0)
			return gate_secured_add(h->gate, &local, &remote, d);
		if (strcmp(words[0], "unsecured") == 0)
			return gate_secured_remove(h->gate, &local, &remote, d);
		if (strcmp(words[0], "no-fallback") == 0)
			return gate_fallback_remove(h->gate, &local, &remote, d);
	}
	if (strcmp(words[0], "disable") == 0)
		return gate_disable(h->gate, d);
	if (strcmp(words[0], "uninstall") == 0)
		return gate_uninstall(NULL, d);
	if (strcmp(words[0], "hold") == 0)
		return h->holding = true, 0;
	if (strcmp(words[0], "release") == 0)
		return release(h, true), 0;
	if (strcmp(words[0], "protect") == 0)
		return release(h, false), 0;
	if (strcmp(words[0], "counters") == 0)
		return count(h, d);
	if (strcmp(words[0], "others") == 0)
		return others(h, d);
	if (strcmp(words[0], "close-tun") == 0) {
		close(h->tun);
		h->tun = -1;
		return 0;
	}
	if (strcmp(words[0], "open-tun") == 0) {
		h->tun = open_tun();
		return gate_routes(h->gate, d);
	}
	return diag_fail(d, EINVAL, "what is '%s'?", words[0]);
}

static void watch(struct tool *h)
{
	struct diag d;
	struct gate_restored restored = { 0 };

	if (gate_check(h->gate, &restored, &d) < 0)
		printf("broken: %s\n", d.text);
	else if (restored.table || restored.rules || restored.routes)
		printf("restored%s%s%s by %s\n", restored.table ? " table" : "", restored.rules ? " rules" : "",
		       restored.routes ? " routes" : "", restored.by);
}

int main(int argc, char **argv)
{
	struct tool h = { .tun = -1 };
	struct gate_config config = gate_default;
	const char *apart = getenv("GATE_RULES_APART");
	struct diag d;
	bool tun = true;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--no-tun") == 0)
			tun = false;
		else if (strcmp(argv[i], "--interface") == 0 && i + 1 < argc)
			take_interface(&h, argv[++i]);
		else if (h.own_count < ADDRESSES_MOST)
			h.own[h.own_count++] = (struct host_address){ parse(argv[i]), -1 };
	}
	if (apart)
		config.rules_apart = (uint32_t)atoi(apart);
	if (gate_new(&config, &h.gate, &d) < 0) {
		fprintf(stderr, "gate-tool: %s\n", d.text);
		return 1;
	}
	if (tun)
		h.tun = open_tun();
	h.esp4 = open_raw(AF_INET, IPPROTO_ESP);
	h.esp6 = open_raw(AF_INET6, IPPROTO_ESP);
	h.clear4 = open_raw(AF_INET, IPPROTO_RAW);
	h.clear6 = open_raw(AF_INET6, IPPROTO_RAW);
	puts("ready");
	for (;;) {
		struct pollfd fds[] = { { .fd = STDIN_FILENO, .events = POLLIN },
					{ .fd = gate_watch_fd(h.gate), .events = POLLIN },
					{ .fd = h.tun, .events = POLLIN },
					{ .fd = h.esp4, .events = POLLIN },
					{ .fd = h.esp6, .events = POLLIN } };
		char line[1024];

		if (poll(fds, ARRAY_LEN(fds), -1) < 0 && errno != EINTR)
			die("poll");
		if (fds[1].revents)
			watch(&h);
		if (fds[2].revents && h.tun >= 0)
			from_tun(&h);
		if (fds[3].revents)
			from_wire(&h, h.esp4);
		if (fds[4].revents)
			from_wire(&h, h.esp6);
		if (fds[0].revents) {
			ssize_t n = read(STDIN_FILENO, line, sizeof line - 1);

			if (n <= 0)
				break;
			line[n] = '\0';
			if (obey(&h, line, &d) < 0)
				printf("error: %s\n", d.text);
			else
				puts("ok");
		}
	}
	release(&h, false);
	gate_free(h.gate);
	plan_free(h.plan);
	return 0;
}
