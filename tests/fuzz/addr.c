/* Whatever parses as a range prints, and what is printed parses to the same. */
#include "tests/fuzz/fuzz.h"

#include "base/addr.h"
#include "base/diag.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
	struct addr_range r, again;
	struct diag d;
	char text[ADDR_RANGE_TEXT];

	if (addr_range_parse((const char *)octets, len, &r, &d) < 0)
		return 0;
	(void)addr_range_text(&r, text);
	if (addr_range_parse(text, strlen(text), &again, &d) < 0 || !addr_equal(&r.lo, &again.lo) ||
	    !addr_equal(&r.hi, &again.hi))
		abort();
	return 0;
}
