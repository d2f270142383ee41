/* dataplane/esp/offload.h - what the kernel leaves to a device, and the plane must do before it seals: complete a
 * checksum, and cut a super-packet (TSO, USO) into packets that fit. Told by the virtio header in front of each packet
 * from the TUN. Pure. */
#ifndef DATAPLANE_ESP_OFFLOAD_H
#define DATAPLANE_ESP_OFFLOAD_H
#include "dataplane/esp/ip.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct diag;

enum { OFFLOAD_HEADER = 10 }; /* struct virtio_net_hdr, in the host's byte order */

enum offload_cut { CUT_NONE, CUT_TCP, CUT_UDP };

struct offload {
	bool needs_checksum;
	uint16_t checksum_at;  /* the sum runs from here to the packet's end */
	uint16_t checksum_put; /* offset from there of the field, which holds the pseudo-header's sum */
	enum offload_cut cut;
	uint16_t cut_size; /* payload octets of each piece */
};

/* The header, checked against the packet it stands before. */
int offload_decode(const uint8_t header[OFFLOAD_HEADER], const struct ip_packet *ip, const uint8_t *packet,
		   struct offload *ret, struct diag *d);

/* Complete the checksum of a packet that is not cut. */
void offload_complete(const struct offload *o, uint8_t *packet, size_t len);

/* Cuts a super-packet: each call of cutter_next writes one whole packet, checksums and all. */
enum { CUTTER_HEAD_MOST = 128, CUTTER_BEHIND = 32 };
struct cutter {
	const uint8_t *packet;
	const struct ip_packet *ip;
	enum offload_cut cut;
	size_t head; /* IP and TCP or UDP headers */
	size_t size; /* payload of a piece */
	size_t at;   /* payload octets done */
	size_t total;
	uint32_t number; /* of pieces done */
	uint64_t pseudo; /* the pseudo-header's sum without its length */
	bool can_here;   /* the headers were short enough to be kept */
	uint8_t kept[CUTTER_HEAD_MOST];
};

enum { CUTTER_PIECES_MOST = 2048 }; /* the kernel's smallest MSS makes fewer */

/* A piece is at most `most` octets long, unless it is a UDP datagram: those are the sender's to size. -EMSGSIZE: `most`
 * leaves no room behind the headers, or there would be too many pieces. */
int cutter_init(struct cutter *c, const struct offload *o, const struct ip_packet *ip, const uint8_t *packet,
		size_t most, struct diag *d);
/* The next piece's length, 0 when there is none; `to` has room for head + size. */
size_t cutter_next(struct cutter *c, uint8_t *to);
/* The next piece where its payload stands, `packet` being what cutter_init was given: its headers are written over the
 * end of the piece before, with which the caller must be done. There are CUTTER_BEHIND octets of the super-packet
 * behind it. NULL, and nothing done: this one must be copied, as the last always is. */
uint8_t *cutter_next_here(struct cutter *c, uint8_t *packet, size_t *ret_len);

#endif
