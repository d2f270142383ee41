/* policy/number.h - addresses of one family as numbers, for sorting and sweeping. For this folder only. */
#ifndef POLICY_NUMBER_H
#define POLICY_NUMBER_H
#include "base/addr.h"

static inline addr_count addr_number(const struct addr *a)
{
	size_t n = a->family == 4 ? 4 : 16;
	addr_count v = 0;

	for (size_t i = 0; i < n; i++)
		v = v << 8 | a->octets[i];
	return v;
}

static inline struct addr number_addr(uint8_t family, addr_count v)
{
	struct addr a = { .family = family };

	for (size_t i = family == 4 ? 4 : 16; i-- > 0; v >>= 8)
		a.octets[i] = (uint8_t)v;
	return a;
}

static inline addr_count family_last(uint8_t family)
{
	return family == 4 ? (addr_count)UINT32_MAX : ADDR_COUNT_ALL;
}

#endif
