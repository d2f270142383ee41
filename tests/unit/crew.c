/* Two crews of planes, each a host, that send to each other by UDP over the loopback device while their SAs come, are
 * renewed and go: real threads, sockets and keys, and no right needed. What must be: not a packet lost, doubled or
 * overtaken in its flow, whatever thread has it. Built once more with ThreadSanitizer, as crew-threads. */
#include "tests/unit/unit.h"

#include "base/diag.h"
#include "base/scope.h"
#include "daemon/dataplane/nat_reader.h"
#include "daemon/process/sockets.h"
#include "dataplane/esp/crew.h"
#include "dataplane/esp/ip.h"
#include "dataplane/esp/octets.h"
#include "dataplane/esp/offload.h"
#include "dataplane/esp/share.h"
#include "tests/unit/flat_plan.h"

#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

enum {
	WORKERS = 4,
	PEERS = 9, /* addresses of the second host, each with an SA of its own */
	FLOWS_EACH = 3,
	FLOWS = PEERS * FLOWS_EACH,
	IN_FLIGHT = 4, /* of a flow */
	PIECE = 500,
	HEADERS = IP4_HEADER + UDP_HEADER,
	RUN_MS = 1500,
	RENEW_MS = 60,
	STUCK_MS = 60000,
	RENEWED_LEAST = 2, /* each, however long a busy machine takes for it */
	RECEIVED_LEAST = 20,
	REQUEST_KIND = 100000, /* the request's number: peer, and what it was */
};

/* One pair of SAs between the hosts. */
struct child {
	uint64_t pair;
	uint32_t spi[2]; /* inbound, of each host; 0: not yet reserved */
	unsigned done;
};

struct machine {
	unsigned number;
	struct sad *crew;
	int tun[WORKERS]; /* our ends: what programs send and receive */
	struct sockets *sockets[WORKERS];
	uint16_t port;
	unsigned failed, acquires;
};

static struct machine hosts[2];
static struct child children[PEERS], next_children[PEERS];
static uint64_t last_pair = 1;
static struct child_suite suite;
static const struct auth_set auth = { .name = "test" };
static struct protection_set protection = { .name = "test", .count = 1, .suites = &suite };
static const struct rule rule = { .name = "All", .mode = MODE_REQUIRE, .auth = &auth, .protection = &protection };
static const struct plan_entry entry = FLAT_ALL(&rule);
static struct plan plan = { &entry, 1, 1 };

static uint64_t now_ms(void *context)
{
	struct timespec t;

	(void)context;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static struct addr address(unsigned host, unsigned peer)
{
	return host == 0 ? addr_v4(127, 1, 0, 1) : addr_v4(127, 2, 0, (uint8_t)(peer + 1));
}

/* ---- keying ------------------------------------------------------------------------------------------------------ */

static void on_event(void *context, const struct sad_event *e)
{
	struct machine *h = context;
	struct child *c = &next_children[e->request % PEERS];

	if (e->kind == SAD_SPI_RESERVED)
		c->spi[h->number] = e->spi;
	else if (e->kind == SAD_DONE && e->request < REQUEST_KIND)
		c->done++;
	else if (e->kind == SAD_FAILED)
		h->failed++;
	else if (e->kind == SAD_ACQUIRE)
		h->acquires++;
}

static void install(unsigned peer, unsigned host, bool inbound)
{
	const struct child *c = &next_children[peer];
	struct addr local = address(host, peer), remote = address(1 - host, peer);
	struct sa_spec s = flat_spec(&local, &remote, &suite, &rule);

	s.spi = c->spi[inbound ? host : 1 - host];
	s.inbound = inbound;
	s.encap_local_port = hosts[host].port;
	s.encap_remote_port = hosts[1 - host].port;
	s.pair = c->pair;
	memset(s.encr_key.octets, (int)(1 + peer + (host == (inbound ? 1u : 0u) ? 100 : 0)), s.encr_key.len);
	assert_int_equal(sad_install(hosts[host].crew, &s, peer, NULL), 0);
}

/* Each step when the one before is done: SPIs, what comes in, what goes out. Then the old one goes, a while later. */
static void step(unsigned peer)
{
	struct child *c = &next_children[peer];

	if (c->pair == 0) {
		c->pair = ++last_pair;
		for (unsigned h = 0; h < 2; h++) {
			struct addr local = address(h, peer), remote = address(1 - h, peer);

			assert_int_equal(sad_reserve_spi(hosts[h].crew, &local, &remote, peer, NULL), 0);
		}
	} else if (c->done == 0 && c->spi[0] && c->spi[1]) {
		c->done = 1; /* it may be done before the call returns */
		install(peer, 0, true);
		install(peer, 1, true);
	} else if (c->done == 3) {
		c->done = 4;
		install(peer, 0, false);
		install(peer, 1, false);
	}
}

static bool is_up(unsigned peer)
{
	return next_children[peer].done == 6;
}

/* What was sent under the old one has arrived when the flows have moved on by all that was in flight. */
static void retire(unsigned peer)
{
	uint64_t old = children[peer].pair;

	children[peer] = next_children[peer];
	next_children[peer] = (struct child){ 0 };
	for (unsigned h = 0; h < 2 && old; h++) {
		sad_stop_sending(hosts[h].crew, old);
		assert_int_equal(sad_remove(hosts[h].crew, old, REQUEST_KIND, NULL), 0);
	}
}

/* ---- programs ---------------------------------------------------------------------------------------------------- */

/* From one host to the other; each has a thread that sends and receives all. */
struct flow_seen {
	atomic_uint sent, received;
};
static struct flow_seen flows[2][FLOWS];
static atomic_uint wrong;
static atomic_bool pause_flows, over;

static size_t make_packet(unsigned from, unsigned flow, uint32_t number, uint8_t *to)
{
	struct addr local = address(from, flow / FLOWS_EACH), remote = address(1 - from, flow / FLOWS_EACH);
	size_t len = HEADERS + 8 + number % PIECE;

	memset(to, 0, OFFLOAD_HEADER + len);
	to += OFFLOAD_HEADER;
	to[0] = 0x45;
	put_u16(to + 2, (uint16_t)len);
	to[6] = 0x40;
	to[8] = 64;
	to[9] = IP_UDP;
	memcpy(to + 12, local.octets, 4);
	memcpy(to + 16, remote.octets, 4);
	put_u16(to + 20, (uint16_t)(1000 + flow));
	put_u16(to + 22, (uint16_t)(2000 + from));
	put_u16(to + 24, (uint16_t)(len - IP4_HEADER));
	put_u32(to + HEADERS, flow);
	put_u32(to + HEADERS + 4, number);
	return OFFLOAD_HEADER + len;
}

/* The kernel deals packets out so; one flow is dealt out wrong, and must fare no worse. */
static void send_one(unsigned from, unsigned flow)
{
	struct addr local = address(from, flow / FLOWS_EACH), remote = address(1 - from, flow / FLOWS_EACH);
	unsigned queue = share_of_addresses(&local, &remote, WORKERS);
	uint8_t packet[OFFLOAD_HEADER + HEADERS + 8 + PIECE];
	unsigned number = atomic_load(&flows[from][flow].sent);

	if (flow % FLOWS_EACH == 1)
		queue = (queue + 1) % WORKERS;
	if (send(hosts[from].tun[queue], packet, make_packet(from, flow, number, packet), MSG_DONTWAIT) > 0)
		atomic_store(&flows[from][flow].sent, number + 1);
}

static void receive_all(unsigned at, int fd)
{
	uint8_t packet[OFFLOAD_HEADER + HEADERS + 8 + PIECE];
	ssize_t n;

	while ((n = recv(fd, packet, sizeof packet, MSG_DONTWAIT)) > 0) {
		const uint8_t *said = packet + OFFLOAD_HEADER + HEADERS;
		uint32_t flow = n < OFFLOAD_HEADER + HEADERS + 8 ? FLOWS : get_u32(said);

		if (flow >= FLOWS || get_u32(said + 4) != atomic_load(&flows[1 - at][flow].received))
			atomic_fetch_add(&wrong, 1);
		else
			atomic_fetch_add(&flows[1 - at][flow].received, 1);
	}
}

static void *program(void *context)
{
	const struct machine *h = context;

	while (!atomic_load(&over)) {
		struct pollfd fds[WORKERS];

		for (unsigned i = 0; i < WORKERS; i++)
			fds[i] = (struct pollfd){ .fd = h->tun[i], .events = POLLIN };
		for (unsigned f = 0; f < FLOWS && !atomic_load(&pause_flows); f++)
			if (atomic_load(&flows[h->number][f].sent) - atomic_load(&flows[h->number][f].received) <
			    IN_FLIGHT)
				send_one(h->number, f);
		(void)poll(fds, WORKERS, 1);
		for (unsigned i = 0; i < WORKERS; i++)
			receive_all(h->number, h->tun[i]);
	}
	return NULL;
}

/* ---- hosts ------------------------------------------------------------------------------------------------------- */

static void no_ike(void *context, const struct datagram *g)
{
	(void)context;
	(void)g;
	atomic_fetch_add(&wrong, 1);
}

static void datagrams(void *context, struct sad *crew, unsigned member, unsigned which, struct sad *own)
{
	const struct machine *host = context;

	nat_reader_read(&(struct nat_reader){ .own = own, .sad = crew, .too_big = crew_too_big, .ike = no_ike },
			host->sockets[member], SOCKETS_NAT4 + which);
}

static int open_udp(uint16_t *port)
{
	struct sockaddr_in here = { .sin_family = AF_INET, .sin_port = htons(*port) };
	const int yes = 1, whole = IP_PMTUDISC_PROBE;
	socklen_t len = sizeof here;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes), 0);
	assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &yes, sizeof yes), 0);
	assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &whole, sizeof whole), 0);
	(void)setsockopt(fd, IPPROTO_UDP, UDP_GRO, &yes, sizeof yes);
	assert_int_equal(bind(fd, (struct sockaddr *)&here, sizeof here), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&here, &len), 0);
	*port = ntohs(here.sin_port);
	return fd;
}

static void host_up(struct machine *h, unsigned number)
{
	struct crew_config c = {
		.all = { .plan = &plan, .event = on_event, .now_ms = now_ms, .context = h },
		.count = WORKERS,
		.datagrams = datagrams,
		.datagrams_context = h,
	};
	struct esp_fds fds[WORKERS];

	*h = (struct machine){ .number = number };
	for (unsigned i = 0; i < WORKERS; i++) {
		int tun[2], udp[SOCKETS_COUNT] = { -1, -1, open_udp(&h->port), -1 };

		assert_int_equal(sockets_adopt(udp, &h->sockets[i], NULL), 0);
		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, tun), 0);
		fds[i] = esp_fds_none();
		fds[i].fd[ESP_FD_TUN] = tun[0];
		h->tun[i] = tun[1];
		c.members[i] = (struct crew_member){ .fds = &fds[i],
						     .nat = { udp[SOCKETS_NAT4], -1 },
						     .polled = { sockets_fds(h->sockets[i])[SOCKETS_NAT4], -1 } };
	}
	assert_int_equal(share_steer_udp(c.members[0].nat[0], WORKERS, NULL), 0);
	assert_int_equal(crew_new(&c, &h->crew, NULL), 0);
}

static void host_down(struct machine *h)
{
	sad_free(h->crew);
	for (unsigned i = 0; i < WORKERS; i++) {
		sockets_free(h->sockets[i]);
		(void)close(h->tun[i]);
	}
}

/* What the daemon's loop does. */
static void turn(void)
{
	struct pollfd fds[2 * 3];

	for (unsigned i = 0; i < 2; i++) {
		struct sad *own = crew_own(hosts[i].crew);

		fds[3 * i] = (struct pollfd){ .fd = crew_fd(hosts[i].crew), .events = POLLIN };
		fds[3 * i + 1] = (struct pollfd){ .fd = esp_fd(own), .events = POLLIN };
		fds[3 * i + 2] =
			(struct pollfd){ .fd = sockets_fds(hosts[i].sockets[0])[SOCKETS_NAT4], .events = POLLIN };
	}
	(void)poll(fds, ARRAY_LEN(fds), 5);
	for (unsigned i = 0; i < 2; i++) {
		struct sad *own = crew_own(hosts[i].crew);

		if (fds[3 * i].revents)
			crew_read(hosts[i].crew);
		if (fds[3 * i + 1].revents)
			esp_readable(own);
		if (fds[3 * i + 2].revents)
			datagrams(&hosts[i], hosts[i].crew, 0, 0, own);
		if (now_ms(NULL) >= esp_deadline(own))
			esp_tick(own);
	}
}

static bool all_arrived(void)
{
	for (unsigned i = 0; i < 2; i++)
		for (unsigned f = 0; f < FLOWS; f++)
			if (atomic_load(&flows[i][f].sent) != atomic_load(&flows[i][f].received))
				return false;
	return true;
}

/* All that is in flight at this moment. */
static void marks_set(unsigned peer, unsigned marks[2][FLOWS_EACH])
{
	for (unsigned i = 0; i < 2; i++)
		for (unsigned f = 0; f < FLOWS_EACH; f++)
			marks[i][f] = atomic_load(&flows[i][peer * FLOWS_EACH + f].sent) + IN_FLIGHT;
}

static bool marks_passed(unsigned peer, unsigned marks[2][FLOWS_EACH])
{
	for (unsigned i = 0; i < 2; i++)
		for (unsigned f = 0; f < FLOWS_EACH; f++)
			if (atomic_load(&flows[i][peer * FLOWS_EACH + f].received) < marks[i][f])
				return false;
	return true;
}

static void ask(unsigned host, unsigned *ret_rows)
{
	struct sa_usage rows[3 * PEERS], one;
	size_t n = sad_usage(hosts[host].crew, rows, ARRAY_LEN(rows));

	assert_true(n <= ARRAY_LEN(rows));
	for (size_t i = 1; i < n; i++)
		assert_true(rows[i - 1].pair < rows[i].pair);
	if (n) {
		assert_true(sad_usage_of(hosts[host].crew, rows[0].pair, &one));
		assert_int_equal(one.spi_in, rows[0].spi_in);
		assert_int_equal(one.spi_out, rows[0].spi_out);
	}
	*ret_rows = (unsigned)n;
}

static void report_drops(void)
{
	for (unsigned h = 0; h < 2; h++)
		for (int i = 0; i < DROP_COUNT; i++)
			if (sad_dropped(hosts[h].crew, (enum sad_drop)i))
				print_message("host %u: %s %llu\n", h, sad_drops[i].name,
					      (unsigned long long)sad_dropped(hosts[h].crew, (enum sad_drop)i));
}

static uint64_t dropped(void)
{
	uint64_t n = 0;

	for (unsigned h = 0; h < 2; h++)
		for (int i = 0; i < DROP_COUNT; i++)
			n += sad_dropped(hosts[h].crew, (enum sad_drop)i);
	return n;
}

static bool enough(const unsigned renewed[PEERS])
{
	for (unsigned p = 0; p < PEERS; p++)
		if (renewed[p] < RENEWED_LEAST)
			return false;
	for (unsigned f = 0; f < FLOWS; f++)
		if (atomic_load(&flows[0][f].received) < RECEIVED_LEAST ||
		    atomic_load(&flows[1][f].received) < RECEIVED_LEAST)
			return false;
	return true;
}

static void no_packet_is_lost_or_overtaken_while_sas_come_and_go(void **state)
{
	unsigned marks[PEERS][2][FLOWS_EACH], renewed[PEERS] = { 0 }, rows, asked = 0, total = 0;
	uint64_t begun = now_ms(NULL), next[PEERS] = { 0 }, again = begun;
	bool retiring[PEERS] = { 0 };
	pthread_t programs[2];

	(void)state;
	assert_int_equal(child_suite_parse("esp-aes256gcm", 13, &suite, NULL), 0);
	for (unsigned i = 0; i < 2; i++)
		host_up(&hosts[i], i);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&programs[i], NULL, program, &hosts[i]), 0);
	while (!atomic_load(&wrong)) {
		uint64_t now = now_ms(NULL);
		bool ends = now - begun >= RUN_MS && enough(renewed);

		turn();
		for (unsigned p = 0; p < PEERS; p++) {
			if (retiring[p]) {
				if (!marks_passed(p, marks[p]))
					continue;
				retire(p);
				retiring[p] = false;
				next[p] = now + RENEW_MS;
				renewed[p]++;
			} else if (is_up(p)) {
				marks_set(p, marks[p]);
				retiring[p] = true;
			} else if (next_children[p].pair || (now >= next[p] && !ends)) {
				step(p);
			}
		}
		if (now >= again) { /* status is asked, and the plan put in force once more */
			again = now + 20;
			ask(asked++ % 2, &rows);
			sad_set_plan(hosts[asked % 2].crew, &plan);
		}
		if (now - begun > RUN_MS + STUCK_MS)
			break;
		if (!ends)
			continue;
		bool idle = true;
		for (unsigned p = 0; p < PEERS; p++)
			idle = idle && !retiring[p] && !next_children[p].pair;
		atomic_store(&pause_flows, idle);
		if (idle && all_arrived())
			break;
	}
	report_drops();
	assert_int_equal(atomic_load(&wrong), 0);
	assert_true(all_arrived());
	assert_int_equal(dropped(), 0);
	for (unsigned i = 0; i < 2; i++) {
		ask(i, &rows);
		assert_int_equal(rows, PEERS);
		assert_int_equal(hosts[i].failed, 0);
		assert_true(hosts[i].acquires > 0);
	}
	for (unsigned p = 0; p < PEERS; p++) {
		total += renewed[p];
		assert_true(renewed[p] >= RENEWED_LEAST);
	}
	assert_true(enough(renewed));
	print_message("%u SAs came and went\n", total);

	/* nobody has this pair, and nobody's share is left out of the answer */
	assert_int_equal(sad_remove(hosts[0].crew, 1, REQUEST_KIND, NULL), 0);
	for (uint64_t until = now_ms(NULL) + STUCK_MS; hosts[0].failed == 0 && now_ms(NULL) < until;)
		turn();
	assert_int_equal(hosts[0].failed, 1);
	atomic_store(&over, true);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_join(programs[i], NULL), 0);
	for (unsigned i = 0; i < 2; i++)
		host_down(&hosts[i]);
	assert_int_equal(plan.references, 1);
}

static unsigned threads_that_block(int signal)
{
	DIR *d = opendir("/proc/self/task");
	unsigned n = 0;

	assert_non_null(d);
	for (const struct dirent *e; (e = readdir(d));) {
		char path[64 + sizeof e->d_name], line[256];
		FILE *f;

		(void)snprintf(path, sizeof path, "/proc/self/task/%s/status", e->d_name);
		if (e->d_name[0] == '.' || !(f = fopen(path, "r")))
			continue;
		while (fgets(line, sizeof line, f))
			if (strncmp(line, "SigBlk:", 7) == 0)
				n += (unsigned)(strtoull(line + 7, NULL, 16) >> (signal - 1)) & 1;
		(void)fclose(f);
	}
	(void)closedir(d);
	return n;
}

/* SIGSYS says that the cage forbids a call; blocked it would end the process without a word. */
static void a_worker_hears_of_forbidden_calls_and_of_no_other_signal(void **state)
{
	unsigned calls = threads_that_block(SIGSYS), others = threads_that_block(SIGTERM);

	(void)state;
	host_up(&hosts[0], 0);
	assert_int_equal(sad_usage(hosts[0].crew, NULL, 0), 0); /* each has begun when it has answered */
	assert_int_equal(threads_that_block(SIGSYS), calls);
	assert_int_equal(threads_that_block(SIGTERM), others + WORKERS - 1);
	host_down(&hosts[0]);
}

/* Each drops what its plan does not know, by itself: the first one, which does not even look here, has nothing to do
 * with a flood of it. */
static void what_no_rule_protects_is_no_work_for_the_first(void **state)
{
	static struct plan nothing = { NULL, 0, 1 };
	uint8_t packet[OFFLOAD_HEADER + HEADERS + 8 + PIECE];
	size_t len = make_packet(0, 0, 0, packet);

	(void)state;
	host_up(&hosts[0], 0);
	sad_set_plan(hosts[0].crew, &nothing);
	for (unsigned i = 1; i < WORKERS; i++)
		assert_int_equal(send(hosts[0].tun[i], packet, len, 0), len);
	for (uint64_t until = now_ms(NULL) + STUCK_MS;
	     sad_dropped(hosts[0].crew, DROP_POLICY) < WORKERS - 1 && now_ms(NULL) < until;)
		(void)poll(NULL, 0, 1);
	assert_int_equal(sad_dropped(hosts[0].crew, DROP_POLICY), WORKERS - 1);
	host_down(&hosts[0]);
	assert_int_equal(nothing.references, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_no_rule_protects_is_no_work_for_the_first),
		cmocka_unit_test(a_worker_hears_of_forbidden_calls_and_of_no_other_signal),
		cmocka_unit_test(no_packet_is_lost_or_overtaken_while_sas_come_and_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
