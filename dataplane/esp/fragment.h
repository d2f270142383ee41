/* dataplane/esp/fragment.h - a sealed packet that is too big for the path, or one that goes into a tunnel, cut into IP
 * fragments: the kernel does not fragment what comes with its own header. Pure. */
#ifndef DATAPLANE_ESP_FRAGMENT_H
#define DATAPLANE_ESP_FRAGMENT_H
#include "dataplane/esp/ip.h"
#include <stddef.h>
#include <stdint.h>

struct fragmenter {
	const uint8_t *packet;
	struct ip_packet ip;
	size_t size; /* payload octets of a fragment, a multiple of 8 */
	size_t at;
	uint32_t id;
};

enum { FRAGMENT6_HEADER = 8 };

/* packet[0..len) is whole and larger than mtu; ip was read from it before it was sealed. id marks the fragments of one
 * packet; an IPv4 header that has one already keeps it, and one that is a fragment
 * its place. false: nothing of use fits in mtu. */
bool fragmenter_init(struct fragmenter *f, const struct ip_packet *ip, const uint8_t *packet, size_t len, size_t mtu,
		     uint32_t id);
/* The next fragment's length, 0 after the last; `to` has room for mtu octets. */
size_t fragmenter_next(struct fragmenter *f, uint8_t *to);

#endif
