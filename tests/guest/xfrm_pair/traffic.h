/* tests/guest/xfrm_pair/traffic.h - what the two hosts say to each other, by UDP. */
#ifndef TESTS_GUEST_XFRM_PAIR_TRAFFIC_H
#define TESTS_GUEST_XFRM_PAIR_TRAFFIC_H
#include "tests/guest/xfrm_pair/hosts.h"

int udp_socket(const struct side *s, unsigned family, uint16_t port);
/* UDP 4500 where ESP in UDP arrives. */
int nat_socket(const struct side *s);
bool send_to(int fd, const struct side *to, unsigned family, uint16_t port);
bool came(int fd, int ms);
/* A word and its answer; checked. */
void exchange(unsigned family);

/* Datagrams of which each is counted. */
struct stream {
	int from, to;
	unsigned sent, got;
};

struct stream stream_new(void);
void stream_close(struct stream *s);
/* With a full buffer the program waits, as any does. */
void stream_send(struct stream *s, unsigned count);
/* A packet may be long on its way: the guest's one processor delivers when it finds the time. Where keying lingers,
 * this waits. */
bool stream_all_came(struct stream *s, const char *before);

#endif
