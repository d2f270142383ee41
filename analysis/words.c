/* The sentences of `why`: what is the case, why, what to do. */
#include "analysis/words.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

const char *why_name(const struct ends_who *who, char buf[ADDR_TEXT])
{
	return who->host ? who->host->name : addr_text(&who->addr, buf);
}

struct names *why_names(const struct why_verdict *v, struct names *n)
{
	n->of[0] = why_name(&v->point.from, n->buf[0]);
	n->of[1] = why_name(&v->point.to, n->buf[1]);
	return n;
}

static void say_method(const struct auth_method *m, struct str *out)
{
	switch (m->kind) {
	case AUTH_PSK:
		str_addf(out, "the pre-shared key %s", m->psk_file ? m->psk_file : "");
		return;
	case AUTH_CERTIFICATE:
		if (m->issuer)
			str_addf(out, "a certificate of %s", m->issuer);
		else
			str_add(out, "a certificate of a trusted authority");
		return;
	case AUTH_KERBEROS:
		str_addf(out, "an account in %s", m->realm ? m->realm : "the Kerberos realm");
		return;
	}
}

void why_say_set(const struct auth_set *s, struct str *out)
{
	for (size_t i = 0; i < s->count; i++) {
		if (i)
			str_add(out, " or ");
		say_method(&s->methods[i], out);
	}
}

/* What a proof says nothing of, so that nobody can tell who is in a group of it. */
static void say_untold(const struct auth_method *proof, struct str *out)
{
	if (!proof)
		str_add(out, "nobody has proven anything");
	else if (proof->kind == AUTH_PSK)
		str_add(out, "a pre-shared key says that it is one of those who have the key, and not which");
	else if (proof->kind == AUTH_CERTIFICATE)
		str_add(out, "a certificate says nothing of an account's groups without 'map-to-account: true'");
	else
		str_add(out, "a ticket has no certificate that a pattern could fit");
}

/* Why the two could not agree on a security association, as a clause. */
static void say_obstacle(const struct why_verdict *v, const struct names *n, struct str *out)
{
	const struct negotiation *g = &v->negotiation;
	const struct rule *a = why_rule_at(v, 0), *b = why_rule_at(v, 1), *at = why_rule_at(v, g->at);

	switch (g->result) {
	case NEGOTIATE_AGREED:
		return;
	case NEGOTIATE_NO_AGENT:
		str_addf(out, "%s runs no IPsec", n->of[g->at]);
		return;
	case NEGOTIATE_NAT:
		str_addf(out, "%s is behind a NAT, and the policy says 'nat-traversal: %s'", n->of[g->at],
			 nat_traversal_name(g->through));
		return;
	case NEGOTIATE_NO_RULE:
		if (at && at->mode == MODE_BLOCK)
			str_addf(out, "%s blocks it ('%s')", n->of[g->at], at->name);
		else if (at)
			str_addf(out, "%s leaves it unprotected ('%s')", n->of[g->at], at->name);
		else
			str_addf(out, "%s has no rule for it", n->of[g->at]);
		return;
	case NEGOTIATE_CREDENTIAL:
		str_addf(out, "%s holds nothing that satisfies '%s'", n->of[g->at], g->set->name);
		return;
	case NEGOTIATE_METHOD:
		str_addf(out, "the two ends ask for different proofs ('%s' and '%s')", a->auth->name, b->auth->name);
		return;
	case NEGOTIATE_MACHINE:
		if (g->unlearnt) {
			str_addf(out, "whether %s is among the machines that '%s' authorises cannot be learnt: ",
				 n->of[g->at], why_rule_at(v, !g->at)->name);
			say_untold(g->proof[g->at], out);
			return;
		}
		str_addf(out, "%s is not among the machines that '%s' authorises", n->of[g->at],
			 why_rule_at(v, !g->at)->name);
		return;
	case NEGOTIATE_SECOND:
		str_addf(out, "'%s' asks for a second authentication, and neither IKEv2 nor IKEv1 has one",
			 why_rule_at(v, g->at)->name);
		return;
	case NEGOTIATE_MODULE:
		str_addf(out, "one end negotiates by %s, the other by %s", rule_modules_name(a->modules),
			 rule_modules_name(b->modules));
		return;
	case NEGOTIATE_KEY_EXCHANGE:
		str_addf(out, "the two ends have no main mode proposal in common ('%s' and '%s')",
			 a->key_exchange->name, b->key_exchange->name);
		return;
	case NEGOTIATE_PROTECTION:
		str_addf(out, "the two ends have no quick mode proposal in common ('%s' and '%s')", a->protection->name,
			 b->protection->name);
		return;
	}
}

static void say_after(uint32_t ms, struct str *out)
{
	if (ms == 0)
		str_add(out, "at once");
	else if (ms % 1000 == 0)
		str_addf(out, "after %u s", ms / 1000);
	else
		str_addf(out, "after %u ms", ms);
}

/* Where protection is what is agreed on, but not all that could happen. */
static void say_no_promise(const struct why_verdict *v, const struct names *n, struct str *out)
{
	const struct negotiation *g = &v->negotiation;
	char suite[SUITE_TEXT];

	if (v->guaranteed >= v->verdict)
		return;
	if (v->guaranteed == OUTCOME_CLEAR) {
		str_addf(out, " That is not promised: '%s' lets %s send in clear ", why_rule_at(v, 0)->name, n->of[0]);
		say_after(why_rule_at(v, 0)->fallback_after_ms, out);
		str_addf(out, " if negotiation fails%s.",
			 why_rule_at(v, 1)->mode == MODE_REQUEST ? "" : "; the other end would drop it");
	} else {
		str_addf(out, " That is not promised: both also accept %s, which does not encrypt.",
			 child_suite_text(g->weakest_suite, suite));
	}
}

static void say_protected(const struct why_verdict *v, const struct names *n, struct str *out)
{
	const struct rule *a = why_rule_at(v, 0), *b = why_rule_at(v, 1);
	const struct negotiation *g = &v->negotiation;
	char suite[SUITE_TEXT];
	bool asked = a->mode == MODE_REQUEST;

	if (a == b)
		str_addf(out, "'%s' %s protection%s", a->name, asked ? "requests" : "requires",
			 a->tunnel ? " in a tunnel" : "");
	else
		str_addf(out, "'%s' at %s and '%s' at %s protect it", a->name, n->of[0], b->name, n->of[1]);
	str_addf(out, ", and both ends agree on %s%s.", child_suite_text(g->suite, suite),
		 g->outcome == OUTCOME_ENCRYPTED ? "" : ", which proves who sent it and hides nothing");
	if (a->base || b->base)
		str_add(out,
			" A firewall rule asks that it be encrypted, so what does not encrypt is not offered first.");
	say_no_promise(v, n, out);
}

/* The same for a tunnel's ends. */
static void say_tunnel_obstacle(const struct why_tunnel *t, const char *const ends[2], struct str *out)
{
	const struct negotiation *g = &t->negotiation;

	switch (g->result) {
	case NEGOTIATE_NO_AGENT:
		str_addf(out, "%s runs no IPsec", ends[g->at]);
		return;
	case NEGOTIATE_NAT:
		str_addf(out, "%s is behind a NAT, which the policy does not let it negotiate through", ends[g->at]);
		return;
	case NEGOTIATE_NO_RULE:
		str_addf(out, "%s does not hold it: another rule decides there", ends[g->at]);
		return;
	case NEGOTIATE_CREDENTIAL:
		str_addf(out, "%s holds nothing that satisfies '%s'", ends[g->at], g->set->name);
		return;
	case NEGOTIATE_MACHINE:
		str_addf(out, "%s is not %s the machines that it authorises", ends[g->at],
			 g->unlearnt ? "known to be among" : "among");
		return;
	case NEGOTIATE_SECOND:
		str_add(out, "it asks for a second authentication, which neither IKEv2 nor IKEv1 has");
		return;
	case NEGOTIATE_METHOD:
	case NEGOTIATE_MODULE:
	case NEGOTIATE_KEY_EXCHANGE:
	case NEGOTIATE_PROTECTION:
		str_add(out, "the two have no proof or proposal in common");
		return;
	case NEGOTIATE_AGREED:
		return;
	}
}

/* What the wires behind the gateways see, one sentence for both. */
static void say_behind(const struct why_verdict *v, const char *const ends[2], struct str *out)
{
	const struct why_tunnel *t = &v->tunnel;

	if (!t->behind[0] && !t->behind[1])
		return;
	str_addf(out, " Behind %s", ends[t->behind[0] ? 0 : 1]);
	if (t->behind[0] && t->behind[1])
		str_addf(out, " and %s", ends[1]);
	if (v->meeting.verdict == OUTCOME_CLEAR)
		str_add(out, " it is clear.");
	else
		str_addf(out, " it is %s, as the two machines make it.", outcome_name(v->meeting.verdict));
}

static void say_tunnel(const struct why_verdict *v, struct str *out)
{
	const struct why_tunnel *t = &v->tunnel;
	char buf[2][ADDR_TEXT], suite[SUITE_TEXT];
	const char *const ends[2] = { why_name(&t->ends[0], buf[0]), why_name(&t->ends[1], buf[1]) };

	if (!t->rule->tunnel || t->meeting.verdict == OUTCOME_CLEAR) {
		str_addf(out, "'%s' %s it at the gateway.", t->rule->name,
			 t->meeting.verdict == OUTCOME_BLOCKED ? "blocks" : "exempts");
		return;
	}
	str_addf(out, "'%s' requires a tunnel between %s and %s", t->rule->name, ends[0], ends[1]);
	if (t->meeting.verdict == OUTCOME_BLOCKED) {
		str_add(out, ", and ");
		say_tunnel_obstacle(t, ends, out);
		str_add(out, ".");
		return;
	}
	str_addf(out, ", which agree on %s.", child_suite_text(t->negotiation.suite, suite));
	say_behind(v, ends, out);
}

static void say_clear(const struct why_verdict *v, const struct names *n, struct str *out)
{
	const struct rule *a = why_rule_at(v, 0), *b = why_rule_at(v, 1), *one = a ? a : b;

	if (!v->sides[0].agent && !v->sides[1].agent) {
		str_addf(out, "neither %s nor %s runs IPsec, so no rule is in force between them.", n->of[0], n->of[1]);
	} else if (!a && !b) {
		bool walled = v->sides[0].firewall.rule || v->sides[1].firewall.rule;

		str_addf(out, "no %srule speaks of this %s.", walled ? "connection security " : "",
			 v->sides[0].met || v->sides[1].met ? "traffic between them" : "pair");
	} else if ((!a || a->mode == MODE_EXEMPT) && (!b || b->mode == MODE_EXEMPT)) {
		str_addf(out, "'%s' exempts it", one->name);
		if (a && b && a != b)
			str_addf(out, " at %s, '%s' at %s", n->of[0], b->name, n->of[1]);
		str_add(out, ".");
	} else {
		const struct rule *asks = a && rule_mode_protects(a->mode) ? a : b;

		str_addf(out, "'%s' only requests protection%s, and ", asks->name,
			 asks->mode == MODE_REQUIRE_INBOUND ? " of what goes out" : "");
		say_obstacle(v, n, out);
		if (asks == a) {
			str_add(out, "; it goes clear ");
			say_after(a->fallback_after_ms, out);
		}
		str_add(out, ".");
	}
}

static void say_blocked(const struct why_verdict *v, const struct names *n, struct str *out)
{
	int at = v->meeting.stopped_at;
	const struct rule *r = why_rule_at(v, (unsigned)at);
	char address[ADDR_TEXT];
	const struct addr *peer = at ? &v->point.from.addr : &v->point.to.addr;

	if (r->mode == MODE_BLOCK) {
		str_addf(out, "'%s' blocks it", r->name);
		if (why_rule_at(v, !at) != r)
			str_addf(out, " at %s", n->of[at]);
		str_add(out, ".");
		return;
	}
	str_addf(out, "%s requires authentication of %s ('%s'), and ", n->of[at], addr_text(peer, address), r->name);
	if (v->negotiation.result == NEGOTIATE_CREDENTIAL && v->negotiation.at == (unsigned)at)
		str_addf(out, "holds nothing itself that satisfies '%s'", v->negotiation.set->name);
	else
		say_obstacle(v, n, out);
	str_add(out, ".");
}

void why_say_groups(const struct group *const *groups, size_t count, struct str *out)
{
	for (size_t i = 0; i < count; i++)
		str_addf(out, "%s%s", i ? ", " : "", groups[i]->name);
}

static void say_firewall(const struct why_verdict *v, const struct names *n, struct str *out)
{
	unsigned side = why_firewall_side(v);
	const struct firewall_answer *a = &v->sides[side].firewall;

	if (a->rule)
		str_addf(out, "firewall rule '%s' of %s blocks it", a->rule->name, n->of[side]);
	else
		str_addf(out, "no firewall rule of %s allows it, and what none allows is blocked", n->of[side]);
	if (a->missed && a->miss == MISS_UNLEARNT && a->known) {
		str_addf(out,
			 "; '%s' does not let it past, because what %s has proven does not tell whether it is in its "
			 "groups",
			 a->missed->name, n->of[!side]);
	} else if (a->missed && a->miss == MISS_UNLEARNT) {
		str_addf(out, "; '%s' does not let it past, because its groups cannot be learnt: ", a->missed->name);
		say_untold(a->proof, out);
	} else if (a->missed && a->miss != MISS_SECURE) {
		str_addf(out, "; '%s' does not let it past", a->missed->name);
		if (a->miss == MISS_MEMBER && v->meeting.verdict != OUTCOME_CLEAR) {
			str_addf(out,
				 a->known ? ", because %s has not proven that it is in "
					  : ", because %s is not known as a member of ",
				 n->of[!side]);
			why_say_groups(a->missed->machines_allow, a->missed->allow_count, out);
		} else if (v->meeting.verdict != OUTCOME_CLEAR) {
			str_addf(out, ", because it excepts %s", n->of[!side]);
		} else {
			str_add(out, ", because it arrives in clear and nobody knows from whom");
		}
	} else if (a->missed) {
		str_addf(out, "; '%s' lets in only what arrives %s, and this is %s", a->missed->name,
			 a->missed->secure == SECURE_ENCRYPTED ? "encrypted" : "authenticated",
			 outcome_name(v->meeting.verdict));
	}
	str_add(out, ".");
}

/* What was taken for granted because the policy does not say it. */
static void say_assumed(const struct why_verdict *v, const struct names *n, struct str *out)
{
	bool unknown[2] = { !v->point.from.host, !v->point.to.host };

	if (v->cause == WHY_OUTSIDE || (!v->sides[0].entry.rule && !v->sides[1].entry.rule))
		return;
	if (unknown[0] && unknown[1])
		str_addf(out, " Neither %s nor %s is a host of the policy: both are", n->of[0], n->of[1]);
	else if (unknown[0] || unknown[1])
		str_addf(out, " %s is no host of the policy: it is", n->of[unknown[0] ? 0 : 1]);
	else
		return;
	str_add(out, " assumed to run Cordon and to hold every credential.");
}

/* A rule that is in force in some places only. */
static void say_profiles(const struct why_verdict *v, struct str *out)
{
	static const char *const names[] = { "domain", "private", "public" };
	const struct rule *r = v->rule;
	unsigned said = 0;

	if (!r || (r->profiles & PROFILE_ALL) == PROFILE_ALL)
		return;
	str_addf(out, " '%s' is in force on ", r->name);
	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		if (r->profiles & 1u << i)
			str_addf(out, "%s%s", said++ ? " and " : "", names[i]);
	str_add(out, " networks only.");
}

/* By which rules of firewall sections it passes. */
static void say_let_through(const struct why_verdict *v, const struct names *n, struct str *out)
{
	for (unsigned side = 0; side < 2; side++) {
		const struct firewall_answer *a = &v->sides[side].firewall;

		if (a->overridden)
			str_addf(out, " '%s' lets it past firewall rule '%s'.", a->rule->name, a->overridden->name);
		else if (a->rule)
			str_addf(out, " Firewall rule '%s' of %s lets it %s.", a->rule->name, n->of[side],
				 side ? "in" : "out");
	}
}

void why_reason(const struct why *w, const struct why_verdict *v, struct str *out)
{
	struct names names = { .of = { NULL } }, *n = why_names(v, &names);

	switch (v->cause) {
	case WHY_SAME_HOST:
		str_addf(out, "it never leaves %s; rules speak of traffic between two hosts.", n->of[0]);
		return;
	case WHY_OUTSIDE:
		str_add(out, "loopback, link-local and multicast addresses are outside every rule.");
		return;
	case WHY_NO_COMMON_FAMILY:
		str_addf(out, "%s and %s have no address family in common.", n->of[0], n->of[1]);
		return;
	case WHY_EXEMPTION:
		str_add(out, "it is a global exemption (`exempt:`), above all rules.");
		return;
	case WHY_FIREWALL:
		say_firewall(v, n, out);
		return;
	case WHY_RULES:
		break;
	}
	if (v->meeting.verdict == OUTCOME_BLOCKED)
		say_blocked(v, n, out);
	else if (v->tunnel.rule)
		say_tunnel(v, out);
	else if (v->meeting.verdict == OUTCOME_CLEAR)
		say_clear(v, n, out);
	else
		say_protected(v, n, out);
	say_let_through(v, n, out);
	say_profiles(v, out);
	say_assumed(v, n, out);
	(void)w;
}

void why_side_words(const struct why_verdict *v, unsigned side, struct str *out)
{
	static const char *const did[2][OUTCOME_BLOCKED + 1] = {
		{ "sent clear", "sent authenticated", "sent encrypted", "dropped" },
		{ "accepted", "accepted", "accepted", "dropped" },
	};
	const struct why_side *s = &v->sides[side];

	if (s->firewall.blocked)
		str_add(out, "firewall");
	else if (v->cause == WHY_EXEMPTION)
		str_add(out, "globally exempt");
	else if (!s->agent)
		str_add(out, "no IPsec");
	else if (s->entry.rule)
		str_add(out, rule_mode_name(s->entry.rule->mode));
	else
		str_add(out, s->firewall.rule ? "firewall" : "no rule");
	str_addf(out, ", %s", did[side][s->verdict]);
	if (side == 0 && s->verdict == OUTCOME_CLEAR && s->entry.rule && rule_mode_protects(s->entry.rule->mode)) {
		str_add(out, " ");
		say_after(s->entry.rule->fallback_after_ms, out);
	}
}
