/* Who is behind which addresses, as the gate keeps it and tells the kernel's sets, which the test plays. */
#include "enforce/identities.h"

#include "base/diag.h"
#include "base/scope.h"
#include "base/text.h"
#include "enforce/set_changes.h"
#include "identity/groups.h"
#include "tests/unit/planned.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

static const char text[] =
	"cordon: 1\n"
	"hosts: { srv: { address: 10.0.0.1 } }\n"
	"groups: { trusted: [ { certificate: \"OU=Trusted\" } ] }\n"
	"authentication: { a: [ { certificate: {} } ] }\n"
	"firewall:\n"
	"  hosts: [srv]\n"
	"  inbound: block\n"
	"  outbound: allow\n"
	"  rules:\n"
	"    - { name: A, action: bypass, direction: in, secure: authenticated, machines: { allow: [trusted] } }\n";

/* ---- the kernel ---- */

static struct {
	unsigned added, removed;
	uint32_t last_added, last_removed;
} kernel;

static uint32_t number_of(const struct addr *a)
{
	return (uint32_t)a->octets[0] << 24 | (uint32_t)a->octets[1] << 16 | (uint32_t)a->octets[2] << 8 | a->octets[3];
}

void set_changes_begin(struct set_changes *c, struct netlink *nft, bool careful)
{
	(void)c, (void)nft, (void)careful;
}

void set_changes_add(struct set_changes *c, const char *set, const struct addr *remote, const struct addr *local)
{
	(void)c, (void)local;
	if (!strstr(set, "sure"))
		return;
	kernel.added++;
	kernel.last_added = number_of(remote);
}

void set_changes_remove(struct set_changes *c, const char *set, const struct addr *remote, const struct addr *local)
{
	(void)c, (void)local;
	if (!strstr(set, "sure"))
		return;
	kernel.removed++;
	kernel.last_removed = number_of(remote);
}

int set_changes_end(struct set_changes *c)
{
	(void)c;
	return 0;
}

/* ---- the gate ---- */

static struct addr ip(uint32_t n)
{
	return (struct addr){ 4, { (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n } };
}

static struct gate_identity of(uint32_t remote, const struct membership *is)
{
	return (struct gate_identity){ ip(0x0a000001), ip(remote), is };
}

struct made {
	struct planned planned;
	struct membership *is;
	struct identities list;
};

enum { FIRST = 0x0b000000, AT_ONCE = 256 };

/* Full, but for so many. */
static void make(struct made *m, size_t room)
{
	struct gate_identity some[AT_ONCE];
	size_t n = 0;

	*m = (struct made){ 0 };
	planned_make(&m->planned, text, (struct host_address){ ip(0x0a000001), -1 });
	m->is = membership_new(1);
	membership_put(m->is, 0, MEMBER_YES);
	for (uint32_t i = 0; i < GATE_IDENTITIES_MOST - room; i++) {
		some[n++] = of(FIRST + i, m->is);
		if (n == AT_ONCE || i + 1 == GATE_IDENTITIES_MOST - room) {
			assert_int_equal(identities_change(&m->list, NULL, m->planned.plan, some, n, NULL), 0);
			n = 0;
		}
	}
	assert_int_equal(m->list.count, GATE_IDENTITIES_MOST - room);
	memset(&kernel, 0, sizeof kernel);
}

static void unmake(struct made *m)
{
	identities_wipe(&m->list);
	membership_free(m->is);
	planned_wipe(&m->planned);
}

static void who_goes_goes_also_when_there_is_no_room_for_another(void **state)
{
	enum { NEW = 0x0c000000 };
	struct diag d = { 0 };
	struct made m;

	(void)state;
	make(&m, 0);
	{ /* one too many, and one that goes: then there is room */
		struct gate_identity changes[] = { of(NEW, m.is), of(FIRST, NULL) };
		assert_int_equal(identities_change(&m.list, NULL, m.planned.plan, changes, 2, &d), 0);
		assert_int_equal(kernel.last_added, NEW);
		assert_int_equal(kernel.last_removed, FIRST);
		assert_int_equal(m.list.count, GATE_IDENTITIES_MOST);
	}
	{ /* two for one place */
		struct gate_identity changes[] = { of(NEW + 1, m.is), of(NEW + 2, m.is), of(FIRST + 1, NULL) };
		assert_int_equal(identities_change(&m.list, NULL, m.planned.plan, changes, 3, &d), -ENOSPC);
		assert_int_equal(kernel.last_added, NEW + 1);
		assert_int_equal(kernel.last_removed, FIRST + 1);
		assert_int_equal(m.list.count, GATE_IDENTITIES_MOST);
	}
	{ /* who goes and comes again makes no room */
		struct gate_identity changes[] = { of(FIRST + 2, NULL), of(NEW + 3, m.is), of(FIRST + 2, m.is) };
		assert_int_equal(identities_change(&m.list, NULL, m.planned.plan, changes, 3, &d), -ENOSPC);
		assert_int_equal(m.list.count, GATE_IDENTITIES_MOST);
	}
	{ /* who is there already changes */
		SCOPED(membership_freep) struct membership *no = membership_new(1);
		struct gate_identity changes[] = { of(NEW + 4, m.is), of(FIRST + 3, no) };
		assert_int_equal(identities_change(&m.list, NULL, m.planned.plan, changes, 2, &d), -ENOSPC);
		assert_int_equal(kernel.last_removed, FIRST + 3);
	}
	{ /* and what means nothing changes nothing */
		struct gate_identity changes[] = { of(FIRST + 4, NULL), { ip(1), { 0 }, m.is } };
		unsigned removed = kernel.removed;
		assert_int_equal(identities_change(&m.list, NULL, m.planned.plan, changes, 2, &d), -EINVAL);
		assert_int_equal(kernel.removed, removed);
	}
	unmake(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(who_goes_goes_also_when_there_is_no_room_for_another) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
