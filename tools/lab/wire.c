#include "tools/lab/wire.h"

#include "base/diag.h"
#include "base/mem.h"
#include "tools/lab/network.h"
#include "tools/lab/space.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	FRAME_MOST = 65536,
	WAITING_MOST = 65536, /* frames under way; more are lost, as on any wire */
	BATCH = 64,           /* of one port before the others have their turn */
	PER_MILLE = 1000,
	WAIT_MOST_MS = 10000,
};

/* ---- what is asked for ------------------------------------------------------------------------------------------- */

static int number(const char *text, size_t n, const char *unit, unsigned most, unsigned *ret)
{
	unsigned long v = 0;
	char *end;

	if (n == 0 || text[0] < '0' || text[0] > '9')
		return -EINVAL;
	v = strtoul(text, &end, 10);
	if ((size_t)(end - text) + strlen(unit) != n || strncmp(end, unit, strlen(unit)) != 0 || v > most)
		return -EINVAL;
	*ret = (unsigned)v;
	return 0;
}

static bool is(const char *text, size_t n, const char *word)
{
	return n == strlen(word) && memcmp(text, word, n) == 0;
}

static int take_one(const char *name, size_t name_len, const char *value, size_t len, struct wire_faults *f)
{
	unsigned v = 0;
	int r = -ENOENT;

	if (is(name, name_len, "loss") && (r = number(value, len, "%", 100, &v)) == 0)
		f->loss = v * PER_MILLE / 100;
	else if (is(name, name_len, "duplicate") && (r = number(value, len, "%", 100, &v)) == 0)
		f->duplicate = v * PER_MILLE / 100;
	else if (is(name, name_len, "delay"))
		r = number(value, len, "ms", WAIT_MOST_MS, &f->delay_ms);
	else if (is(name, name_len, "jitter"))
		r = number(value, len, "ms", WAIT_MOST_MS, &f->jitter_ms);
	else if (is(name, name_len, "seed") && (r = number(value, len, "", UINT32_MAX, &v)) == 0)
		f->seed = v;
	else if (is(name, name_len, "only"))
		r = (f->only_ike = is(value, len, "ike")) ? 0 : -EINVAL;
	return r;
}

int wire_faults_parse(const char *text, struct wire_faults *ret, struct diag *d)
{
	struct wire_faults f = { .bad = true, .seed = 1 };

	for (const char *at = text;; at++) {
		size_t n = strcspn(at, ","), name = strcspn(at, "=,");
		int r = name < n ? take_one(at, name, at + name + 1, n - name - 1, &f) : -EINVAL;

		if (r < 0)
			return diag_fail(
				d, EINVAL,
				"'%.*s' is nothing that a wire does: say loss=20%%, duplicate=5%%, delay=10ms, "
				"jitter=200ms, seed=7 or only=ike, with commas between",
				(int)n, at);
		at += n;
		if (!*at)
			break;
	}
	*ret = f;
	return 0;
}

/* ---- what becomes of a frame ------------------------------------------------------------------------------------- */

enum { PORT_IKE = 500, PORT_NAT = 4500, UDP = 17, UDP_HEADER = 8 };

static unsigned u16_at(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

bool wire_is_ike(const uint8_t *frame, size_t len)
{
	const uint8_t *ip = frame + ETH_HLEN, *udp;
	size_t head;

	if (len < ETH_HLEN + 20)
		return false;
	if (u16_at(frame + 12) == ETH_P_IP) {
		head = (size_t)(ip[0] & 15) * 4;
		if (ip[9] != UDP || u16_at(ip + 6) & 0x1fff)
			return false;
	} else if (u16_at(frame + 12) == ETH_P_IPV6) {
		head = 40;
		if (ip[6] != UDP)
			return false;
	} else
		return false;
	if (head < 20 || len < ETH_HLEN + head + UDP_HEADER + 4)
		return false;
	udp = ip + head;
	if (u16_at(udp) == PORT_IKE || u16_at(udp + 2) == PORT_IKE)
		return true;
	return (u16_at(udp) == PORT_NAT || u16_at(udp + 2) == PORT_NAT) && u16_at(udp + 8) == 0 &&
	       u16_at(udp + 10) == 0;
}

/* Draws from 0 to below; each call another one. */
static unsigned draw(uint64_t *state, unsigned below)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (unsigned)((z ^ z >> 31) % below);
}

unsigned wire_fate(const struct wire_faults *f, size_t from, size_t to, uint64_t n, uint32_t ret_wait_ms[2])
{
	uint64_t state = f->seed * UINT64_C(0xd1342543de82ef95) + ((uint64_t)from << 48 ^ (uint64_t)to << 32 ^ n);
	unsigned copies = draw(&state, PER_MILLE) < f->loss ? 0 : 1;

	if (copies && draw(&state, PER_MILLE) < f->duplicate)
		copies = 2;
	for (unsigned i = 0; i < copies; i++)
		ret_wait_ms[i] = f->delay_ms + (f->jitter_ms ? draw(&state, f->jitter_ms + 1) : 0);
	return copies;
}

/* ---- the relay --------------------------------------------------------------------------------------------------- */

struct waiting {
	uint64_t due_ms, serial;
	size_t to, len;
	uint8_t *frame;
};

struct relay {
	const struct wire_faults *faults;
	size_t count;
	struct pollfd *ports;
	uint64_t *sent; /* frames so far, by sender and receiver */
	struct waiting *heap;
	size_t heap_count, heap_cap;
	uint64_t serial;
};

static bool before(const struct waiting *a, const struct waiting *b)
{
	return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : a->serial < b->serial;
}

static void heap_add(struct relay *r, struct waiting w)
{
	size_t at = r->heap_count;

	r->heap = mem_grow(r->heap, r->heap_count++, &r->heap_cap, sizeof *r->heap);
	for (; at && before(&w, &r->heap[(at - 1) / 2]); at = (at - 1) / 2)
		r->heap[at] = r->heap[(at - 1) / 2];
	r->heap[at] = w;
}

static struct waiting heap_take(struct relay *r)
{
	struct waiting first = r->heap[0], last = r->heap[--r->heap_count];
	size_t at = 0;

	for (;;) {
		size_t child = 2 * at + 1;

		if (child + 1 < r->heap_count && before(&r->heap[child + 1], &r->heap[child]))
			child++;
		if (child >= r->heap_count || !before(&r->heap[child], &last))
			break;
		r->heap[at] = r->heap[child];
		at = child;
	}
	if (r->heap_count)
		r->heap[at] = last;
	return first;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void put(const struct relay *r, size_t to, const uint8_t *frame, size_t len)
{
	(void)send(r->ports[to].fd, frame, len, MSG_DONTWAIT); /* a full queue loses it, as a wire does */
}

static void carry(struct relay *r, size_t from, size_t to, const uint8_t *frame, size_t len)
{
	uint32_t wait_ms[2];
	unsigned copies;

	if (r->faults->only_ike && !wire_is_ike(frame, len)) {
		put(r, to, frame, len);
		return;
	}
	copies = wire_fate(r->faults, from, to, r->sent[from * r->count + to]++, wait_ms);
	for (unsigned i = 0; i < copies && r->heap_count < WAITING_MOST; i++)
		heap_add(r, (struct waiting){ now_ms() + wait_ms[i], r->serial++, to, len, mem_copy(frame, len) });
}

/* To the port that the address belongs to; what is for all goes to all. */
static void dispatch(struct relay *r, size_t from, const uint8_t *frame, size_t len)
{
	for (size_t to = 0; to < r->count; to++) {
		uint8_t mac[6];

		network_mac(to, mac);
		if (to != from && (frame[0] & 1 || memcmp(frame, mac, sizeof mac) == 0))
			carry(r, from, to, frame, len);
	}
}

static void run(struct relay *r)
{
	static uint8_t frame[FRAME_MOST];

	for (;;) {
		uint64_t now = now_ms();
		int wait = -1;

		while (r->heap_count && r->heap[0].due_ms <= now) {
			struct waiting w = heap_take(r);

			put(r, w.to, w.frame, w.len);
			free(w.frame);
		}
		if (r->heap_count)
			wait = (int)(r->heap[0].due_ms - now);
		if (poll(r->ports, r->count, wait) < 0 && errno != EINTR)
			return;
		for (size_t i = 0; i < r->count; i++)
			for (unsigned n = 0; n < BATCH && r->ports[i].revents & POLLIN; n++) {
				ssize_t len = recv(r->ports[i].fd, frame, sizeof frame, MSG_DONTWAIT);

				if (len < ETH_HLEN)
					break;
				dispatch(r, i, frame, (size_t)len);
			}
	}
}

static int open_port(int space, size_t host, struct diag *d)
{
	const int room = 16 << 20, on = 1;
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	int s = space_socket(space, AF_PACKET, SOCK_RAW, 0), e;
	char name[16];

	if (s < 0)
		return diag_errno(d, -s, "a packet socket for the wire");
	network_port_name(host, name);
	if (space_enter(space, d) == 0) {
		at.sll_ifindex = (int)if_nametoindex(name);
		space_leave();
	}
	/* Its own frames are not to come back to it. */
	if (setsockopt(s, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on) == 0 &&
	    setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) == 0 &&
	    setsockopt(s, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room) == 0 &&
	    bind(s, (const struct sockaddr *)&at, sizeof at) == 0)
		return s;
	e = errno;
	(void)close(s);
	return diag_errno(d, e, "a port of the wire");
}

static int ports_open(struct relay *r, int space, struct diag *d)
{
	for (size_t i = 0; i < r->count; i++) {
		int s = open_port(space, i, d);

		if (s < 0)
			return s;
		r->ports[i] = (struct pollfd){ .fd = s, .events = POLLIN };
	}
	return 0;
}

static void relay_wipe(struct relay *r)
{
	for (size_t i = 0; i < r->count; i++)
		if (r->ports[i].fd >= 0)
			(void)close(r->ports[i].fd);
	free(r->ports);
	free(r->sent);
}

int wire_start(int space, size_t count, const struct wire_faults *f, pid_t *ret, struct diag *d)
{
	SCOPED(relay_wipe) struct relay r = { .faults = f, .count = count };
	pid_t child, parent = getpid();
	int e;

	r.ports = mem_new(count, sizeof *r.ports);
	r.sent = mem_new(count * count, sizeof *r.sent);
	for (size_t i = 0; i < count; i++)
		r.ports[i].fd = -1;
	if ((e = ports_open(&r, space, d)) < 0)
		return e;
	child = fork();
	if (child < 0)
		return diag_errno(d, errno, "fork");
	if (child == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);
		sigset_t none;

		for (int fd = 0; null >= 0 && fd <= STDERR_FILENO; fd++)
			(void)dup2(null, fd); /* whoever waits for the lab's output does not wait for us */
		(void)sigemptyset(&none);
		(void)sigprocmask(SIG_SETMASK, &none, NULL);
		(void)signal(SIGINT, SIG_IGN); /* a terminal's Ctrl-C is for the lab, which then ends us */
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() == parent)
			run(&r);
		_exit(1);
	}
	*ret = child;
	return 0;
}
