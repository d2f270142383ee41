/* From a policy to one host's plan. For each of its addresses: which rules can concern it (by set of addresses, each
 * set asked once), then a sweep over the elements at the rules' other ends. Where the sweep stands, a set is active
 * with the size of each of its elements there; every such pair of set and size has its uses in order already, so the
 * list of a region is a merge of the active pairs' uses that ends at the first entry that matches everything. Element
 * pairs are never made: two zones of thousands cost the sum of their sizes. */
#include "policy/compile/compile.h"

#include "base/diag.h"
#include "policy/keywords.h"

#include <stdlib.h>
#include <string.h>

/* Keywords, from the policy's roles first so that they mean the same everywhere, else from the host itself. */
static void resolve_keywords(struct compiler *c)
{
	for (int k = 0; k < KEYWORDS; k++) {
		struct address_set *s = &c->keywords[k];
		size_t cap = 0;

		s->name = keyword_name((enum keyword)k);
		s->number = (uint32_t)(c->p->set_count + (size_t)k);
		c->sets[s->number] = s;
		if (k == KEYWORD_ANY)
			continue; /* everywhere: known without elements */
		keyword_hosts(c->p, (enum keyword)k, s);
		for (size_t i = 0; (k == KEYWORD_SELF || k == KEYWORD_LOCAL_SUBNET) && i < c->host->own_count; i++) {
			const struct host_address *own = &c->host->own[i];
			int prefix = k == KEYWORD_SELF ? (int)addr_bits(&own->addr) : own->prefix;

			if (prefix < 0)
				continue;
			s->elements = mem_grow(s->elements, s->count, &cap, sizeof *s->elements);
			s->elements[s->count++] = addr_prefix_range(&own->addr, (unsigned)prefix);
		}
		if (s->count || !c->host->server_counts[k])
			continue;
		s->count = c->host->server_counts[k];
		s->elements = mem_new(s->count, sizeof *s->elements);
		for (size_t i = 0; i < s->count; i++)
			s->elements[i] = (struct addr_range){ c->host->servers[k][i], c->host->servers[k][i] };
	}
}

const struct address_set *compiler_item_set(const struct compiler *c, const struct end_item *i)
{
	return i->set ? i->set : &c->keywords[i->keyword];
}

static void forget_local(struct compiler *c)
{
	bits_wipe(&c->active);
	free(c->pairs);
	free(c->use_numbers);
	free(c->signatures);
	c->pairs = NULL;
	c->use_numbers = NULL;
	c->signatures = NULL;
	c->signature_count = c->signature_cap = 0;
}

int compiler_compile_at(struct compiler *c, size_t at, const struct addr *local, struct diag *d)
{
	int r;

	c->family = local->family;
	c->local = *local;
	compiler_find_asks(c);
	r = compiler_collect_uses(c, local, d);
	if (r == 0)
		r = compiler_sweep(c, at, d);
	forget_local(c);
	return r;
}

static int compare_addresses(const void *a, const void *b)
{
	return addr_compare(a, b);
}

static void take_locals(struct compiler *c)
{
	struct plan *p = c->plan;
	size_t n = 0;

	p->locals = mem_new(c->host->own_count, sizeof *p->locals);
	for (size_t i = 0; i < c->host->own_count; i++) {
		const struct addr *a = &c->host->own[i].addr;

		if (a->family && !addr_is_loopback(a) && !addr_is_link_local(a) && !addr_is_multicast(a))
			p->locals[n++] = *a;
	}
	if (n > 1)
		qsort(p->locals, n, sizeof *p->locals, compare_addresses);
	for (size_t i = 0; i < n; i++)
		if (p->local_count == 0 || !addr_equal(&p->locals[p->local_count - 1], &p->locals[i]))
			p->locals[p->local_count++] = p->locals[i];
	p->local_regions = mem_new(p->local_count, sizeof *p->local_regions);
}

static void compiler_wipe(struct compiler *c)
{
	for (size_t k = 0; k < KEYWORDS; k++)
		free(c->keywords[k].elements);
	names_wipe(&c->conflicts);
	arena_wipe(&c->memory);
	free(c->sets);
	free(c->local_sizes);
	free(c->uses);
	free(c->by_set);
	free(c->events);
	free(c->heap);
	free(c->list);
	free(c->asks);
	free(c->split);
	free(c->borders);
	free(c->interned.slots);
	forget_local(c);
}

int plan_compile(const struct policy *p, const struct plan_host *host, struct report *r, struct plan **ret)
{
	SCOPED(plan_freep) struct plan *plan = mem_new(1, sizeof *plan);
	SCOPED(compiler_wipe) struct compiler c = { .p = p, .host = host, .report = r, .plan = plan };
	struct diag d = { 0 };
	int e = 0;

	atomic_init(&plan->references, 1);
	plan->policy = policy_ref(p);
	plan->lists.firsts = mem_grow(NULL, 0, &plan->lists.cap, sizeof *plan->lists.firsts);
	plan->lists.firsts[0] = plan->lists.firsts[1] = 0; /* list 0 is empty */
	plan->lists.count = 1;
	c.profiles = host->profiles ? host->profiles : PROFILE_ALL;
	c.set_count = p->set_count + KEYWORDS;
	c.sets = mem_new(c.set_count, sizeof(struct address_set *));
	if (p->set_count)
		memcpy(c.sets, p->sets, p->set_count * sizeof(struct address_set *));
	c.local_sizes = mem_new(c.set_count, sizeof *c.local_sizes);
	c.by_set = mem_new(c.set_count, sizeof *c.by_set);
	resolve_keywords(&c);
	take_locals(&c);
	for (size_t i = 0; e == 0 && i < plan->local_count; i++)
		e = compiler_compile_at(&c, i, &plan->locals[i], &d);
	compiler_find_tunnels(&c);
	if (e == 0)
		e = compiler_compile_behind(&c, &d);
	if (e == 0)
		e = compiler_find_groups(&c, &d);
	if (e < 0)
		(void)report_add(r, SEVERITY_ERROR, "plan-too-large", (struct place){ 0 }, "%s", d.text);
	else if (c.failed)
		e = -ERR_POLICY;
	if (e == 0) {
		compiler_keep_facts(&c);
		plan_index(plan);
		*ret = TAKE(plan);
	}
	return e;
}
