/* dataplane/esp/list.h - packets to be sent, in order: to the wire or to the TUN. One block of octets holds them all,
 * so that a batch is one system call. */
#ifndef DATAPLANE_ESP_LIST_H
#define DATAPLANE_ESP_LIST_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LIST_LONG = 256, LIST_OCTETS_LONG = 512 * 1024, ESP_SCRATCH_EXTRA = 128 };

struct packet_out {
	size_t at, len;
	bool to_tun;
};

struct packet_list {
	struct packet_out *rows;
	size_t count, cap;
	uint8_t *octets;
	size_t used, room;
};

/* Room for n octets at the end, valid until the next call; list_commit makes what was written there a packet. */
uint8_t *list_space(struct packet_list *l, size_t n);
void list_commit(struct packet_list *l, size_t len, bool to_tun);
void list_add(struct packet_list *l, const uint8_t *octets, size_t len, bool to_tun);
bool list_is_long(const struct packet_list *l);
void list_clear(struct packet_list *l); /* keeps the memory */
void list_wipe(struct packet_list *l);

#endif
