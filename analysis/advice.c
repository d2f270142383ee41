/* The last sentence of `why`: what to do about it. */
#include "analysis/words.h"
#include "base/str.h"

static void advise_tunnel(const struct why_verdict *v, struct str *out)
{
	const struct negotiation *g = &v->tunnel.negotiation;
	char buf[ADDR_TEXT];
	const char *at = why_name(&v->tunnel.ends[g->at], buf);

	if (!v->tunnel.rule->tunnel)
		str_addf(out, "take the traffic out of '%s', or exempt it by a more specific rule",
			 v->tunnel.rule->name);
	else if (g->result == NEGOTIATE_NO_AGENT || g->result == NEGOTIATE_CREDENTIAL)
		str_addf(out, "give %s Cordon and what proves it for '%s'", at, v->tunnel.rule->name);
	else
		str_addf(out, "see that '%s' is what wins at both ends of the tunnel", v->tunnel.rule->name);
}

/* So that a group can be learnt. */
static void advise_proof(const struct auth_method *proof, const char *rule, struct str *out)
{
	if (proof && proof->kind == AUTH_CERTIFICATE)
		str_addf(out,
			 "write map-to-account: true in the certificate method, or name in '%s' hosts or certificates",
			 rule);
	else if (proof && proof->kind == AUTH_PSK)
		str_addf(out, "have Kerberos or a certificate prove who it is, or name hosts in '%s'", rule);
	else
		str_addf(out, "name directory groups or hosts in '%s'", rule);
}

static void advise_rules(const struct why_verdict *v, const struct names *n, struct str *out)
{
	unsigned stopped = (unsigned)v->meeting.stopped_at;
	const struct negotiation *g = &v->negotiation;
	const struct rule *r = why_rule_at(v, stopped);
	const char *peer = n->of[g->at];

	if (r->mode == MODE_BLOCK) {
		str_addf(out, "take the traffic out of '%s', or exempt it by a more specific rule", r->name);
		return;
	}
	switch (g->result) {
	case NEGOTIATE_NO_AGENT:
	case NEGOTIATE_CREDENTIAL:
		str_addf(out, "give %s ", peer);
		if (g->result == NEGOTIATE_NO_AGENT)
			str_add(out, "Cordon and ");
		if (g->result == NEGOTIATE_CREDENTIAL || r->auth)
			why_say_set(g->result == NEGOTIATE_CREDENTIAL ? g->set : r->auth, out);
		str_addf(out, ", or exempt it by a rule that names %s", peer);
		return;
	case NEGOTIATE_NAT:
		str_addf(out, "write 'nat-traversal: %s', or exempt it by a rule that names %s",
			 nat_traversal_name(g->at == 1 ? NAT_TRAVERSAL_SERVER : NAT_TRAVERSAL_BOTH), peer);
		return;
	case NEGOTIATE_NO_RULE:
		if (why_rule_at(v, g->at))
			str_addf(out, "make '%s' and '%s' agree: both ends must protect it, or both exempt it", r->name,
				 why_rule_at(v, g->at)->name);
		else
			str_addf(out, "have '%s' in force at both ends (profiles, keywords)", r->name);
		return;
	case NEGOTIATE_MACHINE:
		if (g->unlearnt) {
			advise_proof(g->proof[g->at], why_rule_at(v, !g->at)->name, out);
			return;
		}
		str_addf(out, "put %s in one of the groups of '%s': ", peer, why_rule_at(v, !g->at)->name);
		why_say_groups(why_rule_at(v, !g->at)->machines, why_rule_at(v, !g->at)->machine_count, out);
		return;
	case NEGOTIATE_SECOND:
		str_addf(out, "leave second-authentication out of '%s'", why_rule_at(v, g->at)->name);
		return;
	case NEGOTIATE_METHOD:
	case NEGOTIATE_MODULE:
	case NEGOTIATE_KEY_EXCHANGE:
	case NEGOTIATE_PROTECTION:
		str_add(out, "give both rules the same sets");
		return;
	case NEGOTIATE_AGREED:
		return;
	}
}

/* Its groups were right or wrong when it proved itself; what was changed since has to be shown anew. */
static void advise_proving(const struct firewall_answer *a, const char *peer, struct str *out)
{
	if (a->miss == MISS_EXCEPTED)
		str_addf(out, "take %s out of what '%s' excepts", peer, a->missed->name);
	else if (a->miss == MISS_UNLEARNT)
		str_addf(out, "see that the groups of '%s' are in the directory, and that %s proves an account",
			 a->missed->name, peer);
	else
		str_addf(out, "put %s in a group that '%s' allows", peer, a->missed->name);
	str_addf(out,
		 "; then, on %s, `cordon refresh` and `cordon rekey --proof`, by which it proves anew where it is a "
		 "member",
		 peer);
}

void why_advice(const struct why *w, const struct why_verdict *v, struct str *out)
{
	struct names names = { .of = { NULL } }, *n = why_names(v, &names);
	const struct firewall_answer *a = &v->sides[why_firewall_side(v)].firewall;

	(void)w;
	if (v->verdict != OUTCOME_BLOCKED)
		return;
	if (v->cause == WHY_FIREWALL && a->known && a->missed && v->meeting.verdict != OUTCOME_CLEAR &&
	    a->miss != MISS_SECURE) {
		advise_proving(a, n->of[!why_firewall_side(v)], out);
		return;
	}
	if (v->cause == WHY_RULES && v->meeting.verdict != OUTCOME_BLOCKED)
		advise_tunnel(v, out);
	else if (v->cause == WHY_RULES)
		advise_rules(v, n, out);
	else if (v->cause == WHY_FIREWALL && a->missed && a->miss == MISS_UNLEARNT)
		advise_proof(a->proof, a->missed->name, out);
	else if (v->cause == WHY_FIREWALL && a->missed && a->miss == MISS_EXCEPTED)
		str_addf(out, "take %s out of what '%s' excepts", n->of[!why_firewall_side(v)], a->missed->name);
	else if (v->cause == WHY_FIREWALL && a->missed && a->miss == MISS_MEMBER && v->meeting.verdict != OUTCOME_CLEAR)
		str_addf(out, "put %s in a group that '%s' allows", n->of[!why_firewall_side(v)], a->missed->name);
	else if (v->cause == WHY_FIREWALL && a->missed)
		str_addf(out, "have a connection security rule protect it, as '%s' asks", a->missed->name);
	else if (v->cause == WHY_FIREWALL && !a->rule)
		str_addf(out, "add a rule with action allow to the firewall section that names %s",
			 n->of[why_firewall_side(v)]);
	else if (v->cause == WHY_FIREWALL)
		str_addf(out, "take it out of '%s', or add a bypass rule for machines that you trust", a->rule->name);
}
