/* dataplane/esp/icmp.h - the two ICMP errors that the plane tells an application of its own host, as if the peer had
 * sent them. Pure. */
#ifndef DATAPLANE_ESP_ICMP_H
#define DATAPLANE_ESP_ICMP_H
#include "dataplane/esp/ip.h"
#include <stddef.h>
#include <stdint.h>

enum { ICMP_MOST = 1280 };

/* Each writes to out[0..ICMP_MOST) and returns the length; 0: such a packet must not be answered (an ICMP error, or not
 * unicast). packet is the beginning of the offending one, ip->len octets long. */
size_t icmp_too_big(const struct ip_packet *ip, const uint8_t *packet, size_t mtu, uint8_t out[ICMP_MOST]);
/* "Communication administratively prohibited": connect() fails at once. */
size_t icmp_prohibited(const struct ip_packet *ip, const uint8_t *packet, uint8_t out[ICMP_MOST]);

#endif
