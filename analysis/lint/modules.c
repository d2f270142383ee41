/* ikev1, ikev1-impossible and second-authentication: what a rule asks of the protocols that negotiate for it. */
#include "analysis/lint/parts.h"

#include "base/str.h"

static bool some_main_suite(const struct key_exchange_set *s)
{
	for (size_t i = 0; i < s->count; i++)
		if (ike_suite_ikev1(&s->suites[i]))
			return true;
	return false;
}

static bool some_quick_suite(const struct protection_set *s)
{
	for (size_t i = 0; i < s->count; i++)
		if (child_suite_ikev1(&s->suites[i]))
			return true;
	return false;
}

static void weaker(struct lint *l, const struct rule *r)
{
	bool alone = r->modules == MODULE_IKEV1;
	struct finding *f = report_add(l->r, SEVERITY_WARNING, "ikev1", r->modules_place,
				       "'%s' %s negotiated by IKEv1, which is weaker than IKEv2", r->name,
				       alone ? "is always" : "may also be");

	if (alone) {
		finding_advise(
			f, "The hosts still prove who they are and take nothing but this rule's sets, but by an old\n"
			   "protocol, with fewer algorithms, CBC without a check in front of it, and no cookies. Keep\n"
			   "to it for peers that have no IKEv2, and name no others in this rule.");
		return;
	}
	finding_advise(
		f, "Who can drop packets on the way can have two hosts fall back to it: they still prove who they\n"
		   "are and take nothing but this rule's sets, but by an old protocol, with fewer algorithms, CBC\n"
		   "without a check in front of it, and no cookies. Keep it for peers that have no IKEv2, in a rule\n"
		   "of their own.");
}

/* A rule that IKEv1 alone serves would never work; with IKEv2 beside it, the fallback would not. */
static void impossible(struct lint *l, const struct rule *r)
{
	bool main = some_main_suite(r->key_exchange), quick = some_quick_suite(r->protection);
	bool required_ppk = r->key_exchange->ppk_required;
	struct finding *f;

	if (main && quick && !required_ppk)
		return;
	f = report_add(l->r, r->modules == MODULE_IKEV1 ? SEVERITY_ERROR : SEVERITY_WARNING, "ikev1-impossible",
		       r->modules_place, "'%s' cannot be negotiated by IKEv1: %s '%s' %s", r->name,
		       main && !required_ppk ? "protection" : "key-exchange",
		       main && !required_ppk ? r->protection->name : r->key_exchange->name,
		       !main          ? "has no main mode proposal that it can do"
		       : required_ppk ? "requires a post-quantum pre-shared key"
				      : "has no quick mode proposal that it can do");
	finding_advise(f, "IKEv1 has no AEAD and neither x25519 nor x448 in main mode, ChaCha20 nowhere, and no\n"
			  "post-quantum pre-shared keys. aes256-sha384-ecp384 and esp-aes256gcm go with both.");
}

static void second_authentication(struct lint *l, const struct rule *r)
{
	struct finding *f =
		report_add(l->r, SEVERITY_WARNING, "second-authentication", r->second_auth_place,
			   "'%s' asks for a second authentication, and neither IKEv2 nor IKEv1 has one", r->name);

	finding_advise(f,
		       "In Windows only AuthIP has it, and with these modules the negotiation fails. So it does here:\n"
		       "nothing is negotiated for this rule, and what it requires to be protected is blocked. Leave\n"
		       "second-authentication out.");
}

void lint_modules(struct lint *l)
{
	for (size_t i = 0; i < l->rule_count; i++) {
		const struct rule *r = &l->rules[i];

		if (!rule_mode_protects(r->mode))
			continue;
		if (r->second_auth)
			second_authentication(l, r);
		if (!(r->modules & MODULE_IKEV1))
			continue;
		weaker(l, r);
		impossible(l, r);
	}
}
