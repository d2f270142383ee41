/* What stands above all rules, and what the guard hears of it.
 *
 * For the guard: what these chains have seen gets all bits of the way at once, which no packet has outside of them.
 * When a table is deleted its maps are empty at once, and its chains go one by one after that, with all their rules:
 * packets that found nothing in the maps must not be taken for seen. So what is seen is a matter of a map, too, and is
 * asked for behind all judgement. */
#include "enforce/seen.h"

#include "base/scope.h"
#include "base/str.h"

#define IN_FORCE "{ ipv4 : goto seen, ipv6 : goto seen }"

static bool guarded(const struct ruleset *r)
{
	return r->guarded;
}

const char *seen_pass(const struct ruleset *r)
{
	return guarded(r) ? "goto passed" : "accept";
}

void seen_add_exempt(struct ruleset *r)
{
	str_add(r->out, guarded(r) ? "\t\tjump exempt_seen\n" : "\t\tjump exempt\n");
}

void seen_add_end(struct ruleset *r)
{
	if (guarded(r))
		str_add(r->out, "\t\tmeta nfproto vmap @in_force\n");
}

/* Without neighbour discovery IPv6 hangs, whatever the policy says. */
static const struct {
	unsigned exemption; /* 0: always */
	const char *text;
} exempt[] = {
	{ 0, "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit 255" },
	{ EXEMPT_ROUTER_DISCOVERY,
	  "icmpv6 type { nd-router-solicit, nd-router-advert, nd-redirect } ip6 hoplimit 255" },
	{ EXEMPT_ROUTER_DISCOVERY, "icmp type { router-solicitation, router-advertisement }" },
	{ EXEMPT_ICMP, "meta l4proto { icmp, icmpv6 }" },
	{ EXEMPT_DHCP, "meta nfproto ipv4 udp sport . udp dport { 67 . 67, 67 . 68, 68 . 67 }" },
	{ EXEMPT_DHCP, "meta nfproto ipv6 udp sport . udp dport { 546 . 547, 547 . 546, 547 . 547 }" },
};

/* Most packets are of protocols that have nothing to do with it, and leave at once. */
static void add_exempt(struct ruleset *r, const char *name, const char *then)
{
	unsigned given = policy_exemptions(plan_policy(r->plan));

	str_addf(r->out, "\tchain %s {\n\t\tmeta l4proto tcp return\n", name);
	str_add(r->out, given & EXEMPT_DHCP ? "\t\tudp dport != { 67, 68, 546, 547 } return\n"
					    : "\t\tmeta l4proto udp return\n");
	for (size_t i = 0; i < ARRAY_LEN(exempt); i++)
		if (!exempt[i].exemption || given & exempt[i].exemption)
			str_addf(r->out, "\t\t%s %s\n", exempt[i].text, then);
	str_add(r->out, "\t}\n");
}

void seen_add_chains(struct ruleset *r, bool in_force)
{
	add_exempt(r, "exempt", "accept");
	if (!guarded(r))
		return;
	str_addf(r->out,
		 "\tmap in_force {\n\t\ttype nf_proto : verdict\n%s\t}\n"
		 "\tchain seen {\n\t\tmeta mark set meta mark | 0x%08x accept\n\t}\n"
		 "\tchain passed {\n\t\tmeta nfproto vmap @in_force\n\t\taccept\n\t}\n",
		 in_force ? "\t\telements = " IN_FORCE "\n" : "", r->config->mark_way);
	add_exempt(r, "exempt_seen", seen_pass(r));
}

void seen_add_unseen(struct ruleset *r)
{
	static const struct {
		const char *name, *hook;
		int priority; /* of the chain that judges */
	} rows[] = { { "in", "prerouting", GATE_PRIORITY_IN }, { "out", "postrouting", GATE_PRIORITY_LAST } };

	for (size_t i = 0; guarded(r) && i < ARRAY_LEN(rows); i++)
		str_addf(r->out,
			 "\tchain unseen_%s {\n\t\ttype filter hook %s priority %d; policy accept;\n"
			 "\t\tmeta mark set meta mark & 0x%08x\n\t}\n",
			 rows[i].name, rows[i].hook, rows[i].priority + 2, ~r->config->mark_way);
}

void ruleset_write_in_force(struct str *out)
{
	str_add(out, "add element inet " TABLE_NAME " in_force " IN_FORCE "\n");
}
