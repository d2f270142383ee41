/* Who is behind a pair of addresses, as keying tells it: first told, then installed; and what several SAs come to. */
#include "daemon/keying/members.h"

#include "base/text.h"
#include "daemon/messages/members_wire.h"
#include "tests/unit/planned.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

static const char network[] =
	"cordon: 1\n"
	"hosts: { srv: { address: 10.0.0.1 } }\n"
	"groups: { one: [ { certificate: OU=One } ], two: [ { certificate: OU=Two } ] }\n"
	"firewall:\n"
	"  hosts: [%s]\n"
	"  inbound: block\n"
	"  outbound: allow\n"
	"  rules:\n"
	"    - { name: A, action: bypass, direction: in, secure: authenticated, machines: { allow: [one, two] } }\n";

static const struct addr here = { .family = 4, .octets = { 10, 0, 0, 1 } };
static const struct addr there = { .family = 4, .octets = { 10, 0, 0, 2 } };

struct world {
	struct planned planned;
	struct members *members;
	uint8_t message[70000];
	struct wire_out out;
	unsigned messages;
	uint64_t installed[16], failed[16];
	size_t installs, failures;
	/* of the last message */
	struct members_head head;
	struct members_row row;
	struct membership *is;
	size_t rows;
};

static struct wire_out *begin(void *context)
{
	struct world *w = context;

	w->out = wire_out(w->message, sizeof w->message);
	return &w->out;
}

static void end(void *context)
{
	struct world *w = context;
	struct wire_in in = wire_in(w->message, w->out.len);

	assert_false(w->out.failed);
	w->messages++;
	w->rows = 0;
	members_head_get(&in, &w->head);
	membership_free(w->is);
	w->is = membership_new(w->head.groups);
	while (in.left && !in.failed) {
		members_row_get(&in, w->is, &w->row);
		w->rows++;
	}
	assert_true(wire_done(&in));
}

static void install(void *context, const struct sa_spec *spec, uint64_t request)
{
	struct world *w = context;

	assert_true(spec->inbound);
	w->installed[w->installs++] = request;
}

static void failed(void *context, uint64_t request)
{
	struct world *w = context;

	w->failed[w->failures++] = request;
}

static void open_plan(struct world *w, const char *ruled, uint64_t number)
{
	char text[1024];

	(void)snprintf(text, sizeof text, network, ruled);
	planned_make(&w->planned, text, (struct host_address){ here, 32 });
	members_plan(w->members, number, w->planned.plan);
}

static struct world *world_open(const char *ruled)
{
	struct world *w = test_calloc(1, sizeof *w);

	w->members = members_new(&(struct members_calls){ begin, end, install, failed, w });
	open_plan(w, ruled, 1);
	return w;
}

static void world_close(struct world *w)
{
	members_free(w->members);
	membership_free(w->is);
	planned_wipe(&w->planned);
	test_free(w);
}

static bool hold(struct world *w, uint64_t pair, enum member one, enum member two)
{
	struct sa_spec spec = { .inbound = true, .spi = (uint32_t)pair + 1000, .pair = pair };
	struct membership *is = membership_new(2);
	bool held;

	spec.selector.local = here;
	spec.selector.remote = there;
	membership_put(is, 0, one);
	membership_put(is, 1, two);
	held = members_hold(w->members, &spec, pair + 100, is);
	membership_free(is);
	return held;
}

static void an_sa_is_installed_when_the_parent_has_answered(void **state)
{
	struct world *w = world_open("srv");

	(void)state;
	assert_true(hold(w, 1, MEMBER_YES, MEMBER_NO));
	members_flush(w->members);
	assert_int_equal(w->messages, 1);
	assert_int_equal(w->rows, 1);
	assert_int_equal(w->head.plan, 1);
	assert_true(w->row.there && !w->row.inherited);
	assert_int_equal(membership_get(w->is, 0), MEMBER_YES);
	assert_int_equal(w->installs, 0);
	members_answered(w->members, 77, true); /* nobody asked that */
	assert_int_equal(w->installs, 0);
	members_answered(w->members, w->head.request, true);
	assert_int_equal(w->installs, 1);
	assert_int_equal(w->installed[0], 101);
	/* the next one that stands for the same is nothing new */
	assert_true(hold(w, 2, MEMBER_YES, MEMBER_NO));
	members_flush(w->members);
	assert_int_equal(w->messages, 1);
	assert_int_equal(w->installs, 2);
	world_close(w);
}

static void nothing_waits_where_nobody_asks(void **state)
{
	struct world *w = world_open("10.9.9.9");

	(void)state;
	assert_false(hold(w, 1, MEMBER_YES, MEMBER_NO));
	members_flush(w->members);
	assert_int_equal(w->messages, 0);
	world_close(w);
}

static void two_identities_open_what_both_may(void **state)
{
	struct world *w = world_open("srv");

	(void)state;
	(void)hold(w, 1, MEMBER_YES, MEMBER_NO);
	members_flush(w->members);
	(void)hold(w, 2, MEMBER_NO, MEMBER_YES);
	members_flush(w->members);
	assert_int_equal(w->messages, 2);
	assert_int_equal(membership_get(w->is, 0), MEMBER_MAYBE);
	assert_int_equal(membership_get(w->is, 1), MEMBER_MAYBE);
	members_answered(w->members, w->head.request, true);
	assert_int_equal(w->installs, 2);
	assert_int_equal(members_gone(w->members, 1), 0);
	members_flush(w->members);
	assert_int_equal(membership_get(w->is, 0), MEMBER_NO);
	assert_int_equal(membership_get(w->is, 1), MEMBER_YES);
	(void)members_gone(w->members, 2);
	members_flush(w->members);
	assert_false(w->row.there);
	assert_int_equal(w->messages, 4);
	(void)members_gone(w->members, 2);
	members_flush(w->members);
	assert_int_equal(w->messages, 4);
	world_close(w);
}

static void what_the_parent_cannot_do_fails(void **state)
{
	struct world *w = world_open("srv");

	(void)state;
	(void)hold(w, 1, MEMBER_YES, MEMBER_NO);
	members_flush(w->members);
	members_answered(w->members, w->head.request, false);
	assert_int_equal(w->installs, 0);
	assert_int_equal(w->failures, 1);
	(void)hold(w, 2, MEMBER_YES, MEMBER_NO); /* is told again, although it is the same */
	members_flush(w->members);
	assert_int_equal(w->messages, 2);
	world_close(w);
}

static void one_that_goes_while_it_waits_is_never_installed(void **state)
{
	struct world *w = world_open("srv");

	(void)state;
	(void)hold(w, 1, MEMBER_YES, MEMBER_NO);
	members_flush(w->members);
	assert_int_equal(members_gone(w->members, 1), 1001);
	members_flush(w->members);
	assert_false(w->row.there);
	members_answered(w->members, 1, true);
	members_answered(w->members, 2, true);
	assert_int_equal(w->installs + w->failures, 0);
	world_close(w);
}

static void while_there_are_orphans_the_parent_keeps_what_it_knew(void **state)
{
	const struct sa_selector s = { .local = here, .remote = there };
	struct world *w = world_open("srv");

	(void)state;
	members_orphan(w->members, &s, true);
	members_flush(w->members);
	(void)hold(w, 1, MEMBER_YES, MEMBER_NO);
	members_flush(w->members);
	assert_true(w->row.there && w->row.inherited);
	members_orphan(w->members, &s, false);
	members_flush(w->members);
	assert_true(w->row.there && !w->row.inherited);
	(void)members_gone(w->members, 1);
	members_orphan(w->members, &s, true);
	members_flush(w->members);
	assert_true(!w->row.there && w->row.inherited);
	members_orphan(w->members, &s, false);
	members_flush(w->members);
	assert_true(!w->row.there && !w->row.inherited);
	world_close(w);
}

static void under_another_plan_all_is_told_anew(void **state)
{
	struct membership *is = membership_new(2);
	struct world *w = world_open("srv");

	(void)state;
	(void)hold(w, 1, MEMBER_YES, MEMBER_NO);
	members_flush(w->members);
	members_answered(w->members, w->head.request, true);
	open_plan(w, "srv", 2);
	membership_put(is, 1, MEMBER_YES);
	members_set(w->members, 1, is);
	members_flush(w->members);
	assert_int_equal(w->head.plan, 2);
	assert_int_equal(membership_get(w->is, 0), MEMBER_NO);
	assert_int_equal(membership_get(w->is, 1), MEMBER_YES);
	open_plan(w, "srv", 3); /* nobody has judged it yet */
	members_flush(w->members);
	assert_int_equal(membership_get(w->is, 1), MEMBER_MAYBE);
	(void)hold(w, 2, MEMBER_YES, MEMBER_NO);
	open_plan(w, "10.9.9.9", 4); /* which does not ask: what waited goes on */
	members_flush(w->members);
	assert_int_equal(w->installs, 2);
	membership_free(is);
	world_close(w);
}

static void many_go_in_messages_that_fit(void **state)
{
	struct world *w = world_open("srv");
	struct membership *is = membership_new(2);
	size_t rows = 0;

	(void)state;
	for (unsigned n = 0; n < 5000; n++) {
		struct sa_spec spec = { .inbound = true, .pair = n + 1 };

		spec.selector.local = here;
		spec.selector.remote = there;
		spec.selector.remote.octets[2] = (uint8_t)(n >> 8);
		spec.selector.remote.octets[3] = (uint8_t)n;
		assert_true(members_hold(w->members, &spec, 0, is));
	}
	members_flush(w->members);
	assert_true(w->messages > 1);
	assert_int_equal(w->head.request, w->messages);
	rows = w->rows;
	assert_in_range(rows, 1, 5000);
	membership_free(is);
	world_close(w);
}

static void malformed_rows_are_refused(void **state)
{
	static const struct {
		uint32_t groups;
		uint8_t flags, sure, may;
		bool good;
	} rows[] = {
		{ 2, 1, 1, 3, true },  { 2, 1, 2, 1, false }, /* sure and yet not possible */
		{ 2, 1, 0, 4, false },                        /* a third of two */
		{ 2, 4, 0, 0, false }, { PLAN_GROUPS_MOST + 1, 1, 0, 0, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct membership *to = membership_new(2);
		uint8_t octets[128];
		struct wire_out out = wire_out(octets, sizeof octets);
		struct members_head head;
		struct members_row row;
		struct wire_in in;

		members_head_put(&out, &(struct members_head){ 1, 1, rows[i].groups });
		addr_encode(&out, &here);
		addr_encode(&out, &there);
		wire_put_u8(&out, rows[i].flags);
		wire_put_u64(&out, 0);
		wire_put_u8(&out, rows[i].sure);
		wire_put_u8(&out, rows[i].may);
		in = wire_in(octets, out.len);
		members_head_get(&in, &head);
		if (!in.failed)
			members_row_get(&in, to, &row);
		if (wire_done(&in) != rows[i].good)
			fail_msg("row %zu", i);
		membership_free(to);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_sa_is_installed_when_the_parent_has_answered),
		cmocka_unit_test(nothing_waits_where_nobody_asks),
		cmocka_unit_test(two_identities_open_what_both_may),
		cmocka_unit_test(what_the_parent_cannot_do_fails),
		cmocka_unit_test(one_that_goes_while_it_waits_is_never_installed),
		cmocka_unit_test(while_there_are_orphans_the_parent_keeps_what_it_knew),
		cmocka_unit_test(under_another_plan_all_is_told_anew),
		cmocka_unit_test(many_go_in_messages_that_fit),
		cmocka_unit_test(malformed_rows_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
