/* Datagrams for the data plane's bench: sent as fast as the system takes them, counted where they arrive, or sent to
 * and fro one at a time to tell how long that takes. Prints one JSON object at the end.
 *
 * usage: bench-blast send ADDRESS PORT SIZE SECONDS [RATE [PEERS]]
 *        bench-blast sink PORT SECONDS
 *        bench-blast echo PORT
 *        bench-blast ping ADDRESS PORT SIZE SECONDS
 * RATE: datagrams a second, 0: as many as go. PEERS: so many addresses from ADDRESS on, by turns. sink ends a third of
 * a second after the last datagram, or SECONDS after the start; echo when it is killed. */
#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	BATCH = 64,
	DATAGRAM_MOST = 65536,
	BUFFER = 8 << 20,
	QUIET_MS = 300,
	LOST_MS = 200,
	SAMPLES_MOST = 4 << 20,
	NS_IN_MS = 1000000,
	NS_IN_S = 1000000000,
};

static struct mmsghdr messages[BATCH];
static struct iovec pieces[BATCH];
static struct sockaddr_in peers[BATCH];
static uint8_t octets[BATCH][DATAGRAM_MOST];

static _Noreturn void die(const char *what)
{
	(void)fprintf(stderr, "bench-blast: %s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_IN_S + (uint64_t)t.tv_nsec;
}

static double cpu_s(void)
{
	struct rusage u;

	(void)getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static int open_socket(const char *port, struct sockaddr_in *to, const char *address)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), room = BUFFER;

	*to = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(port, NULL, 10)) };
	if (fd < 0 || (address && inet_pton(AF_INET, address, &to->sin_addr) != 1))
		die(address ? address : "socket");
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
	return fd;
}

static void prepare(size_t size)
{
	for (size_t i = 0; i < BATCH; i++) {
		pieces[i] = (struct iovec){ octets[i], size };
		messages[i].msg_hdr = (struct msghdr){ .msg_iov = &pieces[i], .msg_iovlen = 1 };
	}
}

/* How many of a batch may go now, at this rate. */
static unsigned due(double rate, uint64_t since_ns, uint64_t sent)
{
	double behind = rate * (double)(now_ns() - since_ns) / NS_IN_S - (double)sent;

	if (behind >= BATCH)
		return BATCH;
	return behind < 1 ? 0 : (unsigned)behind;
}

static void address_batch(const struct sockaddr_in *first, uint64_t sent, unsigned spread)
{
	for (unsigned i = 0; i < BATCH; i++) {
		peers[i] = *first;
		peers[i].sin_addr.s_addr = htonl(ntohl(first->sin_addr.s_addr) + (uint32_t)((sent + i) % spread));
		messages[i].msg_hdr.msg_name = &peers[i];
		messages[i].msg_hdr.msg_namelen = sizeof peers[i];
	}
}

static int send_all(int argc, char **argv)
{
	struct sockaddr_in to;
	int fd = open_socket(argv[3], &to, argv[2]);
	double seconds = strtod(argv[5], NULL), rate = argc > 6 ? strtod(argv[6], NULL) : 0;
	unsigned spread = argc > 7 ? (unsigned)strtoul(argv[7], NULL, 10) : 1;
	uint64_t begin = now_ns(), end = begin + (uint64_t)(seconds * NS_IN_S), sent = 0;
	const struct timespec moment = { 0, 20000 };

	prepare(strtoul(argv[4], NULL, 10));
	if (spread <= 1 && connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
		die("connect");
	while (now_ns() < end) {
		unsigned n = rate > 0 ? due(rate, begin, sent) : BATCH;
		int r;

		if (n == 0) {
			(void)nanosleep(&moment, NULL);
			continue;
		}
		if (spread > 1)
			address_batch(&to, sent, spread);
		r = sendmmsg(fd, messages, n, 0);
		if (r > 0)
			sent += (uint64_t)r;
		else if (errno != ENOBUFS && errno != EAGAIN && errno != ECONNREFUSED && errno != EHOSTUNREACH)
			die("send");
	}
	(void)printf("{\"packets\":%" PRIu64 ",\"seconds\":%.4f,\"cpu_s\":%.3f}\n", sent,
		     (double)(now_ns() - begin) / NS_IN_S, cpu_s());
	return EXIT_SUCCESS;
}

static int sink(char **argv)
{
	struct sockaddr_in at;
	int fd = open_socket(argv[2], &at, NULL);
	uint64_t end = now_ns() + (uint64_t)(strtod(argv[3], NULL) * NS_IN_S), first = 0, last = 0, count = 0;

	prepare(DATAGRAM_MOST);
	if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0)
		die("bind");
	(void)printf("ready\n");
	(void)fflush(stdout);
	while (now_ns() < end && (!first || now_ns() - last < (uint64_t)QUIET_MS * NS_IN_MS)) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int r = recvmmsg(fd, messages, BATCH, MSG_DONTWAIT, NULL);

		if (r > 0) {
			count += (uint64_t)r;
			last = now_ns();
			first = first ? first : last;
		} else {
			(void)poll(&p, 1, 50);
		}
	}
	(void)printf("{\"packets\":%" PRIu64 ",\"seconds\":%.4f,\"cpu_s\":%.3f}\n", count,
		     (double)(last - first) / NS_IN_S, cpu_s());
	return EXIT_SUCCESS;
}

static int echo(char **argv)
{
	struct sockaddr_in at, from;
	int fd = open_socket(argv[2], &at, NULL);

	if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0)
		die("bind");
	(void)printf("ready\n");
	(void)fflush(stdout);
	for (;;) {
		socklen_t len = sizeof from;
		ssize_t n = recvfrom(fd, octets[0], DATAGRAM_MOST, 0, (struct sockaddr *)&from, &len);

		if (n >= 0)
			(void)sendto(fd, octets[0], (size_t)n, 0, (struct sockaddr *)&from, len);
	}
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Waits for the answer to this number; 0: it did not come in time. */
static uint64_t one_turn(int fd, size_t size, uint64_t number)
{
	uint64_t begin = now_ns(), heard;
	struct pollfd p = { .fd = fd, .events = POLLIN };

	memcpy(octets[0], &number, sizeof number);
	if (send(fd, octets[0], size, 0) < 0)
		return 0;
	while (poll(&p, 1, LOST_MS) > 0)
		if (recv(fd, octets[1], DATAGRAM_MOST, 0) >= (ssize_t)sizeof heard) {
			memcpy(&heard, octets[1], sizeof heard);
			if (heard == number)
				return now_ns() - begin;
		}
	return 0;
}

static int ping(char **argv)
{
	struct sockaddr_in to;
	int fd = open_socket(argv[3], &to, argv[2]);
	size_t size = strtoul(argv[4], NULL, 10), count = 0, half, most;
	uint64_t *samples = mem_new(SAMPLES_MOST, sizeof *samples), number = 0, took;
	uint64_t end = now_ns() + (uint64_t)(strtod(argv[5], NULL) * NS_IN_S);

	if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
		die("connect");
	while (now_ns() < end && count < SAMPLES_MOST)
		if ((took = one_turn(fd, size < sizeof number ? sizeof number : size, ++number)) > 0)
			samples[count++] = took;
	if (count == 0) {
		errno = ETIMEDOUT;
		die("no answer");
	}
	qsort(samples, count, sizeof *samples, by_size);
	half = count / 2;
	most = count * 99 / 100;
	(void)printf("{\"turns\":%zu,\"lost\":%" PRIu64 ",\"p50_us\":%.2f,\"p99_us\":%.2f}\n", count, number - count,
		     (double)samples[half] / 2000, (double)samples[most] / 2000);
	free(samples);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	if (argc >= 6 && strcmp(argv[1], "send") == 0)
		return send_all(argc, argv);
	if (argc == 4 && strcmp(argv[1], "sink") == 0)
		return sink(argv);
	if (argc == 3 && strcmp(argv[1], "echo") == 0)
		return echo(argv);
	if (argc == 6 && strcmp(argv[1], "ping") == 0)
		return ping(argv);
	(void)fprintf(stderr, "usage: bench-blast send | sink | echo | ping ...\n");
	return 2;
}
