#include "dataplane/esp/checksum.h"
#include "dataplane/esp/ip.h"

#include <arpa/inet.h>
#include <string.h>

/* Of any size, for 2^16, 2^32 and 2^64 are one more than a multiple of 0xffff. */
static uint64_t fold_sum(unsigned __int128 sum)
{
	uint64_t low = (uint64_t)sum;

	return (low >> 32) + (low & UINT32_MAX) + (uint64_t)(sum >> 64);
}

/* The host's words in the host's order: the sum of either order is the sum of the other with its octets exchanged (RFC
 * 1071 2 B), so the turn is made once and not for each word. Two sums, so that neither waits for the other. */
uint64_t checksum_add(uint64_t sum, const uint8_t *octets, size_t n)
{
	unsigned __int128 even = 0, odd = 0;
	uint64_t words;
	uint16_t last = 0;

	for (; n >= 32; octets += 32, n -= 32) {
		uint64_t w[4];

		memcpy(w, octets, sizeof w);
		even += w[0];
		odd += w[1];
		even += w[2];
		odd += w[3];
	}
	words = fold_sum(even) + fold_sum(odd);
	for (; n >= 2; octets += 2, n -= 2) {
		uint16_t w;

		memcpy(&w, octets, sizeof w);
		words += w;
	}
	if (n)
		memcpy(&last, octets, 1);
	return sum + ntohs(checksum_fold(words + last));
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
