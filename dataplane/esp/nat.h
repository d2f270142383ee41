/* dataplane/esp/nat.h - a packet that came through a NAT, given the addresses that this host knows (RFC 3948 3.1.2,
 * RFC 7296 2.23.1). Pure. */
#ifndef DATAPLANE_ESP_NAT_H
#define DATAPLANE_ESP_NAT_H
#include "dataplane/sad.h"
#include <stddef.h>
#include <stdint.h>

/* A transport-mode packet out of UDP encapsulation: its addresses become those of the SA's selector, and the checksums
 * that cover addresses, which the peer made with its own, are made again: that the octets are the peer's is known from
 * the check value. An ICMP error's quotation speaks of our addresses afterwards. -ERR_SYNTAX: the headers do not fit.
 */
int nat_restore(const struct sa_selector *s, uint8_t *packet, size_t len);

#endif
