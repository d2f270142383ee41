/* An address that the plan does not know: it came a moment ago, and the plan that knows it is being made; or it is
 * local by a route of type local alone. Until then nothing of it may be clear, so there are no packets between it and
 * those whom a rule speaks of that protects or blocks. Others are not touched: a daemon that has died must not cut off
 * a host whose lease changes. */
#include "enforce/seen.h"

#include "base/mem.h"
#include "base/scope.h"
#include "base/str.h"

#include <stdlib.h>

/* local: outside all rules */
static const struct {
	const char *name, *type, *local;
} families[] = {
	{ "ip", "ipv4_addr", "{ 127.0.0.0/8, 169.254.0.0/16 }" },
	{ "ip6", "ipv6_addr", "{ ::1, fe80::/10 }" },
};

/* What a keyword will mean beside an address that nobody knows yet, nobody knows. */
static bool is_everybody(const struct end_item *i)
{
	return !i->set && i->keyword != KEYWORD_SELF;
}

struct spoken_of {
	bool everybody;
	bool *sets; /* by number */
};

static void add_end(struct spoken_of *s, const struct end *e)
{
	for (size_t i = 0; i < e->count; i++) {
		s->everybody |= is_everybody(&e->items[i]);
		if (e->items[i].set)
			s->sets[e->items[i].set->number] = true;
	}
}

static struct spoken_of spoken_of(const struct policy *p)
{
	const struct address_set *const *sets;
	const struct rule *rules;
	size_t n = policy_rules(p, &rules);
	struct spoken_of s = { .sets = mem_new(policy_address_sets(p, &sets) + 1, sizeof *s.sets) };

	for (size_t i = 0; i < n; i++)
		if (rules[i].mode != MODE_EXEMPT) {
			add_end(&s, &rules[i].end1);
			add_end(&s, &rules[i].end2);
		}
	return s;
}

static void add_set(struct ruleset *r, size_t family, const struct spoken_of *s)
{
	const struct address_set *const *sets;
	size_t n = policy_address_sets(plan_policy(r->plan), &sets), added = 0;
	char text[ADDR_RANGE_TEXT];

	str_addf(r->out, "\tset others_%s {\n\t\ttype %s\n\t\tflags interval\n\t\tauto-merge\n", families[family].name,
		 families[family].type);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; s->sets[i] && k < sets[i]->count; k++)
			if ((sets[i]->elements[k].lo.family == 6) == (family == 1))
				str_addf(r->out, "%s%s", added++ ? ",\n" : "\t\telements = {\n",
					 addr_range_text(&sets[i]->elements[k], text));
	str_add(r->out, added ? "\n\t\t}\n\t}\n" : "\t}\n");
}

static void add_chain(struct ruleset *r, size_t family, bool arriving, bool everybody)
{
	const char *name = families[family].name, *ours = arriving ? "daddr" : "saddr",
		   *other = arriving ? "saddr" : "daddr";
	char counter[GATE_COUNTER_NAME];

	str_addf(r->out, "\t\t%s %s != @own_%s ", name, ours, name);
	if (!everybody)
		str_addf(r->out, "%s %s @others_%s ", name, other, name);
	str_addf(r->out, "%s %s != %s fib %s type local counter name %s drop\n", name, ours, families[family].local,
		 ours, gate_counter_name(GATE_COUNT_NEW_ADDRESS, 0, counter));
}

void ruleset_newcomer(struct ruleset *r)
{
	struct spoken_of s = spoken_of(plan_policy(r->plan));

	for (size_t f = 0; f < ARRAY_LEN(families); f++)
		if (!s.everybody)
			add_set(r, f, &s);
	for (int arriving = 1; arriving >= 0; arriving--) {
		str_addf(r->out, "\tchain newcomer_%s {\n", arriving ? "in" : "out");
		if (arriving)
			seen_add_exempt(r);
		for (size_t f = 0; f < ARRAY_LEN(families); f++)
			add_chain(r, f, arriving, s.everybody);
		str_add(r->out, "\t}\n");
	}
	free(s.sets);
}
