#include "dataplane/esp/checksum.h"
#include "dataplane/esp/ip.h"

uint64_t checksum_add(uint64_t sum, const uint8_t *octets, size_t n)
{
	for (; n >= 2; octets += 2, n -= 2)
		sum += (uint64_t)octets[0] << 8 | octets[1];
	return n ? sum + ((uint64_t)octets[0] << 8) : sum;
}

uint16_t checksum_fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

uint64_t checksum_pseudo(const struct ip_packet *ip, size_t len, uint8_t protocol)
{
	size_t n = addr_octets(&ip->source);
	uint64_t sum = checksum_add(0, ip->source.octets, n);

	return checksum_add(sum, ip->destination.octets, n) + len + protocol;
}
