/* policy/tunnel_ends.h - the elements of a tunnel rule's ends. For this folder only. */
#ifndef POLICY_TUNNEL_ENDS_H
#define POLICY_TUNNEL_ENDS_H
#include "policy/plan.h"

/* The smallest element that holds the address, or NULL. Keywords but `any` hold nothing. */
const struct addr_range *tunnel_element_with(const struct end *e, const struct addr *a);

#endif
