/* What is taken for the parts of a plan stays within its bounds. */
#include "tests/fuzz/fuzz.h"

#include "daemon/messages/plan_wire.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
	struct plan_parts p;

	if (plan_parts_decode(octets, len, &p, NULL) < 0)
		return 0;
	if (p.policy_len > len || p.host.own_count > len || p.host.profiles > PROFILE_ALL)
		abort();
	for (size_t i = 0; i < p.host.own_count; i++)
		if (p.host.own[i].prefix > (int)addr_bits(&p.host.own[i].addr))
			abort();
	plan_parts_wipe(&p);
	return 0;
}
