/* Who is behind which addresses, as keying tells the parent: what is read is written the same again. */
#include "tests/fuzz/fuzz.h"

#include "daemon/messages/members_wire.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
	struct wire_in in = wire_in(octets, len);
	struct members_head head;
	struct membership *is;

	members_head_get(&in, &head);
	if (in.failed)
		return 0;
	is = membership_new(head.groups);
	while (in.left && !in.failed) {
		uint8_t again[MEMBERS_ROW_MOST];
		struct wire_out out = wire_out(again, sizeof again);
		const uint8_t *before = in.at;
		struct members_row row;

		members_row_get(&in, is, &row);
		if (in.failed)
			break;
		members_row_put(&out, &row);
		if (out.failed || out.len != (size_t)(in.at - before))
			abort();
		for (size_t i = 0; row.there && i < head.groups; i++)
			if (membership_get(row.is, i) > MEMBER_YES)
				abort();
	}
	membership_free(is);
	return 0;
}
