/* analysis/alike.h - which addresses the policy cannot tell apart. Every element that a rule or a firewall section
 * names cuts the address space; addresses that lie in the same elements get the same mark, so that one of them can
 * stand for all in a question about the whole network. One sweep over the sorted cuts; look-up by bisection. */
#ifndef ANALYSIS_ALIKE_H
#define ANALYSIS_ALIKE_H
#include "policy/policy.h"

struct alike;
struct alike *alike_new(const struct policy *p);
void alike_free(struct alike *a);
SCOPE_FREEP(struct alike, alike)

/* Equal marks: no rule tells the two addresses apart. 0: no rule names it (but by `any`). */
uint64_t alike_mark(const struct alike *a, const struct addr *addr);
/* The same for all that a policy says of a host: its addresses, agent, credentials and groups. */
uint64_t alike_host_mark(const struct alike *a, const struct host *h);
/* One address of the range for each mark in it, at most cap. Returns how many there are (maybe more than cap); looks
 * at no more than `most` cuts, and says in *ret_bounded if there were more. */
size_t alike_split(const struct alike *a, const struct addr_range *r, size_t most, struct addr *ret, size_t cap,
		   bool *ret_bounded);
/* Move *at, within the range, to an address of the same mark that no host has: it stands for those whom the policy does
 * not name. false if there is none nearby. */
bool alike_bare(const struct alike *a, const struct addr_range *r, struct addr *at);
size_t alike_cuts(const struct alike *a);

#endif
