/* `secure: encrypted` on a firewall rule makes the negotiation of that traffic ask for encryption, although the
 * protection set of its connection security rule would take less. So such a rule gets a stand-in with a set that does
 * not; compile/asks.c puts it before the rule where a firewall rule asks. */
#include "policy/model.h"

#include <string.h>

static bool is_asked(const struct firewall_rule *r)
{
	return r->secure == SECURE_ENCRYPTED || r->secure == SECURE_ENCRYPTED_ON_DEMAND;
}

/* NULL: nothing to choose, since all of its suites encrypt, or none does. */
static const struct protection_set *encrypting(struct policy *p, const struct protection_set *of, bool first)
{
	struct protection_set *s;
	size_t n = 0;

	for (size_t i = 0; i < of->count; i++)
		n += child_suite_encrypts(&of->suites[i]);
	if (n == 0 || n == of->count)
		return NULL;
	s = arena_new(&p->memory, 1, sizeof *s);
	*s = *of;
	s->suites = arena_new(&p->memory, of->count, sizeof *s->suites);
	s->count = 0;
	for (int clear = 0; clear <= first; clear++)
		for (size_t i = 0; i < of->count; i++)
			if (child_suite_encrypts(&of->suites[i]) == !clear)
				s->suites[s->count++] = of->suites[i];
	s->require_encryption |= !first;
	return s;
}

static const struct rule *stand_in(struct policy *p, const struct rule *base, bool first)
{
	const struct protection_set *s = encrypting(p, base->protection, first);
	struct rule *r;

	if (!s || (first && memcmp(s->suites, base->protection->suites, s->count * sizeof *s->suites) == 0))
		return NULL;
	r = &p->stand_ins[p->stand_in_count];
	*r = *base;
	r->index = (uint32_t)(p->rule_count + p->stand_in_count++);
	r->protection = s;
	r->base = base;
	return r;
}

static void find_asks(struct policy *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->firewall_count; i++)
		for (size_t k = 0; k < p->firewalls[i].count; k++)
			n += is_asked(&p->firewalls[i].rules[k]);
	p->asks = arena_new(&p->memory, n, sizeof *p->asks);
	for (int first = 0; first <= 1; first++)
		for (size_t i = 0; i < p->firewall_count; i++)
			for (size_t k = 0; k < p->firewalls[i].count; k++) {
				const struct firewall_rule *r = &p->firewalls[i].rules[k];

				if (is_asked(r) && (r->secure == SECURE_ENCRYPTED_ON_DEMAND) == first)
					p->asks[p->ask_count++] = (struct encryption_ask){ &p->firewalls[i], r, first };
			}
}

void load_encryption_asks(struct policy *p)
{
	bool asked[2] = { false, false };

	find_asks(p);
	for (size_t i = 0; i < p->ask_count; i++)
		asked[p->asks[i].first] = true;
	if (p->ask_count == 0)
		return;
	p->stand_ins = arena_new(&p->memory, 2 * p->rule_count, sizeof *p->stand_ins);
	for (size_t i = 0; i < p->rule_count; i++) {
		struct rule *r = &p->rules[i];

		/* What a tunnel carries is what its ends agree on. */
		if (!rule_mode_protects(r->mode) || r->tunnel || !r->protection)
			continue;
		if (asked[0])
			r->encrypted = stand_in(p, r, false);
		if (asked[1])
			r->encrypted_first = stand_in(p, r, true);
	}
}
