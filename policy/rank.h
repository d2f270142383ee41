/* policy/rank.h - the order of entries that meet the same packet, and when two of them contradict each other. For this
 * folder only. Nothing here asks what only one end of a packet knows. */
#ifndef POLICY_RANK_H
#define POLICY_RANK_H
#include "policy/plan.h"

/* The place by protocol and ports: both ports, one, none; single before range; a protocol before any. ICMP type and
 * code count as ports. Lower wins. */
unsigned service_rank(const struct service *s);
unsigned entry_service_rank(const struct plan_entry *e);

/* How much a rule protects, for ties that an imported policy may have, and for a packet that has the port of one rule
 * at one end and the port of another at the other. Higher protects more. */
unsigned rule_protectiveness(const struct rule *r);

/* Do two rules treat what they match alike? */
bool rule_same_effect(const struct rule *a, const struct rule *b);

/* An entry for a service of a rule, without sizes; all octets set, so that entries can be compared as memory. */
void entry_make(const struct rule *r, const struct service *s, bool local_is_end1, struct plan_entry *ret);
/* Who can have opened what this service of the rule matches: INITIATOR_ bits; 0: nothing can match. */
unsigned entry_initiators(const struct rule *r, const struct service *s, bool local_is_end1);
/* Does it match every packet between the two hosts? */
bool entry_matches_all(const struct plan_entry *e);

/* By sizes and service: < 0 when a wins. 0 is a tie, which entry_order breaks the same way on every host. */
int entry_rank_compare(const struct plan_entry *a, const struct plan_entry *b);
int entry_order(const struct plan_entry *a, const struct plan_entry *b);

/* Two entries of equal rank that match the same packet and differ in effect. */
bool entries_contradict(const struct plan_entry *a, const struct plan_entry *b);
/* Does c match all that both a and b match? */
bool entry_covers_both(const struct plan_entry *c, const struct plan_entry *a, const struct plan_entry *b);

typedef void contradiction_fn(void *context, const struct plan_entry *a, const struct plan_entry *b);

/* In a list in entry_order: call found for each contradiction. one_meeting: the list is all that two addresses meet, so
 * what an earlier entry decides is none. */
void list_contradictions(const struct plan_entry *list, size_t n, bool one_meeting, contradiction_fn *found,
			 void *context);

#endif
