#include "tests/unit/unit.h"

#include "base/scope.h"
#include "enforce/firewall_tree.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum { ITEMS_MOST = 12000, POINTS = 4000, LOOKUPS_MOST = 16 };

struct point {
	addr_count address[SIDES];
	int16_t protocol;
	uint16_t port[SIDES];
};

static uint64_t seed = 1;

static uint32_t dice(uint32_t sides)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % sides;
}

static bool end_has(const struct firewall_end *e, addr_count a)
{
	for (uint32_t i = 0; !e->any && i < e->count; i++)
		if (e->spans[i].lo <= a && a <= e->spans[i].hi)
			return true;
	return e->any;
}

static bool matches(const struct firewall_item *i, const struct point *p)
{
	for (int s = 0; s < SIDES; s++)
		if (!end_has(i->ends[s], p->address[s]) || p->port[s] < i->ports[s].lo || p->port[s] > i->ports[s].hi)
			return false;
	return i->protocol == PROTOCOL_ANY || i->protocol == p->protocol;
}

/* As the kernel walks it; counts what it tries and looks up. */
static bool walk(const struct firewall_tree *t, uint32_t node, const struct point *p, size_t *steps)
{
	const struct firewall_node *n = &t->nodes[node];
	addr_count key = 0;

	switch (n->kind) {
	case NODE_NONE:
		return false;
	case NODE_LEAF:
		for (size_t i = 0; i < n->count; i++) {
			++*steps;
			if (matches(&t->items[t->leaves[n->first + i]], p))
				return true;
		}
		return false;
	case NODE_BUNCH:
		for (size_t i = 0; i < n->count; i++)
			if (walk(t, t->bunches[n->first + i], p, steps))
				return true;
		return false;
	case NODE_MAP:
		break;
	}
	++*steps;
	if (n->cut == CUT_REMOTE || n->cut == CUT_LOCAL)
		key = p->address[n->cut == CUT_REMOTE ? SIDE_REMOTE : SIDE_LOCAL];
	else
		key = p->port[n->cut == CUT_LOCAL_PORT ? SIDE_LOCAL : SIDE_REMOTE] |
		      (firewall_protocol_decided(n->decided) ? 0 : (addr_count)p->protocol << 16);
	for (size_t i = 0; i < n->count; i++) {
		const struct firewall_branch *b = &t->branches[n->first + i];

		if (i)
			assert_true(b[-1].span.hi < b->span.lo);
		if (b->span.lo <= key && key <= b->span.hi)
			return walk(t, b->node, p, steps);
	}
	return false;
}

static const struct firewall_end anywhere = { .any = true };

static struct firewall_item item(int16_t protocol)
{
	return (struct firewall_item){ .protocol = protocol,
				       .icmp_type = -1,
				       .icmp_code = -1,
				       .ports = { PORT_ANY, PORT_ANY },
				       .ends = { &anywhere, &anywhere } };
}

/* Sets of rules as people have them, and as nobody should. */
enum shape { SHAPE_MIXED, SHAPE_PORTS, SHAPE_PEERS, SHAPE_CROSSED, SHAPE_NESTED, SHAPE_SAME, SHAPES };

static struct firewall_end ends[ITEMS_MOST];
static struct firewall_span spans[ITEMS_MOST];
static struct firewall_item items[ITEMS_MOST];

static void make(enum shape shape, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t port = 1000 + dice(60000), base = 0x0a000000 + dice(20000), size = dice(30) ? 0 : dice(300);
		bool address = true, ports = true;

		items[i] = item(dice(2) ? IPPROTO_TCP : IPPROTO_UDP);
		items[i].rule = (uint32_t)i;
		switch (shape) {
		case SHAPE_MIXED:
			address = dice(100);
			ports = dice(100);
			if (!ports && !dice(3))
				items[i].protocol = PROTOCOL_ANY;
			break;
		case SHAPE_PORTS:
			address = false;
			break;
		case SHAPE_PEERS:
			ports = false;
			break;
		case SHAPE_CROSSED: /* half by port, half by peer: each meets each */
			address = i % 2;
			ports = !address;
			break;
		case SHAPE_NESTED: /* ranges within ranges */
			base = 0x0a000000;
			size = (uint32_t)i;
			port = 1000;
			break;
		case SHAPE_SAME:
			base = 0x0a000001;
			size = 0;
			port = 1000;
			break;
		case SHAPES:
			break;
		}
		spans[i] = (struct firewall_span){ base, base + size };
		ends[i] = (struct firewall_end){ .spans = &spans[i], .count = 1 };
		if (address)
			items[i].ends[SIDE_REMOTE] = &ends[i];
		if (ports)
			items[i].ports[SIDE_LOCAL] =
				(struct port_range){ (uint16_t)port, (uint16_t)(port + (dice(3) ? 0 : dice(100))) };
	}
}

static struct point point_near(size_t n)
{
	struct point p = { { 0x0a0000ff, 0x0a000000 + dice(21000) },
			   (int16_t)(dice(8) ? (dice(2) ? IPPROTO_TCP : IPPROTO_UDP) : IPPROTO_ICMP),
			   { (uint16_t)(1000 + dice(61000)), 40000 } };
	size_t at = n ? dice((uint32_t)n) : 0;

	if (n && dice(2) && !items[at].ends[SIDE_REMOTE]->any)
		p.address[SIDE_REMOTE] = spans[at].lo;
	if (n && dice(2))
		p.port[SIDE_LOCAL] = items[at].ports[SIDE_LOCAL].lo;
	return p;
}

static void check(enum shape shape, size_t n, size_t *ret_most)
{
	struct firewall_tree t = { 0 };
	uint32_t root;

	make(shape, n);
	root = firewall_tree_build(&t, items, n, 4);
	*ret_most = 0;
	for (size_t k = 0; k < POINTS; k++) {
		struct point p = point_near(n);
		bool want = false, got;
		size_t steps = 0;

		for (size_t i = 0; !want && i < n; i++)
			want = matches(&items[i], &p);
		got = walk(&t, root, &p, &steps);
		if (got != want)
			fail_msg("shape %d of %zu, point %zu: %d, the list says %d", (int)shape, n, k, got, want);
		*ret_most = steps > *ret_most ? steps : *ret_most;
	}
	firewall_tree_wipe(&t);
}

static void a_tree_finds_what_the_list_finds(void **state)
{
	static const size_t counts[] = { 0, 1, 3, 4, 17, 100, 1000 };
	size_t most;

	(void)state;
	for (enum shape s = 0; s < SHAPES; s++)
		for (size_t i = 0; i < ARRAY_LEN(counts); i++)
			check(s, counts[i], &most);
}

static void a_packet_asks_no_more_of_many_rules_than_of_few(void **state)
{
	static const enum shape shapes[] = { SHAPE_MIXED, SHAPE_PORTS, SHAPE_PEERS, SHAPE_CROSSED };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		size_t most;

		check(shapes[i], 10000, &most);
		if (most > LOOKUPS_MOST)
			fail_msg("shape %d: %zu steps", (int)shapes[i], most);
	}
}

/* Branches are elements in the kernel: they must not multiply. */
static void a_tree_grows_no_faster_than_its_rules(void **state)
{
	(void)state;
	for (enum shape s = 0; s < SHAPES; s++) {
		struct firewall_tree t = { 0 };
		const size_t n = s == SHAPE_NESTED ? 1000 : 10000;

		make(s, n);
		(void)firewall_tree_build(&t, items, n, 4);
		if (t.branch_count + t.leaf_count > 30 * n)
			fail_msg("shape %d: %zu branches, %zu in leaves", (int)s, t.branch_count, t.leaf_count);
		firewall_tree_wipe(&t);
	}
}

static void the_last_address_and_port_are_no_edge(void **state)
{
	struct firewall_span all[] = { { 0, 0 }, { UINT32_MAX, UINT32_MAX } };
	struct firewall_end edge[] = { { .spans = &all[0], .count = 1 }, { .spans = &all[1], .count = 1 } };
	struct firewall_tree t = { 0 };
	uint32_t root;

	(void)state;
	for (size_t i = 0; i < 8; i++) {
		items[i] = item(i % 2 ? IPPROTO_TCP : IPPROTO_UDP);
		items[i].ends[SIDE_REMOTE] = &edge[i / 4];
		items[i].ports[SIDE_LOCAL] = (struct port_range){ i % 4 < 2 ? 0 : 65535, i % 4 < 2 ? 0 : 65535 };
	}
	root = firewall_tree_build(&t, items, 8, 4);
	for (size_t k = 0; k < 16; k++) {
		static const addr_count addresses[] = { 0, 1, UINT32_MAX - 1, UINT32_MAX };
		static const uint16_t ports[] = { 0, 1, 65534, 65535 };
		struct point p = { { 1, addresses[k % 4] }, IPPROTO_TCP, { ports[k / 4], 1 } };
		size_t steps = 0;
		bool edges = (k % 4 == 0 || k % 4 == 3) && (k / 4 == 0 || k / 4 == 3);

		if (walk(&t, root, &p, &steps) != edges)
			fail_msg("point %zu", k);
	}
	firewall_tree_wipe(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tree_finds_what_the_list_finds),
		cmocka_unit_test(a_packet_asks_no_more_of_many_rules_than_of_few),
		cmocka_unit_test(a_tree_grows_no_faster_than_its_rules),
		cmocka_unit_test(the_last_address_and_port_are_no_edge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
