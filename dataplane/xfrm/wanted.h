/* dataplane/xfrm/wanted.h - the policies that a plan wants in the kernel. Pure.
 *
 * Priorities (the kernel's lowest wins): generations of plans, the newer before the older, so that while one replaces
 * the other every packet meets what one of them says; in a generation first the longest prefix of the other end, then
 * the place in its list. Even numbers are for what an SA, a peer without IKE, or a tunnel's exemption of ESP puts
 * before an entry of the plan. */
#ifndef DATAPLANE_XFRM_WANTED_H
#define DATAPLANE_XFRM_WANTED_H
#include "dataplane/xfrm/message.h"
#include "policy/plan.h"
#include <stddef.h>
#include <stdint.h>

struct diag;

enum {
	WANTED_LIST_MOST = 8000, /* entries of a list, for one kernel priority each */
	WANTED_STEP = 16384,     /* between prefix lengths */
	WANTED_GENERATION = WANTED_STEP * 130,
	WANTED_GENERATIONS = 400,  /* we count down from there; over it others' policies come before ours */
	WANTED_CLEAR_PRIORITY = 1, /* of what bears a mark, and of what stands above every plan */
};

struct wanted {
	struct policy_key key;
	struct policy_does does; /* priority: within the generation, unless it stands above */
	bool above;              /* every generation */
};

struct wanted_list {
	struct wanted *rows;
	size_t count, cap;
};
void wanted_wipe(struct wanted_list *l);

/* All of them, the most specific first. most: -ERR_UNSUPPORTED if it takes more, with the rule that takes most. */
int wanted_of_plan(const struct plan *plan, size_t most, struct wanted_list *ret, struct diag *d);
/* Those that let pass what bears this mark, in both families and all directions. */
void wanted_add_mark(struct wanted_list *l, uint32_t value, uint32_t mask);

/* What goes in front of the entry of the plan that wins between two addresses, for part of what it selects: policies of
 * one SA, or of what may go in clear. in NULL: outwards only. At most `most` (-E2BIG). mark: the mask by which the
 * kernel tells them from the plan's, the value being 0: a policy that wants a bit unset that nobody sets. depth: of the
 * prefix by which the plan's own policies find the other end (policies_depth). */
struct wanted_front {
	const struct plan *plan;
	const struct sa_selector *selector;
	const struct plan_entry *entry;
	const struct policy_does *out, *in;
	uint32_t mark;
	unsigned depth;
	size_t most;
};
int wanted_add_front(struct wanted_list *l, const struct wanted_front *f);

/* What the plan's own policies ask for such an entry between two addresses (no priority in it). */
struct policy_does wanted_template(const struct plan *plan, const struct plan_entry *e, const struct addr *local,
				   const struct addr *remote, bool inbound);

#endif
