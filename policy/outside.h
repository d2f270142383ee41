/* policy/outside.h - the addresses that rules do not speak of, on any host. For this folder only. */
#ifndef POLICY_OUTSIDE_H
#define POLICY_OUTSIDE_H
#include "base/addr.h"

enum { OUTSIDE = 8 };

/* Unspecified, loopback, link-local, multicast and limited broadcast, of both families. */
void outside_ranges(struct addr_range ret[OUTSIDE]);

#endif
