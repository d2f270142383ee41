/* tests/bench/dataplane/limit.h - between the files of bench-limit: what the kernel's interfaces carry when a program
 * does as little as possible between them. */
#ifndef TESTS_BENCH_DATAPLANE_LIMIT_H
#define TESTS_BENCH_DATAPLANE_LIMIT_H
#include <linux/virtio_net.h>
#include <stddef.h>
#include <stdint.h>

enum {
	LIMIT_TURN = 64, /* packets from one descriptor before the other has its turn */
	LIMIT_ROOM = 1 << 17,
	VNET = 10, /* octets of struct virtio_net_hdr */
};

/* The device limit0 in a namespace. offloads: TUN_F_ bits, -1: no virtio header in front of the packets. */
int limit_tun(const char *ns, int offloads);
/* Into a namespace for good. */
void limit_enter(const char *ns);
_Noreturn void limit_die(const char *what);

/* IPv4's and TCP's or UDP's checksum. */
uint16_t limit_sum(uint32_t sum, const uint8_t *octets, size_t n);
uint32_t limit_pseudo(const uint8_t *ip, size_t len);

/* One end of TUN -> datagrams of UDP_SEGMENT -> TUN, until it is killed. */
void limit_wire(const char *ns, const char *own, const char *peer);

/* Cut a super-packet, seal each piece, open it, and join them again in `to`; both begin with a virtio header. Returns
 * the length of what is to be written. */
size_t limit_seal_and_open(const uint8_t *from, size_t n, uint8_t *to);
void limit_seal_begin(void);

#endif
