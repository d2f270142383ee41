/* One rule: its conditions, each a link of a chain that goes on to the next where it holds, then what it does. */
#include "enforce/firewall.h"

#include "base/str.h"
#include "enforce/identity_sets.h"
#include "enforce/shows.h"

#include <stdio.h>
#include <string.h>

enum { LINKS = 5, NEXT = 40 };

struct link {
	struct ruleset *r;
	const struct firewall_view *v;
	const struct firewall_rule *rule;
	const struct ruleset_carry *carry;
	const char *next; /* where to go if the condition holds */
};

static const char *const families[] = { "ip", "ip6" };
static const uint8_t family_numbers[] = { 4, 6 };

static bool in(const struct link *l)
{
	return l->v->arriving;
}

/* Did it come, or will it go, under an SA? */
static void add_protected(const struct link *l)
{
	const struct gate_config *c = l->r->config;
	char came[SHOWS_TEXT];

	if (in(l))
		str_add(l->r->out, shows_came(c, came));
	else
		str_addf(l->r->out, "meta mark & 0x%08x == 0x%08x ", c->mark_mask & ~c->mark_way, c->mark_protect);
}

/* ---- secure ------------------------------------------------------------------------------------------------------ */

static bool asks_secure(const struct link *l)
{
	return l->rule->secure != SECURE_NOT_ASKED;
}

static void add_secure(const struct link *l)
{
	const char *encrypted = in(l) ? shows_came_encrypted(l->r->config) : NULL;

	str_add(l->r->out, "\t\t");
	if (l->rule->secure == SECURE_ENCRYPTED && encrypted)
		str_add(l->r->out, encrypted);
	else
		add_protected(l);
	if (l->rule->secure == SECURE_ENCRYPTED && !encrypted)
		ruleset_add_way(l->r, (enum ruleset_way)WAY_ENCRYPTED);
	str_addf(l->r->out, " goto %s\n", l->next);
}

/* ---- machines ---------------------------------------------------------------------------------------------------- */

static bool asks_machines(const struct link *l)
{
	return l->rule->allow_count || l->rule->except_count;
}

/* The pair of addresses of a packet in the set's order, remote and local, and the set. */
static void add_pair(const struct link *l, size_t family, enum identity_set set, size_t group, const char *how)
{
	char name[IDENTITY_SET_NAME];

	str_addf(l->r->out, "\t\t%s %s . %s %s %s@%s ", families[family], l->v->address[SIDE_REMOTE], families[family],
		 l->v->address[SIDE_LOCAL], how, identity_set_name(set, group, family_numbers[family], name));
}

/* Whoever is in one of the groups. A group that is not asked for elsewhere, or of which nothing can be known, has no
 * set: then nobody is a member for `allow`, and everybody for `except`. */
static void add_groups(const struct link *l, const struct group *const *groups, size_t n, bool except)
{
	enum identity_set set = identity_set_for(l->rule->action, except);

	for (size_t i = 0; i < n; i++) {
		size_t number = plan_group_number(l->r->plan, groups[i]);

		if (!identity_set_exists(l->r->plan, set, number)) {
			if (except)
				str_add(l->r->out, "\t\treturn\n");
			continue;
		}
		for (size_t f = 0; f < FIREWALL_FAMILIES; f++) {
			add_pair(l, f, set, number, "");
			if (except)
				str_add(l->r->out, "return\n");
			else
				str_addf(l->r->out, "goto %s\n", l->next);
		}
	}
}

/* What goes to somebody with whom there is no SA yet waits in the data plane until there is one: only then is it known
 * who that is. */
static void add_unknown(const struct link *l)
{
	for (size_t f = 0; !in(l) && f < FIREWALL_FAMILIES; f++) {
		add_pair(l, f, IDENTITY_PROVEN, 0, "!= ");
		str_addf(l->r->out, "goto %s\n", l->next);
	}
}

static void add_machines(const struct link *l)
{
	add_groups(l, l->rule->machines_except, l->rule->except_count, true);
	add_unknown(l);
	add_groups(l, l->rule->machines_allow, l->rule->allow_count, false);
	for (size_t f = 0; l->rule->allow_count == 0 && f < FIREWALL_FAMILIES; f++) {
		add_pair(l, f, IDENTITY_PROVEN, 0, "");
		str_addf(l->r->out, "goto %s\n", l->next);
	}
}

/* ---- interface and profile --------------------------------------------------------------------------------------- */

static bool asks_interface(const struct link *l)
{
	return l->rule->interface != NULL;
}

/* What came under an SA came by the TUN: the interface is then the one by which the peer is reached. */
static void add_interface(const struct link *l)
{
	str_addf(l->r->out, "\t\t%s \"%s\" goto %s\n", l->v->interface, l->rule->interface, l->next);
	if (in(l) && shows_own_device(l->r->config))
		str_addf(l->r->out, "\t\tiifname \"%s\" fib saddr oifname \"%s\" goto %s\n", l->r->config->tun,
			 l->rule->interface, l->next);
}

static bool asks_profile(const struct link *l)
{
	const struct plan_interface *interfaces;

	return (l->rule->profiles & PROFILE_ALL) != PROFILE_ALL && plan_interfaces(l->r->plan, &interfaces) > 0;
}

/* Those of the profiles; or, as any that is not named is public, all but those of others. */
static void add_profile_of(const struct link *l, const char *before, const char *expression, bool tun)
{
	const struct plan_interface *interfaces;
	size_t n = plan_interfaces(l->r->plan, &interfaces), added = 0;
	bool others = l->rule->profiles & PROFILE_PUBLIC;

	str_addf(l->r->out, "\t\t%s%s %s{ ", before, expression, others ? "!= " : "");
	for (size_t i = 0; i < n; i++)
		if (!(interfaces[i].profile & l->rule->profiles) == others)
			str_addf(l->r->out, "%s\"%s\"", added++ ? ", " : "", interfaces[i].name);
	if (tun)
		str_addf(l->r->out, "%s\"%s\"", added++ ? ", " : "", l->r->config->tun);
	if (!added) /* a name that no interface can have */
		str_add(l->r->out, "\"/\"");
	str_addf(l->r->out, " } goto %s\n", l->next);
}

static void add_profile(const struct link *l)
{
	char from_tun[64];
	const bool device = in(l) && shows_own_device(l->r->config);

	add_profile_of(l, "", l->v->interface, device && l->rule->profiles & PROFILE_PUBLIC);
	(void)snprintf(from_tun, sizeof from_tun, "iifname \"%s\" ", l->r->config->tun);
	if (device)
		add_profile_of(l, from_tun, "fib saddr oifname", false);
}

/* ---- program ----------------------------------------------------------------------------------------------------- */

bool firewall_rule_possible(const struct firewall_rule *rule, const struct ruleset_carry *carry)
{
	for (size_t i = 0; rule->program && carry && i < carry->program_count; i++)
		if (strcmp(carry->programs[i].name, rule->program) == 0)
			return true;
	return !rule->program;
}

static bool asks_program(const struct link *l)
{
	return l->rule->program != NULL;
}

static void add_program(const struct link *l)
{
	for (size_t i = 0; l->carry && i < l->carry->program_count; i++) {
		const struct ruleset_program *p = &l->carry->programs[i];

		if (strcmp(p->name, l->rule->program) == 0)
			str_addf(l->r->out, "\t\tsocket cgroupv2 level %u \"%s\" goto %s\n", p->level, p->path,
				 l->next);
	}
}

/* ---- all together ------------------------------------------------------------------------------------------------ */

/* A rule's name is free text; a comment in nft is not. */
static void add_comment(struct ruleset *r, const char *name)
{
	str_add(r->out, "\t\tcomment \"");
	for (size_t n = 0; name[n] && n < 80; n++) {
		char c = name[n] >= ' ' && name[n] < 0x7f && name[n] != '"' && name[n] != '\\' ? name[n] : '?';

		str_add_n(r->out, &c, 1);
	}
	str_add(r->out, "\"\n");
}

void firewall_add_drop(struct ruleset *r, const struct firewall_view *v, const struct firewall_ruling *rule)
{
	enum gate_count kind = rule                           ? GATE_COUNT_FIREWALL_BLOCKED
			       : v->direction == DIRECTION_IN ? GATE_COUNT_DEFAULT_IN
							      : GATE_COUNT_DEFAULT_OUT;
	char name[GATE_COUNTER_NAME];

	str_addf(r->out,
		 "\t\tlimit rate 50/second burst 100 packets log prefix \"cordon %s %u %08x \" group %u snaplen 128\n"
		 "\t\tcounter name %s drop\n",
		 gate_counts[kind].name, rule ? rule->number : 0, rule ? gate_rule_mark(rule->rule->name) : 0,
		 r->config->nflog_group, gate_counter_name(kind, rule ? rule->number : 0, name));
}

static void add_verdict(struct ruleset *r, const struct firewall_view *v, const struct firewall_ruling *rule)
{
	char name[GATE_COUNTER_NAME];

	if (rule->rule->action == FIREWALL_BLOCK)
		firewall_add_drop(r, v, rule);
	else
		str_addf(r->out, "\t\tcounter name %s accept\n",
			 gate_counter_name(GATE_COUNT_FIREWALL_PASSED, rule->number, name));
}

void firewall_rule_chain(struct ruleset *r, const struct firewall_view *v, const struct firewall_ruling *rule,
			 const struct ruleset_carry *carry)
{
	static const struct {
		bool (*asked)(const struct link *l);
		void (*add)(const struct link *l);
	} conditions[LINKS] = { { asks_secure, add_secure },
				{ asks_machines, add_machines },
				{ asks_interface, add_interface },
				{ asks_profile, add_profile },
				{ asks_program, add_program } };
	char next[NEXT];
	struct link l = { .r = r, .v = v, .rule = rule->rule, .carry = carry, .next = next };
	unsigned links = 0;

	str_addf(r->out, "\tchain %s_%u {\n", v->name, rule->number);
	add_comment(r, rule->rule->name);
	for (size_t i = 0; i < LINKS; i++) {
		if (!conditions[i].asked(&l))
			continue;
		(void)snprintf(next, sizeof next, "%s_%u_%u", v->name, rule->number, ++links);
		conditions[i].add(&l);
		str_addf(r->out, "\t}\n\tchain %s {\n", next);
	}
	add_verdict(r, v, rule);
	str_add(r->out, "\t}\n");
}
