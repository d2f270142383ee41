#include "dataplane/esp/check.h"

#include "dataplane/sad.h"

#include <string.h>

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

bool check_satisfies(const struct rule *have, const struct child_suite *suite, const struct rule *want)
{
	return auth_set_equal(have->auth, want->auth) && auth_set_equal(have->second_auth, want->second_auth) &&
	       (want->machine_count == 0 || machines_equal(have, want)) && tunnel_equal(have, want) &&
	       protection_offers(want->protection, suite);
}

bool check_inbound(const struct sa_spec *sa, const struct plan_entry *entry)
{
	if (!entry)
		return !sa->tunnel;
	return entry->rule == sa->rule || check_satisfies(sa->rule, &sa->suite, entry->rule);
}
