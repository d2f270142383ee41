/* daemon/messages/keying_wire.h - what keying tells of itself for `status` and `show`, on its way to the parent, which
 * takes it for what an outsider might have written. */
#ifndef DAEMON_MESSAGES_KEYING_WIRE_H
#define DAEMON_MESSAGES_KEYING_WIRE_H
#include "base/mem.h"
#include "base/wire.h"
#include "identity/revocation.h"
#include "keying/keying.h"

struct diag;

enum {
	KEYING_WIRE_MOST = 128 << 20,
	KEYING_WIRE_ROWS_MOST = 1 << 17,
	KEYING_WIRE_GROUPS_MOST = 1 << 16
}; /* of a kind */

struct keying_rows {
	struct keying_ike_row *ike;
	struct keying_child_row *children;
	struct keying_failure *failures;
	struct sa_usage *usage;       /* of the data plane, by pair: counters only */
	struct revocation_row *lists; /* that were fetched */
	size_t ike_count, child_count, failure_count, usage_count, list_count;
	uint64_t dropped[KEYING_DROP_COUNT], plane_dropped[DROP_COUNT];
	/* Of rows that came: names and peers. */
	struct arena memory;
	struct peer_kept **peers;
	size_t peer_count, peer_cap;
};
void keying_rows_wipe(struct keying_rows *r); /* for SCOPED */

/* At the one end (keying/rows.h collects them). */
int keying_rows_seal(const struct keying_rows *r, uint64_t plan_number, struct diag *d); /* memory_file.h */

/* At the other. Rules are pointed to if that is the policy of the plan that the rows speak of. */
int keying_rows_read(int fd, uint64_t plan_number, const struct policy *policy, struct keying_rows *ret,
		     struct diag *d);
/* Between them and their tests. */
void keying_rows_encode(struct wire_out *out, const struct keying_rows *r, uint64_t plan_number);
int keying_rows_decode(struct wire_in *in, uint64_t plan_number, const struct policy *policy, struct keying_rows *ret,
		       struct diag *d);

#endif
