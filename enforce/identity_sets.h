/* enforce/identity_sets.h - who is behind a pair of addresses, as nftables sets that the firewall's rules ask. A packet
 * is matched by `ip saddr . ip daddr` (remote, then local; for what is sent: daddr . saddr). There is a set of the
 * pairs with an SA of a proven peer; and for each group that the plan asks about (plan_groups) one of the pairs that
 * are surely members, one of those that may be, of which a rule that lets in wants the first for `allow` and the second
 * for `except`, a rule that blocks the other way round (identity_set_for). Only the sets that the plan's rules ask for
 * are there (identity_set_exists).
 *
 * A set means what it says only of packets that came under an SA (iifname of the TUN): elsewhere anybody may write any
 * address. */
#ifndef ENFORCE_IDENTITY_SETS_H
#define ENFORCE_IDENTITY_SETS_H
#include "policy/plan.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum identity_set { IDENTITY_PROVEN, IDENTITY_SURE, IDENTITY_MAY };
enum { IDENTITY_SET_NAME = 32 };

/* "member_sure_3_ip6", "member_proven_ip"; family 4 or 6. group: its number (plan_group_number); of PROVEN not used. */
const char *identity_set_name(enum identity_set set, size_t group, int family, char buf[IDENTITY_SET_NAME]);
/* Which of a group's sets a rule with that action asks for its `allow` list, or its `except` list. */
enum identity_set identity_set_for(enum firewall_action action, bool except);
bool identity_set_exists(const struct plan *plan, enum identity_set set, size_t group);
struct membership;
bool identity_set_has(const struct membership *is, enum identity_set set, size_t group);
/* Is this the name of one of them? */
bool identity_set_named(const char *name);

#endif
