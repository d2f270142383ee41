#include "enforce/pools.h"

#include "enforce/shows.h"

#include "base/mem.h"
#include "base/scope.h"
#include "base/str.h"
#include "base/table.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROTOCOL_ICMP4 = 1, PROTOCOL_ICMP6 = 58 };

struct pool {
	const struct rule *first;
	uint32_t count; /* of its rules that are in some list */
};

struct pool_member {
	struct addr_range remote;
	struct pool_ports ports; /* with the rule */
};

struct pools {
	struct pool *rows;
	size_t count, cap;
	uint32_t *of_rule; /* by index, from 1; 0: in no list */
	bool *apart;       /* by index: there is a chain of its own */
	struct pool_key **slots;
	size_t slot_count, slot_cap;
	struct pool_key **ports;
	size_t port_count, port_cap;
	struct table ports_by; /* by what they hold */
	size_t pooled;         /* rules, of all pools */
	bool together;
	struct pool_key all; /* together */
};

/* ---- which rules do the same ------------------------------------------------------------------------------------- */

static bool does_the_same(const struct ruleset *r, const struct rule *a, const struct rule *b)
{
	return a->mode == b->mode && a->tunnel == b->tunnel && a->exempt_protected == b->exempt_protected &&
	       shows_class(r, a) == shows_class(r, b);
}

static uint32_t pool_for(struct ruleset *r, const struct rule *rule)
{
	struct pools *p = r->pools;

	for (size_t i = 0; i < p->count; i++)
		if (does_the_same(r, p->rows[i].first, rule))
			return (uint32_t)i + 1;
	p->rows = mem_grow(p->rows, p->count, &p->cap, sizeof *p->rows);
	p->rows[p->count++] = (struct pool){ .first = rule };
	return (uint32_t)p->count;
}

void pools_make(struct ruleset *r)
{
	const struct rule *rules;
	size_t n = policy_rules(plan_policy(r->plan), &rules), lists = plan_lists(r->plan);
	struct pools *p = r->pools = mem_new(1, sizeof *p);

	p->of_rule = mem_new(n + 1, sizeof *p->of_rule);
	p->apart = mem_new(n + 1, sizeof *p->apart);
	for (uint32_t i = 0; i < lists; i++) {
		struct plan_list l = plan_list(r->plan, i);

		for (size_t k = 0; k < l.count; k++) {
			const struct rule *rule = rule_as_written(l.entries[k].rule);

			if (p->of_rule[rule->index])
				continue;
			p->of_rule[rule->index] = pool_for(r, rule);
			p->rows[p->of_rule[rule->index] - 1].count++;
		}
	}
	for (size_t i = 0; i < p->count; i++)
		if (p->rows[i].count > r->config->rules_apart)
			p->pooled += p->rows[i].count;
	p->all.together = true;
	p->together = p->pooled > r->config->rules_counted;
}

bool pools_together(const struct ruleset *r)
{
	return r->pools->together;
}

static void key_free(struct pool_key *k)
{
	if (k) {
		free(k->members);
		free(k->pools);
	}
	free(k);
}

void pools_wipe(struct ruleset *r)
{
	struct pools *p = r->pools;

	for (size_t i = 0; i < p->slot_count; i++)
		key_free(p->slots[i]);
	for (size_t i = 0; i < p->port_count; i++)
		key_free(p->ports[i]);
	table_wipe(&p->ports_by);
	free(p->all.pools);
	free(p->slots);
	free(p->ports);
	free(p->rows);
	free(p->of_rule);
	free(p->apart);
	free(p);
	r->pools = NULL;
}

uint32_t pool_of(const struct ruleset *r, const struct rule *rule)
{
	uint32_t pool = r->pools->of_rule[rule->index];

	return pool && r->pools->rows[pool - 1].count > r->config->rules_apart ? pool : 0;
}

void pool_set_apart(struct ruleset *r, const struct rule *rule)
{
	r->pools->apart[rule->index] = true;
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

static const char *key_name(const struct pool_key *k, char buf[POOL_NAME])
{
	if (k->together)
		(void)snprintf(buf, POOL_NAME, "all");
	else if (k->by_port)
		(void)snprintf(buf, POOL_NAME, "p%u", k->number);
	else
		(void)snprintf(buf, POOL_NAME, "a%zu_%u", k->local, k->slot);
	return buf;
}

static void add_kinds(struct pool_key *k, enum rule_mode mode)
{
	for (unsigned kind = 0; kind < GATE_COUNTS; kind++)
		if (gate_counts[kind].modes & 1u << mode)
			k->kinds |= 1u << kind;
}

static const char *chain_name(const struct pools *p, struct pool_key *k, uint32_t pool, char buf[POOL_NAME])
{
	char key[POOL_NAME];
	size_t i = 0;

	while (i < k->pool_count && k->pools[i] != pool)
		i++;
	if (i == k->pool_count) {
		k->pools = mem_grow(k->pools, k->pool_count, &k->pool_cap, sizeof *k->pools);
		k->pools[k->pool_count++] = pool;
		add_kinds(k, p->rows[pool - 1].first->mode);
	}
	(void)snprintf(buf, POOL_NAME, "pool_%u_%.20s", pool, key_name(k, key));
	return buf;
}

static struct pool_key *slot_key(struct pools *p, size_t local, uint32_t slot)
{
	struct pool_key *k;

	if (p->together)
		return &p->all;
	for (size_t i = p->slot_count; i-- > 0;) /* those of the local address that is being written come last */
		if (p->slots[i]->local == local && p->slots[i]->slot == slot)
			return p->slots[i];
	k = mem_new(1, sizeof *k);
	*k = (struct pool_key){ .local = local, .slot = slot };
	p->slots = mem_grow(p->slots, p->slot_count, &p->slot_cap, sizeof(struct pool_key *));
	p->slots[p->slot_count++] = k;
	return k;
}

const char *pool_slot(struct ruleset *r, uint32_t pool, size_t local, uint32_t slot, char buf[POOL_NAME])
{
	return chain_name(r->pools, slot_key(r->pools, local, slot), pool, buf);
}

static void add_member(struct pool_key *k, const struct pool_member *member)
{
	k->members = mem_grow(k->members, k->count, &k->cap, sizeof *k->members);
	k->members[k->count++] = *member;
}

void pool_slot_add(struct ruleset *r, size_t local, uint32_t slot, const struct addr_range *remote,
		   const struct rule *rule)
{
	if (r->pools->together)
		return;
	add_member(slot_key(r->pools, local, slot),
		   &(struct pool_member){ .remote = *remote, .ports.rule = rule->index });
}

struct sought {
	int protocol;
	bool local_port;
	const struct pool_ports *ports;
	size_t count;
};

static bool is_sought(const void *value, const void *what)
{
	const struct pool_key *k = value;
	const struct sought *s = what;

	if (k->protocol != s->protocol || k->local_port != s->local_port || k->count != s->count)
		return false;
	for (size_t i = 0; i < k->count; i++)
		if (k->members[i].ports.lo != s->ports[i].lo || k->members[i].ports.hi != s->ports[i].hi ||
		    k->members[i].ports.rule != s->ports[i].rule)
			return false;
	return true;
}

const char *pool_port(struct ruleset *r, uint32_t pool, int protocol, bool local_port, const struct pool_ports *ports,
		      size_t count, char buf[POOL_NAME])
{
	const struct sought sought = { protocol, local_port, ports, count };
	uint64_t hash = table_hash_secret(ports, count * sizeof *ports, (uint64_t)protocol << 1 | local_port);
	struct pools *p = r->pools;
	struct pool_key *k = table_find(&p->ports_by, hash, is_sought, &sought);

	if (k)
		return chain_name(p, k, pool, buf);
	k = mem_new(1, sizeof *k);
	*k = (struct pool_key){
		.by_port = true, .protocol = protocol, .local_port = local_port, .number = (uint32_t)p->port_count
	};
	for (size_t i = 0; i < count; i++)
		add_member(k, &(struct pool_member){ .ports = ports[i] });
	p->ports = mem_grow(p->ports, p->port_count, &p->port_cap, sizeof(struct pool_key *));
	p->ports[p->port_count++] = k;
	table_add(&p->ports_by, hash, k);
	return chain_name(p, k, pool, buf);
}

/* ---- as text ----------------------------------------------------------------------------------------------------- */

void pool_add_count(struct ruleset *r, const struct rule_counts *c, enum gate_count kind)
{
	char name[POOL_NAME], counter[GATE_COUNTER_NAME];

	if (c->key && c->key->together)
		str_addf(r->out, " counter name %s", gate_counter_name(kind, GATE_RULE_MANY, counter));
	else if (c->key)
		str_addf(r->out, " jump count_%u_%s", (unsigned)kind, key_name(c->key, name));
	else
		str_addf(r->out, " counter name %s", gate_counter_name(kind, c->rule->index, counter));
}

/* Which of a connection's two tuples has the other end as its source; of a packet without one, which way it goes. */
static const struct {
	bool arriving;
	const char *condition, *tuple, *remote;
} views[] = {
	{ true, "ct direction original", "original", "ct original %s saddr" },
	{ true, "ct direction reply", "reply", "ct reply %s saddr" },
	{ false, "ct direction original", "reply", "ct reply %s saddr" },
	{ false, "ct direction reply", "original", "ct original %s saddr" },
	{ true, "ct state { invalid, untracked }", NULL, "%s saddr" },
	{ false, "ct state { invalid, untracked }", NULL, "%s daddr" },
};

static void add_view(struct ruleset *r, size_t v)
{
	const uint32_t bits = ruleset_way_mark(r->config, (enum ruleset_way)WAYS_ARRIVING);

	str_add(r->out, "\t\t");
	if (views[v].arriving)
		ruleset_add_ways(r, (enum ruleset_way)WAYS_ARRIVING);
	else
		str_addf(r->out, "meta mark & 0x%08x != 0x%08x", bits, bits);
	str_addf(r->out, " %s ", views[v].condition);
}

static void add_count_by_address(struct ruleset *r, const struct pool_key *k, const char *map)
{
	const char *family = r->locals[k->local].lo.family == 4 ? "ip" : "ip6";

	for (size_t v = 0; v < ARRAY_LEN(views); v++) {
		const char *at = strstr(views[v].remote, "%s");

		add_view(r, v);
		str_add(r->out, "counter name ");
		str_add_n(r->out, views[v].remote, (size_t)(at - views[v].remote));
		str_addf(r->out, "%s%s map @%s\n", family, at + 2, map);
	}
}

/* An ICMP error is counted for the connection that it is about. */
static void add_count_by_port(struct ruleset *r, const struct pool_key *k, const char *map)
{
	const int protocols[] = { k->protocol, PROTOCOL_ICMP4, PROTOCOL_ICMP6 };

	for (size_t v = 0; v < ARRAY_LEN(views); v++)
		for (size_t i = 0; views[v].tuple && i < ARRAY_LEN(protocols); i++) {
			add_view(r, v);
			str_addf(r->out, "meta l4proto %d ct %s protocol %d counter name ct %s %s map @%s\n",
				 protocols[i], views[v].tuple, k->protocol, views[v].tuple,
				 k->local_port ? "proto-dst" : "proto-src", map);
		}
}

static void add_key_chains(struct ruleset *r, struct pool_key *k)
{
	const struct pools *p = r->pools;
	char name[POOL_NAME], map[2 * POOL_NAME], chain[POOL_NAME];

	key_name(k, name);
	for (unsigned kind = 0; kind < GATE_COUNTS && !k->together; kind++) {
		if (!(k->kinds & 1u << kind))
			continue;
		str_addf(r->out, "\tchain count_%u_%s {\n", kind, name);
		(void)snprintf(map, sizeof map, "counts_%u_%s", kind, name);
		if (k->by_port)
			add_count_by_port(r, k, map);
		else
			add_count_by_address(r, k, map);
		str_add(r->out, "\t}\n");
	}
	for (size_t i = 0; i < k->pool_count; i++) {
		const struct rule_counts c = { p->rows[k->pools[i] - 1].first, k };

		rule_chain_add(r, chain_name(p, k, k->pools[i], chain), &c);
	}
}

void pools_add_chains(struct ruleset *r)
{
	const struct pools *p = r->pools;
	const struct rule *rules;
	size_t n = policy_rules(plan_policy(r->plan), &rules);
	char name[POOL_NAME];

	for (size_t i = 0; i < n; i++) {
		const struct rule_counts own = { &rules[i], NULL };

		if (!r->used[rules[i].index] || (pool_of(r, &rules[i]) && !p->apart[rules[i].index]))
			continue;
		(void)snprintf(name, sizeof name, "rule_%u", rules[i].index);
		rule_chain_add(r, name, &own);
	}
	add_key_chains(r, &r->pools->all);
	for (size_t i = 0; i < p->slot_count; i++)
		add_key_chains(r, p->slots[i]);
	for (size_t i = 0; i < p->port_count; i++)
		add_key_chains(r, p->ports[i]);
}

static const char *member_text(const struct pool_key *k, const struct pool_member *m, char buf[ADDR_RANGE_TEXT])
{
	if (!k->by_port)
		return addr_range_text(&m->remote, buf);
	if (m->ports.lo == m->ports.hi)
		(void)snprintf(buf, ADDR_RANGE_TEXT, "%u", m->ports.lo);
	else
		(void)snprintf(buf, ADDR_RANGE_TEXT, "%u-%u", m->ports.lo, m->ports.hi);
	return buf;
}

static void add_map(struct ruleset *r, const struct pool_key *k, enum gate_count kind)
{
	const struct rule *rules;
	char name[POOL_NAME], text[ADDR_RANGE_TEXT], counter[GATE_COUNTER_NAME];
	size_t added = 0;

	(void)policy_rules(plan_policy(r->plan), &rules);
	str_addf(r->out, "\tmap counts_%u_%s {\n\t\ttype %s : counter\n\t\tflags interval\n", (unsigned)kind,
		 key_name(k, name),
		 k->by_port                           ? "inet_service"
		 : r->locals[k->local].lo.family == 4 ? "ipv4_addr"
						      : "ipv6_addr");
	for (size_t i = 0; i < k->count; i++) {
		uint32_t rule = k->members[i].ports.rule;

		/* A rule that stands behind one that takes everything is reached by nobody and has no counter. */
		if (r->used[rule] && gate_counts[kind].modes & 1u << rules[rule].mode)
			str_addf(r->out, "%s%s : \"%s\"", added++ ? ",\n" : "\t\telements = {\n",
				 member_text(k, &k->members[i], text), gate_counter_name(kind, rule, counter));
	}
	str_add(r->out, added ? "\n\t\t}\n\t}\n" : "\t}\n");
}

void pools_add_maps(struct ruleset *r)
{
	const struct pools *p = r->pools;
	struct pool_key **const all[] = { p->slots, p->ports };
	const size_t counts[] = { p->slot_count, p->port_count };

	for (size_t a = 0; a < ARRAY_LEN(all); a++)
		for (size_t i = 0; i < counts[a]; i++)
			for (unsigned kind = 0; kind < GATE_COUNTS; kind++)
				if (all[a][i]->kinds & 1u << kind)
					add_map(r, all[a][i], (enum gate_count)kind);
}
