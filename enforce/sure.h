/* enforce/sure.h - pairs of addresses between which everything that leaves is protected, whatever it is: a rule that
 * protects takes it all, and there is an SA. Most packets of a busy host are between such pairs, and the output hook
 * asks for them first. What it says of them is what the long way through the rules would say: one that has to be taken
 * the long way (a peer that fell back) is not in the sets. Inside enforce/ only. */
#ifndef ENFORCE_SURE_H
#define ENFORCE_SURE_H
#include "enforce/ruleset.h"

/* By the plan alone: is everything between them protected, unless the peer has fallen back? */
bool sure_by_plan(const struct plan *p, const struct addr *local, const struct addr *remote);
/* For a plane whose packets bear what SA they came under: the rule that wins for everything between the two, whose own
 * SAs do for it whatever else does. NULL: there is none such, or the packets have been compared with their rule. */
const struct rule *sure_under(const struct gate_config *c, const struct plan *p, const struct addr *local,
			      const struct addr *remote);

void sure_add_sets(struct ruleset *r, const struct ruleset_carry *carry);
/* The rules at the output hook: what leaves between such a pair goes to `then`. */
void sure_add_rules(struct ruleset *r, const char *then);
/* The same for what came under an SA of that rule's. */
void sure_add_rules_in(struct ruleset *r, const char *then);

#endif
