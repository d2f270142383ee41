/* dataplane/esp/list.h - packets to be sent, in order: to the wire or to the TUN. One block of octets holds them all,
 * so that a batch is one system call; of one that came in, the block may hold the headers only, and the rest lies where
 * it was received. */
#ifndef DATAPLANE_ESP_LIST_H
#define DATAPLANE_ESP_LIST_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	LIST_LONG = 64, /* what one system call takes; and more would leave the near caches */
	LIST_OCTETS_LONG = 128 * 1024,
	ESP_SCRATCH_EXTRA = 128,
};

struct packet_out {
	size_t at, len;      /* in the block */
	const uint8_t *body; /* what follows, elsewhere; valid until the list is sent */
	size_t body_len;
	bool to_tun;
	bool in_udp; /* sealed by us, with a UDP header whose checksum is not made yet */
	/* What was found when it was judged, of one to the TUN: where the upper layer begins, and which it is. upper 0:
	 * nothing is known. */
	uint16_t upper;
	uint8_t protocol;
};

struct packet_list {
	struct packet_out *rows;
	size_t count, cap;
	uint8_t *octets;
	size_t used, room;
	/* Whoever sends the list may leave its last rows for the next time, if more will follow in this turn. */
	bool more_follows;
	size_t stay;
};

/* Room for n octets at the end, valid until the next call; list_commit makes what was written there a packet. */
uint8_t *list_space(struct packet_list *l, size_t n);
void list_commit(struct packet_list *l, size_t len, bool to_tun);
void list_add(struct packet_list *l, const uint8_t *octets, size_t len, bool to_tun);
/* One to the TUN: its first `head` octets are copied, the rest stays where it is. */
void list_add_opened(struct packet_list *l, const uint8_t *octets, size_t head, size_t len, size_t upper,
		     uint8_t protocol);
bool list_is_long(const struct packet_list *l);
void list_clear(struct packet_list *l); /* but for the rows that stay; keeps the memory */
void list_wipe(struct packet_list *l);

#endif
