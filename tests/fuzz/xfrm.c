/* What the kernel's XFRM sends, and what is read beside it: packets of ESP and AH, and the text of its counters. The
 * first octet says which. What is read from a policy says the same when it is written again. */
#include "tests/fuzz/fuzz.h"

#include "base/wire.h"
#include "dataplane/xfrm/convert.h"
#include "dataplane/xfrm/ears.h"
#include "dataplane/xfrm/message.h"
#include "dataplane/xfrm/stat.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

static void again(const struct message_in *m)
{
	_Alignas(8) uint8_t octets[MESSAGE_MOST];
	size_t len = message_policy(octets, sizeof octets, &m->key, &m->does, m->index, false);
	const uint8_t *at = octets;
	struct message_in second;

	if (len == 0 || !message_next(&at, &len, &second) || second.kind != MESSAGE_POLICY ||
	    second.index != m->index || second.does.priority != m->does.priority ||
	    second.does.protects != m->does.protects || second.does.block != m->does.block)
		abort();
	/* A mark without a mask matches all, and is not written. */
	if (m->key.mark.m && policy_key_compare(&second.key, &m->key) != 0)
		abort();
}

static void messages(const uint8_t *octets, size_t len)
{
	struct plan_packet flow;
	struct message_in m;

	while (message_next(&octets, &len, &m)) {
		if (m.kind == MESSAGE_POLICY)
			again(&m);
		if (m.kind == MESSAGE_ACQUIRE && convert_flow_back(&m.key.selector, &flow) && !flow.local.family)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
	struct wire_in in = wire_in(octets, len);
	uint64_t drops[DROP_COUNT] = { 0 };
	struct ears_heard h = { .protocol = IPPROTO_ESP };
	uint8_t kind = wire_u8(&in);

	if (in.failed)
		return 0;
	if (kind % 4 == 0)
		messages(in.at, in.left);
	else if (kind % 4 == 1)
		stat_parse((const char *)in.at, in.left, drops);
	else {
		h.protocol = kind & 4 ? IPPROTO_AH : IPPROTO_ESP;
		(void)ears_parse(in.at, in.left, kind % 4 == 2 ? 4 : 6, &h);
	}
	return 0;
}
