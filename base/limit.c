#include "base/limit.h"

#include <stddef.h>

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

bool limit_bucket_take(struct limit_bucket *b, const struct limit_rate *r, uint64_t now_ms)
{
	uint64_t full = (uint64_t)r->burst * 1000, passed;

	if (!b->begun)
		*b = (struct limit_bucket){ .at_ms = now_ms, .thousandths = full, .begun = true };
	/* A clock that went back gives nothing and costs nothing. */
	passed = now_ms > b->at_ms ? now_ms - b->at_ms : 0;
	if (r->per_s && passed >= full / r->per_s + 1)
		b->thousandths = full;
	else
		b->thousandths = least(full, b->thousandths + passed * r->per_s);
	b->at_ms = now_ms;
	if (b->thousandths < 1000)
		return false;
	b->thousandths -= 1000;
	return true;
}

/* The row of this key; a new one in the place of that which has been quiet longest. */
static struct limit_row *row_of(struct limit *l, uint64_t key)
{
	struct limit_row *set = l->rows[(key ^ key >> 32) % LIMIT_SETS], *old = set;

	for (size_t i = 0; i < LIMIT_WAYS; i++) {
		if (set[i].bucket.begun && set[i].key == key)
			return &set[i];
		if (old->bucket.begun && (!set[i].bucket.begun || set[i].bucket.at_ms < old->bucket.at_ms))
			old = &set[i];
	}
	l->forgotten += old->left_out;
	*old = (struct limit_row){ .key = key };
	return old;
}

static uint32_t sum(uint32_t a, uint32_t b)
{
	return a > UINT32_MAX - b ? UINT32_MAX : a + b;
}

bool limit_take_after(struct limit *l, uint64_t key, uint64_t now_ms, uint32_t before, uint32_t *ret_left_out)
{
	struct limit_row *row = row_of(l, key);

	if (!limit_bucket_take(&row->bucket, &l->each, now_ms) || !limit_bucket_take(&l->total, &l->all, now_ms)) {
		row->left_out = sum(sum(row->left_out, before), 1);
		return false;
	}
	*ret_left_out = sum(row->left_out, before);
	row->left_out = 0;
	return true;
}

bool limit_take(struct limit *l, uint64_t key, uint64_t now_ms, uint32_t *ret_left_out)
{
	return limit_take_after(l, key, now_ms, 0, ret_left_out);
}

uint64_t limit_forgotten(struct limit *l)
{
	uint64_t n = l->forgotten;

	l->forgotten = 0;
	return n;
}
