/* The groups in a ticket, whatever a KDC has put there. */
#include "tests/fuzz/fuzz.h"

#include "identity/kerberos/pac.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
	struct sid_list l;
	struct sid_walk w = { 0 };
	struct sid s;
	size_t n = 0;
	char text[SID_TEXT];

	if (pac_logon_info_decode((struct octets){ octets, len }, &l, NULL) < 0) {
		if (l.len)
			abort();
		return 0;
	}
	while (sid_list_next(&l, &w, &s)) {
		(void)sid_text(&s, text);
		n++;
	}
	if (n != sid_list_count(&l))
		abort();
	return 0;
}
