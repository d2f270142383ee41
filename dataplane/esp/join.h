/* dataplane/esp/join.h - packets that were opened, joined to super-packets as offload.h cuts them: a TUN takes one of
 * those for the price of a packet. Joined is only what the kernel would cut into the same packets again: segments of
 * one TCP flow that follow one another, datagrams of one UDP flow and size. Nothing is copied but headers, and the
 * packets of a flow keep their order. Pure.
 *
 * Checksums: a super-packet tells the kernel that those of its parts are right, so each is checked before it joins.
 * What is wrong goes on alone, and whoever it is for finds out. */
#ifndef DATAPLANE_ESP_JOIN_H
#define DATAPLANE_ESP_JOIN_H
#include "dataplane/esp/list.h"
#include "dataplane/esp/offload.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum {
	JOIN_PACKETS = 256, /* taken at once */
	JOIN_FLOWS = 64,
	JOIN_PIECES_MOST = 128,
	JOIN_DATAGRAMS_MOST = 64, /* of UDP: the kernel's own limit */
	JOIN_HEAD_MOST = 40 + 60, /* IPv6 and TCP with all its options */
};

struct join_piece {
	struct iovec payload;
	const struct packet_out *row; /* it came as this */
	uint16_t next;                /* its number + 1 */
};

/* What becomes one packet, or one super-packet. */
struct join_run {
	const struct packet_out *first;
	const uint8_t *head; /* of the first, and so many octets */
	size_t head_len, upper;
	uint16_t first_piece, last_piece, pieces; /* pieces 0: the first goes on as it is */
	size_t payload, size;                     /* octets together, and of each piece but the last */
	uint8_t late_flags;                       /* of TCP: FIN and PSH, which its last one had */
	bool open, checked;
};

struct joiner {
	bool no_datagrams; /* the device does not take datagrams joined (Linux before 6.2) */
	struct join_run runs[JOIN_PACKETS];
	struct join_piece pieces[JOIN_PACKETS];
	size_t run_count, piece_count;
	uint16_t of_flow[JOIN_FLOWS]; /* the newest run + 1 */
};

void join_begin(struct joiner *j);
/* A row of the list that goes to the TUN; false: it is full. The rows and what they hold stay until join_begin. */
bool join_add(struct joiner *j, const struct packet_list *l, const struct packet_out *row);

/* How many of the list's last rows are one run, the last, which more may join: whoever expects more in this turn may
 * leave them out, and add them again before it. */
size_t join_open_end(const struct joiner *j, const struct packet_list *l);

struct joined {
	uint8_t offload[OFFLOAD_HEADER];
	uint8_t head[JOIN_HEAD_MOST];
	struct iovec parts[2 + JOIN_PIECES_MOST]; /* the virtio header is the first */
	int count;
	bool super;
};
/* Run number i, of run_count, as writev takes it; *ret must not move. */
void join_write(const struct joiner *j, const struct packet_list *l, size_t i, struct joined *ret);

#endif
