/* What the kernel's interfaces carry when a program does as little as possible between them: the bench's yardsticks.
 * Makes its devices (limit0), says "ready", and runs until it is killed.
 *
 * usage: bench-limit packet NS_A NS_B         TUN to TUN, one thread, a packet a system call
 *        bench-limit super NS_A NS_B          the same with super-packets behind virtio headers
 *        bench-limit sealed NS_A NS_B         super-packets cut, sealed and opened with AES-256-GCM, and joined
 *        bench-limit wire NS OWN PEER         one end of TUN -> UDP_SEGMENT, UDP_GRO -> TUN, without cryptography */
#include "tests/bench/dataplane/limit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum mode { PACKET, SUPER, SEALED };

void limit_die(const char *what)
{
	(void)fprintf(stderr, "bench-limit: %s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

void limit_enter(const char *ns)
{
	char path[256];
	int fd;

	(void)snprintf(path, sizeof path, "/run/netns/%s", ns);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		limit_die(path);
	(void)close(fd);
}

int limit_tun(const char *ns, int offloads)
{
	struct ifreq request = { .ifr_flags = IFF_TUN | IFF_NO_PI | (offloads >= 0 ? IFF_VNET_HDR : 0) };
	int before = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), fd;

	limit_enter(ns);
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	(void)snprintf(request.ifr_name, sizeof request.ifr_name, "limit0");
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0)
		limit_die("TUN");
	/* USO came later than the others. */
	if (offloads > 0 && ioctl(fd, TUNSETOFFLOAD, (unsigned long)offloads) < 0 &&
	    ioctl(fd, TUNSETOFFLOAD, (unsigned long)offloads & (TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6)) < 0)
		limit_die("offloads of TUN");
	if (before < 0 || setns(before, CLONE_NEWNET) < 0)
		limit_die("back to the own namespace");
	(void)close(before);
	return fd;
}

uint16_t limit_sum(uint32_t sum, const uint8_t *octets, size_t n)
{
	uint64_t total = sum;
	uint32_t word;
	uint16_t half = 0;

	for (; n >= sizeof word; n -= sizeof word, octets += sizeof word) {
		memcpy(&word, octets, sizeof word);
		total += word;
	}
	if (n >= sizeof half) {
		memcpy(&half, octets, sizeof half);
		total += half;
		octets += sizeof half;
		n -= sizeof half;
	}
	if (n)
		total += octets[0]; /* little-endian machines: the missing octet is the high one */
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return (uint16_t)total;
}

uint32_t limit_pseudo(const uint8_t *ip, size_t len)
{
	const uint8_t rest[4] = { 0, ip[9], (uint8_t)(len >> 8), (uint8_t)len };

	return limit_sum(limit_sum(0, rest, sizeof rest), ip + 12, 8);
}

/* One packet from one TUN to the other. */
static bool pass(int from, int to, enum mode mode)
{
	static uint8_t in[LIMIT_ROOM], out[LIMIT_ROOM];
	ssize_t n = read(from, in, sizeof in);

	if (n <= 0)
		return false;
	if (mode == SEALED)
		(void)!write(to, out, limit_seal_and_open(in, (size_t)n, out));
	else
		(void)!write(to, in, (size_t)n);
	return true;
}

static void between(enum mode mode, char **names)
{
	enum { ALL = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | 0x20 | 0x40 }; /* and USO of both families */
	int tun[2];
	bool any;

	for (size_t i = 0; i < 2; i++)
		tun[i] = limit_tun(names[i], mode == PACKET ? -1 : ALL);
	(void)printf("ready\n");
	(void)fflush(stdout);
	for (;;) {
		struct pollfd both[2] = { { .fd = tun[0], .events = POLLIN }, { .fd = tun[1], .events = POLLIN } };

		any = false;
		for (size_t i = 0; i < 2; i++)
			for (size_t k = 0; k < LIMIT_TURN && pass(tun[i], tun[!i], mode); k++)
				any = true;
		if (!any)
			(void)poll(both, 2, -1);
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		enum mode mode;
	} modes[] = { { "packet", PACKET }, { "super", SUPER }, { "sealed", SEALED } };

	if (argc == 5 && strcmp(argv[1], "wire") == 0)
		limit_wire(argv[2], argv[3], argv[4]);
	limit_seal_begin();
	for (size_t i = 0; argc == 4 && i < sizeof modes / sizeof modes[0]; i++)
		if (strcmp(argv[1], modes[i].name) == 0)
			between(modes[i].mode, argv + 2);
	(void)fprintf(stderr, "usage: bench-limit packet|super|sealed NS_A NS_B | wire NS OWN PEER\n");
	return 2;
}
