#include "keying/line.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct line {
	struct line *before;
	unsigned references;
	uint64_t generation;
	uint8_t *lowest; /* the lower of the two nonces; NULL: not drawn yet */
	size_t lowest_len;
};

static void trim(struct line *l)
{
	for (unsigned n = 1; l && n < LINE_MOST; n++)
		l = l->before;
	if (!l)
		return;
	line_free(l->before);
	l->before = NULL;
}

struct line *line_new(struct line *before)
{
	struct line *l = mem_new(1, sizeof *l);

	*l = (struct line){ .before = before ? line_ref(before) : NULL, .references = 1 };
	l->generation = before ? before->generation + 1 : 0;
	trim(l);
	return l;
}

struct line *line_beside(struct line *l)
{
	return line_new(l ? l->before : NULL);
}

struct line *line_ref(struct line *l)
{
	l->references++;
	return l;
}

void line_free(struct line *l)
{
	while (l && --l->references == 0) {
		struct line *before = l->before;

		free(l->lowest);
		free(l);
		l = before;
	}
}

static int order(const void *a, size_t a_len, const void *b, size_t b_len)
{
	int r = memcmp(a, b, a_len < b_len ? a_len : b_len);

	return r ? r : (a_len > b_len) - (a_len < b_len);
}

void line_drawn(struct line *l, const void *nonce_i, size_t len_i, const void *nonce_r, size_t len_r)
{
	bool first = order(nonce_i, len_i, nonce_r, len_r) < 0;

	free(l->lowest);
	l->lowest_len = first ? len_i : len_r;
	l->lowest = mem_copy(first ? nonce_i : nonce_r, l->lowest_len);
}

/* The two where the lines part: of one generation, and what is before them is the same, or is not remembered. */
static void part(const struct line **a, const struct line **b)
{
	while ((*a)->generation > (*b)->generation && (*a)->before)
		*a = (*a)->before;
	while ((*b)->generation > (*a)->generation && (*b)->before)
		*b = (*b)->before;
	while (*a != *b && (*a)->before != (*b)->before && (*a)->before && (*b)->before) {
		*a = (*a)->before;
		*b = (*b)->before;
	}
}

bool line_related(const struct line *a, const struct line *b)
{
	part(&a, &b);
	return a == b || (a->before && a->before == b->before);
}

bool line_stays(const struct line *a, const struct line *b)
{
	bool younger = a->generation > b->generation;

	part(&a, &b);
	if (a == b || !a->lowest || !b->lowest)
		return younger;
	return order(a->lowest, a->lowest_len, b->lowest, b->lowest_len) > 0;
}
