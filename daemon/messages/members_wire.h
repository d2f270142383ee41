/* daemon/messages/members_wire.h - who is behind which pair of addresses, from keying to the parent: a head, and rows
 * as many as fit. The parent takes it for what an outsider might have written. */
#ifndef DAEMON_MESSAGES_MEMBERS_WIRE_H
#define DAEMON_MESSAGES_MEMBERS_WIRE_H
#include "base/addr_wire.h"
#include "base/wire.h"
#include "identity/groups.h"

enum {
	MEMBERS_HEAD = 8 + 8 + 4,
	MEMBERS_ROW_MOST = 2 * ADDR_WIRE_MOST + 1 + 8 + 2 * (int)MEMBERSHIP_OCTETS(PLAN_GROUPS_MOST),
	MEMBERS_MOST = 56000, /* of a message */
};

struct members_head {
	uint64_t plan;    /* whose groups are counted (plan_groups) */
	uint64_t request; /* for the answer */
	uint32_t groups;
};
void members_head_put(struct wire_out *out, const struct members_head *h);
void members_head_get(struct wire_in *in, struct members_head *h);

/* there: there are SAs of a proven peer; `is` says who, and is `groups` long. inherited: there are SAs of a keying
 * process that has ended as well, so what that one said holds too. */
struct members_row {
	struct addr local, remote;
	bool there, inherited;
	const struct membership *is;
};
void members_row_put(struct wire_out *out, const struct members_row *r);
/* ret->is points to `to`, made for so many groups. Not well-formed: the cursor has failed. */
void members_row_get(struct wire_in *in, struct membership *to, struct members_row *ret);

#endif
