#include "policy/reqid.h"

#include "base/table.h"

#include <string.h>

bool rule_always_encrypts(const struct rule *r)
{
	const struct protection_set *s = r->protection;

	if (!rule_mode_protects(r->mode) || !s)
		return false;
	for (size_t i = 0; i < s->count; i++)
		if (!child_suite_encrypts(&s->suites[i]))
			return false;
	return s->count > 0;
}

/* Stand-ins have other protection sets than the rule in whose place they stand, and so numbers of their own. */
unsigned rule_variant(const struct rule *r)
{
	return !r->base ? 0 : r->base->encrypted == r ? 1 : 2;
}

uint32_t rule_reqid(const struct rule *r)
{
	const char *name = rule_as_written(r)->name;
	uint64_t h = table_hash(name, strlen(name), rule_variant(r) | (uint64_t)r->reqid_turn << 2);
	uint32_t low = REQID_ENCRYPTS - 1;

	return REQID_OURS | (rule_always_encrypts(r) ? REQID_ENCRYPTS : 0) | ((uint32_t)(h ^ h >> 32) & low);
}

/* By what they ask, not by name or place: a policy read again has new sets that say the same. */
static bool auth_set_equal(const struct auth_set *a, const struct auth_set *b)
{
	if (a == b)
		return true;
	if (!a || !b || a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (!auth_method_equal(&a->methods[i], &b->methods[i]))
			return false;
	return true;
}

static bool machines_equal(const struct rule *a, const struct rule *b)
{
	if (a->machine_count != b->machine_count)
		return false;
	for (size_t i = 0; i < a->machine_count; i++)
		if (!auth_text_equal(a->machines[i]->name, b->machines[i]->name))
			return false;
	return true;
}

static bool protection_offers(const struct protection_set *p, const struct child_suite *suite)
{
	if (!p || (p->require_encryption && !child_suite_encrypts(suite)))
		return false;
	for (size_t i = 0; i < p->count; i++)
		if (child_suite_equal(&p->suites[i], suite))
			return true;
	return false;
}

static bool tunnel_equal(const struct rule *a, const struct rule *b)
{
	return a->tunnel == b->tunnel &&
	       ((addr_equal(&a->tunnel1, &b->tunnel1) && addr_equal(&a->tunnel2, &b->tunnel2)) ||
		(addr_equal(&a->tunnel1, &b->tunnel2) && addr_equal(&a->tunnel2, &b->tunnel1)));
}

static bool same_proof(const struct rule *have, const struct rule *want)
{
	return auth_set_equal(have->auth, want->auth) && auth_set_equal(have->second_auth, want->second_auth) &&
	       (want->machine_count == 0 || machines_equal(have, want)) && tunnel_equal(have, want);
}

bool rule_satisfies(const struct rule *have, const struct child_suite *suite, const struct rule *want)
{
	return same_proof(have, want) && protection_offers(want->protection, suite);
}

bool rule_always_satisfies(const struct rule *have, const struct rule *want)
{
	const struct protection_set *p = have->protection;

	if (!p || p->count == 0 || !same_proof(have, want))
		return false;
	for (size_t i = 0; i < p->count; i++)
		if (!(p->require_encryption && !child_suite_encrypts(&p->suites[i])) &&
		    !protection_offers(want->protection, &p->suites[i]))
			return false;
	return true;
}
