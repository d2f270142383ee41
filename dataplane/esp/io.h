/* dataplane/esp/io.h - between the files of the plane's input and output. */
#ifndef DATAPLANE_ESP_IO_H
#define DATAPLANE_ESP_IO_H
#include "dataplane/esp/gather.h"
#include "dataplane/esp/join.h"
#include "dataplane/esp/netlink.h"
#include "dataplane/esp/open.h"
#include "dataplane/esp/plane.h"
#include <stdalign.h>
#include <sys/socket.h>

enum {
	IO_BATCH = 64,          /* packets taken from one descriptor before the others have their turn */
	IO_OCTETS = 256 * 1024, /* ... and no more than this: what comes in must not wait for it */
	IO_HEADERS_ROOM = 512,  /* IPv6: extension headers in front of AH */
	IO_PACKET_ROOM = IP_PACKET_MOST + IP6_HEADER + IO_HEADERS_ROOM,
	IO_CONTROL_ROOM = 1024,
	IO_AT_ONCE = 32, /* packets of one system call */
};

/* One packet received by a raw socket. Not a power of two long: such places would share lines of a cache. */
struct io_place {
	uint8_t headroom[IP6_HEADER + IO_HEADERS_ROOM], octets[IP_PACKET_MOST], apart[1024];
};

struct esp_io {
	struct sad *sad;
	struct esp_fds fds;
	uint32_t own_mark;
	int epoll;
	bool hears_too_big6; /* as soon as AH first went out in IPv6 */
	struct netlink_asker asker;
	struct {
		int fd[2]; /* of IPv4 and IPv6; not ours; -1: there is none */
		uint16_t port;
		uint64_t plain_until_ms[2]; /* the kernel refused UDP_SEGMENT: one by one so long */
	} nat;
	struct gather gather;
	struct joiner joiner;
	struct io_place places[IO_AT_ONCE];
	uint8_t packet[OFFLOAD_HEADER + IO_PACKET_ROOM];
};

void io_hear_too_big6(struct esp_io *io);

/* The list to the wire and the TUN. */
void io_flush(void *context, struct packet_list *out);
void io_write_tun(struct esp_io *io, struct packet_list *l);

/* What waits to be sent by the UDP socket: each run is packets of one length to one peer. */
enum { NAT_RUNS = 64, NAT_PARTS = 256 };
struct nat_run {
	struct addr local, remote;
	struct sockaddr_storage to;
	alignas(struct cmsghdr) uint8_t control[128];
};
struct nat_batch {
	struct mmsghdr headers[NAT_RUNS];
	struct nat_run runs[NAT_RUNS];
	struct iovec parts[NAT_PARTS];
	unsigned count; /* runs */
	size_t used;    /* parts */
	bool six;       /* of one family */
};
/* Can the UDP socket send this packet as it stands? Then row i of the list, and those behind it that go with it, are
 * added to the batch, or left in the list as its last if more may go with them; returns how many. */
bool io_goes_by_nat(const struct esp_io *io, const uint8_t *packet, const struct packet_out *row);
size_t io_add_nat(struct esp_io *io, struct nat_batch *b, struct packet_list *l, size_t i);
void io_send_nat(struct esp_io *io, struct nat_batch *b);

/* Packets from a descriptor to the plane, at most IO_BATCH. */
void io_read_tun(struct esp_io *io);
void io_read_raw4(struct esp_io *io, int fd);
void io_read_raw6(struct esp_io *io, int fd, uint8_t protocol);
void io_read_too_big6(struct esp_io *io);
void io_read_errors(struct esp_io *io, int fd);

#endif
