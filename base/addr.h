/* base/addr.h - IP addresses of both families, ranges of them, and how many a range holds. */
#ifndef BASE_ADDR_H
#define BASE_ADDR_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct diag;
struct sockaddr_storage;

/* Zero is "no address". Octets in network order; the rest of the array is zero for IPv4. */
struct addr {
	uint8_t family; /* 0, 4 or 6 */
	uint8_t octets[16];
};

/* Both ends included, of one family, lo <= hi. */
struct addr_range {
	struct addr lo, hi;
};

typedef unsigned __int128 addr_count; /* a number of addresses, ADDR_COUNT_ALL at most */
#define ADDR_COUNT_ALL (~(addr_count)0)

enum { ADDR_TEXT = 48, ADDR_RANGE_TEXT = 2 * ADDR_TEXT };

struct addr addr_v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d);
static inline size_t addr_octets(const struct addr *a) /* 4 or 16 */
{
	return a->family == 4 ? 4 : 16;
}
unsigned addr_bits(const struct addr *a); /* 32 or 128 */
/* Order: IPv4 before IPv6, then by number. */
int addr_compare(const struct addr *a, const struct addr *b);
static inline bool addr_equal(const struct addr *a, const struct addr *b)
{
	return a->family == b->family &&
	       (a->family == 4 ? memcmp(a->octets, b->octets, 4) == 0 : memcmp(a->octets, b->octets, 16) == 0);
}
/* The next or previous address; false when there is none in the family. */
bool addr_next(struct addr *a);
bool addr_previous(struct addr *a);

bool addr_range_has(const struct addr_range *r, const struct addr *a);
bool addr_range_overlap(const struct addr_range *a, const struct addr_range *b);
addr_count addr_range_count(const struct addr_range *r);
struct addr_range addr_prefix_range(const struct addr *a, unsigned prefix);
/* The prefix length if the range is exactly one prefix, else -1. */
int addr_range_prefix(const struct addr_range *r);

/* "10.0.0.1", "2001:db8::1". The whole of text[0..n) must be the address. */
int addr_parse(const char *text, size_t n, struct addr *ret, struct diag *d);
/* An address, a prefix "10.0.0.0/8" (host bits must be zero) or a range "10.0.0.1-10.0.0.9". */
int addr_range_parse(const char *text, size_t n, struct addr_range *ret, struct diag *d);
const char *addr_text(const struct addr *a, char buf[ADDR_TEXT]);
/* As short as it can be: address, prefix or lo-hi. */
const char *addr_range_text(const struct addr_range *r, char buf[ADDR_RANGE_TEXT]);

bool addr_is_loopback(const struct addr *a);
bool addr_is_link_local(const struct addr *a);
bool addr_is_multicast(const struct addr *a); /* and IPv4's limited broadcast */

/* To and from the kernel's form; port in host order. Returns the sockaddr's length, 0 for no address. */
size_t addr_to_sockaddr(const struct addr *a, uint16_t port, struct sockaddr_storage *ret);
bool addr_from_sockaddr(const struct sockaddr_storage *ss, struct addr *ret, uint16_t *ret_port);

#endif
