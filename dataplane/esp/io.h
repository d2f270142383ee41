/* dataplane/esp/io.h - between the files of the plane's input and output. */
#ifndef DATAPLANE_ESP_IO_H
#define DATAPLANE_ESP_IO_H
#include "dataplane/esp/netlink.h"
#include "dataplane/esp/plane.h"

enum {
	IO_BATCH = 64,         /* packets taken from one descriptor before the others have their turn */
	IO_HEADERS_ROOM = 512, /* IPv6: extension headers in front of AH */
	IO_PACKET_ROOM = IP_PACKET_MOST + IP6_HEADER + IO_HEADERS_ROOM,
	IO_WITHOUT = -2,
	IO_CONTROL_ROOM = 1024,
};

struct esp_io {
	struct sad *sad;
	char tun_name[16];
	uint32_t own_mark;
	int epoll, tun, raw4, raw6, ah4, ah6, links; /* -1: not there. raw4, raw6: ESP, and all that is sent */
	int too_big6; /* opened when AH first goes out in IPv6; IO_WITHOUT: could not be */
	struct netlink_asker asker;
	bool repair; /* the TUN is gone or down: see to it at the next tick */
	uint8_t packet[OFFLOAD_HEADER + IO_PACKET_ROOM];
};

/* A raw socket of one family for ESP or AH, non-blocking, that takes and gives whole packets. */
int raw_open(int family, uint8_t protocol, uint32_t mark, int *ret_fd, struct diag *d);

/* A socket for what routers say of our AH in IPv6, "packet too big". The kernel looks through AH for the connection
 * inside, and would have it make fragments before they reach the TUN; so the ruleset keeps the error from it, and we
 * hear it before the ruleset does. */
int raw_open_too_big6(int *ret_fd, struct diag *d);

void io_hear_too_big6(struct esp_io *io);

/* The list to the wire and the TUN. */
void io_flush(void *context, struct packet_list *out);

/* Packets from a descriptor to the plane, at most IO_BATCH. */
void io_read_tun(struct esp_io *io);
void io_read_raw4(struct esp_io *io, int fd);
void io_read_raw6(struct esp_io *io, int fd, uint8_t protocol);
void io_read_too_big6(struct esp_io *io);
void io_read_errors(struct esp_io *io, int fd);

#endif
