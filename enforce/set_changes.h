/* enforce/set_changes.h - elements of sets in the kernel, added and removed by as few transactions as hold them: of one
 * element in ten thousand that is a fraction of a millisecond, through the nft program a hundred. Inside enforce/ only.
 */
#ifndef ENFORCE_SET_CHANGES_H
#define ENFORCE_SET_CHANGES_H
#include "enforce/netlink.h"

struct addr;

struct set_changes {
	struct netlink *nft;
	/* What is removed may not be there: it is added first. Without it, such a removal fails the transaction. */
	bool careful;
	int failed;                 /* what the kernel said first */
	size_t len, count, last_at; /* where the last change begins */
	_Alignas(8) char messages[65536];
};

void set_changes_begin(struct set_changes *c, struct netlink *nft, bool careful);
/* The pair of remote and local in the set of our table. Adding what is there is no error. */
void set_changes_add(struct set_changes *c, const char *set, const struct addr *remote, const struct addr *local);
void set_changes_remove(struct set_changes *c, const char *set, const struct addr *remote, const struct addr *local);
/* The rest. 0, or what the kernel said: then that transaction had no effect, nor had any after it. */
int set_changes_end(struct set_changes *c);

#endif
