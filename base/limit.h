/* base/limit.h - how often something may be said: a token bucket for each key and one for all together, with a count of
 * what was left out. Memory is fixed: of too many keys the one that has been quiet longest is forgotten, and what it
 * left out is counted with all. The caller brings the clock. */
#ifndef BASE_LIMIT_H
#define BASE_LIMIT_H
#include <stdbool.h>
#include <stdint.h>

struct limit_rate {
	uint32_t per_s, burst; /* burst at least 1 */
};

struct limit_bucket {
	uint64_t at_ms, thousandths; /* what was there then */
	bool begun;
};
/* One of it, if there is one. */
bool limit_bucket_take(struct limit_bucket *b, const struct limit_rate *r, uint64_t now_ms);

enum { LIMIT_SETS = 64, LIMIT_WAYS = 4 };

struct limit_row {
	uint64_t key;
	struct limit_bucket bucket;
	uint32_t left_out;
};

struct limit {
	struct limit_rate each, all;
	struct limit_bucket total;
	struct limit_row rows[LIMIT_SETS][LIMIT_WAYS];
	uint64_t forgotten; /* left out, of keys that are no longer known */
};

/* May it be said? Then *ret_left_out is how often it was not since the last time. keys: hashes (base/table.h). */
bool limit_take(struct limit *l, uint64_t key, uint64_t now_ms, uint32_t *ret_left_out);
/* The same behind another limit, which left out so many before it let this one through. */
bool limit_take_after(struct limit *l, uint64_t key, uint64_t now_ms, uint32_t before, uint32_t *ret_left_out);
/* What was left out of keys that were forgotten, since the last call. */
uint64_t limit_forgotten(struct limit *l);

#endif
