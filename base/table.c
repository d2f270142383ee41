/* base/table.c - look-ups by number. */
#include "base/diag.h"
#include "base/mem.h"
#include "base/table.h"
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct table_node {
	uint64_t key;
	void *value;
	struct table_node *next;
};

/* Not a key of anything but of which bucket a value lies in. */
static struct {
	uint64_t multiplier; /* odd */
	uint64_t sip[2];
} secret = { .multiplier = UINT64_C(0x9e3779b97f4a7c15) };

int table_seed(struct diag *d)
{
	if (getrandom(&secret, sizeof secret, 0) != (ssize_t)sizeof secret)
		return diag_errno(d, errno, "get random octets from the kernel");
	secret.multiplier |= 1;
	return 0;
}

/* Multiply-shift: for whoever does not know the multiplier, two numbers meet as rarely as by chance. Buckets are a
 * power of two, 16 at least. */
static size_t bucket(const struct table *t, uint64_t key)
{
	return (size_t)((key * secret.multiplier) >> (64 - __builtin_ctzll(t->bucket_count)));
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

/* ---- SipHash-2-4 (Aumasson and Bernstein, 2012) ------------------------------------------------------------------ */

static uint64_t rotate(uint64_t v, unsigned by)
{
	return v << by | v >> (64 - by);
}

static void sip_rounds(uint64_t v[4], unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		v[0] += v[1];
		v[2] += v[3];
		v[1] = rotate(v[1], 13) ^ v[0];
		v[3] = rotate(v[3], 16) ^ v[2];
		v[0] = rotate(v[0], 32) + v[3];
		v[2] += v[1];
		v[3] = rotate(v[3], 21) ^ v[0];
		v[1] = rotate(v[1], 17) ^ v[2];
		v[2] = rotate(v[2], 32);
	}
}

static void sip_word(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	sip_rounds(v, 2);
	v[0] ^= word;
}

uint64_t table_siphash(const uint64_t key[2], const void *octets, size_t n)
{
	uint64_t v[4] = { key[0] ^ UINT64_C(0x736f6d6570736575), key[1] ^ UINT64_C(0x646f72616e646f6d),
			  key[0] ^ UINT64_C(0x6c7967656e657261), key[1] ^ UINT64_C(0x7465646279746573) };
	uint64_t word = 0, last = (uint64_t)n << 56;
	const uint8_t *p = octets;

	for (; n >= sizeof word; n -= sizeof word, p += sizeof word) {
		memcpy(&word, p, sizeof word);
		sip_word(v, le64toh(word));
	}
	for (size_t i = 0; i < n; i++)
		last |= (uint64_t)p[i] << (8 * i);
	sip_word(v, last);
	v[2] ^= 0xff;
	sip_rounds(v, 4);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t table_hash_secret(const void *octets, size_t n, uint64_t start)
{
	return table_siphash((const uint64_t[2]){ secret.sip[0] ^ start, secret.sip[1] }, octets, n);
}

void table_each(const struct table *t, void (*each)(void *context, void *value), void *context)
{
	for (size_t i = 0; i < t->bucket_count; i++)
		for (struct table_node *n = t->buckets[i]; n; n = n->next)
			each(context, n->value);
}
