/* Two data planes with many SAs keyed by hand, for the data plane's bench: one address here, COUNT addresses there, an
 * SA each way for every two. Says "ready" and what an SA takes in memory, and runs until its standard input ends. With
 * a GATEWAY the addresses there are so many behind it, in as many equal parts as there are SAs, which are tunnels to
 * it: then the kernel has the same to do for the same traffic, however many SAs carry it.
 *
 * usage: bench-sas COUNT NS_A NS_B ADDRESS FIRST_REMOTE [GATEWAY ADDRESSES] */
#include "base/diag.h"
#include "base/mem.h"
#include "base/scope.h"
#include "daemon/dataplane/nat_reader.h"
#include "daemon/process/sockets.h"
#include "dataplane/esp/esp.h"
#include "dataplane/esp/keeper.h"
#include "tests/unit/flat_plan.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { OWN_MARK = 0x02000000, WINDOW = 64, COUNT_MOST = 60000 };

struct side {
	const char *ns, *one, *many, *gateway; /* gateway NULL: there is none */
	size_t behind;                         /* addresses */
	bool has_many;                         /* which side of each two is its own */
	size_t count;
	uint32_t *spi, *peer_spi;
	struct sad *sad;
	struct sockets *sockets;
	struct tun_keeper *keeper;
};

static const struct auth_set auth = { .name = "bench" };
static struct child_suite suite;
static struct protection_set protection = { .name = "bench", .suites = &suite, .count = 1 };
static struct rule rule = { .name = "All", .mode = MODE_REQUIRE, .auth = &auth, .protection = &protection };
static const struct plan_entry entry = FLAT_ALL(&rule);
static struct plan plan = { &entry, 1, 1 };

static _Noreturn void die(const char *what, const struct diag *d)
{
	(void)fprintf(stderr, "bench-sas: %s: %s\n", what, d ? d->text : strerror(errno));
	exit(EXIT_FAILURE);
}

static uint64_t now_ms(void *context)
{
	struct timespec t;

	(void)context;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void on_event(void *context, const struct sad_event *e)
{
	struct side *end = context;

	if (e->kind == SAD_SPI_RESERVED)
		end->spi[e->request] = e->spi;
	if (e->kind == SAD_FAILED)
		die("SA", e->why);
}

static struct addr address(const char *first, size_t i)
{
	struct addr a = { .family = 4 };
	struct in_addr at;

	if (inet_pton(AF_INET, first, &at) != 1)
		die(first, NULL);
	at.s_addr = htonl(ntohl(at.s_addr) + (uint32_t)i);
	memcpy(a.octets, &at, sizeof at);
	return a;
}

/* The ends of SA number i. */
static void two(const struct side *end, size_t i, struct addr *local, struct addr *remote)
{
	struct addr one = address(end->one, 0), other = end->gateway ? address(end->gateway, 0) : address(end->many, i);

	*local = end->has_many ? other : one;
	*remote = end->has_many ? one : other;
}

/* What a tunnel carries. */
static void select_packets(const struct side *end, size_t i, struct sa_spec *spec)
{
	size_t part = end->behind / end->count;
	struct addr_range one = { .lo = address(end->one, 0), .hi = address(end->one, 0) };
	struct addr_range many = { .lo = address(end->many, i * part), .hi = address(end->many, (i + 1) * part - 1) };

	spec->tunnel = true;
	sa_selector_set_ranges(&spec->selector, end->has_many ? &many : &one, end->has_many ? &one : &many);
}

static void install(struct side *end, size_t i, bool inbound)
{
	struct addr local, remote;
	struct sa_spec spec;
	struct diag d;

	two(end, i, &local, &remote);
	spec = flat_spec(&local, &remote, &suite, &rule);
	spec.spi = inbound ? end->spi[i] : end->peer_spi[i];
	spec.inbound = inbound;
	spec.encap_local_port = spec.encap_remote_port = IKE_NAT_PORT;
	spec.esn = true;
	spec.replay_window = WINDOW;
	spec.pair = i + 1;
	if (end->gateway)
		select_packets(end, i, &spec);
	memset(spec.encr_key.octets, end->has_many == inbound ? 1 : 2, spec.encr_key.len);
	if (sad_install(end->sad, &spec, COUNT_MOST + i, &d) < 0)
		die("install", &d);
}

static void all(int fd, void *octets, size_t n, bool send_it)
{
	uint8_t *at = octets;

	while (n > 0) {
		ssize_t r = send_it ? write(fd, at, n) : read(fd, at, n);

		if (r <= 0)
			die("the other end", NULL);
		at += r;
		n -= (size_t)r;
	}
}

static size_t memory(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

/* Returns the octets of memory that an SA takes, with its keys and its window. */
static size_t begin(struct side *end, int peer)
{
	struct esp_fds fds = esp_fds_none();
	struct esp_config c = { .fds = &fds,
				.nat = { -1, -1 },
				.own_mark = OWN_MARK,
				.plan = &plan,
				.event = on_event,
				.now_ms = now_ms,
				.context = end };
	struct addr local, remote;
	size_t before;
	char path[256];
	struct diag d;
	int fd;

	(void)snprintf(path, sizeof path, "/run/netns/%s", end->ns);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		die(path, NULL);
	(void)close(fd);
	end->spi = mem_new(end->count, sizeof *end->spi);
	end->peer_spi = mem_new(end->count, sizeof *end->peer_spi);
	if (tun_keeper_new("cordon0", 1, &end->keeper, &d) < 0 || esp_fds_open(OWN_MARK, &fds, &d) < 0 ||
	    sockets_open(OWN_MARK, &end->sockets, &d) < 0)
		die("descriptors", &d);
	for (size_t i = 0; i < 2; i++)
		c.nat[i] = sockets_fd(end->sockets, SOCKETS_NAT4 + i);
	fds.fd[ESP_FD_TUN] = dup(tun_keeper_tun(end->keeper, 0));
	if (esp_new(&c, &end->sad, &d) < 0)
		die("data plane", &d);
	before = memory();
	for (size_t i = 0; i < end->count; i++) {
		two(end, i, &local, &remote);
		if (sad_reserve_spi(end->sad, &local, &remote, i, &d) < 0)
			die("reserve", &d);
	}
	all(peer, end->spi, end->count * sizeof *end->spi, true);
	all(peer, end->peer_spi, end->count * sizeof *end->peer_spi, false);
	for (size_t i = 0; i < end->count; i++) {
		install(end, i, true);
		install(end, i, false);
	}
	return end->count ? (memory() - before) / (2 * end->count) : 0;
}

static void read_udp(struct side *end)
{
	nat_reader_read(&(struct nat_reader){ .own = end->sad, .sad = end->sad, .too_big = esp_encapsulated_too_big },
			end->sockets, SOCKETS_NAT4);
}

static _Noreturn void run(struct side *end, int peer, int over, int ready)
{
	size_t each;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	each = begin(end, peer);
	all(ready, &each, sizeof each, true);
	for (;;) {
		struct pollfd fds[] = { { .fd = esp_fd(end->sad), .events = POLLIN },
					{ .fd = over, .events = POLLIN },
					{ .fd = sockets_fd(end->sockets, SOCKETS_NAT4), .events = POLLIN } };
		uint64_t deadline = esp_deadline(end->sad), now = now_ms(NULL);

		if (poll(fds, ARRAY_LEN(fds),
			 deadline == UINT64_MAX ? -1
			 : deadline > now       ? (int)(deadline - now)
						: 0) < 0 &&
		    errno != EINTR)
			die("poll", NULL);
		if (fds[1].revents)
			break;
		if (fds[0].revents)
			esp_readable(end->sad);
		if (fds[2].revents)
			read_udp(end);
		if (now_ms(NULL) >= esp_deadline(end->sad))
			esp_tick(end->sad);
	}
	sad_free(end->sad);
	sockets_free(end->sockets);
	tun_keeper_free(end->keeper);
	exit(EXIT_SUCCESS);
}

int main(int argc, char **argv)
{
	struct side ends[2];
	int peers[2], ready[2], status, worst = EXIT_SUCCESS;
	size_t each = 0;
	struct diag d;

	if ((argc != 6 && argc != 8) || strtoul(argv[1], NULL, 10) - 1 >= COUNT_MOST) {
		(void)fprintf(stderr, "usage: bench-sas COUNT NS_A NS_B ADDRESS FIRST_REMOTE [GATEWAY ADDRESSES]\n");
		return 2;
	}
	rule.tunnel = argc == 8;
	for (size_t i = 0; i < 2; i++)
		ends[i] = (struct side){ .ns = argv[2 + i],
					 .one = argv[4],
					 .many = argv[5],
					 .gateway = argc == 8 ? argv[6] : NULL,
					 .behind = argc == 8 ? strtoul(argv[7], NULL, 10) : 0,
					 .has_many = i == 1,
					 .count = strtoul(argv[1], NULL, 10) };
	if (child_suite_parse("esp-aes256gcm", strlen("esp-aes256gcm"), &suite, &d) < 0)
		die("suite", &d);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, peers) < 0 || pipe2(ready, O_CLOEXEC) < 0)
		die("pipe", NULL);
	for (size_t i = 0; i < 2; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork", NULL);
		if (pid == 0)
			run(&ends[i], peers[i], STDIN_FILENO, ready[1]);
	}
	(void)close(ready[1]);
	for (size_t i = 0; i < 2; i++)
		all(ready[0], &each, sizeof each, false);
	(void)printf("ready\nper_sa=%zu\n", each);
	(void)fflush(stdout);
	while (wait(&status) > 0)
		if (!WIFEXITED(status) || WEXITSTATUS(status) != EXIT_SUCCESS)
			worst = EXIT_FAILURE;
	return worst;
}
