/* Traffic for the interop rows, as one small program, because starting one is what is slow in the guest.
 *
 *   echo-tool serve                            answers TCP and UDP on port 7777 of every address, until it is killed
 *   echo-tool ask LOCAL REMOTE TEXT            TEXT by TCP and back, 10 times; exit 0 if it came back as it was
 *   echo-tool count LOCAL REMOTE MS N          N numbered datagrams, one each MS milliseconds; prints "N sent, M came
 * back" */
#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PEERS_MOST = 250, TEXT_MOST = 2000, WAIT_MS = 20000 };
static const char port[] = "7777";

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int open_socket(const char *local, const char *remote, int kind)
{
	struct addrinfo hints = { .ai_socktype = kind, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV };
	struct addrinfo *from = NULL, *to = NULL;
	int s = -1;

	if (getaddrinfo(local, NULL, &hints, &from) == 0 && getaddrinfo(remote, port, &hints, &to) == 0) {
		s = socket(from->ai_family, kind, 0);
		if (s >= 0 &&
		    (bind(s, from->ai_addr, from->ai_addrlen) < 0 || connect(s, to->ai_addr, to->ai_addrlen) < 0)) {
			perror("echo-tool");
			close(s);
			s = -1;
		}
	}
	if (from)
		freeaddrinfo(from);
	if (to)
		freeaddrinfo(to);
	return s;
}

static int serve_socket(int kind)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)atoi(port)) };
	int s = socket(AF_INET6, kind, 0), off = 0, on = 1;

	if (s < 0 || setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) < 0 ||
	    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
	    (kind == SOCK_DGRAM && setsockopt(s, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on) < 0) ||
	    (kind == SOCK_DGRAM && setsockopt(s, IPPROTO_IP, IP_PKTINFO, &on, sizeof on) < 0) ||
	    bind(s, (struct sockaddr *)&any, sizeof any) < 0 || (kind == SOCK_STREAM && listen(s, PEERS_MOST) < 0)) {
		perror("echo-tool");
		exit(1);
	}
	return s;
}

/* Answers from the address that was asked: the control message comes and goes as it is. */
static void answer(int s)
{
	char text[TEXT_MOST], control[256];
	struct sockaddr_in6 from;
	struct iovec part = { text, sizeof text };
	struct msghdr m = { .msg_name = &from,
			    .msg_namelen = sizeof from,
			    .msg_iov = &part,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof control };
	ssize_t n = recvmsg(s, &m, 0);

	if (n < 0)
		return;
	part.iov_len = (size_t)n;
	(void)sendmsg(s, &m, 0);
}

static int serve(void)
{
	struct pollfd p[PEERS_MOST + 2] = { { serve_socket(SOCK_STREAM), POLLIN, 0 },
					    { serve_socket(SOCK_DGRAM), POLLIN, 0 } };
	nfds_t count = 2;

	while (poll(p, count, -1) >= 0) {
		for (nfds_t i = count; i-- > 2;) {
			char text[TEXT_MOST];
			ssize_t n;

			if (!p[i].revents)
				continue;
			n = read(p[i].fd, text, sizeof text);
			if (n <= 0 || write(p[i].fd, text, (size_t)n) != n) {
				close(p[i].fd);
				p[i] = p[--count];
			}
		}
		if (p[1].revents)
			answer(p[1].fd);
		if (p[0].revents && count < PEERS_MOST + 2)
			p[count++] = (struct pollfd){ accept(p[0].fd, NULL, NULL), POLLIN, 0 };
	}
	return 1;
}

static int ask(const char *local, const char *remote, const char *text)
{
	struct timeval limit = { WAIT_MS / 1000, 0 };
	int s = open_socket(local, remote, SOCK_STREAM);
	size_t len = strlen(text);
	char back[TEXT_MOST];

	if (s < 0 || len > sizeof back || setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) < 0)
		return 1;
	for (int i = 0; i < 10; i++) {
		if (write(s, text, len) != (ssize_t)len || recv(s, back, len, MSG_WAITALL) != (ssize_t)len ||
		    memcmp(text, back, len) != 0) {
			(void)fprintf(stderr, "echo-tool: round %d did not come back\n", i);
			return 1;
		}
	}
	close(s);
	return 0;
}

static int count_datagrams(const char *local, const char *remote, int64_t each_ms, uint32_t most)
{
	int s = open_socket(local, remote, SOCK_DGRAM);
	int64_t start = now_ms(), end = 0;
	uint32_t sent = 0, back = 0;

	if (s < 0)
		return 1;
	while (back < most && (!end || now_ms() < end)) {
		struct pollfd p = { s, POLLIN, 0 };
		int64_t next = start + each_ms * sent - now_ms();
		uint32_t number = htonl(sent);
		char text[TEXT_MOST];

		if (sent < most && next <= 0) {
			(void)send(s, &number, sizeof number, 0);
			if (++sent == most)
				end = now_ms() + WAIT_MS;
			continue;
		}
		if (poll(&p, 1, sent < most ? (int)next : 100) > 0 && recv(s, text, sizeof text, 0) == sizeof number)
			back++;
	}
	printf("%u sent, %u came back\n", sent, back);
	return back != sent;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "serve") == 0)
		return serve();
	if (argc == 5 && strcmp(argv[1], "ask") == 0)
		return ask(argv[2], argv[3], argv[4]);
	if (argc == 6 && strcmp(argv[1], "count") == 0)
		return count_datagrams(argv[2], argv[3], strtol(argv[4], NULL, 10),
				       (uint32_t)strtoul(argv[5], NULL, 10));
	(void)fprintf(stderr, "usage: echo-tool serve | ask LOCAL REMOTE TEXT | count LOCAL REMOTE MS N\n");
	return 2;
}
