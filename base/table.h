/* base/table.h - look-ups by number: chains, doubled when full. Several entries may share a key. */
#ifndef BASE_TABLE_H
#define BASE_TABLE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table {
	struct table_node **buckets;
	size_t bucket_count, count;
};

/* Is this value the one that is looked for? NULL: the first with the key. */
typedef bool table_same(const void *value, const void *what);

void table_add(struct table *t, uint64_t key, void *value);
void *table_find(const struct table *t, uint64_t key, table_same *same, const void *what);
void table_remove(struct table *t, uint64_t key, const void *value);
void table_wipe(struct table *t); /* the nodes; values are the caller's */
/* Each value once; the table must not change meanwhile. */
void table_each(const struct table *t, void (*each)(void *context, void *value), void *context);
/* Any value, to empty a table; NULL: there is none. */
void *table_any(const struct table *t, uint64_t *ret_key);
/* The same in every process and at every time: not for what somebody else chooses, who can make as many octets with one
 * number as he likes. */
uint64_t table_hash(const void *octets, size_t n, uint64_t start);
/* For keys that come from the network: SipHash-2-4 by the process's secret. */
uint64_t table_hash_secret(const void *octets, size_t n, uint64_t start);
uint64_t table_siphash(const uint64_t key[2], const void *octets, size_t n);
/* Choose the secret by which keys, and numbers that are keys, go to buckets. Once for a process, before its first
 * table; without it they go where they go in every run, as tests like it. */
struct diag;
int table_seed(struct diag *d);

#endif
