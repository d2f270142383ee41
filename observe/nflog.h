/* observe/nflog.h - what nftables logs to a group, as the kernel sends it: netlink messages with the beginning of a
 * packet in each. The packet is whatever came from the network, so it is read where nothing else can be had, and the
 * frame around it through the cursors as well. Pure. */
#ifndef OBSERVE_NFLOG_H
#define OBSERVE_NFLOG_H
#include <stddef.h>
#include <stdint.h>

enum { NFLOG_PREFIX = 128, NFLOG_DATAGRAM_MOST = 65536, NFLOG_HOOK_NONE = 255 };

struct nflog_packet {
	char prefix[NFLOG_PREFIX];
	uint8_t hook; /* NF_INET_*, NFLOG_HOOK_NONE: not said */
	const uint8_t *octets;
	size_t len; /* of what was copied */
};

/* Gives each packet of one datagram to `each`; what makes no sense is passed over. Returns how many there were. */
size_t nflog_parse(const void *octets, size_t len, void (*each)(void *context, const struct nflog_packet *p),
		   void *context);

#endif
