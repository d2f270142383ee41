#include "enforce/shows.h"

#include "base/mem.h"
#include "base/scope.h"
#include "base/str.h"
#include "policy/reqid.h"

#include <stdio.h>
#include <stdlib.h>

static const char ours_in[] = "ipsec in reqid & 0xf0000000 == 0xc0000000 ";
static const char ours_out[] = "ipsec out reqid & 0xf0000000 == 0xc0000000 ";
static const char ours_in_encrypted[] = "ipsec in reqid & 0xf8000000 == 0xc8000000 ";
_Static_assert(REQID_MASK == 0xf0000000 && REQID_OURS == 0xc0000000 && REQID_ENCRYPTS == 0x08000000,
	       "the texts say the same");

static bool by_kernel(const struct gate_config *c)
{
	return c->plane == GATE_PLANE_KERNEL;
}

const char *shows_came(const struct gate_config *c, char buf[SHOWS_TEXT])
{
	if (by_kernel(c))
		return ours_in;
	(void)snprintf(buf, SHOWS_TEXT, "iifname \"%s\" ", c->tun);
	return buf;
}

const char *shows_came_encrypted(const struct gate_config *c)
{
	return by_kernel(c) ? ours_in_encrypted : NULL;
}

const char *shows_leaves(const struct gate_config *c, char buf[SHOWS_TEXT])
{
	if (by_kernel(c))
		return ours_out;
	(void)snprintf(buf, SHOWS_TEXT, "oifname \"%s\" ", c->tun);
	return buf;
}

/* A firewall asks behind the output hook whether a packet is protected, and of the kernel's plane the mark alone says
 * so there; whoever has none needs no mark. */
static bool marks_protected(const struct ruleset *r)
{
	const struct firewall *sections;
	size_t n = policy_firewalls(plan_policy(r->plan), &sections);

	for (size_t i = 0; i < n; i++)
		if (plan_firewall_rules(r->plan, &sections[i]))
			return true;
	return !by_kernel(r->config);
}

const char *shows_output(const struct ruleset *r)
{
	return by_kernel(r->config) && marks_protected(r) ? "filter" : "route";
}

const char *shows_protected(const struct ruleset *r, char buf[SHOWS_TEXT])
{
	if (marks_protected(r))
		return "goto protect";
	(void)snprintf(buf, SHOWS_TEXT, "meta mark set meta mark & 0x%08x accept", ~r->config->mark_mask);
	return buf;
}

bool shows_own_device(const struct gate_config *c)
{
	return !by_kernel(c);
}

bool shows_counts(const struct gate_config *c, enum gate_count kind)
{
	return kind != (by_kernel(c) ? GATE_COUNT_MASQUERADED : GATE_COUNT_OTHER_SA);
}

/* ---- classes of rules -------------------------------------------------------------------------------------------- */

/* Rules that ask the same, as a policy's rules mostly do. */
struct shows_classes {
	const struct rule **firsts; /* one rule of each */
	size_t count, cap;
	uint32_t *of_rule; /* by index */
	const struct rule **all;
	uint32_t *of_all; /* with the stand-ins, under which SAs may be made */
	size_t all_count, all_cap, of_cap;
};

static bool asks_the_same(const struct rule *a, const struct rule *b)
{
	return a->auth == b->auth && a->second_auth == b->second_auth && a->protection == b->protection &&
	       a->machine_count == 0 && b->machine_count == 0 && !a->tunnel && !b->tunnel;
}

static uint32_t class_of(struct shows_classes *c, const struct rule *rule)
{
	for (size_t i = c->count; i-- > 0;)
		if (asks_the_same(c->firsts[i], rule))
			return (uint32_t)i + 1;
	c->firsts = mem_grow(c->firsts, c->count, &c->cap, sizeof *c->firsts);
	c->firsts[c->count++] = rule;
	return (uint32_t)c->count;
}

static void enter(struct shows_classes *c, const struct rule *rule)
{
	if (!rule)
		return;
	c->all = mem_grow(c->all, c->all_count, &c->all_cap, sizeof *c->all);
	c->of_all = mem_grow(c->of_all, c->all_count, &c->of_cap, sizeof *c->of_all);
	c->of_all[c->all_count] = class_of(c, rule);
	c->all[c->all_count++] = rule;
}

void shows_classes_make(struct ruleset *r)
{
	const struct rule *rules;
	size_t n = policy_rules(plan_policy(r->plan), &rules);
	struct shows_classes *c;

	if (!by_kernel(r->config))
		return;
	r->classes = c = mem_new(1, sizeof *c);
	c->of_rule = mem_new(n + 1, sizeof *c->of_rule);
	for (size_t i = 0; i < n; i++) {
		if (!rule_mode_protects(rules[i].mode))
			continue;
		c->of_rule[rules[i].index] = class_of(c, &rules[i]);
		enter(c, &rules[i]);
		enter(c, rules[i].encrypted);
		enter(c, rules[i].encrypted_first);
	}
}

void shows_classes_wipe(struct ruleset *r)
{
	struct shows_classes *c = r->classes;

	r->classes = NULL;
	if (!c)
		return;
	free(c->firsts);
	free(c->of_rule);
	free(c->all);
	free(c->of_all);
	free(c);
}

uint32_t shows_class(const struct ruleset *r, const struct rule *rule)
{
	return r->classes ? r->classes->of_rule[rule->index] : 0;
}

/* ---- as text ----------------------------------------------------------------------------------------------------- */

/* A packet's priority carries the class while the packet is judged: the chains of rules are for packets that leave as
 * well, and must not look at what one came under. */
static void add_priority(struct ruleset *r, uint32_t class)
{
	str_addf(r->out, "%x:%x", class >> 16, class & 0xffff);
}

static uint32_t judged_mark(const struct gate_config *c)
{
	return c->mark_from_tun | ruleset_way_mark(c, WAY_IN);
}

void shows_add_class(struct ruleset *r, const struct rule *rule)
{
	const struct gate_config *c = r->config;

	if (!by_kernel(c) || rule->mode == MODE_BLOCK)
		return;
	str_addf(r->out, "\t\tmeta mark & 0x%08x == 0x%08x ", c->mark_mask, judged_mark(c));
	if (shows_class(r, rule)) {
		str_add(r->out, "meta priority set ");
		add_priority(r, shows_class(r, rule));
		str_add(r->out, " ");
	}
	str_add(r->out, "return\n");
}

/* Do SAs of one class of rules do for another? */
static bool does(const struct shows_classes *c, uint32_t have, uint32_t want)
{
	return have == want || rule_always_satisfies(c->firsts[have - 1], c->firsts[want - 1]);
}

static void add_class(struct ruleset *r, const struct shows_classes *c, uint32_t want)
{
	bool *taken = mem_new(c->count + 1, sizeof *taken);
	char name[GATE_COUNTER_NAME];
	size_t added = 0;

	for (uint32_t i = 1; i <= c->count; i++)
		taken[i - 1] = does(c, i, want);
	str_addf(r->out, "\tchain under_%u {\n\t\tipsec in reqid { ", want);
	for (size_t i = 0; i < c->all_count; i++)
		if (taken[c->of_all[i] - 1])
			str_addf(r->out, "%s%u", added++ ? ", " : "", rule_reqid(c->all[i]));
	gate_counter_name(GATE_COUNT_OTHER_SA, 0, name);
	str_addf(r->out,
		 " } return\n\t\tmeta priority set 0:0\n"
		 "\t\tlimit rate 50/second burst 100 packets log prefix \"cordon %s 0 %08x \" group %u snaplen 128\n"
		 "\t\tcounter name %s drop\n\t}\n",
		 gate_counts[GATE_COUNT_OTHER_SA].name, 0, r->config->nflog_group, name);
	free(taken);
}

void shows_add_classes(struct ruleset *r)
{
	const struct shows_classes *c = r->classes;

	if (!c || c->count == 0)
		return;
	for (uint32_t i = 1; i <= c->count; i++)
		add_class(r, c, i);
	str_add(r->out, "\tmap under {\n\t\ttype classid : verdict\n\t\telements = {\n");
	for (uint32_t i = 1; i <= c->count; i++) {
		str_add(r->out, i > 1 ? ",\n" : "");
		add_priority(r, i);
		str_addf(r->out, " : jump under_%u", i);
	}
	str_add(r->out, "\n\t\t}\n\t}\n");
}

void shows_add_compare(struct ruleset *r)
{
	const struct gate_config *c = r->config;

	if (!by_kernel(c))
		return;
	str_addf(r->out,
		 "\t\tmeta priority set 0:0\n"
		 "\t\tmeta mark set meta mark & 0x%08x | 0x%08x\n"
		 "\t\tjump judge\n",
		 ~c->mark_mask, judged_mark(c));
	if (r->classes && r->classes->count)
		str_add(r->out, "\t\tmeta priority vmap @under\n\t\tmeta priority set 0:0\n");
}

void shows_add_clear(struct ruleset *r)
{
	if (by_kernel(r->config))
		str_addf(r->out, " meta mark set meta mark | 0x%08x", r->config->mark_clear);
	str_add(r->out, " return\n");
}

static void add_clear(struct ruleset *r, const char *then)
{
	static const enum ruleset_way clear[] = { WAY_OUT_FALLEN, WAY_OUT_EXEMPTED };

	for (size_t i = 0; i < ARRAY_LEN(clear); i++) {
		str_add(r->out, "\t\t");
		ruleset_add_way(r, clear[i]);
		str_add(r->out, then);
	}
}

/* The hook finds the way anew when it sees another mark behind its rules than before. So what is protected leaves them
 * as it came; or, where it has to be marked, what is clear finds its way at a hook of its own. */
void shows_add_judge_out(struct ruleset *r)
{
	const struct gate_config *c = r->config;
	char marked[SHOWS_TEXT];

	if (!by_kernel(c)) {
		ruleset_add_judge(r, WAY_OUT);
		return;
	}
	(void)snprintf(marked, sizeof marked, " meta mark set meta mark & 0x%08x | 0x%08x accept\n", ~c->mark_mask,
		       c->mark_clear);
	str_addf(r->out, "\t\tmeta mark set meta mark & 0x%08x | 0x%08x\n\t\tjump judge\n", ~c->mark_way,
		 ruleset_way_mark(c, WAY_OUT));
	add_clear(r, marks_protected(r) ? " accept\n" : marked);
	if (!marks_protected(r)) {
		str_addf(r->out, "\t\tmeta mark set meta mark & 0x%08x\n", ~c->mark_mask);
		return;
	}
	str_addf(r->out,
		 "\t\tmeta mark set meta mark & 0x%08x\n\t}\n"
		 "\tchain output_clear {\n\t\ttype route hook output priority -89; policy accept;\n"
		 "\t\tmeta mark & 0x%08x == 0 accept\n",
		 ~c->mark_way, c->mark_way);
	add_clear(r, marked);
}
