#include "analysis/negotiate.h"

#include "analysis/ends.h"

#include <string.h>

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

/* Could what satisfies one method satisfy the other? Issuers may differ: each side checks the other's certificate
 * against its own rule. A pre-shared key is one key. */
static bool methods_fit(const struct auth_method *a, const struct auth_method *b)
{
	return a->kind == b->kind && (a->kind != AUTH_PSK || same_text(a->psk_file, b->psk_file));
}

static bool method_same(const struct auth_method *a, const struct auth_method *b)
{
	return methods_fit(a, b) && same_text(a->issuer, b->issuer) && a->issuer_type == b->issuer_type &&
	       certificate_criteria_equal(&a->both, &b->both) && certificate_criteria_equal(&a->own, &b->own) &&
	       same_text(a->realm, b->realm);
}

/* Does the host hold what this method asks for? A set stands for all its methods. */
static bool holds(const struct host *h, const struct auth_method *m)
{
	if (!h || !h->credentials)
		return true;
	for (size_t i = 0; i < h->credential_count; i++)
		for (size_t k = 0; k < h->credentials[i]->count; k++)
			if (method_same(&h->credentials[i]->methods[k], m))
				return true;
	return false;
}

static bool holds_any(const struct host *h, const struct auth_set *s)
{
	for (size_t i = 0; i < s->count; i++)
		if (holds(h, &s->methods[i]))
			return true;
	return false;
}

/* The first methods of each set such that each host can prove what the other's asks for, of one kind. */
static bool sets_meet(const struct negotiate_end ends[2], const struct auth_set *a, const struct auth_set *b,
		      const struct auth_method *proof[2])
{
	for (size_t i = 0; i < a->count; i++)
		for (size_t k = 0; k < b->count; k++)
			if (methods_fit(&a->methods[i], &b->methods[k]) && holds(ends[1].host, &a->methods[i]) &&
			    holds(ends[0].host, &b->methods[k])) {
				proof[0] = &b->methods[k];
				proof[1] = &a->methods[i];
				return true;
			}
	return false;
}

static bool authenticate(const struct negotiate_end ends[2], const struct auth_set *a, const struct auth_set *b,
			 struct negotiation *n)
{
	const struct auth_set *sets[2] = { a, b };

	for (unsigned i = 0; i < 2; i++)
		if (!holds_any(ends[!i].host, sets[i])) {
			*n = (struct negotiation){ .result = NEGOTIATE_CREDENTIAL, .at = !i, .set = sets[i] };
			return false;
		}
	if (!sets_meet(ends, a, b, n->proof)) {
		*n = (struct negotiation){ .result = NEGOTIATE_METHOD, .set = a };
		return false;
	}
	return true;
}

/* What both ends may negotiate by: IKEv2 if they can. 0: nothing. */
static unsigned module_of(const struct rule *a, const struct rule *b)
{
	unsigned both = a->modules & b->modules;

	return both & MODULE_IKEV2 ? MODULE_IKEV2 : both;
}

static bool key_exchange_meets(const struct key_exchange_set *a, const struct key_exchange_set *b, bool ikev1)
{
	for (size_t i = 0; a && b && i < a->count; i++)
		for (size_t k = 0; k < b->count; k++)
			if (ike_suite_equal(&a->suites[i], &b->suites[k]) && (!ikev1 || ike_suite_ikev1(&a->suites[i])))
				return true;
	return false;
}

static bool behind_nat(const struct negotiate_end *e)
{
	return e->host && e->host->nat_address.family;
}

/* Through a NAT? Number 1 is the server. */
static bool passes_nat(const struct negotiate_end ends[2], enum nat_traversal through, struct negotiation *n)
{
	for (unsigned i = 0; i < 2; i++)
		if (behind_nat(&ends[i]) && through != NAT_TRAVERSAL_BOTH &&
		    (i == 0 || through == NAT_TRAVERSAL_NEVER)) {
			*n = (struct negotiation){ .result = NEGOTIATE_NAT, .at = i, .through = through };
			return false;
		}
	return true;
}

/* The responder takes the first of the initiator's proposals that is among its own. AH does not go through a NAT. */
static bool agree_on_suite(const struct protection_set *a, const struct protection_set *b, bool nat, bool ikev1,
			   struct negotiation *n)
{
	for (size_t i = 0; a && b && i < a->count; i++)
		for (size_t k = 0; k < b->count; k++) {
			const struct child_suite *s = &a->suites[i];
			enum outcome o = child_suite_encrypts(s) ? OUTCOME_ENCRYPTED : OUTCOME_AUTHENTICATED;

			if (!child_suite_equal(s, &b->suites[k]) || (nat && s->protocol == PROTO_AH) ||
			    (ikev1 && !child_suite_ikev1(s)))
				continue;
			if (!n->suite) {
				n->suite = s;
				n->outcome = o;
			}
			if (!n->weakest_suite || o < n->weakest) {
				n->weakest_suite = s;
				n->weakest = o;
			}
			break;
		}
	return n->suite != NULL;
}

struct negotiation negotiate(const struct negotiate_end ends[2], enum nat_traversal through)
{
	struct negotiation n = { .result = NEGOTIATE_AGREED };
	const struct rule *a = ends[0].rule, *b = ends[1].rule;
	unsigned module;

	for (unsigned i = 0; i < 2; i++)
		if (ends[i].host && ends[i].host->agent == AGENT_NONE)
			return (struct negotiation){ .result = NEGOTIATE_NO_AGENT, .at = i };
	for (unsigned i = 0; i < 2; i++)
		if (!ends[i].rule || !rule_mode_protects(ends[i].rule->mode))
			return (struct negotiation){ .result = NEGOTIATE_NO_RULE, .at = i };
	if (!passes_nat(ends, through, &n))
		return n;
	if (!authenticate(ends, a->auth, b->auth, &n))
		return n;
	for (unsigned i = 0; i < 2; i++)
		if (ends[i].rule->second_auth)
			return (struct negotiation){ .result = NEGOTIATE_SECOND, .at = i };
	for (unsigned i = 0; i < 2; i++) {
		const struct rule *r = ends[!i].rule;
		enum belongs is = r->machines ? groups_belong(r->machines, r->machine_count, ends[i].host, n.proof[i])
					      : BELONGS_YES;

		if (is != BELONGS_YES) {
			n.result = NEGOTIATE_MACHINE;
			n.at = i;
			n.unlearnt = is == BELONGS_MAYBE;
			return n;
		}
	}
	module = module_of(a, b);
	if (!module)
		return (struct negotiation){ .result = NEGOTIATE_MODULE };
	if (!key_exchange_meets(a->key_exchange, b->key_exchange, module == MODULE_IKEV1))
		return (struct negotiation){ .result = NEGOTIATE_KEY_EXCHANGE };
	if (!agree_on_suite(a->protection, b->protection, behind_nat(&ends[0]) || behind_nat(&ends[1]),
			    module == MODULE_IKEV1, &n))
		return (struct negotiation){ .result = NEGOTIATE_PROTECTION };
	return n;
}
