/* Whatever the kernel might send, packets are parts of it, and their prefixes end. */
#include "tests/fuzz/fuzz.h"

#include "observe/nflog.h"

#include <stdlib.h>
#include <string.h>

struct bounds {
	const uint8_t *octets;
	size_t len;
};

static void check(void *context, const struct nflog_packet *p)
{
	const struct bounds *b = context;

	if (strnlen(p->prefix, sizeof p->prefix) == sizeof p->prefix || p->octets < b->octets ||
	    p->octets + p->len > b->octets + b->len)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
	struct bounds b = { octets, len };

	(void)nflog_parse(octets, len, check, &b);
	return 0;
}
