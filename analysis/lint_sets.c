/* null-encryption and pre-shared-key: what a set allows that nobody will have meant. */
#include "analysis/lint_parts.h"

#include "base/str.h"

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

static void null_encryption(struct lint *l, const struct protection_set *s, const struct rule *user)
{
	struct str open = { 0 }, hidden = { 0 };
	size_t n = list_suites(s, false, &open), m = list_suites(s, true, &hidden);
	struct finding *f;

	if (n && m && !child_suite_encrypts(&s->suites[0])) {
		f = report_add(l->r, SEVERITY_WARNING, "null-encryption", s->place,
			       "protection '%s' does not encrypt: hosts agree on %s, and anyone can read along",
			       s->name, str_text(&open));
		finding_advise(f,
			       "The first proposal that both ends accept is taken, so %s is never reached.\n"
			       "'%s' yields no more than 'authenticated'. To have it encrypted, take %s out\n"
			       "and add require-encryption: true.",
			       str_text(&hidden), user->name, str_text(&open));
	} else if (n && m) {
		f = report_add(l->r, SEVERITY_WARNING, "null-encryption", s->place,
			       "protection '%s' does not promise encryption: it also allows %s", s->name,
			       str_text(&open));
		finding_advise(f,
			       "Two hosts of this policy agree on encryption, but a peer that offers only %s\n"
			       "is accepted too: '%s' guarantees no more than 'authenticated'. Take it out, and add\n"
			       "require-encryption: true.",
			       str_text(&open), user->name);
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
