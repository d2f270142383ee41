/* enforce/routes.h - the routing rules that send marked packets to our table, and what the table holds: the way into
 * the TUN, and behind it an unreachable route that stays when the TUN goes. */
#ifndef ENFORCE_ROUTES_H
#define ENFORCE_ROUTES_H
#include "enforce/gate.h"
#include "enforce/netlink.h"

struct routes_made {
	bool rules, routes;
};
/* Make what is missing; *ret_made says what was. The TUN's own routes are made if it is up. A host without
 * IPv6 gets none of it. */
int routes_ensure(struct netlink *n, const struct gate_config *c, struct routes_made *ret_made, struct diag *d);
int routes_remove(struct netlink *n, const struct gate_config *c, struct diag *d);

/* Is this message about our rules, our table or our TUN? */
bool routes_concern(const struct gate_config *c, const struct nlmsghdr *message);

#endif
