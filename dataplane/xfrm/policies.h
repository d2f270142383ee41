/* dataplane/xfrm/policies.h - the policies that are ours in the kernel, and how a plan's take the place of another's
 * without a moment in which less is protected than either says. */
#ifndef DATAPLANE_XFRM_POLICIES_H
#define DATAPLANE_XFRM_POLICIES_H
#include "base/table.h"
#include "dataplane/xfrm/ask.h"
#include "dataplane/xfrm/wanted.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct diag;

/* One that stands there. */
struct standing {
	struct policy_key key;
	struct policy_does does, before; /* before: while one plan takes the place of another */
	uint32_t index;
	size_t place;
	unsigned uses;            /* of a front: by how many SAs */
	uint64_t until_ms;        /* of what passes in clear for a time; else 0 */
	bool front, fresh, known; /* fresh: of the plan that comes. known: we wrote it, and know what it does */
	bool there;               /* in the list that was read last, and as it should be */
	bool changed;             /* or another one with its number */
};

struct policies {
	struct asker *asker;
	struct table by_key, by_index;
	struct standing **all; /* in no order; each knows its place */
	size_t count, cap;
	uint32_t next, generation;
	uint64_t next_end; /* of what passes in clear for a time; UINT64_MAX: nothing does */
};

void policies_init(struct policies *p, struct asker *a);
void policies_wipe(struct policies *p); /* memory only: the kernel's stay */

/* Take over what stands in the kernel of ours. */
int policies_adopt(struct policies *p, struct diag *d);
/* Those of a plan, for all that there is, fronts too. On failure what stood there stands. */
int policies_replace(struct policies *p, const struct wanted_list *l, struct diag *d);

/* In front of the plan's. Used by one more SA, or (until_ms) passing in clear until then, which the kernel keeps to
 * even without us. Nothing is there on failure. */
int policies_add_front(struct policies *p, const struct wanted_list *l, uint64_t until_ms, struct diag *d);
void policies_drop_front(struct policies *p, const struct wanted_list *l);
/* What passed in clear until now, or at all (UINT64_MAX), between these two (NULL: any). */
void policies_end_clear(struct policies *p, uint64_t now_ms, const struct addr *local, const struct addr *remote);

/* See wanted_front. */
unsigned policies_depth(const struct policies *p, const struct sa_selector *s);
/* Packets that wait at this one are looked at again. */
void policies_touch(struct policies *p, uint32_t index);
/* What somebody else has removed or changed is as it was; *ret_count: how many were not. On failure the others are. */
int policies_mend(struct policies *p, uint64_t now_ms, size_t *ret_count, struct diag *d);
int policies_remove_all(struct policies *p, struct diag *d);

#endif
