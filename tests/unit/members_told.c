/* Who is behind which addresses, as the parent takes it from keying: what it hands to the gate, and what it refuses. */
#include "daemon/parts/members.h"

#include "base/text.h"
#include "daemon/messages/members_wire.h"
#include "tests/unit/planned.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char network[] =
	"cordon: 1\n"
	"hosts: { srv: { address: 10.0.0.1 } }\n"
	"groups: { zero: [ { certificate: OU=Zero } ], one: [ { certificate: OU=One } ] }\n"
	"firewall:\n"
	"  hosts: [srv]\n"
	"  inbound: block\n"
	"  outbound: allow\n"
	"  rules:\n"
	"    - { name: A, action: bypass, direction: in, secure: authenticated, machines: { allow: [%s] } }\n";

static const struct addr here = { .family = 4, .octets = { 10, 0, 0, 1 } };

/* ---- the gate ---------------------------------------------------------------------------------------------------- */

static struct {
	unsigned calls;
	struct addr remote;
	bool there;
	enum member one; /* of the last group */
	int fails;
} gate;

int gate_identify(struct gate *g, const struct gate_identity *changes, size_t count, struct diag *d)
{
	const struct gate_identity *last = &changes[count - 1];

	(void)g, (void)d;
	gate.calls++;
	gate.remote = last->remote;
	gate.there = last->is != NULL;
	gate.one = last->is ? membership_get(last->is, last->is->count - 1) : MEMBER_NO;
	return gate.fails;
}

void gate_forget_identities(struct gate *g)
{
	(void)g;
}

/* ---- the world --------------------------------------------------------------------------------------------------- */

struct world {
	struct planned planned;
	struct members *members;
};

static bool may(void *context, const struct addr *local, const struct addr *remote)
{
	(void)context, (void)local;
	return remote->octets[1] == 0; /* 10.0.0.0/16 is protected */
}

static void open_plan(struct world *w, const char *groups, uint64_t number)
{
	char text[1024];

	(void)snprintf(text, sizeof text, network, groups);
	planned_make(&w->planned, text, (struct host_address){ here, 32 });
	members_set_plan(w->members, number, w->planned.plan);
}

static void world_open(struct world *w)
{
	*w = (struct world){ 0 };
	memset(&gate, 0, sizeof gate);
	w->members = members_new(&(struct members_config){ NULL, may, NULL });
	open_plan(w, "one", 1);
}

static void world_close(struct world *w)
{
	members_free(w->members);
	planned_wipe(&w->planned);
}

/* One row, about a peer of that net; returns whether it was done. */
static bool tell(struct world *w, uint64_t plan, uint8_t net, bool there, bool inherited, enum member one)
{
	SCOPED(membership_freep) struct membership *is = membership_new(1);
	uint8_t octets[256];
	struct wire_out out = wire_out(octets, sizeof octets);
	struct members_row row = { .local = here, .remote = here, .there = there, .inherited = inherited, .is = is };
	struct wire_in in;
	uint64_t request = 0;
	bool done = false;

	row.remote.octets[1] = net;
	row.remote.octets[3] = 2;
	membership_put(is, 0, one);
	members_head_put(&out, &(struct members_head){ plan, 7, 1 });
	members_row_put(&out, &row);
	in = wire_in(octets, out.len);
	assert_int_equal(members_told(w->members, &in, &request, &done, NULL), 0);
	assert_int_equal(request, 7);
	return done;
}

static void what_is_said_is_in_the_gate(void **state)
{
	struct world w;

	(void)state;
	world_open(&w);
	assert_true(tell(&w, 1, 0, true, false, MEMBER_YES));
	assert_true(gate.there && gate.one == MEMBER_YES);
	assert_true(tell(&w, 1, 0, false, false, MEMBER_NO));
	assert_false(gate.there);
	gate.fails = -EIO;
	assert_false(tell(&w, 1, 0, true, false, MEMBER_YES));
	world_close(&w);
}

static void two_hosts_that_nothing_protects_are_refused(void **state)
{
	struct world w;

	(void)state;
	world_open(&w);
	assert_false(tell(&w, 1, 9, true, false, MEMBER_YES));
	assert_int_equal(gate.calls, 0);
	world_close(&w);
}

static void numbers_of_another_plan_are_nobodys(void **state)
{
	struct world w;

	(void)state;
	world_open(&w);
	assert_true(tell(&w, 2, 0, true, false, MEMBER_YES));
	assert_true(gate.there && gate.one == MEMBER_MAYBE);
	world_close(&w);
}

static void what_a_keying_said_that_has_ended_holds_besides(void **state)
{
	struct world w;

	(void)state;
	world_open(&w);
	assert_true(tell(&w, 1, 0, true, false, MEMBER_NO));
	members_keying_came(w.members);
	assert_true(tell(&w, 1, 0, true, true, MEMBER_YES)); /* SAs of before may stand for who was no member */
	assert_int_equal(gate.one, MEMBER_MAYBE);
	assert_true(tell(&w, 1, 0, true, false, MEMBER_YES)); /* they are gone */
	assert_int_equal(gate.one, MEMBER_YES);
	members_keying_came(w.members);
	assert_true(tell(&w, 1, 0, false, true, MEMBER_NO));
	assert_true(gate.there && gate.one == MEMBER_YES);
	members_keying_came(w.members);
	members_forget_stale(w.members);
	assert_false(gate.there);
	world_close(&w);
}

static void another_plan_renumbers_what_was_said(void **state)
{
	struct world w;

	(void)state;
	world_open(&w);
	assert_true(tell(&w, 1, 0, true, false, MEMBER_YES));
	open_plan(&w, "zero, one", 2); /* one is number 1 now */
	members_keying_came(w.members);
	members_forget_stale(w.members);
	assert_false(gate.there); /* it was there still, to be forgotten */
	world_close(&w);
}

static void what_is_not_well_formed_ends_it(void **state)
{
	uint8_t octets[64];
	struct wire_out out = wire_out(octets, sizeof octets);
	uint64_t request;
	struct world w;
	bool done;

	(void)state;
	world_open(&w);
	members_head_put(&out, &(struct members_head){ 1, 7, 1 });
	wire_put_u8(&out, 4);
	for (size_t n = 1; n < out.len; n++) {
		struct wire_in in = wire_in(octets, n);
		bool whole = n == MEMBERS_HEAD;

		assert_int_equal(members_told(w.members, &in, &request, &done, NULL), whole ? 0 : -EPROTO);
	}
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_said_is_in_the_gate),
		cmocka_unit_test(two_hosts_that_nothing_protects_are_refused),
		cmocka_unit_test(numbers_of_another_plan_are_nobodys),
		cmocka_unit_test(what_a_keying_said_that_has_ended_holds_besides),
		cmocka_unit_test(another_plan_renumbers_what_was_said),
		cmocka_unit_test(what_is_not_well_formed_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
