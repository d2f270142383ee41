#include "policy/rank.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static unsigned ports_rank(struct port_range a, struct port_range b, int16_t type, int16_t code)
{
	unsigned given = (unsigned)port_given(a) + (unsigned)port_given(b);
	unsigned ranges = (unsigned)(port_given(a) && a.lo != a.hi) + (unsigned)(port_given(b) && b.lo != b.hi);

	if (type >= 0)
		return code >= 0 ? 0 : 3;
	return given == 2 ? ranges : given == 1 ? 3 + ranges : 5;
}

unsigned service_rank(const struct service *s)
{
	return (s->protocol == PROTOCOL_ANY ? 6u : 0u) + ports_rank(s->port1, s->port2, s->icmp_type, s->icmp_code);
}

unsigned entry_service_rank(const struct plan_entry *e)
{
	return (e->protocol == PROTOCOL_ANY ? 6u : 0u) +
	       ports_rank(e->local_port, e->remote_port, e->icmp_type, e->icmp_code);
}

unsigned rule_protectiveness(const struct rule *r)
{
	static const uint8_t modes[] = {
		[MODE_EXEMPT] = 0, [MODE_REQUEST] = 1, [MODE_REQUIRE_INBOUND] = 2, [MODE_REQUIRE] = 3, [MODE_BLOCK] = 4,
	};
	unsigned encrypting = 0;

	if (rule_mode_protects(r->mode))
		for (size_t i = 0; i < r->protection->count; i++)
			encrypting += child_suite_encrypts(&r->protection->suites[i]);
	encrypting = encrypting == 0                     ? 0
		     : encrypting < r->protection->count ? 1
		     : r->protection->require_encryption ? 3
							 : 2;
	return modes[r->mode] * 8u + encrypting * 2u + r->tunnel; /* of equals the one that hides the addresses too */
}

static bool same_machines(const struct rule *a, const struct rule *b)
{
	if (!a->machines || !b->machines || a->machine_count != b->machine_count)
		return a->machines == b->machines;
	for (size_t i = 0; i < a->machine_count; i++)
		if (a->machines[i] != b->machines[i])
			return false;
	return true;
}

bool rule_same_effect(const struct rule *a, const struct rule *b)
{
	if (a->mode != b->mode)
		return false;
	if (!rule_mode_protects(a->mode))
		return true;
	return a->auth == b->auth && a->second_auth == b->second_auth && a->protection == b->protection &&
	       a->key_exchange == b->key_exchange && a->modules == b->modules && a->tunnel == b->tunnel &&
	       a->exempt_protected == b->exempt_protected && addr_equal(&a->tunnel1, &b->tunnel1) &&
	       addr_equal(&a->tunnel2, &b->tunnel2) &&
	       (a->mode == MODE_REQUIRE || a->fallback_after_ms == b->fallback_after_ms) && same_machines(a, b);
}

unsigned entry_initiators(const struct rule *r, const struct service *s, bool local_is_end1)
{
	const unsigned by_end1 = local_is_end1 ? INITIATOR_LOCAL : INITIATOR_REMOTE;
	const unsigned by_end2 = local_is_end1 ? INITIATOR_REMOTE : INITIATOR_LOCAL;
	bool one = port_given(s->port1), two = port_given(s->port2);
	unsigned bits = INITIATOR_EITHER;

	if (rule_mode_protects(r->mode))
		return INITIATOR_EITHER;
	/* The port that answers is the given one: a source port opens nothing. */
	if (two && !one)
		bits = by_end1;
	else if (one && !two)
		bits = by_end2;
	return r->mirrored ? bits : bits & by_end1;
}

void entry_make(const struct rule *r, const struct service *s, bool local_is_end1, struct plan_entry *ret)
{
	memset(ret, 0, sizeof *ret); /* padding too */
	ret->rule = r;
	ret->protocol = s->protocol;
	ret->local_port = local_is_end1 ? s->port1 : s->port2;
	ret->remote_port = local_is_end1 ? s->port2 : s->port1;
	ret->icmp_type = s->icmp_type;
	ret->icmp_code = s->icmp_code;
	ret->initiators = entry_initiators(r, s, local_is_end1);
	ret->local_is_end1 = local_is_end1;
}

bool entry_matches_all(const struct plan_entry *e)
{
	return e->protocol == PROTOCOL_ANY && e->initiators == INITIATOR_EITHER;
}

int entry_rank_compare(const struct plan_entry *a, const struct plan_entry *b)
{
	unsigned x, y;

	if (a->small != b->small)
		return a->small < b->small ? -1 : 1;
	if (a->large != b->large)
		return a->large < b->large ? -1 : 1;
	x = entry_service_rank(a);
	y = entry_service_rank(b);
	return x < y ? -1 : x > y;
}

int entry_order(const struct plan_entry *a, const struct plan_entry *b)
{
	int c = entry_rank_compare(a, b);
	unsigned x, y;

	if (c)
		return c;
	x = rule_protectiveness(a->rule);
	y = rule_protectiveness(b->rule);
	if (x != y)
		return x > y ? -1 : 1;
	if (a->rule != b->rule)
		return a->rule->index < b->rule->index ? -1 : 1;
	return a->local_is_end1 != b->local_is_end1 ? (a->local_is_end1 ? -1 : 1) : 0;
}

static bool ports_overlap(struct port_range a, struct port_range b)
{
	return a.lo <= b.hi && b.lo <= a.hi;
}

static bool ports_cover(struct port_range c, struct port_range a, struct port_range b)
{
	uint16_t lo = a.lo > b.lo ? a.lo : b.lo, hi = a.hi < b.hi ? a.hi : b.hi;

	return c.lo <= lo && hi <= c.hi;
}

static bool number_overlaps(int a, int b)
{
	return a == b || a < 0 || b < 0;
}

static bool may_be_one(const struct addr *a, const struct addr *b)
{
	return !a->family || !b->family || addr_equal(a, b);
}

/* A host holds a tunnel rule only if it is its end. Two whose ends on neither side can be one host never meet, and a
 * tunnel around what transport mode protects is no contradiction. */
static bool tunnels_apart(const struct plan_entry *a, const struct plan_entry *b)
{
	const struct rule *x = a->rule, *y = b->rule;

	if (!x->tunnel || !y->tunnel)
		return x->tunnel != y->tunnel && rule_mode_protects(x->mode) && rule_mode_protects(y->mode);
	return !may_be_one(a->local_is_end1 ? &x->tunnel1 : &x->tunnel2,
			   b->local_is_end1 ? &y->tunnel1 : &y->tunnel2) &&
	       !may_be_one(a->local_is_end1 ? &x->tunnel2 : &x->tunnel1, b->local_is_end1 ? &y->tunnel2 : &y->tunnel1);
}

bool entries_contradict(const struct plan_entry *a, const struct plan_entry *b)
{
	if (a->rule == b->rule || !number_overlaps(a->protocol, b->protocol) || !(a->initiators & b->initiators) ||
	    !ports_overlap(a->local_port, b->local_port) || !ports_overlap(a->remote_port, b->remote_port) ||
	    !number_overlaps(a->icmp_type, b->icmp_type) || !number_overlaps(a->icmp_code, b->icmp_code) ||
	    !(a->rule->profiles & b->rule->profiles) || entry_rank_compare(a, b) != 0)
		return false;
	/* One names a port here and the other a port there: only a service that talks to another service meets both.
	 * That is nobody's mistake; entry_order lets the one that protects more decide. */
	if (port_given(a->local_port) != port_given(b->local_port))
		return false;
	return !rule_same_effect(a->rule, b->rule) && !tunnels_apart(a, b);
}

bool entry_covers_both(const struct plan_entry *c, const struct plan_entry *a, const struct plan_entry *b)
{
	unsigned initiators = a->initiators & b->initiators;
	int protocol = a->protocol >= 0 ? a->protocol : b->protocol;
	int type = a->icmp_type >= 0 ? a->icmp_type : b->icmp_type;
	int code = a->icmp_code >= 0 ? a->icmp_code : b->icmp_code;

	return (c->protocol < 0 || c->protocol == protocol) && (c->icmp_type < 0 || c->icmp_type == type) &&
	       (c->icmp_code < 0 || c->icmp_code == code) && (c->initiators & initiators) == initiators &&
	       ports_cover(c->local_port, a->local_port, b->local_port) &&
	       ports_cover(c->remote_port, a->remote_port, b->remote_port) &&
	       (c->rule->profiles & a->rule->profiles & b->rule->profiles) == (a->rule->profiles & b->rule->profiles);
}

enum { PAIRWISE_MOST = 48, NEIGHBOURS_MOST = 256 };

static int by_service(const void *x, const void *y)
{
	const struct plan_entry *a = *(const struct plan_entry *const *)x, *b = *(const struct plan_entry *const *)y;
	const int keys[][2] = {
		{ a->protocol, b->protocol },
		{ port_given(a->local_port), port_given(b->local_port) },
		{ port_given(a->local_port) ? a->local_port.lo : a->remote_port.lo,
		  port_given(b->local_port) ? b->local_port.lo : b->remote_port.lo },
		{ a->icmp_type, b->icmp_type },
		{ (int)a->rule->index, (int)b->rule->index },
	};

	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
		if (keys[i][0] != keys[i][1])
			return keys[i][0] < keys[i][1] ? -1 : 1;
	return 0;
}

struct run {
	const struct plan_entry *list; /* from its start */
	bool one_meeting;
	contradiction_fn *found;
	void *context;
};

static void try_pair(const struct run *r, const struct plan_entry *a, const struct plan_entry *b)
{
	const struct plan_entry *first = a < b ? a : b;

	if (!entries_contradict(a, b))
		return;
	for (const struct plan_entry *c = r->list; r->one_meeting && c < first; c++)
		if (entry_rank_compare(c, first) < 0 && entry_covers_both(c, a, b))
			return;
	r->found(r->context, first, a < b ? b : a);
}

/* Many entries of one rank are single ports of one protocol: sorted, those that can overlap stand together. */
static void sorted_run(const struct run *r, const struct plan_entry *from, size_t n)
{
	const struct plan_entry **sorted = mem_new(n, sizeof(struct plan_entry *));

	for (size_t i = 0; i < n; i++)
		sorted[i] = &from[i];
	qsort(sorted, n, sizeof(struct plan_entry *), by_service);
	for (size_t i = 0; i < n; i++) {
		const struct plan_entry *a = sorted[i];

		for (size_t k = i + 1; k < n && k - i < NEIGHBOURS_MOST; k++) {
			const struct plan_entry *b = sorted[k];
			bool local = port_given(a->local_port);

			if (a->protocol != b->protocol || local != port_given(b->local_port) ||
			    (local ? b->local_port.lo > a->local_port.hi : b->remote_port.lo > a->remote_port.hi))
				break;
			try_pair(r, a, b);
		}
	}
	free(sorted);
}

void list_contradictions(const struct plan_entry *list, size_t n, bool one_meeting, contradiction_fn *found,
			 void *context)
{
	const struct run run = { .list = list, .one_meeting = one_meeting, .found = found, .context = context };
	size_t next;

	for (size_t i = 0; i < n; i = next) {
		next = i + 1;
		while (next < n && entry_rank_compare(&list[i], &list[next]) == 0)
			next++;
		if (next - i > PAIRWISE_MOST) {
			sorted_run(&run, &list[i], next - i);
			continue;
		}
		for (size_t a = i; a < next; a++)
			for (size_t b = a + 1; b < next; b++)
				try_pair(&run, &list[a], &list[b]);
	}
}
