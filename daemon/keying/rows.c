#include "daemon/keying/rows.h"

#include <stdlib.h>

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static int by_pair(const void *a, const void *b)
{
	const struct sa_usage *x = a, *y = b;

	return x->pair < y->pair ? -1 : x->pair > y->pair;
}

static void collect_plane(const struct sad *s, struct keying_rows *r)
{
	size_t n = s ? least(sad_usage(s, NULL, 0), KEYING_WIRE_ROWS_MOST) : 0;

	r->usage = mem_new(n + 1, sizeof *r->usage);
	r->usage_count = s ? least(n, sad_usage(s, r->usage, n)) : 0;
	if (r->usage_count)
		qsort(r->usage, r->usage_count, sizeof *r->usage, by_pair);
	for (int i = 0; s && i < DROP_COUNT; i++)
		r->plane_dropped[i] = sad_dropped(s, (enum sad_drop)i);
}

static void collect_lists(const struct revocation_lists *l, struct keying_rows *r)
{
	size_t cap = 0;

	for (; l && r->list_count < REVOCATION_LISTS_MOST; r->list_count++) {
		r->lists = mem_grow(r->lists, r->list_count, &cap, sizeof *r->lists);
		if (!revocation_lists_row(l, r->list_count, &r->lists[r->list_count]))
			break;
	}
}

void keying_rows_collect(const struct keying *k, const struct sad *s, const struct revocation_lists *lists,
			 struct keying_rows *ret)
{
	struct keying_rows r = { 0 };
	size_t n = k ? least(keying_ike_rows(k, NULL, 0), KEYING_WIRE_ROWS_MOST) : 0;

	r.ike = mem_new(n + 1, sizeof *r.ike);
	r.ike_count = k ? least(n, keying_ike_rows(k, r.ike, n)) : 0;
	n = k ? least(keying_child_rows(k, NULL, 0), KEYING_WIRE_ROWS_MOST) : 0;
	r.children = mem_new(n + 1, sizeof *r.children);
	r.child_count = k ? least(n, keying_child_rows(k, r.children, n)) : 0;
	n = k ? least(keying_failures(k, NULL, 0), KEYING_WIRE_ROWS_MOST) : 0;
	r.failures = mem_new(n + 1, sizeof *r.failures);
	r.failure_count = k ? least(n, keying_failures(k, r.failures, n)) : 0;
	for (int i = 0; k && i < KEYING_DROP_COUNT; i++)
		r.dropped[i] = keying_dropped(k, (enum keying_drop)i);
	collect_plane(s, &r);
	collect_lists(lists, &r);
	*ret = r;
}
