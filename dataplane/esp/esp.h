/* dataplane/esp/esp.h - the userspace data plane behind sad.h: packets come from a TUN device, leave as ESP by raw
 * sockets, and the other way round. For daemon/, which makes it, polls its one descriptor and calls it when the
 * deadline has come; all else goes through sad.h. It works on descriptors that whoever has the right opened (open.h),
 * and needs no right itself. Addresses, routes and the ruleset around it are enforce/'s business.
 *
 * Everything happens inside the calls below and those of sad.h; events are handed to the callback when the call's own
 * work is done, so the callback may call sad.h again. */
#ifndef DATAPLANE_ESP_ESP_H
#define DATAPLANE_ESP_ESP_H
#include "dataplane/esp/open.h"
#include "dataplane/esp/share.h"
#include "dataplane/sad.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct plane_passed;

struct esp_config {
	struct esp_fds *fds; /* taken over, also when it fails */
	int nat[2]; /* the UDP encapsulation port's sockets of IPv4 and IPv6, for sending; stay the caller's; -1: none
		     */
	uint32_t own_mark; /* packet mark of our sockets: what carries it is not sent to the TUN */
	struct plan *plan; /* the plane takes a reference; NULL: nothing is protected yet */
	void (*event)(void *context, const struct sad_event *e);
	uint64_t (*now_ms)(void *context); /* never goes back */
	void *context;
	/* One of several in this process (crew.h), which has its share of the packets, and what it does with those that
	 * are another's: plane.h. Left at zero: it is alone. */
	struct share share;
	bool (*pass)(void *context, unsigned to, const struct plane_passed *p);
	bool (*is_behind)(void *context);
};

/* sad_free closes what it has taken over. */
int esp_new(const struct esp_config *c, struct sad **ret, struct diag *d);

/* The device has been made anew; the old one's descriptor is closed. */
int esp_set_tun(struct sad *sad, int fd, struct diag *d);

/* Readable (poll for reading only) when there is something for esp_readable to do. */
int esp_fd(const struct sad *sad);
/* Work off a bounded number of packets; what is left makes esp_fd readable again. */
void esp_readable(struct sad *sad);
/* When esp_tick wants to be called, in the caller's clock; UINT64_MAX: no need. May change with every call. */
uint64_t esp_deadline(const struct sad *sad);
void esp_tick(struct sad *sad);

/* Whoever was asked for SAs is another one now: ask about every packet that waits. */
void esp_ask_again(struct sad *sad);

/* Datagrams from a UDP encapsulation port (RFC 3948) that are neither keep-alives nor IKE behind the non-ESP marker:
 * the ESP packets in them, of one sender, one behind the other. tos and ttl as received. */
enum { ESP_DATAGRAM_HEADROOM = 48 };
struct esp_datagram {
	struct addr local, remote;
	uint16_t local_port, remote_port;
	uint8_t tos, ttl;
	uint8_t *octets; /* opened in place; so many before the first are free to be written: ESP_DATAGRAM_HEADROOM */
	size_t len;
	size_t segment; /* octets of each but the last; 0: it is one */
};
/* Between esp_begin and esp_end, of which there may be many in one turn: the octets stay until esp_end. */
void esp_begin(struct sad *sad);
void esp_end(struct sad *sad);
void esp_encapsulated(struct sad *sad, const struct esp_datagram *g);
/* An ICMP error quotes ESP in UDP that we sent to remote, from the ESP header on, as larger than mtu. */
void esp_encapsulated_too_big(struct sad *sad, const struct addr *remote, const uint8_t *quote, size_t len,
			      uint32_t mtu);

#endif
