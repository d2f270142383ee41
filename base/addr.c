#include "base/addr.h"

#include "base/diag.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct addr addr_v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
	return (struct addr){ .family = 4, .octets = { a, b, c, d } };
}

unsigned addr_bits(const struct addr *a)
{
	return a->family == 4 ? 32 : 128;
}

int addr_compare(const struct addr *a, const struct addr *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return memcmp(a->octets, b->octets, addr_octets(a));
}

bool addr_next(struct addr *a)
{
	for (size_t i = addr_octets(a); i-- > 0;)
		if (++a->octets[i] != 0)
			return true;
	memset(a->octets, 0xff, addr_octets(a));
	return false;
}

bool addr_previous(struct addr *a)
{
	for (size_t i = addr_octets(a); i-- > 0;)
		if (a->octets[i]-- != 0)
			return true;
	memset(a->octets, 0, addr_octets(a));
	return false;
}

bool addr_range_has(const struct addr_range *r, const struct addr *a)
{
	return addr_compare(&r->lo, a) <= 0 && addr_compare(a, &r->hi) <= 0;
}

bool addr_range_overlap(const struct addr_range *a, const struct addr_range *b)
{
	return addr_compare(&a->lo, &b->hi) <= 0 && addr_compare(&b->lo, &a->hi) <= 0;
}

static addr_count number(const struct addr *a)
{
	addr_count n = 0;

	for (size_t i = 0; i < addr_octets(a); i++)
		n = n << 8 | a->octets[i];
	return n;
}

addr_count addr_range_count(const struct addr_range *r)
{
	addr_count span = number(&r->hi) - number(&r->lo);

	return span == ADDR_COUNT_ALL ? span : span + 1;
}

struct addr_range addr_prefix_range(const struct addr *a, unsigned prefix)
{
	struct addr_range r = { .lo = *a, .hi = *a };

	for (unsigned bit = prefix; bit < addr_bits(a); bit++) {
		uint8_t mask = (uint8_t)(0x80u >> (bit % 8));

		r.lo.octets[bit / 8] = (uint8_t)(r.lo.octets[bit / 8] & ~mask);
		r.hi.octets[bit / 8] |= mask;
	}
	return r;
}

int addr_range_prefix(const struct addr_range *r)
{
	for (unsigned prefix = 0; prefix <= addr_bits(&r->lo); prefix++) {
		struct addr_range p = addr_prefix_range(&r->lo, prefix);

		if (addr_equal(&p.lo, &r->lo) && addr_equal(&p.hi, &r->hi))
			return (int)prefix;
	}
	return -1;
}

int addr_parse(const char *text, size_t n, struct addr *ret, struct diag *d)
{
	struct addr a = { 0 };
	char buf[ADDR_TEXT];

	if (n >= sizeof buf || memchr(text, '\0', n))
		return diag_fail(d, EINVAL, "'%.*s' is not an IP address", n > 60 ? 60 : (int)n, text);
	memcpy(buf, text, n);
	buf[n] = '\0';
	if (inet_pton(AF_INET, buf, a.octets) == 1)
		a.family = 4;
	else if (inet_pton(AF_INET6, buf, a.octets) == 1)
		a.family = 6;
	else
		return diag_fail(d, EINVAL, "'%s' is not an IP address", buf);
	*ret = a;
	return 0;
}

static int parse_prefix(const char *text, size_t n, const char *slash, struct addr_range *ret, struct diag *d)
{
	struct addr a;
	struct addr_range r;
	unsigned prefix = 0;
	const char *digit = slash + 1, *end = text + n;
	char buf[ADDR_RANGE_TEXT];
	int e;

	if ((e = addr_parse(text, (size_t)(slash - text), &a, d)) < 0)
		return e;
	if (digit == end || end - digit > 3)
		return diag_fail(d, EINVAL, "'%.*s': the prefix is not a number", (int)n, text);
	for (; digit < end; digit++) {
		if (*digit < '0' || *digit > '9')
			return diag_fail(d, EINVAL, "'%.*s': the prefix is not a number", (int)n, text);
		prefix = prefix * 10 + (unsigned)(*digit - '0');
	}
	if (prefix > addr_bits(&a))
		return diag_fail(d, EINVAL, "%.*s: the prefix is over %u", (int)n, text, addr_bits(&a));
	r = addr_prefix_range(&a, prefix);
	if (!addr_equal(&r.lo, &a))
		return diag_fail(d, EINVAL, "%.*s has host bits set; the network is %s", (int)n, text,
				 addr_range_text(&r, buf));
	*ret = r;
	return 0;
}

int addr_range_parse(const char *text, size_t n, struct addr_range *ret, struct diag *d)
{
	const char *slash = memchr(text, '/', n), *dash = memchr(text, '-', n);
	struct addr_range r;
	int e;

	if (n >= ADDR_RANGE_TEXT)
		return diag_fail(d, EINVAL, "'%.60s...' is not an address, prefix or range", text);
	if (slash)
		return parse_prefix(text, n, slash, ret, d);
	if (!dash) {
		if ((e = addr_parse(text, n, &r.lo, d)) < 0)
			return e;
		*ret = (struct addr_range){ .lo = r.lo, .hi = r.lo };
		return 0;
	}
	if ((e = addr_parse(text, (size_t)(dash - text), &r.lo, d)) < 0 ||
	    (e = addr_parse(dash + 1, n - (size_t)(dash - text) - 1, &r.hi, d)) < 0)
		return e;
	if (r.lo.family != r.hi.family)
		return diag_fail(d, EINVAL, "%.*s mixes IPv4 and IPv6", (int)n, text);
	if (addr_compare(&r.lo, &r.hi) > 0)
		return diag_fail(d, EINVAL, "%.*s: the range runs backwards", (int)n, text);
	*ret = r;
	return 0;
}

const char *addr_text(const struct addr *a, char buf[ADDR_TEXT])
{
	if (a->family == 0 || !inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->octets, buf, ADDR_TEXT))
		(void)snprintf(buf, ADDR_TEXT, "none");
	return buf;
}

const char *addr_range_text(const struct addr_range *r, char buf[ADDR_RANGE_TEXT])
{
	char lo[ADDR_TEXT], hi[ADDR_TEXT];
	int prefix = addr_range_prefix(r);

	if (addr_equal(&r->lo, &r->hi))
		(void)snprintf(buf, ADDR_RANGE_TEXT, "%s", addr_text(&r->lo, lo));
	else if (prefix >= 0)
		(void)snprintf(buf, ADDR_RANGE_TEXT, "%s/%d", addr_text(&r->lo, lo), prefix);
	else
		(void)snprintf(buf, ADDR_RANGE_TEXT, "%s-%s", addr_text(&r->lo, lo), addr_text(&r->hi, hi));
	return buf;
}

bool addr_is_loopback(const struct addr *a)
{
	static const uint8_t v6[16] = { [15] = 1 };

	return a->family == 4 ? a->octets[0] == 127 : a->family == 6 && memcmp(a->octets, v6, 16) == 0;
}

bool addr_is_link_local(const struct addr *a)
{
	if (a->family == 4)
		return a->octets[0] == 169 && a->octets[1] == 254;
	return a->family == 6 && a->octets[0] == 0xfe && (a->octets[1] & 0xc0) == 0x80;
}

bool addr_is_multicast(const struct addr *a)
{
	static const uint8_t broadcast[4] = { 255, 255, 255, 255 };

	if (a->family == 4)
		return (a->octets[0] & 0xf0) == 0xe0 || memcmp(a->octets, broadcast, 4) == 0;
	return a->family == 6 && a->octets[0] == 0xff;
}

size_t addr_to_sockaddr(const struct addr *a, uint16_t port, struct sockaddr_storage *ret)
{
	memset(ret, 0, sizeof *ret);
	if (a->family == 4) {
		struct sockaddr_in *in = (struct sockaddr_in *)ret;

		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		memcpy(&in->sin_addr, a->octets, 4);
		return sizeof *in;
	}
	if (a->family == 6) {
		struct sockaddr_in6 *in = (struct sockaddr_in6 *)ret;

		in->sin6_family = AF_INET6;
		in->sin6_port = htons(port);
		memcpy(&in->sin6_addr, a->octets, 16);
		return sizeof *in;
	}
	return 0;
}

bool addr_from_sockaddr(const struct sockaddr_storage *ss, struct addr *ret, uint16_t *ret_port)
{
	struct addr a = { 0 };

	if (ss->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)ss;

		a.family = 4;
		memcpy(a.octets, &in->sin_addr, 4);
		if (ret_port)
			*ret_port = ntohs(in->sin_port);
	} else if (ss->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)ss;

		a.family = 6;
		memcpy(a.octets, &in->sin6_addr, 16);
		if (ret_port)
			*ret_port = ntohs(in->sin6_port);
	} else {
		return false;
	}
	*ret = a;
	return true;
}
