/* enforce/counters.h - the counters of the table: for each rule those that its mode can use, and a few of no rule. A
 * counter's name in the kernel is made from the rule's number and its kind, so that one dump tells all. */
#ifndef ENFORCE_COUNTERS_H
#define ENFORCE_COUNTERS_H
#include "policy/plan.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum gate_count {
	GATE_COUNT_CLEAR_IN,
	GATE_COUNT_CLEAR_OUT,
	GATE_COUNT_LEAK,
	GATE_COUNT_EXEMPT,
	GATE_COUNT_BLOCKED_IN,
	GATE_COUNT_BLOCKED_OUT,
	GATE_COUNT_RELEASE_REFUSED,
	GATE_COUNT_MASQUERADED,
	GATE_COUNT_OTHER_SA,
	GATE_COUNT_NEW_ADDRESS,
	GATE_COUNT_EXEMPTED,
	GATE_COUNT_DEFAULT_IN,
	GATE_COUNT_DEFAULT_OUT,
	GATE_COUNT_FIREWALL_PASSED,
	GATE_COUNT_FIREWALL_BLOCKED,
	GATE_COUNT_GUARDED, /* the guard's, not the table's */
	GATE_COUNTS
};

struct gate_count_row {
	const char *name, *meaning;
	unsigned modes; /* 1 << enum rule_mode; 0: of no rule */
	bool firewall;  /* of a rule of the firewall, by its number among all of them */
};
extern const struct gate_count_row gate_counts[GATE_COUNTS];

enum { GATE_COUNTER_NAME = 32 };
/* As a rule's number: of all that are too many to be counted apart (gate_config's rules_counted). */
#define GATE_RULE_MANY UINT32_MAX
/* What is counted of a firewall rule. */
static inline enum gate_count gate_firewall_count(enum firewall_action action)
{
	return action == FIREWALL_BLOCK ? GATE_COUNT_FIREWALL_BLOCKED : GATE_COUNT_FIREWALL_PASSED;
}
/* The kernel's name. rule is not looked at for a kind that is of no rule. */
const char *gate_counter_name(enum gate_count kind, uint32_t rule, char buf[GATE_COUNTER_NAME]);
/* The way back; false if it is no name of ours. */
bool gate_counter_parse(const char *name, enum gate_count *ret_kind, uint32_t *ret_rule);

/* What goes to the log group has the prefix "cordon NAME NUMBER MARK ": a counter's name or the one below, the rule's
 * number and a mark of its name, since the number is of one table only. GATE_NO_MARK: of several rules that do the
 * same; which one it was the plan tells. */
enum { GATE_NO_MARK = 0 };
#define GATE_CLEAR_ACCEPTED "clear-accepted" /* a connection in clear that a request mode accepts */
uint32_t gate_rule_mark(const char *rule);

/* The rule that counts by this number; NULL: none of them. */
const struct rule *gate_counted_rule(const struct rule *rules, size_t n, uint32_t index);

#endif
