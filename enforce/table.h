/* enforce/table.h - our table as the kernel has it, by netlink: elements of its sets, its counters, and whether it is
 * still what we made. */
#ifndef ENFORCE_TABLE_H
#define ENFORCE_TABLE_H
#include "enforce/netlink.h"
#include "enforce/ruleset.h"

/* TABLE_FALLEN has the remote addresses of TABLE_FALLBACK alone, for hosts behind us whose local one is not known yet;
 * TABLE_EXEMPTED has remote addresses alone as well. */
enum table_set { TABLE_FALLBACK, TABLE_FALLEN, TABLE_SECURED, TABLE_SURE, TABLE_SURE_IN, TABLE_EXEMPTED };

/* Add (again: with the new time) or remove a pair of addresses. timeout_s 0: for good. Removing what is not there is
 * no error. */
int table_pair_add(struct netlink *nft, enum table_set set, const struct addr *local, const struct addr *remote,
		   uint32_t timeout_s, struct diag *d);
int table_pair_remove(struct netlink *nft, enum table_set set, const struct addr *local, const struct addr *remote,
		      struct diag *d);
/* The same with what SA they came under, of TABLE_SURE_IN alone. */
int table_pair_add_under(struct netlink *nft, const struct addr *local, const struct addr *remote, uint32_t reqid,
			 struct diag *d);
int table_pair_remove_under(struct netlink *nft, const struct addr *local, const struct addr *remote, uint32_t reqid,
			    struct diag *d);
/* Is the pair in the set? Where the kernel cannot say: yes. */
bool table_pair_is_in(struct netlink *nft, enum table_set set, const struct addr *local, const struct addr *remote);
/* All pairs of a set, both families; none if there is no table. free() the array. */
int table_pairs(struct netlink *nft, enum table_set set, struct ruleset_pair **ret, size_t *ret_count, struct diag *d);

/* The elements of one set, by its name. 0 or what the kernel says: -EINTR, it was changed meanwhile. */
typedef void (*table_element_fn)(void *context, const char *set, const uint8_t *key, size_t n);
int table_elements(struct netlink *nft, const char *set, table_element_fn each, void *context);

typedef void (*table_counter_fn)(void *context, enum gate_count kind, uint32_t rule, struct ruleset_count n);
int table_counters(struct netlink *nft, table_counter_fn each, void *context, struct diag *d);

/* A number made from everything in the table that does not change by itself; another number means that somebody has
 * been there. 0: there is no table. */
int table_fingerprint(struct netlink *nft, uint64_t *ret, struct diag *d);
/* Is this message about our table? */
bool table_concerns(const struct nlmsghdr *message);
bool table_exists(struct netlink *nft);
/* No error if there is none. */
int table_delete(struct netlink *nft, const char *table, struct diag *d);

#endif
