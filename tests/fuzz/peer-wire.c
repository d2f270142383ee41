/* A peer with its SIDs, as our own processes send it: what is taken is sent again as it was. */
#include "tests/fuzz/fuzz.h"

#include "identity/peer_wire.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
	struct wire_in in = wire_in(octets, len);
	static uint8_t buf[PEER_WIRE_MOST];
	struct wire_out out = wire_out(buf, sizeof buf);
	static struct peer p, again;
	struct sid_walk w = { 0 };
	struct sid s;
	struct peer_kept *k;

	peer_get(&in, &p);
	if (!wire_done(&in))
		return 0;
	while (sid_list_next(&p.sids, &w, &s))
		if (!sid_list_has(&p.sids, &s))
			abort();
	k = peer_keep(&p);
	peer_of_kept(k, &again);
	free(k);
	peer_put(&out, &again);
	if (out.failed || out.len != len || memcmp(buf, octets, len) != 0)
		abort();
	return 0;
}
