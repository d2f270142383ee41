/* What each mode does with a packet for which a rule has won: the chain of that rule, or of all rules that do the same.
 */
#include "enforce/pools.h"
#include "enforce/shows.h"

#include "base/str.h"

/* Rule names are free text; a comment in nft is not. */
static void add_comment(struct ruleset *r, const struct rule *rule)
{
	size_t n = 0;

	str_addf(r->out, "\t\tcomment \"%s: ", rule_mode_name(rule->mode));
	for (const char *at = rule->name; *at && n < 80; at++, n++) {
		char c = *at >= ' ' && *at < 0x7f && *at != '"' && *at != '\\' ? *at : '?';

		str_add_n(r->out, &c, 1);
	}
	str_add(r->out, "\"\n");
}

/* Some of what the conditions before it match goes to the group, for whoever reads it (observe/nflog.h). The rule's
 * number is of this table only, so a mark of its name is beside it. */
static void add_log(struct ruleset *r, const struct rule_counts *c, const char *name)
{
	str_addf(r->out,
		 " limit rate 50/second burst 100 packets log prefix \"cordon %s %u %08x \" group %u snaplen 128\n",
		 name, c->key ? 0 : c->rule->index, c->key ? GATE_NO_MARK : gate_rule_mark(c->rule->name),
		 r->config->nflog_group);
}

/* A connection that begins in clear, as the rule allows. The conditions stand before. */
static void add_log_new(struct ruleset *r, const struct rule_counts *c, const char *name)
{
	str_add(r->out, " ct state new");
	add_log(r, c, name);
}

/* Listeners need some of the packets to explain a drop, not all of a flood. */
static void add_drop(struct ruleset *r, const struct rule_counts *c, enum ruleset_way way, enum gate_count kind)
{
	enum { LOG, COUNT, DROP };

	for (int i = LOG; i <= DROP; i++) {
		if (i == COUNT && !c->key)
			continue; /* in one line with the drop; what finds a counter ends the line if there is none */
		str_add(r->out, "\t\t");
		if (way == WAYS_ARRIVING)
			ruleset_add_ways(r, way);
		else if (way)
			ruleset_add_way(r, way);
		if (i == LOG) {
			add_log(r, c, gate_counts[kind].name);
			continue;
		}
		if (i == COUNT || !c->key)
			pool_add_count(r, c, kind);
		str_add(r->out, i == DROP ? " drop\n" : "\n");
	}
}

static void add_not_secured(struct ruleset *r)
{
	str_addf(r->out, " ct mark & 0x%08x == 0", r->config->ct_secured);
}

/* What is about to be routed, or to leave: into the TUN, unless the peer has fallen back. */
static void add_outward(struct ruleset *r, const struct rule_counts *c)
{
	const struct rule *rule = c->rule;

	if (rule->mode != MODE_REQUIRE) {
		str_add(r->out, "\t\tjump fallback\n\t\t");
		ruleset_add_way(r, WAY_LAST_FALLEN); /* counted when it leaves, not when it is judged first */
		add_log_new(r, c, gate_counts[GATE_COUNT_CLEAR_OUT].name);
		str_add(r->out, "\t\t");
		ruleset_add_way(r, WAY_LAST_FALLEN);
		pool_add_count(r, c, GATE_COUNT_CLEAR_OUT);
		if (c->key) {
			str_add(r->out, "\n\t\t");
			ruleset_add_way(r, WAY_LAST_FALLEN);
		}
		str_add(r->out, " return\n\t\t");
		ruleset_add_way(r, WAY_OUT_FALLEN);
		str_add(r->out, " return\n");
	}
	if (!rule->tunnel && shows_own_device(r->config)) { /* what a gateway forwards needs no address of ours */
		str_add(r->out, "\t\t");
		ruleset_add_way(r, WAY_LAST);
		str_add(r->out, " ct status snat goto masquerade_learn\n");
	}
	add_drop(r, c, WAY_LAST, GATE_COUNT_LEAK);
	str_add(r->out, "\t\tgoto protect\n");
}

/* What is about to be routed is most of what comes here, and mostly goes one way. */
static void add_outward_first(struct ruleset *r, const struct rule *rule)
{
	if (!rule_mode_protects(rule->mode))
		return;
	if (rule->mode == MODE_REQUIRE && rule->exempt_protected)
		return;
	str_add(r->out, "\t\t");
	ruleset_add_way(r, WAY_OUT);
	if (rule->mode != MODE_REQUIRE)
		str_addf(r->out, " ct mark & 0x%08x != 0", r->config->ct_secured);
	str_add(r->out, " goto protect\n");
}

void rule_chain_add(struct ruleset *r, const char *name, const struct rule_counts *c)
{
	const struct rule *rule = c->rule;

	str_addf(r->out, "\tchain %s {\n", name);
	if (!c->key)
		add_comment(r, rule);
	add_outward_first(r, rule);
	shows_add_class(r, rule);
	if (rule->mode != MODE_BLOCK) { /* counted already */
		str_add(r->out, "\t\t");
		ruleset_add_ways(r, WAYS_EXEMPTED);
		str_add(r->out, " return\n");
	}
	switch (rule->mode) {
	case MODE_EXEMPT:
		/* what leaves is counted at the end, not when it is judged first */
		for (int log = 1; log >= 0; log--) {
			str_addf(r->out, "\t\tmeta mark & 0x%08x != 0x%08x", r->config->mark_way,
				 ruleset_way_mark(r->config, WAY_OUT));
			if (log)
				add_log_new(r, c, gate_counts[GATE_COUNT_EXEMPT].name);
		}
		pool_add_count(r, c, GATE_COUNT_EXEMPT);
		str_add(r->out, "\n");
		break;
	case MODE_BLOCK:
		add_drop(r, c, WAYS_ARRIVING, GATE_COUNT_BLOCKED_IN);
		add_drop(r, c, 0, GATE_COUNT_BLOCKED_OUT);
		break;
	case MODE_REQUIRE_INBOUND:
		/* answers to what we opened */
		str_add(r->out, "\t\t");
		ruleset_add_way(r, WAY_IN);
		str_add(r->out, " ct direction reply");
		add_not_secured(r);
		shows_add_clear(r);
		add_drop(r, c, WAY_IN, GATE_COUNT_CLEAR_IN);
		add_outward(r, c);
		break;
	case MODE_REQUEST:
		str_add(r->out, "\t\t");
		ruleset_add_way(r, WAY_IN);
		add_not_secured(r);
		add_log_new(r, c, GATE_CLEAR_ACCEPTED);
		str_add(r->out, "\t\t");
		ruleset_add_way(r, WAY_IN);
		add_not_secured(r);
		shows_add_clear(r);
		str_add(r->out, "\t\t");
		/* with no connection there is no flow that could be a secured one */
		ruleset_add_way(r, WAY_IN);
		str_add(r->out, " ct state untracked");
		shows_add_clear(r);
		add_drop(r, c, WAY_IN, GATE_COUNT_CLEAR_IN);
		add_outward(r, c);
		break;
	case MODE_REQUIRE:
		if (rule->exempt_protected) /* what two machines have sealed themselves */
			str_add(r->out, "\t\tmeta l4proto esp return\n");
		add_drop(r, c, WAY_IN, GATE_COUNT_CLEAR_IN);
		add_outward(r, c);
		break;
	}
	str_add(r->out, "\t}\n");
}
