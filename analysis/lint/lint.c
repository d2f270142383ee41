#include "analysis/lint/parts.h"

#include "base/str.h"

#include <stdlib.h>
#include <string.h>

enum {
	WORK = 4000000, /* rules compiled, over all plans: some seconds */
	KINDS_MOST = 4096,
	CUTS_MOST = 1000000,
};

static int by_mark(const void *x, const void *y)
{
	const uint64_t *a = x, *b = y;

	return *a < *b ? -1 : *a > *b;
}

static void add_kind(struct lint *l, const struct ends_who *who)
{
	size_t most = WORK / (l->rule_count + 1) + 8;

	if (l->kind_count < KINDS_MOST && l->kind_count < most)
		l->kinds[l->kind_count++] = *who;
	else
		l->bounded = true;
}

static void gather_hosts(struct lint *l)
{
	uint64_t *marks = mem_new(l->host_count, sizeof *marks), *sorted;
	size_t n = 0;

	for (size_t i = 0; i < l->host_count; i++)
		marks[i] = alike_host_mark(l->a, &l->hosts[i]);
	sorted = mem_copy(marks, l->host_count * sizeof *marks);
	if (l->host_count)
		qsort(sorted, l->host_count, sizeof *sorted, by_mark);
	for (size_t i = 0; i < l->host_count; i++)
		if (i == 0 || sorted[i] != sorted[n - 1])
			sorted[n++] = sorted[i];
	SCOPED(arena_wipe) struct arena memory = { 0 };
	bool *taken = arena_new(&memory, n, sizeof *taken);

	for (size_t i = 0; i < l->host_count; i++) {
		const struct host *h = &l->hosts[i];
		uint64_t *at = bsearch(&marks[i], sorted, n, sizeof *sorted, by_mark);

		if (h->agent == AGENT_NONE || !h->address_count || !at || taken[at - sorted])
			continue;
		taken[at - sorted] = true;
		add_kind(l, &(struct ends_who){ h, h->addresses[0].addr, h->addresses[0].prefix });
	}
	free(marks);
	free(sorted);
}

static void gather_addresses(struct lint *l)
{
	static const char *const families[] = { "0.0.0.0/0", "::/0" };
	struct addr *found = mem_new(KINDS_MOST, sizeof *found);

	for (size_t f = 0; f < ARRAY_LEN(families); f++) {
		struct addr_range all;
		size_t n;

		if (addr_range_parse(families[f], strlen(families[f]), &all, NULL) < 0)
			continue;
		n = alike_split(l->a, &all, CUTS_MOST, found, KINDS_MOST, &l->bounded);
		l->bounded |= n > KINDS_MOST;
		for (size_t i = 0; i < n && i < KINDS_MOST; i++)
			if (alike_bare(l->a, &all, &found[i]))
				add_kind(l, &(struct ends_who){ .addr = found[i], .prefix = -1 });
	}
	free(found);
}

bool lint_end_is_any(const struct end *e)
{
	for (size_t i = 0; i < e->count; i++) {
		const struct address_set *s = e->items[i].set;

		if (!s && e->items[i].keyword == KEYWORD_ANY)
			return true;
		for (size_t k = 0; s && k < s->count; k++)
			if (addr_range_prefix(&s->elements[k]) == 0)
				return true;
	}
	return false;
}

bool lint_someone(const struct lint *l, const struct end *e, unsigned role, unsigned without, struct ends_who *ret)
{
	bool found = false;

	for (size_t i = 0; i < l->host_count; i++) {
		const struct host *h = &l->hosts[i];

		for (size_t k = 0; k < h->address_count && h->agent != AGENT_NONE; k++) {
			struct ends_who who = { h, h->addresses[k].addr, h->addresses[k].prefix };

			if ((role && !(h->roles & role)) || !end_has(l->p, e, &who, &who, NULL))
				continue;
			if (!found || !(h->roles & without))
				*ret = who;
			found = true;
			if (!(h->roles & without))
				return true;
		}
	}
	if (found || role)
		return found;
	for (size_t i = 0; i < e->count; i++) {
		const struct address_set *s = e->items[i].set;

		for (size_t k = 0; s && k < s->count; k++) {
			struct addr at = s->elements[k].lo;

			if (!alike_bare(l->a, &s->elements[k], &at))
				continue;
			*ret = (struct ends_who){ .addr = at, .prefix = -1 };
			return true;
		}
	}
	return false;
}

bool lint_known_to_hosts_only(const struct lint *l, const struct end *e)
{
	for (size_t i = 0; i < e->count; i++) {
		unsigned role = ends_keyword_role(e->items[i].keyword);
		bool filled = false;

		if (e->items[i].set || e->items[i].keyword == KEYWORD_ANY || e->items[i].keyword == KEYWORD_SELF)
			continue;
		for (size_t k = 0; k < l->host_count && role && !filled; k++)
			filled = (l->hosts[k].roles & role) != 0;
		if (!filled)
			return true;
	}
	return false;
}

void lint_run(struct why *w, const struct alike *a, struct report *r)
{
	struct lint l = { .w = w, .a = a, .r = r, .p = why_policy(w) };

	l.rule_count = policy_rules(l.p, &l.rules);
	l.host_count = policy_hosts(l.p, &l.hosts);
	l.kinds = mem_new(KINDS_MOST, sizeof *l.kinds);
	gather_hosts(&l);
	gather_addresses(&l);
	lint_conflicts(&l);
	lint_sets(&l);
	lint_ports(&l);
	lint_keywords(&l);
	lint_modules(&l);
	lint_groups(&l);
	if (!report_count(r, SEVERITY_ERROR)) { /* what follows asks plans that conflicts would spoil */
		lint_exemptions(&l);
		lint_emergency(&l);
		lint_families(&l);
		lint_kerberos(&l);
		lint_firewall(&l);
	}
	if (l.bounded)
		(void)report_add(
			r, SEVERITY_NOTE, "check-bounded", (struct place){ 0 },
			"the policy has more kinds of host and address than check looks at: %zu were compiled, "
			"and rules that never match are not searched for",
			l.kind_count);
	free(l.kinds);
}
