#include "tools/lab/probe.h"

#include "base/mem.h"
#include "tools/lab/judge.h"
#include "tools/lab/network.h"
#include "tools/lab/order.h"
#include "tools/lab/question.h"
#include "tools/lab/space.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	CALLS_MOST = 1024, /* TCP connections that servers hold */
	BACKLOG = 64,
	ASK_AGAIN_TCP_MS = 2000, /* the kernel repeats a SYN after one second */
	ASK_AGAIN_MS = 1000,
	ASK_AFTER_ERROR_MS = 500,
	LOOK_AFTER_MS = 3 * ORDER_HOLD_MS,
	DATAGRAM_MOST = 2048,
};

struct server {
	size_t host;
	struct addr addr;
	int16_t protocol;
	uint16_t port;
	int fd; /* negative: errno */
};

struct call {
	int fd;
};

struct attempt {
	int fd; /* -1: over */
	bool connecting;
};

struct probe {
	struct probe_want want;
	struct probe_result result;
	struct attempt attempts[JUDGE_ATTEMPTS_MOST];
	uint64_t started_ms, next_ms;
	bool service;         /* a real one has the port there, and answers in its own words */
	uint64_t answered_ms; /* when result.answered was; 0: it was looked at */
	bool done;
};

enum watch_kind { WATCH_SERVER, WATCH_CALL, WATCH_ATTEMPT };
struct watch {
	enum watch_kind kind;
	size_t index;
	unsigned attempt;
};

struct probes {
	const struct network *network;
	struct judge *judge;
	size_t first;
	struct probe *probes;
	size_t count;
	struct server *servers;
	size_t server_count, server_cap;
	struct call calls[CALLS_MOST];
	size_t call_count;
	struct watch *watches; /* as probes_poll last laid them out */
	size_t watch_count;
};

static bool is_icmp(int16_t protocol)
{
	return protocol == PACKET_ICMP || protocol == PACKET_ICMPV6;
}

static bool is_raw(int16_t protocol)
{
	return protocol != PACKET_TCP && protocol != PACKET_UDP;
}

static int family(const struct addr *a)
{
	return a->family == 6 ? AF_INET6 : AF_INET;
}

static int socket_type(int16_t protocol)
{
	return protocol == PACKET_TCP ? SOCK_STREAM : protocol == PACKET_UDP ? SOCK_DGRAM : SOCK_RAW;
}

/* A socket at the address; negative errno. */
static int bound_socket(int space, const struct addr *at, int16_t protocol, uint16_t port)
{
	struct sockaddr_storage ss;
	socklen_t len = (socklen_t)addr_to_sockaddr(at, is_raw(protocol) ? 0 : port, &ss);
	int on = 1, fd = space_socket(space, family(at), socket_type(protocol), protocol);

	if (fd < 0)
		return fd;
	/* Of UDP it would take the port from a service that allows it. */
	if (protocol == PACKET_TCP)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(fd, (struct sockaddr *)&ss, len) < 0 || (protocol == PACKET_TCP && port && listen(fd, BACKLOG) < 0)) {
		int e = -errno;

		(void)close(fd);
		return e;
	}
	return fd;
}

/* ---- those who answer ------------------------------------------------------------------------------------------ */

/* ICMP echo is answered by the kernel. */
static struct server *server_for(struct probes *p, const struct probe_want *w)
{
	struct server *s;

	for (size_t i = 0; i < p->server_count; i++) {
		s = &p->servers[i];
		if (s->host == w->to_host && s->protocol == w->protocol &&
		    (is_raw(w->protocol) || s->port == w->port) && addr_equal(&s->addr, &w->to))
			return s;
	}
	p->servers = mem_grow(p->servers, p->server_count, &p->server_cap, sizeof *p->servers);
	s = &p->servers[p->server_count++];
	*s = (struct server){ .host = w->to_host, .addr = w->to, .protocol = w->protocol, .port = w->port };
	s->fd = bound_socket(network_space(p->network, w->to_host), &w->to, w->protocol, w->port);
	return s;
}

static void accept_calls(struct probes *p, const struct server *s)
{
	for (;;) {
		int fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			return;
		if (p->call_count == CALLS_MOST) {
			(void)close(fd);
			continue;
		}
		p->calls[p->call_count++].fd = fd;
	}
}

static bool marker_read(const struct probes *p, const void *octets, size_t len, size_t *ret_probe,
			unsigned *ret_attempt)
{
	if (!judge_marker_read(p->judge, octets, len, ret_probe, ret_attempt) || *ret_probe < p->first ||
	    *ret_probe - p->first >= p->count)
		return false;
	*ret_probe -= p->first;
	return true;
}

/* Note whose marker came in at `host`; false: it is not for somebody there, so that answers are never answered. */
static bool hear(struct probes *p, size_t host, const void *octets, size_t len)
{
	size_t probe;
	unsigned attempt;

	if (!marker_read(p, octets, len, &probe, &attempt) || p->probes[probe].want.to_host != host)
		return false;
	p->probes[probe].result.heard = true;
	return true;
}

static void answer_datagrams(struct probes *p, const struct server *s)
{
	for (;;) {
		uint8_t octets[DATAGRAM_MOST];
		struct sockaddr_storage from;
		socklen_t len = sizeof from;
		ssize_t n = recvfrom(s->fd, octets, sizeof octets, 0, (struct sockaddr *)&from, &len);
		size_t skip = 0;

		if (n < 0)
			return;
		/* A raw IPv4 socket gets the header too. */
		if (is_raw(s->protocol) && s->addr.family == 4)
			skip = n > 0 ? (size_t)(octets[0] & 15) * 4 : 0;
		if (skip <= (size_t)n && hear(p, s->host, octets + skip, (size_t)n - skip))
			(void)sendto(s->fd, octets + skip, (size_t)n - skip, 0, (struct sockaddr *)&from, len);
	}
}

/* false: it is over. */
static bool answer_call(struct probes *p, const struct call *c)
{
	uint8_t octets[DATAGRAM_MOST];
	ssize_t n = recv(c->fd, octets, sizeof octets, 0);
	size_t probe;
	unsigned attempt;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return false;
	if (marker_read(p, octets, (size_t)n, &probe, &attempt))
		p->probes[probe].result.heard = true;
	return send(c->fd, octets, (size_t)n, MSG_NOSIGNAL) == n;
}

/* ---- those who ask --------------------------------------------------------------------------------------------- */

static uint16_t checksum(const uint8_t *octets, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < n; i += 2)
		sum += (uint32_t)octets[i] << 8 | octets[i + 1];
	if (n % 2)
		sum += (uint32_t)octets[n - 1] << 8;
	sum = (sum >> 16) + (sum & 0xffff);
	sum += sum >> 16;
	return (uint16_t)~sum;
}

/* The question as it goes on the socket; ICMP gets its header here (the kernel sums ICMPv6). */
static size_t question(const struct probes *p, size_t probe, unsigned attempt, uint8_t *out)
{
	const struct probe_want *w = &p->probes[probe].want;
	char marker[JUDGE_MARKER + 1];
	uint16_t sum;

	judge_marker(p->judge, p->first + probe, attempt, marker);
	if (p->probes[probe].service)
		return question_write(w->protocol, w->port, marker, out);
	if (!is_icmp(w->protocol)) {
		memcpy(out, marker, JUDGE_MARKER);
		return JUDGE_MARKER;
	}
	memset(out, 0, 8);
	out[0] = (uint8_t)(w->icmp_type >= 0 ? w->icmp_type : w->protocol == PACKET_ICMPV6 ? 128 : 8);
	out[4] = (uint8_t)((probe + 1) >> 8);
	out[5] = (uint8_t)(probe + 1);
	out[7] = (uint8_t)attempt;
	memcpy(out + 8, marker, JUDGE_MARKER);
	if (w->protocol == PACKET_ICMP) {
		sum = checksum(out, 8 + JUDGE_MARKER);
		out[2] = (uint8_t)(sum >> 8);
		out[3] = (uint8_t)sum;
	}
	return 8 + JUDGE_MARKER;
}

static void announce_flow(struct probes *p, size_t probe, int fd)
{
	const struct probe_want *w = &p->probes[probe].want;
	struct packet_flow f = {
		.from = w->from, .to = w->to, .protocol = w->protocol, .icmp_type = -1, .icmp_code = -1
	};

	if (is_icmp(w->protocol)) {
		f.from_port = (uint16_t)(probe + 1);
		f.icmp_type = (int16_t)(w->icmp_type >= 0 ? w->icmp_type : w->protocol == PACKET_ICMPV6 ? 128 : 8);
		f.icmp_code = 0;
	} else if (!is_raw(w->protocol)) {
		struct sockaddr_storage ss = { 0 };
		socklen_t len = sizeof ss;
		struct addr own;

		if (getsockname(fd, (struct sockaddr *)&ss, &len) == 0)
			(void)addr_from_sockaddr(&ss, &own, &f.from_port);
		f.to_port = w->port;
	}
	judge_flow(p->judge, p->first + probe, &f);
}

static void ask(struct probes *p, size_t probe, unsigned attempt)
{
	struct probe *pr = &p->probes[probe];
	struct attempt *a = &pr->attempts[attempt];
	uint8_t octets[QUESTION_MOST];
	size_t n = question(p, probe, attempt, octets);

	a->connecting = false;
	if (send(a->fd, octets, n, MSG_NOSIGNAL) != (ssize_t)n)
		(void)snprintf(pr->result.note, sizeof pr->result.note, "%s", strerror(errno));
	else if (pr->service && pr->want.protocol == PACKET_TCP)
		(void)shutdown(a->fd, SHUT_WR); /* it would wait for the rest of what it takes for a question */
}

static void attempt_over(struct probe *pr, unsigned attempt, int error, uint64_t now_ms)
{
	struct attempt *a = &pr->attempts[attempt];

	(void)close(a->fd);
	a->fd = -1;
	if (error == 0)
		return;
	(void)snprintf(pr->result.note, sizeof pr->result.note, "%s", strerror(error));
	if (pr->next_ms > now_ms + ASK_AFTER_ERROR_MS)
		pr->next_ms = now_ms + ASK_AFTER_ERROR_MS;
}

static void begin_attempt(struct probes *p, size_t probe, uint64_t now_ms)
{
	struct probe *pr = &p->probes[probe];
	unsigned attempt = pr->result.attempts;
	struct attempt *a = &pr->attempts[attempt];
	struct sockaddr_storage ss;
	socklen_t len = (socklen_t)addr_to_sockaddr(&pr->want.dial, is_raw(pr->want.protocol) ? 0 : pr->want.port, &ss);

	pr->next_ms = now_ms + (pr->want.protocol == PACKET_TCP ? ASK_AGAIN_TCP_MS : ASK_AGAIN_MS);
	pr->result.attempts++;
	a->fd = bound_socket(network_space(p->network, pr->want.from_host), &pr->want.from, pr->want.protocol, 0);
	if (a->fd < 0) {
		(void)snprintf(pr->result.note, sizeof pr->result.note, "%s", strerror(-a->fd));
		a->fd = -1;
		return;
	}
	announce_flow(p, probe, a->fd);
	a->connecting = pr->want.protocol == PACKET_TCP;
	if (connect(a->fd, (struct sockaddr *)&ss, len) < 0 && errno != EINPROGRESS)
		attempt_over(pr, attempt, errno, now_ms);
	else if (!a->connecting)
		ask(p, probe, attempt);
}

/* Does this hold the answer to this very attempt? An ICMP socket sees all that its host gets. */
static bool is_answer(const struct probes *p, size_t probe, unsigned attempt, const uint8_t *octets, size_t n)
{
	const struct probe_want *w = &p->probes[probe].want;
	size_t of, skip = 0;
	unsigned at;

	if (is_raw(w->protocol) && w->to.family == 4)
		skip = n ? (size_t)(octets[0] & 15) * 4 : 0;
	if (skip >= n || (is_icmp(w->protocol) && octets[skip] != (w->to.family == 6 ? 129 : 0)))
		return false;
	return marker_read(p, octets + skip, n - skip, &of, &at) && of == probe && at == attempt;
}

static void step_attempt(struct probes *p, size_t probe, unsigned attempt, uint64_t now_ms)
{
	struct probe *pr = &p->probes[probe];
	struct attempt *a = &pr->attempts[attempt];
	uint8_t octets[DATAGRAM_MOST];

	if (a->connecting) {
		int error = 0;
		socklen_t len = sizeof error;

		(void)getsockopt(a->fd, SOL_SOCKET, SO_ERROR, &error, &len);
		if (error)
			attempt_over(pr, attempt, error, now_ms);
		else
			ask(p, probe, attempt);
		return;
	}
	for (;;) {
		ssize_t n = recv(a->fd, octets, sizeof octets, 0);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		/* A service that took the connection has heard us, whatever it makes of the question. */
		if (pr->service && (n > 0 || (pr->want.protocol == PACKET_TCP && (n == 0 || errno == ECONNRESET)))) {
			pr->result.answered = (int)attempt;
			pr->result.heard = true;
			pr->answered_ms = now_ms;
			attempt_over(pr, attempt, 0, now_ms);
			return;
		}
		if (n < 0 || (n == 0 && pr->want.protocol == PACKET_TCP)) {
			attempt_over(pr, attempt, n < 0 ? errno : ECONNRESET, now_ms);
			return;
		}
		if (is_answer(p, probe, attempt, octets, (size_t)n)) {
			pr->result.answered = (int)attempt;
			pr->answered_ms = now_ms;
			attempt_over(pr, attempt, 0, now_ms);
			return;
		}
	}
}

static void probe_end(struct probe *pr)
{
	pr->done = true;
	for (unsigned i = 0; i < pr->result.attempts; i++)
		if (pr->attempts[i].fd >= 0) {
			(void)close(pr->attempts[i].fd);
			pr->attempts[i].fd = -1;
		}
}

static void step_probe(struct probes *p, size_t i, uint64_t now_ms)
{
	struct probe *pr = &p->probes[i];

	if (pr->done)
		return;
	if (pr->started_ms == 0)
		pr->started_ms = now_ms;
	/* The judge knows by then what it looked like. */
	if (pr->answered_ms && now_ms > pr->answered_ms + LOOK_AFTER_MS) {
		pr->answered_ms = 0;
		if (!pr->want.insist ||
		    judge_sight(p->judge, p->first + i, pr->result.answered, true).seen != SEEN_CLEAR) {
			probe_end(pr);
			return;
		}
	}
	if (now_ms - pr->started_ms >= pr->want.patience_ms)
		probe_end(pr);
	else if (now_ms >= pr->next_ms && pr->result.attempts < JUDGE_ATTEMPTS_MOST)
		begin_attempt(p, i, now_ms);
}

/* ---- all of them ----------------------------------------------------------------------------------------------- */

struct probes *probes_new(const struct network *n, const struct probe_want *wants, size_t count, struct judge *j,
			  size_t first)
{
	struct probes *p = mem_new(1, sizeof *p);

	p->network = n;
	p->judge = j;
	p->first = first;
	p->count = count;
	p->probes = mem_new(count, sizeof *p->probes);
	p->watches = mem_new(PROBE_POLL_MOST, sizeof *p->watches);
	for (size_t i = 0; i < count; i++) {
		struct probe *pr = &p->probes[i];
		const struct server *s;

		pr->want = wants[i];
		pr->result.answered = -1;
		for (unsigned a = 0; a < JUDGE_ATTEMPTS_MOST; a++)
			pr->attempts[a].fd = -1;
		judge_probe(j, first + i, &wants[i].from, &wants[i].to);
		if (is_icmp(wants[i].protocol))
			continue;
		s = server_for(p, &wants[i]);
		pr->service = s->fd == -EADDRINUSE && question_can_ask(wants[i].protocol, wants[i].port);
		if (pr->service) {
			judge_service(j, first + i);
		} else if (s->fd < 0) {
			(void)snprintf(pr->result.error, sizeof pr->result.error, "nobody can listen there: %s",
				       strerror(-s->fd));
			pr->done = true;
		}
	}
	return p;
}

void probes_free(struct probes *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->count; i++)
		probe_end(&p->probes[i]);
	for (size_t i = 0; i < p->server_count; i++)
		if (p->servers[i].fd >= 0)
			(void)close(p->servers[i].fd);
	for (size_t i = 0; i < p->call_count; i++)
		(void)close(p->calls[i].fd);
	free(p->probes);
	free(p->servers);
	free(p->watches);
	free(p);
}

static void watch(struct probes *p, struct pollfd *rows, size_t cap, int fd, short events, struct watch what)
{
	if (p->watch_count >= cap || p->watch_count >= PROBE_POLL_MOST)
		return;
	rows[p->watch_count] = (struct pollfd){ .fd = fd, .events = events };
	p->watches[p->watch_count++] = what;
}

size_t probes_poll(struct probes *p, struct pollfd *rows, size_t cap)
{
	p->watch_count = 0;
	for (size_t i = 0; i < p->server_count; i++)
		if (p->servers[i].fd >= 0)
			watch(p, rows, cap, p->servers[i].fd, POLLIN, (struct watch){ WATCH_SERVER, i, 0 });
	for (size_t i = 0; i < p->call_count; i++)
		watch(p, rows, cap, p->calls[i].fd, POLLIN, (struct watch){ WATCH_CALL, i, 0 });
	for (size_t i = 0; i < p->count; i++)
		for (unsigned a = 0; !p->probes[i].done && a < p->probes[i].result.attempts; a++)
			if (p->probes[i].attempts[a].fd >= 0)
				watch(p, rows, cap, p->probes[i].attempts[a].fd,
				      p->probes[i].attempts[a].connecting ? POLLOUT : POLLIN,
				      (struct watch){ WATCH_ATTEMPT, i, a });
	return p->watch_count;
}

static void step_calls(struct probes *p, const struct pollfd *rows, size_t count)
{
	size_t kept = 0, had = p->call_count;
	bool *over = mem_new(had + 1, sizeof *over);

	for (size_t i = 0; i < count; i++)
		if (p->watches[i].kind == WATCH_CALL && rows[i].revents)
			over[p->watches[i].index] = !answer_call(p, &p->calls[p->watches[i].index]);
	for (size_t i = 0; i < had; i++) {
		if (over[i])
			(void)close(p->calls[i].fd);
		else
			p->calls[kept++] = p->calls[i];
	}
	p->call_count = kept;
	free(over);
}

void probes_step(struct probes *p, const struct pollfd *rows, size_t count, uint64_t now_ms)
{
	step_calls(p, rows, count);
	for (size_t i = 0; i < count; i++) {
		const struct watch *w = &p->watches[i];

		if (!rows[i].revents)
			continue;
		if (w->kind == WATCH_SERVER && p->servers[w->index].protocol == PACKET_TCP)
			accept_calls(p, &p->servers[w->index]);
		else if (w->kind == WATCH_SERVER)
			answer_datagrams(p, &p->servers[w->index]);
		else if (w->kind == WATCH_ATTEMPT && p->probes[w->index].attempts[w->attempt].fd >= 0)
			step_attempt(p, w->index, w->attempt, now_ms);
	}
	p->watch_count = 0;
	for (size_t i = 0; i < p->count; i++)
		step_probe(p, i, now_ms);
}

size_t probes_open(const struct probes *p)
{
	size_t open = 0;

	for (size_t i = 0; i < p->count; i++)
		open += !p->probes[i].done;
	return open;
}

bool probes_done(const struct probes *p)
{
	return probes_open(p) == 0;
}

const struct probe_result *probe_result(const struct probes *p, size_t probe)
{
	return &p->probes[probe].result;
}
