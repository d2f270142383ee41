/* tests/guest/xfrm_pair/wire.h - what is on the wire between the two, as packet sockets see it at both ends. */
#ifndef TESTS_GUEST_XFRM_PAIR_WIRE_H
#define TESTS_GUEST_XFRM_PAIR_WIRE_H

/* What the hosts say to each other. */
extern const char secret[37];

struct seen {
	unsigned esp, ah, udp, other, readable; /* udp: of port 4500; readable: the secret is */
};

void wire_open(unsigned side); /* in its namespace */
void wire_forget(void);        /* what has been */
struct seen wire_look(void);   /* since then, or since the last look */

#endif
