/* The kernel cuts a super-packet that it forwards from one TUN to another, and so do we: the same packets must come
 * out, octet for octet.
 *
 * usage: esp-cut IN OUT    two persistent TUN devices, routed from one to the other; IN with vnet_hdr */
#include "base/scope.h"
#include "dataplane/esp/offload.h"
#include "tests/unit/packets.h"
#include "tests/unit/random.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { TRIES = 300, TCPV4 = 1, TCPV6 = 4, UDP_L4 = 5, ECN = 0x80, CWR = 0x80, WAIT_MS = 2000 };

static uint8_t whole[PACKET_ROOM], ours[PACKET_ROOM], theirs[PACKET_ROOM];

static int attach(const char *name, short flags)
{
	struct ifreq request = { .ifr_flags = flags };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	(void)snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0) {
		perror(name);
		exit(EXIT_FAILURE);
	}
	return fd;
}

/* The kernel activates a device some time after it got a carrier; until then it drops what it should send. */
static void wait_running(const char *name)
{
	struct ifreq request = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
	for (unsigned i = 0; i < 50 && !(ioctl(fd, SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_RUNNING));
	     i++)
		(void)poll(NULL, 0, 100);
	(void)close(fd);
}

static size_t read_piece(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t n = poll(&p, 1, WAIT_MS) == 1 ? read(fd, theirs, sizeof theirs) : 0;

	return n > 0 ? (size_t)n : 0;
}

static struct shape shape_of(uint64_t *seed, uint8_t *ret_gso, uint16_t *ret_size)
{
	static const uint8_t flags[] = { 0x10, 0x18, 0x19, 0x98, 0x91 };
	struct shape s = { .family = random_below(seed, 2) ? 4 : 6, .from = 4000, .to = 445, .df = true };
	bool udp = random_below(seed, 3) == 0;

	s.protocol = udp ? IP_UDP : IP_TCP;
	*ret_size = (uint16_t)(300 + random_below(seed, 1000));
	s.payload = *ret_size + 1 + random_below(seed, udp ? *ret_size * 30u : 60000);
	s.flags = udp ? 0 : flags[random_below(seed, ARRAY_LEN(flags))];
	*ret_gso = udp ? UDP_L4 : (uint8_t)((s.family == 4 ? TCPV4 : TCPV6) | (s.flags & CWR ? ECN : 0));
	return s;
}

/* A router has been between: it counts down. */
static void count_down(uint8_t *packet)
{
	if (packet[0] >> 4 == 4) {
		packet[8]--;
		ip4_checksum(packet, 20);
	} else {
		packet[7]--;
	}
}

static int compare(const struct shape *s, const struct offload *o, const struct ip_packet *ip, int out)
{
	struct cutter c;
	size_t n, number = 0;

	count_down(whole);
	if (cutter_init(&c, o, ip, whole, IP_PACKET_MOST, NULL) < 0)
		return -1;
	while ((n = cutter_next(&c, ours)) > 0) {
		size_t got = read_piece(out);

		if (got == n && memcmp(ours, theirs, n) == 0 && ++number)
			continue;
		(void)fprintf(stderr, "IPv%u protocol %u, %zu octets by %u: piece %zu is %zu octets here, %zu there\n",
			      s->family, s->protocol, s->payload, o->cut_size, number, n, got);
		for (size_t i = 0; i < n && i < got; i++)
			if (ours[i] != theirs[i])
				(void)fprintf(stderr, "  octet %zu: %02x, %02x\n", i, ours[i], theirs[i]);
		return -1;
	}
	return (int)number;
}

int main(int argc, char **argv)
{
	uint64_t seed = 5;
	int in, out, pieces = 0, skipped = 0;

	if (argc != 3)
		return 2;
	in = attach(argv[1], IFF_TUN | IFF_NO_PI | IFF_VNET_HDR);
	out = attach(argv[2], IFF_TUN | IFF_NO_PI);
	wait_running(argv[1]);
	wait_running(argv[2]);
	for (unsigned i = 0; i < TRIES; i++) {
		uint8_t header[OFFLOAD_HEADER], gso;
		uint16_t size;
		struct shape s = shape_of(&seed, &gso, &size);
		size_t len = packet_make(&s, whole);
		struct iovec parts[] = { { header, sizeof header }, { whole, len } };
		struct ip_packet ip;
		struct offload o;
		int n;

		packet_offload(whole, len, gso, size, header);
		if (ip_parse(whole, len, &ip, NULL) < 0 || offload_decode(header, &ip, whole, &o, NULL) < 0)
			return EXIT_FAILURE;
		if (writev(in, parts, 2) < 0) {
			if (gso == UDP_L4 && errno == EINVAL) { /* before Linux 6.2 */
				skipped++;
				continue;
			}
			perror("write");
			return EXIT_FAILURE;
		}
		if ((n = compare(&s, &o, &ip, out)) < 0)
			return EXIT_FAILURE;
		pieces += n;
	}
	(void)printf("%d pieces as the kernel cuts them, %d bursts of datagrams that it does not know\n", pieces,
		     skipped);
	return EXIT_SUCCESS;
}
