/* null-encryption and pre-shared-key: what a set allows that nobody will have meant. */
#include "analysis/lint/parts.h"

#include "base/str.h"
#include "policy/plan.h"

#include <stdlib.h>

/* "esp-sha256-null and ah-sha256": those that do not encrypt, or those that do. */
static size_t list_suites(const struct protection_set *s, bool encrypting, struct str *out)
{
	size_t n = 0;

	for (size_t i = 0; i < s->count; i++) {
		char text[SUITE_TEXT];

		if (child_suite_encrypts(&s->suites[i]) != encrypting)
			continue;
		str_addf(out, "%s%s", n++ ? ", " : "", child_suite_text(&s->suites[i], text));
	}
	return n;
}

/* Of which traffic of the rules that use a set a firewall rule asks that it be encrypted. */
struct asked {
	bool some, on_demand, left; /* left: some of which none asks */
};

static bool same_traffic(const struct plan_entry *a, const struct plan_entry *b)
{
	return a->protocol == b->protocol && a->icmp_type == b->icmp_type && a->icmp_code == b->icmp_code &&
	       a->local_port.lo == b->local_port.lo && a->local_port.hi == b->local_port.hi &&
	       a->remote_port.lo == b->remote_port.lo && a->remote_port.hi == b->remote_port.hi;
}

/* Does one before it stand in for it, with the set that the firewall rule wants? */
static bool stood_in_for(const struct plan_list *list, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (list->entries[i].rule->base == list->entries[at].rule &&
		    same_traffic(&list->entries[i], &list->entries[at]))
			return true;
	return false;
}

static void look_at_list(const struct plan_list *list, const struct protection_set *s, struct asked *ret)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct rule *r = list->entries[i].rule, *written = rule_as_written(r);

		if (!rule_mode_protects(r->mode) || written->protection != s)
			continue;
		ret->some |= r->base != NULL;
		ret->on_demand |= r->base && r == written->encrypted_first;
		ret->left |= !r->base && !stood_in_for(list, i);
	}
}

/* In the plans of all kinds of host, where any rule of the set has a stand-in at all. */
static void find_asked(const struct lint *l, const struct protection_set *s, struct asked *ret)
{
	bool any = false;

	*ret = (struct asked){ 0 };
	for (size_t i = 0; i < l->rule_count; i++)
		any |= l->rules[i].protection == s && (l->rules[i].encrypted || l->rules[i].encrypted_first);
	for (size_t i = 0; any && i < l->kind_count; i++) {
		const struct plan *plan = why_plan(l->w, &l->kinds[i]);

		ret->left |= !plan; /* its rules are in conflict */
		for (size_t k = 0; plan && k < plan_lists(plan); k++) {
			struct plan_list list = plan_list(plan, (uint32_t)k);

			look_at_list(&list, s, ret);
		}
	}
	ret->left |= l->bounded;
}

static void null_encryption(struct lint *l, const struct protection_set *s, const struct rule *user)
{
	struct str open = { 0 }, hidden = { 0 };
	size_t n = list_suites(s, false, &open), m = list_suites(s, true, &hidden);
	struct finding *f;
	struct asked asked;

	find_asked(l, s, &asked);
	if (n && m && asked.some && !asked.left) {
		if (asked.on_demand) {
			f = report_add(l->r, SEVERITY_NOTE, "null-encryption", s->place,
				       "protection '%s' does not promise encryption: it also allows %s", s->name,
				       str_text(&open));
			finding_advise(f,
				       "Firewall rules ask for encryption on demand, so %s is offered first; a peer\n"
				       "that has only %s is accepted too.",
				       str_text(&hidden), str_text(&open));
		}
	} else if (n && m && !child_suite_encrypts(&s->suites[0])) {
		f = report_add(l->r, SEVERITY_WARNING, "null-encryption", s->place,
			       "protection '%s' does not encrypt: hosts agree on %s, and anyone can read along",
			       s->name, str_text(&open));
		finding_advise(f,
			       "The first proposal that both ends accept is taken, so %s is never reached%s.\n"
			       "'%s' yields no more than 'authenticated'%s. To have it encrypted, take %s out\n"
			       "and add require-encryption: true.",
			       str_text(&hidden), asked.some ? " but where a firewall rule asks for it" : "",
			       user->name, asked.some ? " elsewhere" : "", str_text(&open));
	} else if (n && m) {
		f = report_add(l->r, SEVERITY_WARNING, "null-encryption", s->place,
			       "protection '%s' does not promise encryption: it also allows %s", s->name,
			       str_text(&open));
		finding_advise(f,
			       "Two hosts of this policy agree on encryption, but a peer that offers only %s\n"
			       "is accepted too%s: '%s' guarantees no more than 'authenticated'. Take it out, and add\n"
			       "require-encryption: true.",
			       str_text(&open), asked.some ? " where no firewall rule asks for encryption" : "",
			       user->name);
	} else if (n) {
		f = report_add(l->r, SEVERITY_NOTE, "null-encryption", s->place,
			       "protection '%s' authenticates only: %s does not hide the data", s->name,
			       str_text(&open));
		finding_advise(f, "If that is what '%s' is for, all is well.", user->name);
	}
	str_wipe(&open);
	str_wipe(&hidden);
}

static void pre_shared_key(struct lint *l, const struct auth_set *s, const struct rule *user)
{
	for (size_t i = 0; i < s->count; i++) {
		struct finding *f;

		if (s->methods[i].kind != AUTH_PSK)
			continue;
		f = report_add(l->r, SEVERITY_WARNING, "pre-shared-key",
			       s->methods[i].place.file ? s->methods[i].place : s->place,
			       "authentication '%s' accepts a pre-shared key: whoever has it can be any host", s->name);
		finding_advise(f,
			       "One stolen key opens everything under '%s', and cannot be taken back from one host\n"
			       "alone. Fine for a first try; certificates take no more than: cordon pki init, cordon "
			       "pki issue.",
			       user->name);
		return;
	}
}

/* The first rule that uses each set, for the words; a set that no rule uses is nobody's trouble. */
static void note_user(const struct rule **users, size_t n, size_t set, const struct rule *rule)
{
	if (set < n && !users[set])
		users[set] = rule;
}

void lint_sets(struct lint *l)
{
	const struct protection_set *protections;
	const struct auth_set *auths;
	size_t n = policy_protection_sets(l->p, &protections), m = policy_auth_sets(l->p, &auths);
	const struct rule **of_protection = mem_new(n, sizeof *of_protection);
	const struct rule **of_auth = mem_new(m, sizeof *of_auth);

	for (size_t i = 0; i < l->rule_count; i++) {
		const struct rule *rule = &l->rules[i];

		if (rule_mode_protects(rule->mode))
			note_user(of_protection, n, (size_t)(rule->protection - protections), rule);
		if (rule->auth)
			note_user(of_auth, m, (size_t)(rule->auth - auths), rule);
		if (rule->second_auth)
			note_user(of_auth, m, (size_t)(rule->second_auth - auths), rule);
	}
	for (size_t i = 0; i < n; i++)
		if (of_protection[i])
			null_encryption(l, &protections[i], of_protection[i]);
	for (size_t i = 0; i < m; i++)
		if (of_auth[i])
			pre_shared_key(l, &auths[i], of_auth[i]);
	free(of_protection);
	free(of_auth);
}
