/* The frame, and the trees as text. */
#include "enforce/firewall.h"
#include "enforce/shows.h"

#include "base/scope.h"
#include "base/str.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name, *type;
	uint8_t number;
} families[FIREWALL_FAMILIES] = { { "ip", "ipv4_addr", 4 }, { "ip6", "ipv6_addr", 6 } };

static const struct firewall_view views[] = {
	{ DIRECTION_IN, true, "fwi", { "daddr", "saddr" }, { "dport", "sport" }, "iifname" },
	{ DIRECTION_OUT, false, "fwo", { "saddr", "daddr" }, { "sport", "dport" }, "oifname" },
};
/* The first packet to somebody unknown has to go out, into the data plane, for him to become known. So where a rule of
 * this direction names machines, the answers are asked who they are from. */
static const struct firewall_view answers = {
	DIRECTION_OUT, true, "fwa", { "daddr", "saddr" }, { "dport", "sport" }, "iifname",
};

struct writer {
	struct ruleset *r;
	const struct firewall_rulings *f;
	const struct ruleset_carry *carry;
	const struct firewall_view *view;
	const struct firewall_tree *tree;
	unsigned family;
	uint32_t nodes_before; /* of other trees, for names */
	bool *sets;            /* by an end's number: its set is written */
	bool *bare;            /* by rule: its chain is written for this view */
};

/* ---- addresses --------------------------------------------------------------------------------------------------- */

static struct addr addr_of(addr_count n, unsigned family)
{
	struct addr a = { .family = families[family].number };

	for (size_t i = addr_octets(&a); i-- > 0; n >>= 8)
		a.octets[i] = (uint8_t)n;
	return a;
}

static const char *span_text(const struct firewall_span *s, unsigned family, char buf[ADDR_RANGE_TEXT])
{
	struct addr_range range = { addr_of(s->lo, family), addr_of(s->hi, family) };

	return addr_range_text(&range, buf);
}

static void add_set(struct writer *w, const struct firewall_end *e)
{
	char text[ADDR_RANGE_TEXT];

	if (e->any || e->count < 2 || w->sets[e->number])
		return;
	w->sets[e->number] = true;
	str_addf(w->r->out, "\tset fwe_%u {\n\t\ttype %s\n\t\tflags interval\n\t\telements = {\n", e->number,
		 families[w->family].type);
	for (uint32_t i = 0; i < e->count; i++)
		str_addf(w->r->out, "%s%s", i ? ",\n" : "", span_text(&e->spans[i], w->family, text));
	str_add(w->r->out, "\n\t\t}\n\t}\n");
}

static void add_address(struct writer *w, enum firewall_side side, const struct firewall_end *e)
{
	char text[ADDR_RANGE_TEXT];

	str_addf(w->r->out, "%s %s ", families[w->family].name, w->view->address[side]);
	if (e->count == 1)
		str_addf(w->r->out, "%s ", span_text(&e->spans[0], w->family, text));
	else
		str_addf(w->r->out, "@fwe_%u ", e->number);
}

/* ---- leaves ------------------------------------------------------------------------------------------------------ */

static bool asks_address(const struct firewall_item *i, unsigned decided, enum firewall_side side)
{
	return !i->ends[side]->any && !(decided & (side == SIDE_REMOTE ? CUT_REMOTE : CUT_LOCAL));
}

static bool asks_port(const struct firewall_item *i, unsigned decided, enum firewall_side side)
{
	return port_given(i->ports[side]) && !(decided & (side == SIDE_REMOTE ? CUT_REMOTE_PORT : CUT_LOCAL_PORT));
}

static bool asks_protocol(const struct firewall_item *i, unsigned decided)
{
	return i->protocol != PROTOCOL_ANY && !firewall_protocol_decided(decided);
}

/* Is there nothing left to ask? */
static bool is_bare(const struct firewall_item *i, unsigned decided)
{
	for (enum firewall_side s = 0; s < SIDES; s++)
		if (asks_address(i, decided, s) || asks_port(i, decided, s))
			return false;
	return i->icmp_type < 0 && !asks_protocol(i, decided);
}

static void add_item(struct writer *w, const struct firewall_item *i, unsigned decided)
{
	str_add(w->r->out, "\t\t");
	if (asks_protocol(i, decided))
		str_addf(w->r->out, "meta l4proto %d ", i->protocol);
	for (enum firewall_side s = 0; s < SIDES; s++) {
		if (!asks_port(i, decided, s))
			continue;
		str_addf(w->r->out, "th %s %u", w->view->port[s], i->ports[s].lo);
		if (i->ports[s].hi != i->ports[s].lo)
			str_addf(w->r->out, "-%u", i->ports[s].hi);
		str_add(w->r->out, " ");
	}
	if (i->icmp_type >= 0)
		str_addf(w->r->out, "%s type %d ", i->protocol == IPPROTO_ICMPV6 ? "icmpv6" : "icmp", i->icmp_type);
	if (i->icmp_code >= 0)
		str_addf(w->r->out, "%s code %d ", i->protocol == IPPROTO_ICMPV6 ? "icmpv6" : "icmp", i->icmp_code);
	for (enum firewall_side s = 0; s < SIDES; s++)
		if (asks_address(i, decided, s))
			add_address(w, s, i->ends[s]);
	str_addf(w->r->out, "jump %s_%u\n", w->view->name, w->f->rules[i->rule].number);
}

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

enum { TARGET = 32 };

/* The chain that a packet goes to for this node. */
static const char *chain_of(const struct writer *w, uint32_t node, char buf[TARGET])
{
	const struct firewall_node *n = &w->tree->nodes[node];
	const struct firewall_item *only =
		n->kind == NODE_LEAF && n->count == 1 ? &w->tree->items[w->tree->leaves[n->first]] : NULL;

	if (only && is_bare(only, n->decided))
		(void)snprintf(buf, TARGET, "%s_%u", w->view->name, w->f->rules[only->rule].number);
	else
		(void)snprintf(buf, TARGET, "fw_%u", w->nodes_before + node);
	return buf;
}

static void add_leaf(struct writer *w, uint32_t node, const struct firewall_node *n)
{
	const struct firewall_item *items = w->tree->items;

	if (n->count == 1 && is_bare(&items[w->tree->leaves[n->first]], n->decided))
		return;
	for (size_t i = 0; i < n->count; i++)
		for (enum firewall_side s = 0; s < SIDES; s++)
			if (asks_address(&items[w->tree->leaves[n->first + i]], n->decided, s))
				add_set(w, items[w->tree->leaves[n->first + i]].ends[s]);
	str_addf(w->r->out, "\tchain fw_%u {\n", w->nodes_before + node);
	for (size_t i = 0; i < n->count; i++)
		add_item(w, &items[w->tree->leaves[n->first + i]], n->decided);
	str_add(w->r->out, "\t}\n");
}

/* Bunches within bunches are one: the kernel's stack of chains is not deep. */
static void add_members(struct writer *w, const struct firewall_node *n)
{
	char buf[TARGET];

	for (size_t i = 0; i < n->count; i++) {
		uint32_t member = w->tree->bunches[n->first + i];

		if (w->tree->nodes[member].kind == NODE_BUNCH)
			add_members(w, &w->tree->nodes[member]);
		else if (w->tree->nodes[member].kind != NODE_NONE)
			str_addf(w->r->out, "\t\tjump %s\n", chain_of(w, member, buf));
	}
}

static void start_map(struct writer *w, const char *name, const char *type, bool interval)
{
	str_addf(w->r->out, "\tmap %s {\n\t\ttype %s : verdict\n%s\t\telements = {\n", name, type,
		 interval ? "\t\tflags interval\n" : "");
}

static bool all_single(const struct firewall_branch *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (b[i].span.lo != b[i].span.hi)
			return false;
	return true;
}

static void add_address_map(struct writer *w, uint32_t node, const struct firewall_node *n)
{
	const struct firewall_branch *b = &w->tree->branches[n->first];
	char name[TARGET], text[ADDR_RANGE_TEXT], target[TARGET];

	(void)snprintf(name, sizeof name, "fwm_%u", w->nodes_before + node);
	start_map(w, name, families[w->family].type, !all_single(b, n->count));
	for (size_t i = 0; i < n->count; i++)
		str_addf(w->r->out, "%s%s : goto %s", i ? ",\n" : "", span_text(&b[i].span, w->family, text),
			 chain_of(w, b[i].node, target));
	str_addf(w->r->out, "\n\t\t}\n\t}\n\tchain fw_%u {\n\t\t%s %s vmap @%s\n\t}\n", w->nodes_before + node,
		 families[w->family].name, w->view->address[n->cut == CUT_REMOTE ? SIDE_REMOTE : SIDE_LOCAL], name);
}

static void add_port_map(struct writer *w, const char *name, const char *port, const struct firewall_branch *b,
			 size_t n)
{
	char target[TARGET];

	start_map(w, name, "inet_service", !all_single(b, n));
	for (size_t i = 0; i < n; i++) {
		unsigned lo = (unsigned)b[i].span.lo, hi = (unsigned)b[i].span.hi;

		str_addf(w->r->out, "%s%u", i ? ",\n" : "", lo);
		if (hi != lo)
			str_addf(w->r->out, "-%u", hi);
		str_addf(w->r->out, " : goto %s", chain_of(w, b[i].node, target));
	}
	str_addf(w->r->out, "\n\t\t}\n\t}\n\tchain %s {\n\t\tth %s vmap @%s\n\t}\n", name, port, name);
}

/* What of the branches lies in one protocol, as ports. */
static size_t of_protocol(const struct firewall_branch *b, size_t n, unsigned protocol, struct firewall_branch **ret)
{
	addr_count lo = (addr_count)protocol << 16, hi = lo | 0xffff;
	struct firewall_branch *all = NULL;
	size_t count = 0, cap = 0;

	for (size_t i = 0; i < n; i++) {
		if (b[i].span.hi < lo || b[i].span.lo > hi)
			continue;
		all = mem_grow(all, count, &cap, sizeof *all);
		all[count++] = (struct firewall_branch){ { b[i].span.lo > lo ? b[i].span.lo & 0xffff : 0,
							   b[i].span.hi < hi ? b[i].span.hi & 0xffff : 0xffff },
							 b[i].node };
	}
	*ret = all;
	return count;
}

/* A map of protocols, and one of ports for each that has any. */
static void add_service_map(struct writer *w, uint32_t node, const struct firewall_node *n, const char *port)
{
	const struct firewall_branch *b = &w->tree->branches[n->first];
	SCOPED(str_wipe) struct str protocols = { 0 };
	char name[TARGET], target[TARGET];

	for (unsigned p = 0; p < 256; p++) {
		struct firewall_branch *ports;
		size_t count = of_protocol(b, n->count, p, &ports);

		if (count == 0)
			continue;
		(void)snprintf(name, sizeof name, "fwp_%u_%u", w->nodes_before + node, p);
		if (count == 1 && ports[0].span.lo == 0 && ports[0].span.hi == 0xffff)
			chain_of(w, ports[0].node, name);
		else
			add_port_map(w, name, port, ports, count);
		str_addf(&protocols, "%s%u : goto %s", protocols.len ? ",\n" : "", p, name);
		free(ports);
	}
	(void)snprintf(target, sizeof target, "fwm_%u", w->nodes_before + node);
	start_map(w, target, "inet_proto", false);
	str_addf(w->r->out, "%s\n\t\t}\n\t}\n\tchain fw_%u {\n\t\tmeta l4proto vmap @%s\n\t}\n", str_text(&protocols),
		 w->nodes_before + node, target);
}

static void add_node(struct writer *w, uint32_t node)
{
	const struct firewall_node *n = &w->tree->nodes[node];
	const char *port = w->view->port[n->cut == CUT_LOCAL_PORT ? SIDE_LOCAL : SIDE_REMOTE];
	char name[TARGET];

	switch (n->kind) {
	case NODE_NONE:
		return;
	case NODE_LEAF:
		add_leaf(w, node, n);
		return;
	case NODE_BUNCH:
		str_addf(w->r->out, "\tchain fw_%u {\n", w->nodes_before + node);
		add_members(w, n);
		str_add(w->r->out, "\t}\n");
		return;
	case NODE_MAP:
		(void)snprintf(name, sizeof name, "fw_%u", w->nodes_before + node);
		if (n->cut == CUT_REMOTE || n->cut == CUT_LOCAL)
			add_address_map(w, node, n);
		else if (firewall_protocol_decided(n->decided))
			add_port_map(w, name, port, &w->tree->branches[n->first], n->count);
		else
			add_service_map(w, node, n, port);
		return;
	}
}

/* ---- the frame --------------------------------------------------------------------------------------------------- */

static bool wanted(const void *context, size_t rule)
{
	const struct writer *w = context;

	return firewall_rule_possible(w->f->rules[rule].rule, w->carry);
}

/* The tree of one action; the line that asks it goes to `ask`. */
static void add_tree(struct writer *w, enum firewall_action action, struct str *ask)
{
	struct firewall_tree tree = { 0 };
	size_t n;
	struct firewall_item *items = firewall_items(w->f, action, w->view->direction, w->family, wanted, w, &n);
	uint32_t root = firewall_tree_build(&tree, items, n, families[w->family].number);
	char buf[TARGET];

	w->tree = &tree;
	for (uint32_t i = 0; i < tree.node_count; i++)
		add_node(w, i);
	if (tree.nodes[root].kind != NODE_NONE)
		str_addf(ask, "\t\tjump %s\n", chain_of(w, root, buf));
	w->nodes_before += (uint32_t)tree.node_count;
	w->tree = NULL;
	firewall_tree_wipe(&tree);
	free(items);
}

static void add_family(struct writer *w)
{
	static const enum firewall_action order[] = { FIREWALL_BYPASS, FIREWALL_BLOCK, FIREWALL_ALLOW };
	SCOPED(str_wipe) struct str asks = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		add_tree(w, order[i], &asks);
	str_addf(w->r->out, "\tchain %s_%s {\n%s", w->view->name, families[w->family].name, str_text(&asks));
	if (w->f->blocked[w->view->direction == DIRECTION_OUT])
		str_addf(w->r->out, "\t\tgoto %s_default\n", w->view->name);
	str_add(w->r->out, "\t}\n");
}

/* What is let through whatever the rules say: answers, and what stands above all rules. Of multicast listeners
 * (RFC 4890 4.4.1) neighbour discovery depends on them behind switches that look. */
static void add_always(struct ruleset *r)
{
	str_add(r->out, "\t\tct state established ct direction reply accept\n"
			"\t\tct state related icmp type @errors_ip accept\n"
			"\t\tct state related icmpv6 type @errors_ip6 accept\n"
			"\t\ticmpv6 type { mld-listener-query, mld-listener-report, mld-listener-done, "
			"mld2-listener-report } ip6 hoplimit 1 accept\n"
			"\t\tjump exempt\n");
}

/* Do the rules of the plan have to be asked whether what came or goes is encrypted? */
static bool asks_strength(const struct writer *w, const struct firewall_view *v)
{
	return firewall_asks_encryption(w->f, v->direction) && !(v->arriving && shows_came_encrypted(w->r->config));
}

static bool asks_answers(const struct firewall_rulings *f)
{
	for (size_t i = 0; i < f->count; i++) {
		const struct firewall_rule *r = f->rules[i].rule;

		if (r->direction & DIRECTION_OUT && (r->allow_count || r->except_count))
			return true;
	}
	return false;
}

static void add_answers(struct writer *w)
{
	char text[SHOWS_TEXT];
	const char *came = shows_came(w->r->config, text);

	if (!asks_answers(w->f))
		return;
	if (asks_strength(w, &answers))
		str_addf(w->r->out, "\t\t%sct state established ct direction reply jump %s_strength\n", came,
			 answers.name);
	str_addf(w->r->out,
		 "\t\t%sct state established ct direction reply "
		 "meta nfproto vmap { ipv4 : goto %s_ip, ipv6 : goto %s_ip6 }\n",
		 came, answers.name, answers.name);
}

static void add_base(struct writer *w, bool strength)
{
	const struct gate_config *c = w->r->config;
	struct str *out = w->r->out;
	bool in = w->view->arriving;

	str_addf(out, "\tchain firewall_%s {\n\t\ttype filter hook %s priority %d; policy accept;\n\t\t%s lo accept\n",
		 in ? "in" : "out", in ? "input" : "output", GATE_PRIORITY_FIREWALL, in ? "iif" : "oif");
	ruleset_add_ah6(w->r, in, "accept");
	if (in)
		str_addf(out,
			 "\t\tmeta l4proto { esp, ah } accept\n"
			 "\t\tudp dport { 500, 4500 } socket mark & 0x%08x == 0x%08x accept\n",
			 c->mark_mask, c->mark_own);
	else
		str_addf(out,
			 "\t\tmeta mark & 0x%08x == 0x%08x meta l4proto { esp, ah } accept\n"
			 "\t\tmeta mark & 0x%08x == 0x%08x udp sport { 500, 4500 } accept\n",
			 c->mark_mask, c->mark_own, c->mark_mask, c->mark_own);
	if (in)
		add_answers(w);
	add_always(w->r);
	if (strength)
		str_addf(out, "\t\tjump %s_strength\n", w->view->name);
	str_addf(out, "\t\tmeta nfproto vmap { ipv4 : goto %s_ip, ipv6 : goto %s_ip6 }\n\t}\n", w->view->name,
		 w->view->name);
	if (!strength)
		return;
	str_addf(out,
		 "\tchain firewall_%s_end {\n\t\ttype filter hook %s priority %d; policy accept;\n"
		 "\t\tmeta mark set meta mark & 0x%08x\n\t}\n",
		 in ? "in" : "out", in ? "input" : "output", GATE_PRIORITY_FIREWALL + 1, ~c->mark_way);
}

static bool has_rules(const struct firewall_rulings *f, unsigned direction)
{
	for (size_t i = 0; i < f->count; i++)
		if (f->rules[i].rule->direction & direction)
			return true;
	return false;
}

static void add_view(struct writer *w, const struct firewall_view *view)
{
	bool strength = asks_strength(w, view);

	w->view = view;

	for (size_t i = 0; i < w->f->count; i++)
		if (w->f->rules[i].rule->direction & w->view->direction && wanted(w, i))
			firewall_rule_chain(w->r, w->view, &w->f->rules[i], w->carry);
	if (w->f->blocked[w->view->direction == DIRECTION_OUT]) {
		str_addf(w->r->out, "\tchain %s_default {\n", w->view->name);
		firewall_add_drop(w->r, w->view, NULL);
		str_add(w->r->out, "\t}\n");
	}
	for (w->family = 0; w->family < FIREWALL_FAMILIES; w->family++)
		add_family(w);
	if (strength)
		firewall_strength(w->r, w->view);
	if (view != &answers)
		add_base(w, strength);
}

void ruleset_firewall(struct ruleset *r, const struct ruleset_carry *carry)
{
	SCOPED(firewall_rulings_wipe) struct firewall_rulings f;
	struct writer w = { .r = r, .f = &f, .carry = carry };

	firewall_rulings_make(&f, r->plan);
	w.sets = mem_new(f.end_count + 1, sizeof *w.sets);
	for (size_t i = 0; f.ruled && i < ARRAY_LEN(views); i++)
		if (views[i].direction == DIRECTION_IN || f.blocked[1] || has_rules(&f, DIRECTION_OUT))
			add_view(&w, &views[i]);
	if (f.ruled && asks_answers(&f))
		add_view(&w, &answers);
	free(w.sets);
}
