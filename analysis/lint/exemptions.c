/* wide-exemption: an exemption whose two ends share addresses, so that it also exempts what those say to each other,
 * though a rule would have protected it. Which pairs lose, and to which rule, is asked of their plans. */
#include "analysis/lint/parts.h"

#include "base/str.h"

#include <stdlib.h>

enum { EXEMPTIONS_ASKED = 64, SHARING_MOST = 32, PAIRS_SHOWN = 4 };

/* Everything, or the whole of TCP or UDP: an exemption of single ports (DNS, say) is often meant for all. */
static bool is_broad(const struct rule *r)
{
	for (size_t i = 0; i < r->service_count; i++) {
		const struct service *s = &r->services[i];
		bool whole = s->protocol == PROTOCOL_ANY || s->protocol == 6 || s->protocol == 17;

		if (whole && !port_given(s->port1) && !port_given(s->port2))
			return true;
	}
	return false;
}

/* Its ends are the same one thing: "the lab is exempt from itself" says what it does. */
static bool says_so(const struct rule *r)
{
	return r->end1.count == 1 && r->end2.count == 1 && r->end1.items[0].set == r->end2.items[0].set;
}

static bool has_keyword(const struct end *e)
{
	for (size_t i = 0; i < e->count; i++)
		if (!e->items[i].set)
			return true;
	return false;
}

/* Those who are in both ends: hosts, and where there are none, bare addresses. */
struct sharing {
	struct ends_who who[SHARING_MOST];
	size_t count, more; /* that did not fit */
};

static void add_sharer(struct sharing *s, const struct ends_who *who)
{
	for (size_t i = 0; i < s->count; i++)
		if (addr_equal(&s->who[i].addr, &who->addr))
			return;
	if (s->count < SHARING_MOST)
		s->who[s->count++] = *who;
	else
		s->more++;
}

static void sharing_hosts(const struct lint *l, const struct rule *r, struct sharing *s)
{
	for (size_t i = 0; i < l->host_count; i++) {
		const struct host *h = &l->hosts[i];

		for (size_t k = 0; k < h->address_count && h->agent != AGENT_NONE; k++) {
			struct ends_who who = { h, h->addresses[k].addr, h->addresses[k].prefix };

			if (end_has(l->p, &r->end1, &who, &who, NULL) && end_has(l->p, &r->end2, &who, &who, NULL))
				add_sharer(s, &who);
		}
	}
}

/* The first and last address of what two elements have in common: two that no host may have, if there are two. */
static void sharing_element(const struct lint *l, const struct addr_range *a, const struct addr_range *b,
			    struct sharing *s)
{
	struct addr_range both = *a;

	if (!addr_range_overlap(a, b))
		return;
	if (addr_compare(&b->lo, &both.lo) > 0)
		both.lo = b->lo;
	if (addr_compare(&b->hi, &both.hi) < 0)
		both.hi = b->hi;
	for (unsigned i = 0; i < 2; i++) {
		struct ends_who who = { .addr = i ? both.hi : both.lo, .prefix = -1 };

		if (addr_range_count(&both) > 2 && (i ? addr_previous(&who.addr) : addr_next(&who.addr)) &&
		    policy_host_by_address(l->p, &who.addr))
			continue;
		if (!policy_host_by_address(l->p, &who.addr))
			add_sharer(s, &who);
	}
}

static void sharing_bare(const struct lint *l, const struct rule *r, struct sharing *s)
{
	size_t work = 0;

	for (size_t i = 0; i < r->end1.count; i++)
		for (size_t k = 0; k < r->end2.count; k++) {
			const struct address_set *a = r->end1.items[i].set, *b = r->end2.items[k].set;

			for (size_t m = 0; m < a->count; m++)
				for (size_t n = 0; n < b->count && ++work < 4096; n++)
					sharing_element(l, &a->elements[m], &b->elements[n], s);
		}
}

/* The rule that would win for x <-> y were it not for r, if it protects; NULL if r does not win there either. */
static const struct rule *loser(struct lint *l, const struct rule *r, const struct ends_who *x,
				const struct ends_who *y)
{
	const struct plan *plan = why_plan(l->w, x);
	struct plan_list list;
	bool won = false;

	if (!plan)
		return NULL;
	list = plan_meet(plan, &x->addr, &y->addr);
	for (size_t i = 0; i < list.count; i++) {
		const struct plan_entry *e = &list.entries[i];

		if (e->rule == r)
			won = true;
		else if (won && rule_mode_protects(e->rule->mode))
			return rule_as_written(e->rule);
		else if (e->protocol == PROTOCOL_ANY && e->initiators == INITIATOR_EITHER)
			return NULL; /* it wins over everything behind it */
	}
	return NULL;
}

struct loss {
	struct str pairs;
	size_t count;
	const struct rule *to;
};

static void count_losses(struct lint *l, const struct rule *r, const struct sharing *s, struct loss *loss)
{
	for (size_t i = 0; i < s->count; i++)
		for (size_t k = i + 1; k < s->count; k++) {
			const struct ends_who *x = &s->who[i], *y = &s->who[k];
			const struct rule *lost;
			char a[ADDR_TEXT], b[ADDR_TEXT];

			if (x->addr.family != y->addr.family || (x->host && x->host == y->host))
				continue;
			if (!(lost = loser(l, r, x, y)))
				continue;
			if (loss->count++ < PAIRS_SHOWN)
				str_addf(&loss->pairs, "%s%s <-> %s", loss->count > 1 ? ", " : "", why_name(x, a),
					 why_name(y, b));
			loss->to = loss->to ? loss->to : lost;
		}
	if (loss->count > PAIRS_SHOWN)
		str_addf(&loss->pairs, " and %zu more pairs", loss->count - PAIRS_SHOWN);
}

static bool set_holds(const struct address_set *set, const struct addr *a)
{
	for (size_t i = 0; i < set->count; i++)
		if (addr_range_has(&set->elements[i], a))
			return true;
	return false;
}

/* Names of the items of an end that hold sharers (`holding`), or of those that do not. */
static size_t list_items(const struct end *e, const struct sharing *s, bool holding, struct str *out)
{
	size_t n = 0;

	for (size_t i = 0; i < e->count; i++) {
		size_t held = 0;

		for (size_t k = 0; k < s->count; k++)
			held += set_holds(e->items[i].set, &s->who[k].addr);
		if ((held > 1) == holding)
			str_addf(out, "%s%s", n++ ? ", " : "", e->items[i].set->name);
	}
	return n;
}

static const char *would(const struct rule *r)
{
	const struct protection_set *p = r->protection;

	if (r->mode == MODE_REQUEST)
		return "asks for protection";
	return p && p->count && child_suite_encrypts(&p->suites[0]) ? "would encrypt it" : "would authenticate it";
}

static void look_at(struct lint *l, const struct rule *r)
{
	struct sharing s = { .count = 0 };
	struct loss loss = { .count = 0 };
	struct str held = { 0 }, rest = { 0 };

	sharing_hosts(l, r, &s);
	if (s.count < 2)
		sharing_bare(l, r, &s);
	count_losses(l, r, &s, &loss);
	if (loss.count) {
		struct finding *f = report_add(l->r, SEVERITY_WARNING, "wide-exemption", r->place,
					       "'%s' also exempts %s", r->name, str_text(&loss.pairs));

		(void)list_items(&r->end2, &s, true, &held);
		finding_advise(f,
			       "Both ends of this rule contain them (%s), so what they say to each other goes clear,\n"
			       "although '%s' %s.",
			       str_text(&held), loss.to->name, would(loss.to));
		if (list_items(&r->end1, &s, false, &rest))
			finding_advise(f, "Name [%s] at one end only, and [%s] at the other.", str_text(&rest),
				       str_text(&held));
		else
			finding_advise(f,
				       "Let the two ends have no address in common, or name the ports that are meant.");
	}
	str_wipe(&loss.pairs);
	str_wipe(&held);
	str_wipe(&rest);
}

void lint_exemptions(struct lint *l)
{
	size_t asked = 0;

	for (size_t i = 0; i < l->rule_count && asked < EXEMPTIONS_ASKED; i++) {
		const struct rule *r = &l->rules[i];

		if (r->mode != MODE_EXEMPT || !is_broad(r) || says_so(r) || has_keyword(&r->end1) ||
		    has_keyword(&r->end2))
			continue;
		look_at(l, r);
		asked++;
	}
}
