#include "analysis/matrix.h"

#include "base/diag.h"
#include "base/str.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { TCP = 6, UDP = 17, UNASSIGNED = 253, SPANS_MOST = 4096, ZONES_MOST = 200, ELSE_MOST = 64 };

/* Kinds of traffic. */

struct kinds {
	struct matrix *m;
	struct arena *memory;
	/* Ports that are spoken of, so that one can be found that is not. */
	struct port_range spans[SPANS_MOST];
	size_t span_count;
	bool whole[256]; /* protocols that are spoken of without ports */
};

static void add_kind(struct kinds *k, const struct service *s, const char *name)
{
	struct matrix_kind *kind;

	for (size_t i = 0; i < k->m->kind_count; i++)
		if (strcmp(k->m->kinds[i].name, name) == 0)
			return;
	if (k->m->kind_count == MATRIX_KINDS - 1) { /* one is kept for the rest */
		k->m->kinds_left_out++;
		return;
	}
	kind = &k->m->kinds[k->m->kind_count++];
	*kind = (struct matrix_kind){ .name = arena_string(k->memory, name, strlen(name)), .service = *s };
}

static void add_ports(struct kinds *k, int16_t protocol, struct port_range ports)
{
	struct service s = {
		.protocol = protocol, .port1 = PORT_ANY, .port2 = ports, .icmp_type = -1, .icmp_code = -1
	};
	struct str name = { 0 };

	if (!port_given(ports))
		return;
	if (k->span_count < SPANS_MOST)
		k->spans[k->span_count++] = ports;
	for (size_t i = 0; i < k->m->kind_count; i++)
		if (k->m->kinds[i].service.protocol == protocol && k->m->kinds[i].service.port2.lo == ports.lo)
			return; /* its port has been asked about */
	question_service_text(protocol, ports.lo, ports.hi, &name);
	s.port2.hi = s.port2.lo; /* one port stands for a range */
	add_kind(k, &s, str_text(&name));
	str_wipe(&name);
}

static void add_service(struct kinds *k, const struct service *s)
{
	struct service one = { .protocol = s->protocol,
			       .port1 = PORT_ANY,
			       .port2 = PORT_ANY,
			       .icmp_type = s->icmp_type,
			       .icmp_code = s->icmp_code };
	struct str name = { 0 };

	if (s->protocol == PROTOCOL_ANY)
		return;
	if (port_given(s->port1) || port_given(s->port2)) {
		add_ports(k, s->protocol, s->port1);
		add_ports(k, s->protocol, s->port2);
		return;
	}
	if (s->protocol >= 0 && s->protocol < 256)
		k->whole[s->protocol] = true;
	if (s->protocol == TCP || s->protocol == UDP)
		return; /* becomes "any other tcp" */
	question_service_text(s->protocol, 0, 65535, &name);
	if (s->icmp_type >= 0)
		str_addf(&name, " type %d", s->icmp_type);
	add_kind(k, &one, str_text(&name));
	str_wipe(&name);
}

static uint16_t unspoken_port(const struct kinds *k)
{
	for (uint32_t port = 4000; port < 65536; port++) {
		bool spoken = false;

		for (size_t i = 0; i < k->span_count && !spoken; i++)
			spoken = k->spans[i].lo <= port && port <= k->spans[i].hi;
		if (!spoken)
			return (uint16_t)port;
	}
	return 65535;
}

static void add_other(struct kinds *k, int16_t protocol, const char *name)
{
	struct matrix_kind *kind;
	uint16_t port = protocol == UNASSIGNED ? 0 : unspoken_port(k);

	if (k->m->kind_count == MATRIX_KINDS)
		return;
	kind = &k->m->kinds[k->m->kind_count++];
	*kind = (struct matrix_kind){ .name = name, .other = true };
	kind->service = (struct service){
		.protocol = protocol, .port1 = PORT_ANY, .port2 = { port, port }, .icmp_type = -1, .icmp_code = -1
	};
}

static void add_others(struct kinds *k)
{
	if (k->whole[TCP])
		add_other(k, TCP, "any other tcp");
	if (k->whole[UDP])
		add_other(k, UDP, "any other udp");
	add_other(k, k->whole[TCP] ? k->whole[UDP] ? UNASSIGNED : UDP : TCP, "any other");
}

static void gather_kinds(struct why *w, struct arena *memory, struct matrix *m)
{
	const struct policy *p = why_policy(w);
	struct kinds *k = mem_new(1, sizeof *k);
	const struct policy_test *tests;
	const struct rule *rules;
	const struct firewall *sections;
	size_t test_count = policy_tests(p, &tests), rule_count = policy_rules(p, &rules);
	size_t section_count = policy_firewalls(p, &sections);

	k->m = m;
	k->memory = memory;
	for (size_t i = 0; i < rule_count; i++)
		for (size_t s = 0; s < rules[i].service_count; s++)
			add_service(k, &rules[i].services[s]);
	for (size_t i = 0; i < section_count; i++)
		for (size_t r = 0; r < sections[i].count; r++)
			for (size_t s = 0; s < sections[i].rules[r].service_count; s++)
				add_service(k, &sections[i].rules[r].services[s]);
	for (size_t i = 0; i < test_count; i++)
		if (m->kind_count < MATRIX_KINDS - 3)
			add_service(k, &tests[i].service);
	add_others(k);
	free(k);
}

static int one_kind(struct why *w, const char *traffic, struct arena *memory, struct matrix *m, struct diag *d)
{
	struct service services[QUESTION_SERVICES];
	size_t n;
	int r = policy_traffic_parse(why_policy(w), traffic, strlen(traffic), services, QUESTION_SERVICES, &n, d);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		struct str name = { 0 };

		if (m->kind_count == MATRIX_KINDS) {
			m->kinds_left_out++;
			continue;
		}
		question_service_text(services[i].protocol, services[i].port2.lo, services[i].port2.hi, &name);
		m->kinds[m->kind_count++] =
			(struct matrix_kind){ .name = arena_string(memory, str_text(&name), name.len),
					      .service = services[i] };
		str_wipe(&name);
	}
	return 0;
}

/* Parties. */

struct marked {
	uint64_t mark;
	size_t number;
};

static int by_mark(const void *x, const void *y)
{
	const struct marked *a = x, *b = y;

	if (a->mark != b->mark)
		return a->mark < b->mark ? -1 : 1;
	return a->number < b->number ? -1 : a->number > b->number;
}

static int by_first_host(const void *x, const void *y)
{
	const struct matrix_party *a = x, *b = y;

	return a->hosts[0] < b->hosts[0] ? -1 : a->hosts[0] > b->hosts[0];
}

static void gather_hosts(const struct alike *a, const struct host *hosts, size_t n, struct arena *memory,
			 struct matrix *m)
{
	struct marked *marks = arena_new(memory, n, sizeof *marks);

	for (size_t i = 0; i < n; i++)
		marks[i] = (struct marked){ alike_host_mark(a, &hosts[i]), i };
	qsort(marks, n, sizeof *marks, by_mark);
	m->parties = arena_new(memory, n, sizeof *m->parties);
	for (size_t i = 0; i < n;) {
		struct matrix_party *party = &m->parties[m->party_count++];
		size_t first = i;

		while (i < n && marks[i].mark == marks[first].mark)
			i++;
		party->host_count = i - first;
		party->hosts = arena_new(memory, i - first, sizeof *party->hosts);
		for (size_t k = first; k < i; k++)
			party->hosts[k - first] = &hosts[marks[k].number];
		party->name = party->hosts[0]->name;
		party->agent = party->hosts[0]->agent != AGENT_NONE;
	}
	qsort(m->parties, m->party_count, sizeof *m->parties, by_first_host);
}

static void add_zone(struct matrix *m, const char *name)
{
	for (size_t i = 0; i < m->party_count; i++)
		if (strcmp(m->parties[i].name, name) == 0)
			return;
	if (m->party_count < ZONES_MOST)
		m->parties[m->party_count++] = (struct matrix_party){ .name = name, .agent = true };
	else
		m->parties_left_out++;
}

static bool add_end(struct matrix *m, const struct end *e)
{
	bool any = false;

	for (size_t i = 0; i < e->count; i++)
		if (e->items[i].set && addr_range_prefix(&e->items[i].set->elements[0]) != 0)
			add_zone(m, e->items[i].set->name);
		else
			any |= e->items[i].set || e->items[i].keyword == KEYWORD_ANY;
	return any;
}

static const char anybody_else[] = "anybody else";

/* Without hosts: the zones, what rules name beside them, and somebody whom only `any` means. */
static void gather_zones(const struct policy *p, struct arena *memory, struct matrix *m)
{
	const struct address_set *zones;
	const struct rule *rules;
	size_t n = policy_zones(p, &zones), rule_count = policy_rules(p, &rules);
	bool any = false;

	m->parties = arena_new(memory, ZONES_MOST + 1, sizeof *m->parties);
	for (size_t i = 0; i < n; i++)
		add_zone(m, zones[i].name);
	for (size_t i = 0; i < rule_count; i++) {
		any |= add_end(m, &rules[i].end1);
		any |= add_end(m, &rules[i].end2);
	}
	if (any)
		m->parties[m->party_count++] = (struct matrix_party){ .name = anybody_else, .agent = true };
}

/* Asking. */

struct asker {
	struct why *w;
	const struct alike *a;
	struct matrix *m;
	struct question q;
};

static void host_members(const struct host *h, struct party *p)
{
	p->text = h->name;
	p->zone = false;
	p->count = 0;
	for (size_t i = 0; i < h->address_count && p->count < PARTY_MEMBERS; i++)
		p->members[p->count++] = (struct ends_who){ h, h->addresses[i].addr, h->addresses[i].prefix };
}

static bool in_a_party(const struct policy *p, const struct matrix *m, const struct addr *a)
{
	for (size_t i = 0; i < m->party_count; i++) {
		const struct address_set *zone = policy_zone_by_name(p, m->parties[i].name);
		struct addr_range one;

		for (size_t k = 0; zone && k < zone->count; k++)
			if (addr_range_has(&zone->elements[k], a))
				return true;
		if (!zone && addr_range_parse(m->parties[i].name, strlen(m->parties[i].name), &one, NULL) == 0 &&
		    addr_range_has(&one, a))
			return true;
	}
	return false;
}

/* One address of each family that is in none of the parties. */
static void else_members(struct asker *k, struct party *ret)
{
	static const char *const families[] = { "1.0.0.0-223.255.255.255", "2000::/3" };
	struct addr found[ELSE_MOST];
	bool bounded = false;

	ret->text = anybody_else;
	ret->zone = true;
	ret->count = 0;
	for (size_t f = 0; f < ARRAY_LEN(families); f++) {
		struct addr_range all;
		size_t n;

		if (addr_range_parse(families[f], strlen(families[f]), &all, NULL) < 0)
			continue;
		n = alike_split(k->a, &all, 10000, found, ELSE_MOST, &bounded);
		for (size_t i = 0; i < n && i < ELSE_MOST; i++)
			if (!in_a_party(why_policy(k->w), k->m, &found[i])) {
				ret->members[ret->count++] = (struct ends_who){ .addr = found[i], .prefix = -1 };
				break;
			}
	}
}

/* Who speaks for a party, as the one that opens (0) or as the one that is called (1). */
static int members(struct asker *k, size_t party, size_t other, bool called, struct arena *scratch, struct party *ret,
		   struct diag *d)
{
	const struct matrix_party *p = &k->m->parties[party];
	struct ends_who *room = ret->members;

	if (p->name == anybody_else) {
		else_members(k, ret);
		return 0;
	}
	if (!p->hosts) {
		int r = party_parse(why_policy(k->w), k->a, p->name, scratch, ret, d);

		if (r == 0 && ret->count) {
			memcpy(room, ret->members, ret->count * sizeof *room);
			ret->members = room;
		}
		return r;
	}
	host_members(p->hosts[called && party == other ? 1 : 0], ret);
	return 0;
}

static int ask_pair(struct asker *k, size_t from, size_t to, struct diag *d)
{
	struct matrix *m = k->m;
	int r;

	if (from == to && m->parties[from].hosts && m->parties[from].host_count < 2)
		return 0;
	for (size_t kind = 0; kind < m->kind_count; kind++) {
		SCOPED(arena_wipe) struct arena scratch = { 0 };
		struct matrix_cell *cell = &m->cells[(from * m->party_count + to) * m->kind_count + kind];
		struct answer answer;

		if (kind == 0 && ((r = members(k, from, to, false, &scratch, &k->q.from, d)) < 0 ||
				  (r = members(k, to, from, true, &scratch, &k->q.to, d)) < 0))
			return r;
		k->q.services[0] = m->kinds[kind].service;
		k->q.service_count = 1;
		k->q.traffic = m->kinds[kind].name;
		if (!k->q.from.count || !k->q.to.count)
			continue;
		if ((r = question_ask(k->w, &k->q, &scratch, &answer, d)) < 0)
			return r;
		if (answer.count) {
			const struct why_verdict *v = &answer.cases[0].verdict;

			*cell = (struct matrix_cell){ true, v->verdict, v->rule, v->firewall,
						      v->cause == WHY_FIREWALL };
		}
	}
	return 0;
}

/* What can be asked about in some seconds: all parties if they leave room for the rest of the traffic alone, then as
 * many kinds as fit. The last kind, "any other", stays. */
static void bound(struct matrix *m)
{
	size_t most = 1, kinds;

	while ((most + 1) * (most + 1) <= MATRIX_QUESTIONS)
		most++;
	if (m->party_count > most) {
		m->parties_left_out = m->party_count - most;
		m->party_count = most;
	}
	kinds = MATRIX_QUESTIONS / (m->party_count * m->party_count);
	if (m->kind_count > kinds) {
		m->kinds_left_out += m->kind_count - kinds;
		m->kinds[kinds - 1] = m->kinds[m->kind_count - 1];
		m->kind_count = kinds;
	}
}

int matrix_make(struct why *w, const struct alike *a, const char *traffic, struct arena *memory, struct matrix *ret,
		struct diag *d)
{
	const struct policy *p = why_policy(w);
	const struct host *hosts;
	size_t n = policy_hosts(p, &hosts);
	struct asker k = { .w = w, .a = a, .m = ret };
	int r = 0;

	*ret = (struct matrix){ .kinds = arena_new(memory, MATRIX_KINDS, sizeof *ret->kinds) };
	if (traffic)
		r = one_kind(w, traffic, memory, ret, d);
	else
		gather_kinds(w, memory, ret);
	if (r < 0)
		return r;
	if (n)
		gather_hosts(a, hosts, n, memory, ret);
	else
		gather_zones(p, memory, ret);
	if (!ret->party_count)
		return diag_fail(d, ENOENT,
				 "the policy names no hosts and no zones, and its rules no addresses, so there is "
				 "nobody to ask about");
	bound(ret);
	ret->cells = arena_new(memory, ret->party_count * ret->party_count * ret->kind_count, sizeof *ret->cells);
	k.q.from.members = arena_new(memory, PARTY_MEMBERS, sizeof *k.q.from.members);
	k.q.to.members = arena_new(memory, PARTY_MEMBERS, sizeof *k.q.to.members);
	for (size_t from = 0; from < ret->party_count; from++)
		for (size_t to = 0; to < ret->party_count; to++)
			if ((r = ask_pair(&k, from, to, d)) < 0)
				return r;
	return 0;
}

const struct matrix_cell *matrix_cell(const struct matrix *m, size_t from, size_t to, size_t kind)
{
	return &m->cells[(from * m->party_count + to) * m->kind_count + kind];
}

bool matrix_cells_alike(const struct matrix_cell *a, const struct matrix_cell *b)
{
	return a->asked == b->asked && a->verdict == b->verdict && a->rule == b->rule && a->firewall == b->firewall &&
	       a->by_firewall == b->by_firewall;
}

bool matrix_kinds_alike(const struct matrix *m, size_t a, size_t b)
{
	for (size_t from = 0; from < m->party_count; from++)
		for (size_t to = 0; to < m->party_count; to++) {
			const struct matrix_cell *x = matrix_cell(m, from, to, a), *y = matrix_cell(m, from, to, b);

			if (!matrix_cells_alike(x, y))
				return false;
		}
	return true;
}
