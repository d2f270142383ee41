/* Two data planes with SAs keyed by hand, one in each of two network namespaces that exist already: what the daemon
 * does with keying left out. Says "ready" and runs until it is told to end by closing its standard input; then says
 * what each side counted.
 *
 * usage: esp-pair SUITE [--esn] [--udp] [--late MS] NS_A NS_B ADDRESS_A ADDRESS_B [ADDRESS_A ADDRESS_B]...
 * --udp: ESP in UDP, as two ends agree on it that no NAT is between.
 * --late: outbound SAs come that long after the first packet asked for one. */
#include "base/diag.h"
#include "base/scope.h"
#include "daemon/dataplane/nat_reader.h"
#include "daemon/process/sockets.h"
#include "dataplane/esp/esp.h"
#include "dataplane/esp/keeper.h"
#include "tests/unit/flat_plan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAIRS_MOST = 4, OWN_MARK = 0x02000000, WINDOW = 1024 };

struct side {
	const char *ns;
	struct addr local[PAIRS_MOST], remote[PAIRS_MOST];
	size_t pairs;
	uint32_t spi[PAIRS_MOST], peer_spi[PAIRS_MOST];
	struct child_suite suite;
	bool first, esn, udp;
	uint64_t late_ms;
	uint64_t asked_ms[PAIRS_MOST]; /* 0: not yet */
	bool sent[PAIRS_MOST];         /* outbound SA installed */
	uint64_t acquires;
	struct sad *sad;
	struct sockets *sockets; /* with --udp */
	struct tun_keeper *keeper;
	bool device_is_well;
};

static const struct auth_set auth = { .name = "test" };
static struct protection_set protection = { .name = "test", .count = 1 };
static const struct rule rule = { .name = "All", .mode = MODE_REQUIRE, .auth = &auth, .protection = &protection };
static const struct plan_entry entry = FLAT_ALL(&rule);
static struct plan plan = { &entry, 1, 1 };

static void die(const char *what, const struct diag *d)
{
	(void)fprintf(stderr, "esp-pair: %s: %s\n", what, d ? d->text : strerror(errno));
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
	struct side *s = context;

	if (e->kind == SAD_SPI_RESERVED)
		s->spi[e->request] = e->spi;
	if (e->kind == SAD_EXPIRE_HARD || e->kind == SAD_FAILED)
		(void)fprintf(stderr, "esp-pair: %s: event %d, SPI %08x\n", s->ns, e->kind, e->spi);
	if (e->kind != SAD_ACQUIRE)
		return;
	s->acquires++;
	for (size_t i = 0; i < s->pairs; i++)
		if (addr_equal(&e->selector.remote, &s->remote[i]) && !s->asked_ms[i])
			s->asked_ms[i] = now_ms(NULL);
}

static void key_fill(struct key *k, uint8_t with)
{
	for (size_t i = 0; i < k->len; i++)
		k->octets[i] = (uint8_t)(with + i);
}

static void install(struct side *s, size_t i, bool inbound)
{
	struct sa_spec spec = flat_spec(&s->local[i], &s->remote[i], &s->suite, &rule);
	uint8_t direction = s->first == inbound ? 1 : 101;
	struct diag d;

	spec.spi = inbound ? s->spi[i] : s->peer_spi[i];
	spec.inbound = inbound;
	spec.esn = s->esn;
	spec.encap_local_port = spec.encap_remote_port = s->udp ? IKE_NAT_PORT : 0;
	spec.replay_window = WINDOW;
	spec.pair = i + 1;
	key_fill(&spec.encr_key, direction);
	key_fill(&spec.integ_key, (uint8_t)(direction + 6));
	if (sad_install(s->sad, &spec, 100 + i, &d) < 0)
		die("install", &d);
}

/* Both sides run this at the same time: each tells the other its SPIs. */
static void begin(struct side *s, int to_peer)
{
	struct esp_fds fds = esp_fds_none();
	struct esp_config c = { .fds = &fds,
				.nat = { -1, -1 },
				.own_mark = OWN_MARK,
				.plan = &plan,
				.event = on_event,
				.now_ms = now_ms,
				.context = s };
	char path[256];
	struct diag d;
	int fd;

	(void)snprintf(path, sizeof path, "/run/netns/%s", s->ns);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		die(path, NULL);
	(void)close(fd);
	if (tun_keeper_new("cordon0", 1, &s->keeper, &d) < 0 || esp_fds_open(OWN_MARK, &fds, &d) < 0)
		die("descriptors", &d);
	fds.fd[ESP_FD_TUN] = dup(tun_keeper_tun(s->keeper, 0));
	if (s->udp && sockets_open(OWN_MARK, &s->sockets, &d) < 0)
		die("sockets", &d);
	for (size_t i = 0; i < 2 && s->udp; i++)
		c.nat[i] = sockets_fd(s->sockets, SOCKETS_NAT4 + i);
	if (esp_new(&c, &s->sad, &d) < 0)
		die("data plane", &d);
	for (size_t i = 0; i < s->pairs; i++)
		if (sad_reserve_spi(s->sad, &s->local[i], &s->remote[i], i, &d) < 0)
			die("reserve", &d);
	if (write(to_peer, s->spi, sizeof s->spi) != sizeof s->spi ||
	    read(to_peer, s->peer_spi, sizeof s->peer_spi) != sizeof s->peer_spi)
		die("the other side", NULL);
	for (size_t i = 0; i < s->pairs; i++) {
		install(s, i, true);
		if (!s->late_ms)
			install(s, i, false);
		s->sent[i] = !s->late_ms;
	}
}

static void install_late(struct side *s)
{
	for (size_t i = 0; i < s->pairs; i++)
		if (!s->sent[i] && s->asked_ms[i] && now_ms(NULL) - s->asked_ms[i] >= s->late_ms) {
			install(s, i, false);
			s->sent[i] = true;
		}
}

static void report(const struct side *s)
{
	struct sa_usage u;

	(void)printf("%s acquires %" PRIu64, s->ns, s->acquires);
	for (size_t i = 0; i < s->pairs; i++)
		if (sad_usage_of(s->sad, i + 1, &u))
			(void)printf(" in %" PRIu64 " out %" PRIu64, u.packets_in, u.packets_out);
	for (size_t i = 0; i < DROP_COUNT; i++)
		if (sad_dropped(s->sad, (enum sad_drop)i))
			(void)printf(" %s %" PRIu64, sad_drops[i].name, sad_dropped(s->sad, (enum sad_drop)i));
	(void)printf("\n");
	(void)fflush(stdout);
}

/* The device stays, whatever others do to it. */
static void keep_device(struct side *s)
{
	bool made;
	struct diag d;

	s->device_is_well = tun_keeper_check(s->keeper, &made);
	if (made && esp_set_tun(s->sad, dup(tun_keeper_tun(s->keeper, 0)), &d) < 0)
		die("the new device", &d);
}

static void read_udp(struct side *s, size_t i)
{
	nat_reader_read(&(struct nat_reader){ .own = s->sad, .sad = s->sad, .too_big = esp_encapsulated_too_big },
			s->sockets, i);
}

/* `end` becomes readable when it is over; `ready` is told when the plane stands. */
static void run(struct side *s, int to_peer, int end, int ready)
{
	begin(s, to_peer);
	if (write(ready, "r", 1) != 1)
		die("ready", NULL);
	for (;;) {
		struct pollfd fds[] = { { .fd = esp_fd(s->sad), .events = POLLIN },
					{ .fd = end, .events = POLLIN },
					{ .fd = tun_keeper_news(s->keeper), .events = POLLIN },
					{ .fd = s->udp ? sockets_fds(s->sockets)[SOCKETS_NAT4] : -1, .events = POLLIN },
					{ .fd = s->udp ? sockets_fds(s->sockets)[SOCKETS_NAT6] : -1,
					  .events = POLLIN } };

		if (poll(fds, ARRAY_LEN(fds), s->late_ms ? 10 : 1000) < 0 && errno != EINTR)
			die("poll", NULL);
		if (fds[1].revents)
			break;
		if (fds[0].revents)
			esp_readable(s->sad);
		for (size_t i = 0; i < 2; i++)
			if (fds[3 + i].revents)
				read_udp(s, SOCKETS_NAT4 + i);
		if (fds[2].revents || !s->device_is_well)
			keep_device(s);
		if (now_ms(NULL) >= esp_deadline(s->sad))
			esp_tick(s->sad);
		install_late(s);
	}
	report(s);
	sad_free(s->sad);
	sockets_free(s->sockets);
	tun_keeper_free(s->keeper);
	exit(plan.references == 1 ? EXIT_SUCCESS : EXIT_FAILURE);
}

static int arguments(int argc, char **argv, struct side sides[2])
{
	int at = 1;
	struct diag d;

	if (argc < 6 || child_suite_parse(argv[at], strlen(argv[at]), &sides[0].suite, &d) < 0)
		return -1;
	for (at++; at < argc && argv[at][0] == '-'; at++)
		if (strcmp(argv[at], "--esn") == 0)
			sides[0].esn = true;
		else if (strcmp(argv[at], "--udp") == 0)
			sides[0].udp = true;
		else if (strcmp(argv[at], "--late") == 0 && at + 1 < argc)
			sides[0].late_ms = strtoull(argv[++at], NULL, 10);
		else
			return -1;
	if (argc - at < 4 || (argc - at) % 2)
		return -1;
	sides[1] = sides[0];
	sides[0].first = true;
	sides[0].ns = argv[at];
	sides[1].ns = argv[at + 1];
	for (at += 2; at < argc && sides[0].pairs < PAIRS_MOST; at += 2) {
		size_t i = sides[0].pairs++;

		if (addr_parse(argv[at], strlen(argv[at]), &sides[0].local[i], &d) < 0 ||
		    addr_parse(argv[at + 1], strlen(argv[at + 1]), &sides[0].remote[i], &d) < 0)
			die("address", &d);
		sides[1].local[i] = sides[0].remote[i];
		sides[1].remote[i] = sides[0].local[i];
	}
	sides[1].pairs = sides[0].pairs;
	return 0;
}

/* Has each of so many others written its octet? */
static bool are_told(int fd, size_t others)
{
	char what;

	while (others > 0 && read(fd, &what, 1) == 1)
		others--;
	return others == 0;
}

int main(int argc, char **argv)
{
	static struct side sides[2];
	int peers[2], ready[2], status, worst = EXIT_SUCCESS;

	if (arguments(argc, argv, sides) < 0) {
		(void)fprintf(stderr,
			      "usage: esp-pair SUITE [--esn] [--udp] [--late MS] NS_A NS_B ADDRESS_A ADDRESS_B ...\n");
		return 2;
	}
	protection.suites = &sides[0].suite;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, peers) < 0 || pipe2(ready, O_CLOEXEC) < 0)
		die("pipe", NULL);
	for (size_t i = 0; i < 2; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork", NULL);
		if (pid == 0)
			run(&sides[i], peers[i], STDIN_FILENO, ready[1]);
	}
	(void)close(ready[1]);
	(void)close(peers[0]);
	(void)close(peers[1]);
	if (are_told(ready[0], ARRAY_LEN(sides))) {
		(void)printf("ready\n");
		(void)fflush(stdout);
	}
	while (wait(&status) > 0)
		if (!WIFEXITED(status) || WEXITSTATUS(status) != EXIT_SUCCESS)
			worst = EXIT_FAILURE;
	return worst;
}
