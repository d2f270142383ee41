/* What a peer behind a NAT seals: any octets become a packet of the two addresses that the SA has, with right sums, or
 * are refused. The first octet says of which family the SA is. */
#include "dataplane/esp/ip.h"
#include "dataplane/esp/nat.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/packets.h"

#include <stdlib.h>

enum { MOST = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
	unsigned family = len && octets[0] & 1 ? 6 : 4;
	struct sa_selector s = { .local = end_of(family, 1), .remote = end_of(family, 9) };
	struct ip_packet before, after;
	uint8_t *exact;

	if (len == 0 || len > MOST)
		return 0;
	exact = malloc(len - 1 ? len - 1 : 1); /* one octet too far is the sanitizer's to see */
	memcpy(exact, octets + 1, len - 1);
	if (nat_restore(&s, exact, len - 1) == 0) {
		if (ip_parse(octets + 1, len - 1, &before, NULL) < 0 || ip_parse(exact, len - 1, &after, NULL) < 0 ||
		    !addr_equal(&after.source, &s.remote) || !addr_equal(&after.destination, &s.local) ||
		    after.upper != before.upper || after.protocol != before.protocol ||
		    after.source_port != before.source_port)
			abort();
		if (after.protocol == IP_TCP && !after.fragment && after.len - after.upper >= 18 &&
		    upper_sum(exact, len - 1) != 0xffff)
			abort();
	}
	free(exact);
	return 0;
}
