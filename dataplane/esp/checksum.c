#include "dataplane/esp/checksum.h"
#include "dataplane/esp/ip.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <string.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

enum { BLOCK = 64 };

#ifdef __x86_64__
/* The sum of the 32-bit words of whole blocks, two words a lane of 64 bits, which no packet fills. Four sums, so that
 * none waits for another. */
__attribute__((target("avx2"))) static uint64_t sum_avx2(const uint8_t *octets, size_t n)
{
	const __m256i low = _mm256_set1_epi64x(UINT32_MAX);
	__m256i s0 = _mm256_setzero_si256(), s1 = s0, s2 = s0, s3 = s0;
	uint64_t lanes[4];

	for (; n >= BLOCK; octets += BLOCK, n -= BLOCK) {
		__m256i a = _mm256_loadu_si256((const __m256i_u *)octets);
		__m256i b = _mm256_loadu_si256((const __m256i_u *)octets + 1);

		s0 = _mm256_add_epi64(s0, _mm256_and_si256(a, low));
		s1 = _mm256_add_epi64(s1, _mm256_srli_epi64(a, 32));
		s2 = _mm256_add_epi64(s2, _mm256_and_si256(b, low));
		s3 = _mm256_add_epi64(s3, _mm256_srli_epi64(b, 32));
	}
	s0 = _mm256_add_epi64(_mm256_add_epi64(s0, s1), _mm256_add_epi64(s2, s3));
	_mm256_storeu_si256((__m256i_u *)lanes, s0);
	return lanes[0] + lanes[1] + lanes[2] + lanes[3];
}

static bool has_wide(void)
{
	return __builtin_cpu_supports("avx2");
}
#endif

/* Of any size, for 2^16, 2^32 and 2^64 are one more than a multiple of 0xffff. */
static uint64_t fold_sum(unsigned __int128 sum)
{
	uint64_t low = (uint64_t)sum;

	return (low >> 32) + (low & UINT32_MAX) + (uint64_t)(sum >> 64);
}

/* The same with 64-bit words: two sums, so that neither waits for the other. */
static uint64_t sum_plain(const uint8_t *octets, size_t n)
{
	unsigned __int128 even = 0, odd = 0;

	for (; n >= 16; octets += 16, n -= 16) {
		uint64_t w[2];

		memcpy(w, octets, sizeof w);
		even += w[0];
		odd += w[1];
	}
	return fold_sum(even) + fold_sum(odd);
}

static uint64_t sum_blocks(const uint8_t *octets, size_t n)
{
#ifdef __x86_64__
	if (has_wide())
		return sum_avx2(octets, n);
#endif
	return sum_plain(octets, n);
}

/* Of eight octets. */
static uint64_t halves_of(const uint8_t *octets)
{
	uint64_t w;

	memcpy(&w, octets, sizeof w);
	return (w >> 32) + (w & UINT32_MAX);
}

/* The host's words in the host's order: the sum of either order is the sum of the other with its octets exchanged (RFC
 * 1071 2 B), so the turn is made once and not for each word. */
uint64_t checksum_add(uint64_t sum, const uint8_t *octets, size_t n)
{
	size_t blocks = n / BLOCK * BLOCK;
	uint64_t words = blocks ? sum_blocks(octets, blocks) : 0;
	uint16_t last = 0;

	octets += blocks;
	n -= blocks;
	if (n & 32) {
		words += halves_of(octets) + halves_of(octets + 8) + halves_of(octets + 16) + halves_of(octets + 24);
		octets += 32;
	}
	if (n & 16) {
		words += halves_of(octets) + halves_of(octets + 8);
		octets += 16;
	}
	if (n & 8) {
		words += halves_of(octets);
		octets += 8;
	}
	if (n & 4) {
		uint32_t w;

		memcpy(&w, octets, sizeof w);
		words += w;
		octets += 4;
	}
	if (n & 2) {
		uint16_t w;

		memcpy(&w, octets, sizeof w);
		words += w;
		octets += 2;
	}
	if (n & 1)
		memcpy(&last, octets, 1);
	return sum + ntohs(checksum_fold(words + last));
}

uint64_t checksum_pseudo(const struct ip_packet *ip, size_t len, uint8_t protocol)
{
	size_t n = addr_octets(&ip->source);
	uint64_t sum = checksum_add(0, ip->source.octets, n);

	return checksum_add(sum, ip->destination.octets, n) + len + protocol;
}
