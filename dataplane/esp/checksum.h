/* dataplane/esp/checksum.h - the Internet checksum (RFC 1071) and the pseudo-headers of IPv4 and IPv6. Pure. */
#ifndef DATAPLANE_ESP_CHECKSUM_H
#define DATAPLANE_ESP_CHECKSUM_H
#include <stddef.h>
#include <stdint.h>

struct ip_packet;

/* Add octets to a running sum; only the last piece may have an odd length. */
uint64_t checksum_add(uint64_t sum, const uint8_t *octets, size_t n);
/* The sum as 16 bits, not complemented. */
static inline uint16_t checksum_fold(uint64_t sum)
{
	sum = (sum >> 32) + (sum & UINT32_MAX);
	sum = (sum >> 32) + (sum & UINT32_MAX);
	sum = (sum >> 16) + (sum & UINT16_MAX);
	return (uint16_t)((sum >> 16) + sum);
}

/* What the addresses of a packet, a length and a protocol add. */
uint64_t checksum_pseudo(const struct ip_packet *ip, size_t len, uint8_t protocol);

#endif
