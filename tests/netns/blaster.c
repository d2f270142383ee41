/* A bad neighbour on a wire that everybody hears: keeps the ESP packets that pass, native or in UDP, and sends them
 * again as fast as it can, as they were and changed. Says how many of each kind it sent.
 *
 * usage: blaster INTERFACE SECONDS */
#include "base/mem.h"
#include "base/wire.h"

#include <errno.h>
#include <inttypes.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	ETHER = 14,
	IP_HEAD = 20,
	UDP_HEAD = 8,
	ESP_LEAST = 8,
	FRAME_MOST = 1600,
	KEPT = 256,
	BATCH = 64,
	ESP_NUMBER = 50,
	UDP_NUMBER = 17,
	ENCAPSULATION = 4500,
	FIRST_MS = 10000,
	FRESH = 8, /* frames kept anew between batches */
};

struct frame {
	uint8_t octets[FRAME_MOST];
	size_t len, esp; /* where its ESP header stands */
};

static _Noreturn void die(const char *what)
{
	(void)fprintf(stderr, "blaster: %s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static uint64_t chance(void)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

static int listen_on(const char *interface)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_IP)), yes = 1;
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETH_P_IP),
				  .sll_ifindex = (int)if_nametoindex(interface) };
	struct packet_mreq all = { .mr_ifindex = at.sll_ifindex, .mr_type = PACKET_MR_PROMISC };

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof all) < 0 ||
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &yes, sizeof yes) < 0)
		die(interface);
	return fd;
}

/* Where ESP begins in an IPv4 frame; 0: it has none. */
static size_t esp_of(const uint8_t *frame, size_t len)
{
	struct wire_in in = wire_in(frame + ETHER, len - ETHER);
	uint8_t first = wire_u8(&in), protocol;
	size_t head = (size_t)(first & 15) * 4;
	uint16_t from, to;

	(void)wire_octets(&in, 8);
	protocol = wire_u8(&in);
	(void)wire_octets(&in, head - 10);
	if (in.failed || first >> 4 != 4 || head < IP_HEAD)
		return 0;
	if (protocol == ESP_NUMBER)
		return in.left > ESP_LEAST ? ETHER + head : 0;
	from = wire_u16(&in);
	to = wire_u16(&in);
	(void)wire_u32(&in);
	if (protocol != UDP_NUMBER || (from != ENCAPSULATION && to != ENCAPSULATION) || wire_u32(&in) == 0 ||
	    in.failed || in.left <= ESP_LEAST)
		return 0;
	return ETHER + head + UDP_HEAD;
}

static bool keep(int fd, struct frame *f)
{
	ssize_t n = recv(fd, f->octets, sizeof f->octets, 0);

	if (n < ETHER + IP_HEAD)
		return false;
	f->len = (size_t)n;
	f->esp = esp_of(f->octets, f->len);
	return f->esp > 0;
}

/* Lengths and the checksum of the IP header after the packet was changed. UDP needs none: with the old one the kernel
 * would throw away what the data plane is to judge. */
static void set_lengths(struct frame *f)
{
	uint8_t *ip = f->octets + ETHER;
	size_t len = f->len - ETHER, udp = f->esp - UDP_HEAD;
	uint32_t sum = 0;

	ip[2] = (uint8_t)(len >> 8);
	ip[3] = (uint8_t)len;
	ip[10] = ip[11] = 0;
	for (size_t i = 0; i < IP_HEAD; i += 2)
		sum += (uint32_t)(ip[i] << 8 | ip[i + 1]);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~((sum & 0xffff) + (sum >> 16));
	ip[10] = (uint8_t)(sum >> 8);
	ip[11] = (uint8_t)sum;
	if (ip[9] == UDP_NUMBER) {
		f->octets[udp + 4] = (uint8_t)((f->len - udp) >> 8);
		f->octets[udp + 5] = (uint8_t)(f->len - udp);
		f->octets[udp + 6] = f->octets[udp + 7] = 0;
	}
}

static void as_it_was(struct frame *f)
{
	(void)f;
}

static void damaged(struct frame *f)
{
	f->octets[f->esp + ESP_LEAST + chance() % (f->len - f->esp - ESP_LEAST)] ^= (uint8_t)(1 + chance() % 255);
}

/* A number that would be new if it were true: to move the window. */
static void ahead(struct frame *f)
{
	f->octets[f->esp + 4] ^= (uint8_t)(1 + chance() % 127);
	f->octets[f->esp + 5] = (uint8_t)chance();
}

static void of_no_sa(struct frame *f)
{
	f->octets[f->esp] ^= (uint8_t)(1 + chance() % 255);
	f->octets[f->esp + 3] = (uint8_t)chance();
}

static void cut(struct frame *f)
{
	size_t least = f->esp + 1;

	f->len = least + chance() % (f->len - least);
}

static void random_text(struct frame *f)
{
	for (size_t i = f->esp + ESP_LEAST; i < f->len; i++)
		f->octets[i] = (uint8_t)chance();
}

static const struct {
	const char *name;
	void (*change)(struct frame *f);
} kinds[] = { { "replayed", as_it_was }, { "damaged", damaged }, { "ahead", ahead },
	      { "unknown", of_no_sa },   { "truncated", cut },   { "random", random_text } };
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static void blast(int fd, struct frame *kept, unsigned seconds)
{
	static struct frame made[BATCH];
	static struct mmsghdr messages[BATCH];
	static struct iovec pieces[BATCH];
	uint64_t sent[KINDS] = { 0 }, end = now_ms() + seconds * 1000, turn = 0;

	while (now_ms() < end) {
		int r;

		for (size_t i = 0; i < BATCH; i++) {
			/* Backwards: what came last goes first. */
			made[i] = kept[KEPT - 1 - (turn * BATCH + i) % KEPT];
			kinds[i % KINDS].change(&made[i]);
			set_lengths(&made[i]);
			pieces[i] = (struct iovec){ made[i].octets, made[i].len };
			messages[i].msg_hdr = (struct msghdr){ .msg_iov = &pieces[i], .msg_iovlen = 1 };
		}
		r = sendmmsg(fd, messages, BATCH, 0);
		for (int i = 0; i < r; i++)
			sent[i % KINDS]++;
		turn++;
		for (size_t i = 0; i < FRESH; i++) {
			struct frame *f = &kept[chance() % KEPT], fresh;

			if (keep(fd, &fresh))
				*f = fresh;
		}
	}
	for (size_t i = 0; i < KINDS; i++)
		(void)printf("%s %" PRIu64 "\n", kinds[i].name, sent[i]);
}

int main(int argc, char **argv)
{
	struct frame *kept = mem_new(KEPT, sizeof *kept);
	uint64_t end = now_ms() + FIRST_MS;
	size_t have = 0;
	int fd;

	if (argc != 3) {
		(void)fprintf(stderr, "usage: blaster INTERFACE SECONDS\n");
		return 2;
	}
	fd = listen_on(argv[1]);
	while (have < KEPT && now_ms() < end) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		if (poll(&p, 1, 100) > 0 && keep(fd, &kept[have]))
			have++;
	}
	errno = ETIMEDOUT;
	if (have < KEPT)
		die("no ESP to be heard");
	(void)printf("begins\n");
	(void)fflush(stdout);
	blast(fd, kept, (unsigned)strtoul(argv[2], NULL, 10));
	free(kept);
	(void)close(fd);
	return EXIT_SUCCESS;
}
