#include "enforce/firewall_items.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum { PROTOCOL_DCCP = 33 };
static const int with_ports[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, PROTOCOL_DCCP, IPPROTO_UDPLITE };

/* ---- ends -------------------------------------------------------------------------------------------------------- */

static addr_count number_of(const struct addr *a)
{
	addr_count n = 0;

	for (size_t i = 0; i < addr_octets(a); i++)
		n = n << 8 | a->octets[i];
	return n;
}

struct spans {
	struct firewall_span *all;
	size_t count, cap;
	bool any;
};

static void add_item(const struct plan *plan, const struct end_item *item, unsigned family, struct spans *s)
{
	const struct addr_range *elements;
	size_t n;

	if (!item->set && item->keyword == KEYWORD_ANY) {
		s->any = true;
		return;
	}
	n = plan_item(plan, item, &elements);
	for (size_t i = 0; i < n; i++) {
		if ((elements[i].lo.family == 6) != (family == 1))
			continue;
		s->all = mem_grow(s->all, s->count, &s->cap, sizeof *s->all);
		s->all[s->count++] = (struct firewall_span){ number_of(&elements[i].lo), number_of(&elements[i].hi) };
	}
}

static int compare_spans(const void *a, const void *b)
{
	const struct firewall_span *x = a, *y = b;

	return (x->lo > y->lo) - (x->lo < y->lo);
}

static void merge(struct spans *s, addr_count most)
{
	size_t kept = 0;

	if (s->count == 0)
		return;
	qsort(s->all, s->count, sizeof *s->all, compare_spans);
	for (size_t i = 1; i < s->count; i++) {
		struct firewall_span *last = &s->all[kept];

		if (last->hi == most)
			break;
		if (s->all[i].lo > last->hi + 1)
			s->all[++kept] = s->all[i];
		else if (s->all[i].hi > last->hi)
			last->hi = s->all[i].hi;
	}
	s->count = kept + 1;
	s->any |= s->all[0].lo == 0 && s->all[0].hi == most;
}

static struct firewall_end *make_end(struct firewall_rulings *f, const struct end *e, unsigned family)
{
	struct spans s = { .any = e->count == 0 };
	struct firewall_end *end = NULL;

	for (size_t i = 0; i < e->count && !s.any; i++)
		add_item(f->plan, &e->items[i], family, &s);
	merge(&s, family == 1 ? ADDR_COUNT_ALL : UINT32_MAX);
	if (s.any || s.count) {
		end = arena_new(&f->memory, 1, sizeof *end);
		*end = (struct firewall_end){ .number = f->end_count++, .any = s.any };
	}
	if (end && !s.any) {
		end->count = (uint32_t)s.count;
		end->spans = arena_new(&f->memory, s.count, sizeof *end->spans);
		memcpy(end->spans, s.all, s.count * sizeof *end->spans);
	}
	free(s.all);
	return end;
}

/* Rules that name one zone share what it is. */
static const struct firewall_end *end_of(struct firewall_rulings *f, const struct end *e, unsigned family)
{
	struct firewall_end **kept;

	if (e->count != 1 || !e->items[0].set || e->items[0].set->number >= f->set_count)
		return make_end(f, e, family);
	kept = &f->of_set[family * f->set_count + e->items[0].set->number];
	if (!*kept)
		*kept = make_end(f, e, family);
	return *kept;
}

/* ---- rules ------------------------------------------------------------------------------------------------------- */

static void add_rule(struct firewall_rulings *f, const struct firewall_rule *rule, uint32_t number)
{
	struct firewall_ruling *r = &f->rules[f->count++];

	*r = (struct firewall_ruling){ .rule = rule, .number = number };
	for (unsigned family = 0; family < FIREWALL_FAMILIES; family++) {
		r->ends[family][SIDE_LOCAL] = end_of(f, &rule->local, family);
		r->ends[family][SIDE_REMOTE] = end_of(f, &rule->remote, family);
	}
}

void firewall_rulings_make(struct firewall_rulings *f, const struct plan *plan)
{
	const struct address_set *const *sets;
	const struct policy *p = plan_policy(plan);
	const struct firewall *sections;
	size_t n = policy_firewalls(p, &sections);
	uint32_t number = 0;

	*f = (struct firewall_rulings){ .plan = plan, .set_count = policy_address_sets(p, &sets) };
	f->rules = mem_new(policy_firewall_rule_count(p) + 1, sizeof *f->rules);
	f->of_set = mem_new(FIREWALL_FAMILIES * f->set_count + 1, sizeof *f->of_set);
	for (size_t i = 0; i < n; i++) {
		const struct firewall *s = &sections[i];
		bool here = plan_firewall_rules(plan, s);

		f->ruled |= here;
		f->blocked[0] |= here && s->inbound == FIREWALL_BLOCK;
		f->blocked[1] |= here && s->outbound == FIREWALL_BLOCK;
		for (size_t k = 0; k < s->count; k++, number++)
			if (here)
				add_rule(f, &s->rules[k], number);
	}
}

void firewall_rulings_wipe(struct firewall_rulings *f)
{
	free(f->rules);
	free(f->of_set);
	arena_wipe(&f->memory);
	*f = (struct firewall_rulings){ 0 };
}

const struct firewall_rule *firewall_rule_numbered(const struct policy *p, uint32_t number)
{
	const struct firewall *sections;
	size_t n = policy_firewalls(p, &sections), at = number;

	for (size_t i = 0; i < n; at -= sections[i++].count)
		if (at < sections[i].count)
			return &sections[i].rules[at];
	return NULL;
}

/* ---- items ------------------------------------------------------------------------------------------------------- */

struct items {
	struct firewall_item *all;
	size_t count, cap;
};

static void put_item(struct items *list, struct firewall_item item)
{
	bool ports = port_given(item.ports[SIDE_LOCAL]) || port_given(item.ports[SIDE_REMOTE]), can = false;

	for (size_t i = 0; i < ARRAY_LEN(with_ports); i++)
		can |= item.protocol == with_ports[i];
	if (ports && !can)
		return; /* such a packet has no ports to match */
	list->all = mem_grow(list->all, list->count, &list->cap, sizeof *list->all);
	list->all[list->count++] = item;
}

static void put_service(struct items *list, struct firewall_item item, const struct service *s)
{
	item.protocol = s->protocol;
	item.ports[SIDE_LOCAL] = s->port1;
	item.ports[SIDE_REMOTE] = s->port2;
	item.icmp_type = s->icmp_type;
	item.icmp_code = s->icmp_code;
	if (s->protocol != PROTOCOL_ANY || !(port_given(s->port1) || port_given(s->port2))) {
		put_item(list, item);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(with_ports); i++) {
		item.protocol = (int16_t)with_ports[i];
		put_item(list, item);
	}
}

struct firewall_item *firewall_items(const struct firewall_rulings *f, enum firewall_action action, unsigned direction,
				     unsigned family, bool (*wanted)(const void *context, size_t rule),
				     const void *context, size_t *ret_count)
{
	static const struct service everything = { PROTOCOL_ANY, PORT_ANY, PORT_ANY, -1, -1 };
	struct items list = { 0 };

	for (size_t i = 0; i < f->count; i++) {
		const struct firewall_ruling *r = &f->rules[i];
		struct firewall_item item = { .rule = (uint32_t)i,
					      .ends = { r->ends[family][SIDE_LOCAL], r->ends[family][SIDE_REMOTE] } };

		if (r->rule->action != action || !(r->rule->direction & direction) || !item.ends[SIDE_LOCAL] ||
		    !item.ends[SIDE_REMOTE] || !wanted(context, i))
			continue;
		if (r->rule->service_count == 0)
			put_service(&list, item, &everything);
		for (size_t k = 0; k < r->rule->service_count; k++)
			put_service(&list, item, &r->rule->services[k]);
	}
	*ret_count = list.count;
	return list.all;
}
