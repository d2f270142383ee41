#include "enforce/counters.h"

#include "base/scope.h"
#include "base/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROTECTING (1u << MODE_REQUIRE | 1u << MODE_REQUIRE_INBOUND | 1u << MODE_REQUEST)
#define FALLING_BACK (1u << MODE_REQUIRE_INBOUND | 1u << MODE_REQUEST)

const struct gate_count_row gate_counts[GATE_COUNTS] = {
	[GATE_COUNT_CLEAR_IN] = { "clear-in", "Clear packets to us that the rule does not accept: dropped", PROTECTING,
				  false },
	[GATE_COUNT_CLEAR_OUT] = { "clear-out", "Packets sent in clear to a peer that has no IKE", FALLING_BACK,
				   false },
	[GATE_COUNT_LEAK] = { "leak", "Packets that would have left around the protection: dropped", PROTECTING,
			      false },
	[GATE_COUNT_EXEMPT] = { "exempt", "Packets that an exemption let pass in clear", 1u << MODE_EXEMPT, false },
	[GATE_COUNT_BLOCKED_IN] = { "blocked-in", "Packets to us that the rule blocks", 1u << MODE_BLOCK, false },
	[GATE_COUNT_BLOCKED_OUT] = { "blocked-out", "Packets from us that the rule blocks", 1u << MODE_BLOCK, false },
	[GATE_COUNT_RELEASE_REFUSED] = { "release-refused",
					 "Held packets of a flow that has been secured, not let out in clear", 0,
					 false },
	[GATE_COUNT_MASQUERADED] = { "masqueraded",
				     "Packets of hosts behind us that would have left around the protection: dropped",
				     0, false },
	[GATE_COUNT_OTHER_SA] = { "other-sa",
				  "Packets that came under an SA which does not do for the rule of their traffic: "
				  "dropped",
				  0, false },
	[GATE_COUNT_NEW_ADDRESS] = { "new-address",
				     "Packets of an address of ours that the rules in force do not know yet: dropped",
				     0, false },
	[GATE_COUNT_DEFAULT_IN] = { "firewall-default-in",
				    "Packets to us that no firewall rule lets in: dropped by the default", 0, false },
	[GATE_COUNT_DEFAULT_OUT] = { "firewall-default-out",
				     "Packets from us that no firewall rule lets out: dropped by the default", 0,
				     false },
	[GATE_COUNT_FIREWALL_PASSED] = { "firewall-passed",
					 "Packets that the firewall rule lets pass, the way the connection was opened",
					 0, true },
	[GATE_COUNT_FIREWALL_BLOCKED] = { "firewall-blocked", "Packets that the firewall rule drops", 0, true },
	[GATE_COUNT_GUARDED] = { "guarded", "Packets that the second barrier dropped while our table was gone", 0,
				 false },
	[GATE_COUNT_EXEMPTED] = { "exempted", "Clear packets of addresses that are exempted for a time: let pass", 0,
				  false },
};

uint32_t gate_rule_mark(const char *rule)
{
	uint64_t h = table_hash(rule, strlen(rule), 0);

	return (uint32_t)(h ^ h >> 32);
}

const char *gate_counter_name(enum gate_count kind, uint32_t rule, char buf[GATE_COUNTER_NAME])
{
	if (gate_counts[kind].modes || gate_counts[kind].firewall)
		snprintf(buf, GATE_COUNTER_NAME, "r%u_%u", rule, (unsigned)kind);
	else
		snprintf(buf, GATE_COUNTER_NAME, "all_%u", (unsigned)kind);
	return buf;
}

bool gate_counter_parse(const char *name, enum gate_count *ret_kind, uint32_t *ret_rule)
{
	unsigned rule = 0, kind;
	char again[GATE_COUNTER_NAME];

	if (sscanf(name, "r%u_%u", &rule, &kind) != 2 && sscanf(name, "all_%u", &kind) != 1)
		return false;
	if (kind >= GATE_COUNTS || strcmp(gate_counter_name(kind, rule, again), name) != 0)
		return false;
	*ret_kind = kind;
	*ret_rule = rule;
	return true;
}

const struct rule *gate_counted_rule(const struct rule *rules, size_t n, uint32_t index)
{
	if (index < n && rules[index].index == index)
		return &rules[index]; /* mostly it is there */
	for (size_t i = 0; i < n; i++)
		if (rules[i].index == index)
			return &rules[i];
	return NULL;
}
