/* What resolv.conf and hosts may hold: up to the first zero of the input the one, the rest the other. */
#include "tests/fuzz/fuzz.h"

#include "base/scope.h"
#include "daemon/sources/names.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
	const char *text = (const char *)octets, *cut = len ? memchr(text, '\0', len) : NULL;
	size_t first = cut ? (size_t)(cut - text) : len, rest = cut ? len - first - 1 : 0;
	SCOPED(names_freep) struct names *n = names_parse(text, first, cut ? cut + 1 : "", rest);
	struct addr found[NAMES_ADDRESSES_MOST];

	if (!*names_servers(n) || names_look_up(n, "localhost", found) > NAMES_ADDRESSES_MOST)
		abort();
	return 0;
}
