/* base/table.c - look-ups by number. */
#include "base/mem.h"
#include "base/table.h"
#include <stdlib.h>

struct table_node {
	uint64_t key;
	void *value;
	struct table_node *next;
};

static size_t bucket(const struct table *t, uint64_t key)
{
	key ^= key >> 31;
	key *= UINT64_C(0x9e3779b97f4a7c15);
	key ^= key >> 29;
	return (size_t)key & (t->bucket_count - 1);
}

static void widen(struct table *t)
{
	struct table wide = { .bucket_count = t->bucket_count ? 2 * t->bucket_count : 16, .count = t->count };

	wide.buckets = mem_new(wide.bucket_count, sizeof *wide.buckets);
	for (size_t i = 0; i < t->bucket_count; i++)
		for (struct table_node *n = t->buckets[i], *next; n; n = next) {
			struct table_node **at = &wide.buckets[bucket(&wide, n->key)];
			next = n->next;
			n->next = *at;
			*at = n;
		}
	free(t->buckets);
	*t = wide;
}

void table_add(struct table *t, uint64_t key, void *value)
{
	if (t->count >= t->bucket_count)
		widen(t);
	struct table_node *n = mem_new(1, sizeof *n), **at = &t->buckets[bucket(t, key)];
	*n = (struct table_node){ key, value, *at };
	*at = n;
	t->count++;
}

void *table_find(const struct table *t, uint64_t key, table_same *same, const void *what)
{
	if (!t->count)
		return NULL;
	for (struct table_node *n = t->buckets[bucket(t, key)]; n; n = n->next)
		if (n->key == key && (!same || same(n->value, what)))
			return n->value;
	return NULL;
}

void table_remove(struct table *t, uint64_t key, const void *value)
{
	if (!t->count)
		return;
	for (struct table_node **at = &t->buckets[bucket(t, key)]; *at; at = &(*at)->next) {
		struct table_node *n = *at;
		if (n->key != key || n->value != value)
			continue;
		*at = n->next;
		free(n);
		t->count--;
		return;
	}
}

void table_wipe(struct table *t)
{
	for (size_t i = 0; i < t->bucket_count; i++)
		for (struct table_node *n = t->buckets[i], *next; n; n = next) {
			next = n->next;
			free(n);
		}
	free(t->buckets);
	*t = (struct table){ 0 };
}

void *table_any(const struct table *t, uint64_t *ret_key)
{
	for (size_t i = 0; t->count && i < t->bucket_count; i++)
		if (t->buckets[i]) {
			*ret_key = t->buckets[i]->key;
			return t->buckets[i]->value;
		}
	return NULL;
}

uint64_t table_hash(const void *octets, size_t n, uint64_t start)
{
	const uint8_t *p = octets;
	uint64_t h = start ^ UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * UINT64_C(0x100000001b3);
	return h;
}

void table_each(const struct table *t, void (*each)(void *context, void *value), void *context)
{
	for (size_t i = 0; i < t->bucket_count; i++)
		for (struct table_node *n = t->buckets[i]; n; n = n->next)
			each(context, n->value);
}
