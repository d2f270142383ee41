#include "tests/guest/xfrm_pair/wire.h"

#include "tests/guest/xfrm_pair/check.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

const char secret[] = "nobody but the other host reads this";
static int wires[2];

void wire_open(unsigned side)
{
	wires[side] = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(ETH_P_ALL));
	if (wires[side] < 0)
		die("packet socket");
}

/* What a host has put on the wire; what comes out of a tunnel is seen once more as if it had arrived. */
static ssize_t next_frame(int wire, uint8_t *frame, size_t cap)
{
	struct sockaddr_ll from = { 0 };
	socklen_t len = sizeof from;
	ssize_t n;

	do
		n = recvfrom(wire, frame, cap, 0, (struct sockaddr *)&from, &len);
	while (n > 0 && from.sll_pkttype != PACKET_OUTGOING);
	return n;
}

void wire_forget(void)
{
	uint8_t frame[2048];

	for (int i = 0; i < 2; i++)
		while (next_frame(wires[i], frame, sizeof frame) > 0)
			;
}

static void count_frame(const uint8_t *frame, size_t n, struct seen *s)
{
	bool v4 = frame[12] == 0x08 && frame[13] == 0, v6 = frame[12] == 0x86 && frame[13] == 0xdd;
	uint8_t next = v4 ? frame[14 + 9] : frame[14 + 6];

	if (n < 54 || (!v4 && !v6) || frame[0] & 1 || next == IPPROTO_ICMPV6) /* neighbours */
		return;
	s->esp += next == IPPROTO_ESP;
	s->ah += next == IPPROTO_AH;
	s->udp += next == IPPROTO_UDP && frame[14 + (v4 ? 20 : 40) + 2] == 4500 >> 8;
	s->other += next != IPPROTO_ESP && next != IPPROTO_AH && next != IPPROTO_UDP;
	s->readable += memmem(frame, n, secret, sizeof secret - 1) != NULL;
}

struct seen wire_look(void)
{
	uint8_t frame[2048];
	struct seen s = { 0 };
	ssize_t n;

	for (int i = 0; i < 2; i++)
		while ((n = next_frame(wires[i], frame, sizeof frame)) > 0)
			count_frame(frame, (size_t)n, &s);
	if (getenv("XFRM_PAIR_SHOW"))
		(void)printf("  seen: esp %u, ah %u, udp 4500 %u, other %u, readable %u\n", s.esp, s.ah, s.udp, s.other,
			     s.readable);
	return s;
}
