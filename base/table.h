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
uint64_t table_hash(const void *octets, size_t n, uint64_t start);

#endif
