#include "policy/outside.h"

#include <string.h>

void outside_ranges(struct addr_range ret[OUTSIDE])
{
	static const struct {
		uint8_t family, octets[16], prefix;
	} rows[OUTSIDE] = {
		{ 4, { 0 }, 32 },
		{ 4, { 127 }, 8 },
		{ 4, { 169, 254 }, 16 },
		{ 4, { 224 }, 4 },
		{ 4, { 255, 255, 255, 255 }, 32 },
		{ 6, { 0 }, 127 }, /* unspecified and loopback */
		{ 6, { 0xfe, 0x80 }, 10 },
		{ 6, { 0xff }, 8 },
	};

	for (size_t i = 0; i < OUTSIDE; i++) {
		struct addr a = { .family = rows[i].family };

		memcpy(a.octets, rows[i].octets, sizeof a.octets);
		ret[i] = addr_prefix_range(&a, rows[i].prefix);
	}
}
