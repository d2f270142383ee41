/* daemon/parts/engine_doors.h - what keying may have the parent do to the ruleset, and how much of it: peers that are
 * talked to in clear, peers that are secured. Each is looked at with the parent's own plan, since keying hears the
 * network: clear only where a rule asks for no more than `request`, and all within bounds. What is refused is counted
 * and told.
 */
#ifndef DAEMON_PARTS_ENGINE_DOORS_H
#define DAEMON_PARTS_ENGINE_DOORS_H
#include "base/wire.h"
#include "daemon/parts/engine.h"

struct doors;

enum {
	DOORS_FALLBACKS_MOST = 4096,
	DOORS_FALLBACK_S_MOST = 3600,
	DOORS_SECURED_MOST = 1 << 18,
	DOORS_PER_S = 20000,      /* requests; and so many at once */
	DOORS_LATE_MS = 10000,    /* a request of before the plan changed comes no later */
	DOORS_STALE_MS = 4000000, /* SAs of a keying that has ended are gone by then */
};

struct doors *doors_new(const struct engine_config *c);
void doors_free(struct doors *d);
void doors_set_plan(struct doors *d, uint64_t number, struct plan *plan);
/* A new keying has begun: what it does not say again by and by is forgotten. */
void doors_keying_came(struct doors *d);

void doors_fallback(struct doors *d, const struct addr *local, const struct addr *remote, uint32_t seconds);
void doors_secured(struct doors *d, const struct addr *local, const struct addr *remote, bool up);
/* A message about who is behind which addresses (members.h), to be answered. Negative: not well-formed. */
int doors_members(struct doors *d, struct wire_in *body, uint64_t *ret_request, bool *ret_done);
/* Of a packet that the firewall has dropped: from somebody who has proven itself, but is no member? */
void doors_explain(const struct doors *d, struct event *e);
void doors_keys(struct doors *d, const char *line);

size_t doors_fallbacks(const struct doors *d, const struct engine_fallback **ret);
bool doors_has_peer(const struct doors *d, const struct addr *remote);
/* Would the plan have them talk in clear; are they protected by it? */
bool doors_may_fall_back(const struct plan *plan, const struct addr *local, const struct addr *remote);
bool doors_may_secure(const struct plan *plan, const struct addr *local, const struct addr *remote);

#endif
