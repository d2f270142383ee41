#include "policy/conflict.h"

#include "base/str.h"
#include "base/text.h"
#include "policy/rank.h"

#include <string.h>

/* What of the two rules differs, as each says it. */
static void differing(const struct rule *a, const struct rule *b, struct str *ret_a, struct str *ret_b)
{
	if (a->mode != b->mode) {
		str_addf(ret_a, "mode %s", rule_mode_name(a->mode));
		str_addf(ret_b, "mode %s", rule_mode_name(b->mode));
	} else if (a->auth != b->auth) {
		str_addf(ret_a, "authentication %s", a->auth->name);
		str_addf(ret_b, "authentication %s", b->auth->name);
	} else if (a->protection != b->protection) {
		str_addf(ret_a, "protection %s", a->protection->name);
		str_addf(ret_b, "protection %s", b->protection->name);
	} else if (a->key_exchange != b->key_exchange) {
		str_addf(ret_a, "key-exchange %s", a->key_exchange->name);
		str_addf(ret_b, "key-exchange %s", b->key_exchange->name);
	} else if (a->second_auth != b->second_auth) {
		str_addf(ret_a, "second-authentication %s", a->second_auth ? a->second_auth->name : "none");
		str_addf(ret_b, "second-authentication %s", b->second_auth ? b->second_auth->name : "none");
	} else if (a->modules != b->modules) {
		str_addf(ret_a, "modules %s", rule_modules_name(a->modules));
		str_addf(ret_b, "modules %s", rule_modules_name(b->modules));
	} else if (a->fallback_after_ms != b->fallback_after_ms) {
		str_addf(ret_a, "fallback-after %ums", a->fallback_after_ms);
		str_addf(ret_b, "fallback-after %ums", b->fallback_after_ms);
	} else {
		str_add(ret_a,
			a->tunnel != b->tunnel ? (a->tunnel ? "a tunnel" : "no tunnel") : "its own machines or tunnel");
		str_add(ret_b, a->tunnel != b->tunnel ? (b->tunnel ? "a tunnel" : "no tunnel") : "others");
	}
}

static void where(const struct report *r, const struct rule *rule, struct str *out)
{
	const struct text *file = report_file(r, rule->place.file);

	if (file)
		str_addf(out, "%s:%u", file->path, rule->place.line);
}

/* Plans of several hosts are compiled into one report: each pair of rules is told once. */
static bool is_told(const struct report *r, const struct rule *second, const char *words)
{
	const struct finding *const *all;
	size_t n = report_findings(r, &all);

	for (size_t i = 0; i < n; i++)
		if (strcmp(all[i]->code, "contradiction") == 0 && all[i]->place.file == second->place.file &&
		    all[i]->place.line == second->place.line && all[i]->place.column == second->place.column &&
		    strncmp(all[i]->message, words, strlen(words)) == 0)
			return true;
	return false;
}

void conflict_report(const struct policy *p, struct report *r, const struct plan_entry *a, const struct plan_entry *b,
		     const struct addr *one, const struct addr *other)
{
	const struct rule *first = a->rule->index < b->rule->index ? a->rule : b->rule;
	const struct rule *second = first == a->rule ? b->rule : a->rule;
	SCOPED(str_wipe) struct str x = { 0 }, y = { 0 }, at = { 0 }, words = { 0 };
	char left[ADDR_TEXT], right[ADDR_TEXT];
	struct finding *f;

	str_addf(&words, "rules '%s' and '%s' contradict each other: ", first->name, second->name);
	if (is_told(r, second, str_text(&words)))
		return;
	differing(first, second, &x, &y);
	where(r, first, &at);
	f = report_add(r, policy_is_imported(p) ? SEVERITY_WARNING : SEVERITY_ERROR, "contradiction", second->place,
		       "%sboth match %s <-> %s, and neither is more specific", str_text(&words), addr_text(one, left),
		       addr_text(other, right));
	finding_advise(f, "'%s' (%s) says %s, '%s' says %s", first->name, str_text(&at), str_text(&x), second->name,
		       str_text(&y));
	if (policy_is_imported(p))
		finding_advise(f, "the more protective one, '%s', wins here",
			       rule_protectiveness(second) > rule_protectiveness(first) ? second->name : first->name);
	else
		finding_advise(
			f, "the smaller network wins, then a protocol, then ports: give one of them a smaller zone,\n"
			   "add a rule for exactly what both match, or take one out");
}
