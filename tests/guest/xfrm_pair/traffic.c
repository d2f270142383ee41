#include "tests/guest/xfrm_pair/traffic.h"

#include "tests/guest/xfrm_pair/wire.h"

#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int udp_socket(const struct side *s, unsigned family, uint16_t port)
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

bool send_to(int fd, const struct side *to, unsigned family, uint16_t port)
{
	struct sockaddr_storage peer;
	size_t len = addr_to_sockaddr(family == 4 ? &to->v4 : &to->v6, port, &peer);

	return sendto(fd, secret, sizeof secret, 0, (const struct sockaddr *)&peer, (socklen_t)len) > 0;
}

bool came(int fd, int ms)
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

int nat_socket(const struct side *s)
{
	struct diag d = { 0 };
	int fd = udp_socket(s, 4, 4500);

	if (xfrm_exempt_socket(fd, 4, true, &d) < 0)
		die(d.text);
	return fd;
}

void exchange(unsigned family)
{
	int a = udp_socket(&sides[0], family, PORT), b = udp_socket(&sides[1], family, PORT);

	(void)(CHECK(send_to(a, &sides[1], family, PORT)) && CHECK(came(b, TAKES_MS)) &&
	       CHECK(send_to(b, &sides[0], family, PORT)) && CHECK(came(a, TAKES_MS)));
	(void)close(a);
	(void)close(b);
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

static void receive_all(struct stream *s)
{
	char octets[128];

	while (recv(s->to, octets, sizeof octets, 0) == (ssize_t)sizeof secret)
		s->got++;
}

void stream_send(struct stream *s, unsigned count)
{
	struct pollfd room = { s->from, POLLOUT, 0 };

	for (unsigned i = 0; i < count; i++)
		if (poll(&room, 1, TAKES_MS) == 1)
			s->sent += send_to(s->from, &sides[1], 4, PORT);
	receive_all(s);
}

bool stream_all_came(struct stream *s, const char *before)
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

struct stream stream_new(void)
{
	struct stream s = { udp_socket(&sides[0], 4, PORT), udp_socket(&sides[1], 4, PORT), 0, 0 };
	int octets = 4 << 20;

	if (setsockopt(s.to, SOL_SOCKET, SO_RCVBUFFORCE, &octets, sizeof octets) < 0)
		die("SO_RCVBUFFORCE");
	return s;
}

void stream_close(struct stream *s)
{
	(void)close(s->from);
	(void)close(s->to);
}
