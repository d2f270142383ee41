/* Firewall rules that ask who it is: never-protected and never-encrypted, which match nothing since no connection
 * security rule makes of the traffic what they ask for; group-not-learnt, whose groups no proof tells; let-in-anyway,
 * beside a rule that lets everybody in. Found by asking what becomes of such traffic between hosts of each kind. */
#include "analysis/lint/parts.h"

#include "base/str.h"

enum { POINTS_MOST = 40000, PORTS_MOST = 64 };

/* What is found of one rule. */
struct asked_rule {
	const struct firewall *section;
	const struct firewall_rule *rule;
	size_t points, protected, enough, anyway;
	const struct rule *deciding;         /* where nothing protects it: the first rule that decides; NULL: none */
	const struct rule *weak;             /* that protects it, and not as asked */
	const struct firewall_rule *instead; /* that lets everybody in; NULL: the default */
	const struct rule *proven_by[2];     /* where it came as asked: rules whose methods tell groups, or do not */
	bool bounded;
};

struct asking {
	struct lint *l;
	size_t points; /* over all rules */
};

static bool names_machines(const struct firewall_rule *r)
{
	return r->allow_count || r->except_count;
}

/* ---- group-not-learnt -------------------------------------------------------------------------------------------- */

static bool told_by_set(const struct group_member *m, const struct auth_set *s)
{
	for (size_t i = 0; s && i < s->count; i++)
		if (member_told_by(m, &s->methods[i]))
			return true;
	return false;
}

enum { GROUPS_DEEP = 32 };

/* Members of a group that no method of the set tells: the first, and whether there are others. */
struct untold {
	const struct group_member *first;
	bool others_told;
};

static void find_untold(const struct group *g, const struct auth_set *s, unsigned depth, struct untold *u)
{
	for (size_t i = 0; i < g->count && depth < GROUPS_DEEP; i++) {
		const struct group_member *m = &g->members[i];

		if (m->kind == MEMBER_GROUP)
			find_untold(m->group, s, depth + 1, u);
		else if (told_by_set(m, s))
			u->others_told = true;
		else if (!u->first)
			u->first = m;
	}
}

static void say_member(const struct group_member *m, struct str *out)
{
	str_addf(out, m->kind == MEMBER_CERTIFICATE ? "has a certificate '%s'" : "is in the directory's group '%s'",
		 m->text);
}

static void advise_untold(struct finding *f, const struct group_member *m, const struct rule *by, const char *effect)
{
	if (m->kind == MEMBER_CERTIFICATE)
		finding_advise(f,
			       "'%s' has peers prove themselves without a certificate. %s\nAdd a certificate method "
			       "to '%s', or name hosts or directory groups.",
			       by->name, effect, by->auth->name);
	else
		finding_advise(
			f,
			"'%s' has peers prove themselves by '%s', which says nothing of an account's groups. %s\n"
			"Add a Kerberos method, or map-to-account: true to a certificate method; or name hosts.",
			by->name, by->auth->name, effect);
}

static void group_not_learnt(struct lint *l, const char *name, struct place place, const struct group *g,
			     const struct rule *by, bool except)
{
	SCOPED(str_wipe) struct str member = { 0 };
	struct untold u = { 0 };
	struct finding *f;

	find_untold(g, by->auth, 0, &u);
	if (!u.first)
		return;
	say_member(u.first, &member);
	f = report_add(l->r, except ? SEVERITY_ERROR : SEVERITY_WARNING, "group-not-learnt", place,
		       "'%s' names the group '%s', and who %s cannot be learnt", name, g->name, str_text(&member));
	advise_untold(f, u.first, by,
		      except          ? "Anybody may be, so nobody is let in."
		      : u.others_told ? "Only its other members count."
				      : "Nobody is let in by it.");
}

static void groups_not_learnt(struct lint *l, const struct asked_rule *k)
{
	const struct firewall_rule *r = k->rule;

	if (k->proven_by[true] || !k->proven_by[false])
		return;
	for (size_t i = 0; i < r->allow_count; i++)
		group_not_learnt(l, r->name, r->place, r->machines_allow[i], k->proven_by[false], false);
	for (size_t i = 0; i < r->except_count; i++)
		group_not_learnt(l, r->name, r->place, r->machines_except[i], k->proven_by[false], true);
}

/* Does the set tell all that the rule's groups ask for? */
static bool tells_all(const struct firewall_rule *r, const struct auth_set *s)
{
	struct untold u = { 0 };

	for (size_t i = 0; i < r->allow_count; i++)
		find_untold(r->machines_allow[i], s, 0, &u);
	for (size_t i = 0; i < r->except_count; i++)
		find_untold(r->machines_except[i], s, 0, &u);
	return !u.first;
}

/* ---- what becomes of the traffic --------------------------------------------------------------------------------- */

/* Would it be let in without the rule, from somebody who is in no group; in clear, if the rule names no machines? */
static void judge_without(struct lint *l, struct asked_rule *k, const struct why_verdict *v, unsigned side)
{
	const struct why_point *p = &v->point;
	const struct ends_who *other = side ? &p->from : &p->to;
	struct firewall_case c = {
		.local = side ? p->to : p->from,
		.remote = { .addr = other->addr, .prefix = -1 },
		.direction = side ? DIRECTION_IN : DIRECTION_OUT,
		.protocol = p->protocol,
		.icmp_type = p->icmp_type,
		.icmp_code = p->icmp_code,
		.arrived = names_machines(k->rule) ? why_arrives_as(v) : OUTCOME_CLEAR,
		.without = k->rule,
	};
	struct plan_packet packet = why_packet(p, side);
	struct firewall_answer a;

	c.local_port = packet.local_port;
	c.remote_port = packet.remote_port;
	a = firewall_judge(l->p, &c);
	if (a.blocked || a.undecided)
		return;
	if (!k->anyway++)
		k->instead = a.rule;
}

static void note(struct lint *l, struct asked_rule *k, const struct why_verdict *v, unsigned side)
{
	const struct rule *by = v->sides[side].entry.rule;
	enum outcome came = why_arrives_as(v);
	bool came_protected = came == OUTCOME_AUTHENTICATED || came == OUTCOME_ENCRYPTED;

	if (came == OUTCOME_BLOCKED) /* that says nothing of the protection of what does come */
		return;
	k->points++;
	if (!came_protected && !k->deciding && by)
		k->deciding = rule_as_written(by);
	k->protected += came_protected;
	if (came_protected && k->rule->secure == SECURE_ENCRYPTED && came != OUTCOME_ENCRYPTED) {
		k->weak = k->weak || !by ? k->weak : rule_as_written(by);
	} else if (came_protected) {
		k->enough++;
		if (by && by->auth)
			k->proven_by[tells_all(k->rule, by->auth)] = rule_as_written(by);
		judge_without(l, k, v, side);
	}
}

static void ask_service(struct asking *a, struct asked_rule *k, const struct ends_who *local,
			const struct ends_who *remote, unsigned side, const struct service *s)
{
	const struct ends_who *from = side ? remote : local, *to = side ? local : remote;
	struct service asked = *s;
	uint16_t ports[PORTS_MOST];
	size_t n;

	asked.port2 = side ? s->port1 : s->port2;
	n = question_ports(a->l->w, from, to, &asked, ports, ARRAY_LEN(ports), &k->bounded);
	for (size_t i = 0; i < n; i++) {
		struct why_point point = { .from = *from,
					   .to = *to,
					   .protocol = s->protocol,
					   .port = ports[i],
					   .icmp_type = s->icmp_type,
					   .icmp_code = s->icmp_code };
		struct why_verdict v;

		if (++a->points > POINTS_MOST || why_judge(a->l->w, &point, &v, NULL) < 0) {
			k->bounded = true;
			return;
		}
		if (v.cause == WHY_RULES || v.cause == WHY_FIREWALL)
			note(a->l, k, &v, side);
	}
}

static void ask_pair(struct asking *a, struct asked_rule *k, const struct ends_who *local,
		     const struct ends_who *remote)
{
	static const int16_t any[] = { 6, 17, PROTOCOL_ANY };
	const struct firewall_rule *r = k->rule;
	struct service all = { PROTOCOL_ANY, PORT_ANY, PORT_ANY, -1, -1 };

	if (local->addr.family != remote->addr.family ||
	    (r->remote.count && !end_has(a->l->p, &r->remote, remote, local, NULL)))
		return;
	for (unsigned side = 0; side < 2; side++) {
		if (!(r->direction & (side ? DIRECTION_IN : DIRECTION_OUT)))
			continue;
		for (size_t i = 0; i < r->service_count || (i == 0 && !r->service_count); i++) {
			struct service s = r->service_count ? r->services[i] : all;

			for (size_t p = 0; p < (s.protocol == PROTOCOL_ANY ? ARRAY_LEN(any) : 1); p++) {
				struct service one = s;

				if (s.protocol == PROTOCOL_ANY)
					one.protocol = any[p];
				ask_service(a, k, local, remote, side, &one);
			}
		}
	}
}

/* Another one of the same kind, for what they say to each other. false: there is none. */
static bool twin(const struct lint *l, const struct ends_who *of, struct ends_who *ret)
{
	struct addr_range all = { of->addr, of->addr };

	for (size_t i = 0; of->host && i < l->host_count; i++) {
		const struct host *h = &l->hosts[i];

		if (h == of->host || h->agent == AGENT_NONE || !h->address_count ||
		    alike_host_mark(l->a, h) != alike_host_mark(l->a, of->host))
			continue;
		*ret = (struct ends_who){ h, h->addresses[0].addr, h->addresses[0].prefix };
		return true;
	}
	if (of->host || !addr_next(&all.lo))
		return false;
	all.hi = all.lo;
	*ret = (struct ends_who){ .addr = all.lo, .prefix = -1 };
	return alike_mark(l->a, &of->addr) == alike_mark(l->a, &all.lo) && !policy_host_by_address(l->p, &all.lo);
}

/* Every address of the local host with every one of the remote. */
static void ask_hosts(struct asking *a, struct asked_rule *k, const struct ends_who *local,
		      const struct ends_who *remote)
{
	size_t n = local->host ? local->host->address_count : 1, m = remote->host ? remote->host->address_count : 1;

	for (size_t i = 0; i < n; i++) {
		struct ends_who here = *local;

		if (local->host) {
			here.addr = local->host->addresses[i].addr;
			here.prefix = local->host->addresses[i].prefix;
		}
		if (k->rule->local.count && !end_has(a->l->p, &k->rule->local, &here, &here, NULL))
			continue;
		for (size_t j = 0; j < m; j++) {
			struct ends_who there = *remote;

			if (remote->host) {
				there.addr = remote->host->addresses[j].addr;
				there.prefix = remote->host->addresses[j].prefix;
			}
			ask_pair(a, k, &here, &there);
		}
	}
}

static void ask_all(struct asking *a, struct asked_rule *k)
{
	struct lint *l = a->l;

	for (size_t i = 0; i < l->kind_count && !k->bounded; i++) {
		const struct ends_who *local = &l->kinds[i];
		struct ends_who other;

		if (!firewall_rules_host(l->p, k->section, local))
			continue;
		for (size_t j = 0; j < l->kind_count && !k->bounded; j++) {
			if (j != i)
				ask_hosts(a, k, local, &l->kinds[j]);
			else if (twin(l, local, &other))
				ask_hosts(a, k, local, &other);
		}
	}
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

static const char *verb(const struct firewall_rule *r)
{
	return r->direction == DIRECTION_OUT ? "out" : "in";
}

static void never_protected(struct lint *l, const struct asked_rule *k)
{
	struct finding *f = report_add(l->r, SEVERITY_WARNING, "never-protected", k->rule->place,
				       "'%s' lets %s only what is protected, and no rule protects that traffic",
				       k->rule->name, verb(k->rule));

	if (k->deciding)
		finding_advise(f,
			       "It never matches: '%s' decides of it, and has it go clear. Write a connection\n"
			       "security rule that is more specific and protects it, or leave 'secure' out.",
			       k->deciding->name);
	else
		finding_advise(f,
			       "It never matches. Write a connection security rule for the same ends and ports, with\n"
			       "mode request or require, or leave 'secure' out.");
}

static void never_encrypted(struct lint *l, const struct asked_rule *k)
{
	SCOPED(str_wipe) struct str suites = { 0 };
	const struct protection_set *s = k->weak->protection;
	char text[SUITE_TEXT];
	struct finding *f = report_add(l->r, SEVERITY_WARNING, "never-encrypted", k->rule->place,
				       "'%s' lets %s only what is encrypted, and protection '%s' cannot encrypt",
				       k->rule->name, verb(k->rule), s->name);

	for (size_t i = 0; i < s->count; i++)
		str_addf(&suites, "%s%s", i ? ", " : "", child_suite_text(&s->suites[i], text));
	finding_advise(f,
		       "It never matches: '%s' has that traffic protected by %s.\n"
		       "Add a proposal that encrypts (esp-aes256gcm) to '%s': it is taken where this rule asks,\n"
		       "and nowhere else if it stands last. Or be content with secure: authenticated.",
		       k->weak->name, str_text(&suites), s->name);
}

static void let_in_anyway(struct lint *l, const struct asked_rule *k)
{
	struct finding *f;

	if (k->instead)
		f = report_add(l->r, SEVERITY_WARNING, "let-in-anyway", k->rule->place,
			       "'%s' is of no use: '%s' lets the same %s, whoever it is", k->rule->name,
			       k->instead->name, verb(k->rule));
	else
		f = report_add(l->r, SEVERITY_WARNING, "let-in-anyway", k->rule->place,
			       "'%s' is of no use: what no rule speaks of is let %s, whoever it is", k->rule->name,
			       verb(k->rule));
	finding_advise(f,
		       "A rule that asks who it is only opens; it closes nothing to others. Block the traffic for\n"
		       "all%s, or take the other rule out.",
		       k->rule->action == FIREWALL_BYPASS ? ", which a bypass goes past" : " by the default action");
}

static void tell(struct lint *l, const struct asked_rule *k)
{
	if (!k->points || k->bounded)
		return;
	if (!k->protected)
		never_protected(l, k);
	else if (!k->enough && k->weak && k->weak->protection)
		never_encrypted(l, k);
	else
		groups_not_learnt(l, k);
	if (k->enough && k->anyway == k->enough)
		let_in_anyway(l, k);
}

/* Of connection security rules only such machines may negotiate as they name. */
static void authorised_machines(struct lint *l)
{
	for (size_t i = 0; i < l->rule_count; i++) {
		const struct rule *r = &l->rules[i];

		for (size_t k = 0; rule_mode_protects(r->mode) && r->auth && k < r->machine_count; k++)
			group_not_learnt(l, r->name, r->place, r->machines[k], r, false);
	}
}

void lint_firewall(struct lint *l)
{
	struct asking a = { .l = l };
	const struct firewall *sections;
	size_t n = policy_firewalls(l->p, &sections);
	bool hosts_know = false; /* what the rules protect, and nobody else */

	authorised_machines(l);
	for (size_t i = 0; i < l->rule_count; i++)
		hosts_know |= lint_known_to_hosts_only(l, &l->rules[i].end1) ||
			      lint_known_to_hosts_only(l, &l->rules[i].end2);
	for (size_t i = 0; i < n && !hosts_know && !l->bounded; i++)
		for (size_t k = 0; k < sections[i].count; k++) {
			struct asked_rule asked = { .section = &sections[i], .rule = &sections[i].rules[k] };

			if (asked.rule->secure == SECURE_NOT_ASKED || asked.rule->action == FIREWALL_BLOCK)
				continue;
			ask_all(&a, &asked);
			tell(l, &asked);
		}
}
