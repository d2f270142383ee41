/* tests/unit/hex.h - test vectors as the RFCs print them: hexadecimal with spaces anywhere. */
#ifndef TESTS_UNIT_HEX_H
#define TESTS_UNIT_HEX_H
#include "tests/unit/unit.h"

#include <ctype.h>
#include <stdlib.h>

/* Number of octets; fails the test if there are more than cap. */
static inline size_t hex(const char *text, uint8_t *to, size_t cap)
{
	size_t n = 0;
	char pair[3] = { 0 };

	for (size_t k = 0; *text; text++) {
		if (isspace((unsigned char)*text))
			continue;
		pair[k++] = *text;
		if (k < 2)
			continue;
		assert_true(n < cap);
		to[n++] = (uint8_t)strtoul(pair, NULL, 16);
		k = 0;
	}
	return n;
}

#endif
