/* From a list of the plan to the rule that wins. A list whose first entry takes everything needs no chain. The others
 * have three views: connections that we opened, that they opened, and packets of no connection (untracked or invalid),
 * where an exemption that follows the connection's direction cannot apply and everything that might be protected is
 * taken for protected. Lists that come to the same text, as those of rules that do the same mostly do (pools.h), are
 * written once. */
#include "enforce/list_ports.h"
#include "enforce/pools.h"

#include "base/mem.h"
#include "base/scope.h"
#include "base/str.h"
#include "base/table.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROTOCOLS = 256, PROTOCOL_ICMP4 = 1, PROTOCOL_ICMP6 = 58 };
/* So many entries with ports that lead to the same are one look-up. */
enum { RUN_FROM = 8 };

enum { PROTOCOL_DCCP = 33 };
static const int with_ports[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, PROTOCOL_DCCP, IPPROTO_UDPLITE };

static bool takes_ports(int protocol)
{
	for (size_t i = 0; i < ARRAY_LEN(with_ports); i++)
		if (with_ports[i] == protocol)
			return true;
	return false;
}

static bool has_ports(const struct plan_entry *e)
{
	return port_given(e->local_port) || port_given(e->remote_port);
}

static bool takes_all(const struct plan_entry *e)
{
	return e->protocol == PROTOCOL_ANY && !has_ports(e) && e->icmp_type < 0 && e->initiators == INITIATOR_EITHER;
}

/* Stopping too much is safe, letting through is not. */
static bool holds_back(const struct plan_entry *e)
{
	return e->rule->mode != MODE_EXEMPT;
}

/* A stand-in before the rule itself says here what the rule says. */
static bool says_nothing(struct plan_list l, size_t i)
{
	const struct rule *base = l.entries[i].rule->base;

	while (base && ++i < l.count && l.entries[i].rule->base == base)
		;
	return base && i < l.count && l.entries[i].rule == base;
}

const struct rule *ruleset_only_rule(struct plan_list l)
{
	return l.count && takes_all(&l.entries[0]) ? rule_as_written(l.entries[0].rule) : NULL;
}

/* What is known of a list at a local address. */
struct target {
	enum { TARGET_UNKNOWN, TARGET_NONE, TARGET_RULE, TARGET_POOL, TARGET_LIST } kind;
	uint32_t number;     /* of the rule, pool or text */
	uint32_t first_slot; /* in `slots`: the rules that the other end's address tells apart */
	uint8_t slot_count;
};

/* The three views of a list, behind each other. */
struct written {
	uint32_t number;
	char *text;
	char name[POOL_NAME];
};

struct ruleset_lists {
	struct target **targets; /* by local address, if it is the first of its group; then by list */
	size_t local_count;
	uint32_t *slots;
	size_t slot_count, slot_cap;
	struct written **texts;
	size_t text_count, text_cap;
	struct table texts_by;
	struct list_ports ports;
};

/* One list while it is being written. */
struct writing {
	struct ruleset *r;
	struct plan_list l;
	size_t local;
	uint32_t slots[POOL_SLOTS_MOST]; /* rules, by index */
	size_t slot_count;
	bool by_port; /* too many rules for that */
	struct str *out;
};

static void use(struct ruleset *r, const struct plan_entry *e)
{
	r->used[rule_as_written(e->rule)->index] = true;
}

/* ---- where an entry leads to ------------------------------------------------------------------------------------- */

static bool find_slot(struct writing *w, uint32_t rule, size_t *ret)
{
	for (*ret = 0; *ret < w->slot_count; ++*ret)
		if (w->slots[*ret] == rule)
			return true;
	if (w->slot_count == POOL_SLOTS_MOST)
		return false;
	w->slots[w->slot_count++] = rule;
	return true;
}

static void find_slots(struct writing *w)
{
	size_t slot;

	for (size_t i = 0; i < w->l.count && !w->by_port && !pools_together(w->r); i++) {
		const struct rule *rule = rule_as_written(w->l.entries[i].rule);

		if (pool_of(w->r, rule) && !find_slot(w, rule->index, &slot))
			w->by_port = true;
		if (takes_all(&w->l.entries[i]))
			break;
	}
	if (w->by_port)
		w->slot_count = 0;
}

static void add_goto(struct writing *w, const struct plan_entry *e)
{
	const struct rule *rule = rule_as_written(e->rule);
	uint32_t pool = pool_of(w->r, rule);
	char name[POOL_NAME];
	size_t slot;

	if (pool && pools_together(w->r)) {
		str_addf(w->out, " goto %s\n", pool_slot(w->r, pool, w->local, 0, name));
		return;
	}
	use(w->r, e);
	if (pool && !w->by_port && find_slot(w, rule->index, &slot)) {
		str_addf(w->out, " goto %s\n", pool_slot(w->r, pool, w->local, (uint32_t)slot, name));
		return;
	}
	if (pool)
		pool_set_apart(w->r, rule);
	str_addf(w->out, " goto rule_%u\n", rule->index);
}

/* ---- connections ------------------------------------------------------------------------------------------------- */

/* Packets of connections of this protocol whose ports are as `ports` says, and the ICMP errors about them, which have
 * the connection's tuple. */
static void add_service(struct writing *w, const char *tuple, int protocol, const char *ports, const char *then)
{
	str_addf(w->out, "\t\tmeta l4proto %d%s%s", protocol, ports, then);
	str_addf(w->out, "\t\tmeta l4proto %d ct %s protocol %d%s%s", PROTOCOL_ICMP4, tuple, protocol, ports, then);
	str_addf(w->out, "\t\tmeta l4proto %d ct %s protocol %d%s%s", PROTOCOL_ICMP6, tuple, protocol, ports, then);
}

static void add_port(struct str *out, const char *tuple, const char *side, struct port_range p)
{
	if (!port_given(p))
		return;
	str_addf(out, " ct %s proto-%s %u", tuple, side, p.lo);
	if (p.hi != p.lo)
		str_addf(out, "-%u", p.hi);
}

static void add_with_ports(struct writing *w, const char *tuple, int protocol, const struct plan_entry *e)
{
	SCOPED(str_wipe) struct str ports = { 0 }, then = { 0 };
	struct str *out = w->out;

	if (!takes_ports(protocol))
		return; /* such a packet has no ports to match */
	add_port(&ports, tuple, "src", e->remote_port);
	add_port(&ports, tuple, "dst", e->local_port);
	w->out = &then;
	add_goto(w, e);
	w->out = out;
	add_service(w, tuple, protocol, str_text(&ports), str_text(&then));
}

/* One entry for one protocol, where the connection's tuple is known; its source is the other end. */
static void add_tracked(struct writing *w, const char *tuple, int protocol, const struct plan_entry *e)
{
	if (protocol == PROTOCOL_ANY) {
		str_add(w->out, "\t\t");
		add_goto(w, e);
	} else if (has_ports(e)) {
		add_with_ports(w, tuple, protocol, e);
	} else if (e->icmp_type >= 0) {
		const char *icmp = protocol == IPPROTO_ICMPV6 ? "icmpv6" : "icmp";

		str_addf(w->out, "\t\tmeta l4proto %d %s type %d", protocol, icmp, e->icmp_type);
		if (e->icmp_code >= 0)
			str_addf(w->out, " %s code %d", icmp, e->icmp_code);
		add_goto(w, e);
		if (holds_back(e)) {
			str_addf(w->out, "\t\tct state related ct %s protocol %d", tuple, protocol);
			add_goto(w, e);
		}
	} else {
		str_addf(w->out, "\t\tct %s protocol %d", tuple, protocol);
		add_goto(w, e);
	}
}

/* ---- many ports ----------------------------------------------------------------------------------------------------
 */

static bool has_one_port(const struct plan_entry *e)
{
	return port_given(e->local_port) != port_given(e->remote_port);
}

/* Entries with one port that lead to the same chain; of rules that are told apart by it, to chains that do the same:
 * what comes first among them does not change what happens to a packet. */
static bool leads_to_the_same(const struct writing *w, const struct plan_entry *a, const struct plan_entry *b)
{
	const struct rule *first = rule_as_written(a->rule), *other = rule_as_written(b->rule);

	return first == other || ((w->by_port || pools_together(w->r)) && pool_of(w->r, first) &&
				  pool_of(w->r, first) == pool_of(w->r, other));
}

/* How many of the entries from `from` on make a run; *ret_end: behind them. */
static size_t run_of(const struct writing *w, size_t from, unsigned initiator, size_t *ret_end)
{
	size_t n = 0, i;

	for (i = from; i < w->l.count; i++) {
		const struct plan_entry *e = &w->l.entries[i];

		if (!(e->initiators & initiator) || says_nothing(w->l, i))
			continue;
		if (!has_one_port(e) || !leads_to_the_same(w, &w->l.entries[from], e))
			break;
		n++;
	}
	*ret_end = i;
	return n;
}

/* The ports of a run on one side and of one protocol, each with the first rule that has it. */
static void add_run_side(struct writing *w, const char *tuple, int protocol, bool local, size_t from, size_t end,
			 unsigned initiator)
{
	struct list_ports *p = &w->r->lists->ports;
	const struct rule *first = rule_as_written(w->l.entries[from].rule);
	const uint32_t pool = w->by_port ? pool_of(w->r, first) : 0;
	SCOPED(str_wipe) struct str then = { 0 };
	struct str *out = w->out;
	char ports[64], name[POOL_NAME];

	list_ports_begin(p);
	for (size_t i = from; i < end; i++) {
		const struct plan_entry *e = &w->l.entries[i];

		if (!(e->initiators & initiator) || says_nothing(w->l, i) || port_given(e->local_port) != local ||
		    (e->protocol != protocol && e->protocol != PROTOCOL_ANY))
			continue;
		if (list_ports_add(p, local ? e->local_port : e->remote_port, rule_as_written(e->rule)->index) &&
		    !(pool_of(w->r, rule_as_written(e->rule)) && pools_together(w->r)))
			use(w->r, e);
	}
	if (!list_ports_end(p))
		return;
	(void)snprintf(ports, sizeof ports, " ct %s proto-%s @ports_%u", tuple, local ? "dst" : "src",
		       list_ports_set(p));
	w->out = &then;
	if (pool)
		str_addf(&then, " goto %s\n", pool_port(w->r, pool, protocol, local, p->runs, p->run_count, name));
	else
		add_goto(w, &w->l.entries[from]);
	w->out = out;
	add_service(w, tuple, protocol, ports, str_text(&then));
}

static void add_run(struct writing *w, const char *tuple, size_t from, size_t end, unsigned initiator)
{
	bool there[PROTOCOLS] = { 0 };

	for (size_t i = from; i < end; i++) {
		const struct plan_entry *e = &w->l.entries[i];

		if (e->protocol == PROTOCOL_ANY)
			for (size_t k = 0; k < ARRAY_LEN(with_ports); k++)
				there[with_ports[k]] = true;
		else if (takes_ports(e->protocol))
			there[e->protocol] = true;
	}
	for (int protocol = 0; protocol < PROTOCOLS; protocol++)
		for (int local = 1; there[protocol] && local >= 0; local--)
			add_run_side(w, tuple, protocol, local, from, end, initiator);
}

static void add_connections(struct writing *w, unsigned initiator)
{
	const char *tuple = initiator == INITIATOR_LOCAL ? "reply" : "original";
	size_t end;

	for (size_t i = 0; i < w->l.count; i++) {
		const struct plan_entry *e = &w->l.entries[i];

		if (!(e->initiators & initiator) || says_nothing(w->l, i))
			continue;
		if (has_one_port(e) && run_of(w, i, initiator, &end) >= RUN_FROM) {
			add_run(w, tuple, i, end, initiator);
			i = end - 1;
			continue;
		}
		if (e->protocol == PROTOCOL_ANY && has_ports(e))
			for (size_t k = 0; k < ARRAY_LEN(with_ports); k++)
				add_tracked(w, tuple, with_ports[k], e);
		else
			add_tracked(w, tuple, e->protocol, e);
		if (e->protocol == PROTOCOL_ANY && !has_ports(e))
			break; /* nothing gets past it */
	}
}

/* ---- packets of no connection ------------------------------------------------------------------------------------ */

/* An ICMP error that quotes nothing known, and an IPv6 packet whose protocol hides behind extension headers, might be
 * anything. */
static void add_untracked(struct writing *w)
{
	static const char *const unclear[] = { "icmp type @errors_ip", "icmpv6 type @errors_ip6",
					       "ip6 nexthdr @extensions" };
	bool first = true, taken[PROTOCOLS] = { 0 };

	for (size_t i = 0; i < w->l.count; i++) {
		const struct plan_entry *e = &w->l.entries[i];
		bool typed = !holds_back(e) && e->icmp_type >= 0;

		if ((!holds_back(e) && (has_ports(e) || e->initiators != INITIATOR_EITHER)) || says_nothing(w->l, i))
			continue;
		if (holds_back(e) && first) {
			for (size_t k = 0; k < ARRAY_LEN(unclear); k++) {
				str_addf(w->out, "\t\t%s", unclear[k]);
				add_goto(w, e);
			}
			first = false;
		}
		if (e->protocol != PROTOCOL_ANY && taken[e->protocol & (PROTOCOLS - 1)])
			continue; /* all of it has gone */
		str_add(w->out, "\t\t");
		if (e->protocol != PROTOCOL_ANY) {
			str_addf(w->out, "meta l4proto %d", e->protocol);
			taken[e->protocol & (PROTOCOLS - 1)] = !typed;
		}
		if (typed)
			str_addf(w->out, " %s type %d", e->protocol == IPPROTO_ICMPV6 ? "icmpv6" : "icmp",
				 e->icmp_type);
		add_goto(w, e);
		if (e->protocol == PROTOCOL_ANY)
			break;
	}
}

/* ---- the chains of a list ---------------------------------------------------------------------------------------- */

struct three {
	struct str ours, theirs, neither;
};

static void three_wipe(struct three *t)
{
	str_wipe(&t->ours);
	str_wipe(&t->theirs);
	str_wipe(&t->neither);
}

static void add_chains(struct ruleset *r, const char *name, const struct three *t)
{
	str_addf(r->out, "\tchain %s_ours {\n%s\t}\n\tchain %s_theirs {\n%s\t}\n\tchain %s {\n\t\t", name,
		 str_text(&t->ours), name, str_text(&t->theirs), name);
	ruleset_add_ways(r, (enum ruleset_way)WAYS_ARRIVING);
	str_addf(r->out, " ct direction original goto %s_theirs\n\t\t", name);
	ruleset_add_ways(r, (enum ruleset_way)WAYS_ARRIVING);
	str_addf(r->out, " ct direction reply goto %s_ours\n", name);
	str_addf(r->out, "\t\tct direction original goto %s_ours\n", name);
	str_addf(r->out, "\t\tct direction reply goto %s_theirs\n%s\t}\n", name, str_text(&t->neither));
}

static bool is_text(const void *value, const void *what)
{
	const struct written *w = value;

	return strcmp(w->text, what) == 0;
}

/* The number of its text, which is written if there was none like it. */
static uint32_t write_list(struct writing *w, uint32_t list)
{
	SCOPED(three_wipe) struct three t = { 0 };
	SCOPED(str_wipe) struct str all = { 0 };
	struct ruleset_lists *s = w->r->lists;
	struct written *text;
	uint64_t hash;

	w->out = &t.ours;
	add_connections(w, INITIATOR_LOCAL);
	w->out = &t.theirs;
	add_connections(w, INITIATOR_REMOTE);
	w->out = &t.neither;
	add_untracked(w);
	w->out = NULL;
	str_addf(&all, "%s;%s;%s", str_text(&t.ours), str_text(&t.theirs), str_text(&t.neither));
	hash = table_hash_secret(all.text, all.len, 0);
	if ((text = table_find(&s->texts_by, hash, is_text, str_text(&all))))
		return text->number;
	text = mem_new(1, sizeof *text);
	text->number = (uint32_t)s->text_count;
	text->text = mem_string_n(all.text, all.len);
	if (w->slot_count)
		(void)snprintf(text->name, sizeof text->name, "list_%u_at_%zu", list, w->local);
	else
		(void)snprintf(text->name, sizeof text->name, "list_%u", list);
	s->texts = mem_grow(s->texts, s->text_count, &s->text_cap, sizeof(struct written *));
	s->texts[s->text_count++] = text;
	table_add(&s->texts_by, hash, text);
	add_chains(w->r, text->name, &t);
	return text->number;
}

static struct target find_target(struct ruleset *r, size_t local, uint32_t list)
{
	struct writing w = { .r = r, .l = plan_list(r->plan, list), .local = local };
	struct ruleset_lists *s = r->lists;
	const struct rule *rule = w.l.count ? rule_as_written(w.l.entries[0].rule) : NULL;
	struct target t = { .kind = TARGET_NONE };

	if (!rule)
		return t;
	find_slots(&w);
	if (takes_all(&w.l.entries[0])) {
		t.kind = pool_of(r, rule) ? TARGET_POOL : TARGET_RULE;
		t.number = pool_of(r, rule) ? pool_of(r, rule) : rule->index;
		if (t.kind == TARGET_RULE || !pools_together(r))
			use(r, &w.l.entries[0]);
	} else {
		t.kind = TARGET_LIST;
		t.number = write_list(&w, list);
	}
	t.first_slot = (uint32_t)s->slot_count;
	t.slot_count = (uint8_t)w.slot_count;
	for (size_t i = 0; i < w.slot_count; i++) {
		s->slots = mem_grow(s->slots, s->slot_count, &s->slot_cap, sizeof *s->slots);
		s->slots[s->slot_count++] = w.slots[i];
	}
	return t;
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

static void add_regions_of(struct ruleset *r, size_t local)
{
	struct ruleset_lists *s = r->lists;
	struct target *targets = s->targets[local] = mem_new(plan_lists(r->plan) + 1, sizeof *targets);
	const struct plan_region *regions;
	size_t n = plan_regions(r->plan, local, &regions);
	const struct rule *rules;

	(void)policy_rules(plan_policy(r->plan), &rules);
	for (size_t i = 0; i < n; i++) {
		struct target *t = &targets[regions[i].list];

		if (regions[i].remote.lo.family != r->locals[local].lo.family)
			continue;
		if (t->kind == TARGET_UNKNOWN)
			*t = find_target(r, local, regions[i].list);
		for (uint32_t k = 0; k < t->slot_count; k++)
			pool_slot_add(r, local, k, &regions[i].remote, &rules[s->slots[t->first_slot + k]]);
	}
}

bool ruleset_list_target(struct ruleset *r, size_t local, uint32_t list, char buf[RULESET_TARGET])
{
	const struct target *t = &r->lists->targets[local][list];
	char name[POOL_NAME];

	switch (t->kind) {
	case TARGET_UNKNOWN:
	case TARGET_NONE:
		return false;
	case TARGET_RULE:
		(void)snprintf(buf, RULESET_TARGET, "goto rule_%u", t->number);
		break;
	case TARGET_POOL:
		(void)snprintf(buf, RULESET_TARGET, "goto %s", pool_slot(r, t->number, local, 0, name));
		break;
	case TARGET_LIST:
		(void)snprintf(buf, RULESET_TARGET, "goto %s", r->lists->texts[t->number]->name);
		break;
	}
	return true;
}

void ruleset_lists(struct ruleset *r)
{
	struct ruleset_lists *s = r->lists = mem_new(1, sizeof *s);
	char target[RULESET_TARGET];

	s->local_count = r->local_count;
	s->targets = mem_new(r->local_count + 1, sizeof(struct target *));
	for (size_t i = 0; i < r->local_count; i++) {
		if (r->group[i] != i)
			continue;
		add_regions_of(r, i);
		for (uint32_t list = 0; list < plan_lists(r->plan); list++)
			(void)ruleset_list_target(r, i, list, target); /* pools learn what leads to them */
	}
	pools_add_chains(r);
}

void ruleset_list_sets(struct ruleset *r)
{
	list_ports_add_sets(&r->lists->ports, r->out);
}

void ruleset_lists_wipe(struct ruleset *r)
{
	struct ruleset_lists *s = r->lists;

	for (size_t i = 0; i < s->local_count; i++)
		free(s->targets[i]);
	for (size_t i = 0; i < s->text_count; i++) {
		free(s->texts[i]->text);
		free(s->texts[i]);
	}
	free(s->targets);
	free(s->slots);
	free(s->texts);
	table_wipe(&s->texts_by);
	list_ports_wipe(&s->ports);
	free(s);
	r->lists = NULL;
}
