#include "identity/groups.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct membership *membership_new(uint32_t count)
{
	struct membership *m = mem_new(1, sizeof *m + 2 * MEMBERSHIP_OCTETS(count));

	m->count = count;
	return m;
}

void membership_free(struct membership *m)
{
	free(m);
}

static size_t octets(const struct membership *m)
{
	return sizeof *m + 2 * MEMBERSHIP_OCTETS(m->count);
}

struct membership *membership_copy(const struct membership *m)
{
	return mem_copy(m, octets(m));
}

bool membership_equal(const struct membership *a, const struct membership *b)
{
	return a->count == b->count && memcmp(a->bits, b->bits, 2 * MEMBERSHIP_OCTETS(a->count)) == 0;
}

void membership_put(struct membership *m, size_t group, enum member is)
{
	uint8_t bit = (uint8_t)(1u << group % 8);
	uint8_t *sure = &m->bits[group / 8], *may = sure + MEMBERSHIP_OCTETS(m->count);

	*sure = (uint8_t)(is == MEMBER_YES ? *sure | bit : *sure & ~bit);
	*may = (uint8_t)(is != MEMBER_NO ? *may | bit : *may & ~bit);
}

void membership_meet(struct membership *m, const struct membership *with)
{
	size_t n = MEMBERSHIP_OCTETS(m->count);

	for (size_t i = 0; i < n; i++) {
		m->bits[i] &= with->bits[i];
		m->bits[n + i] |= with->bits[n + i];
	}
	m->learnt_s = with->learnt_s > m->learnt_s ? with->learnt_s : m->learnt_s;
}

struct membership *membership_renumbered(const struct membership *m, const uint32_t *from, uint32_t count)
{
	struct membership *to = membership_new(count);

	to->learnt_s = m->learnt_s;
	for (uint32_t i = 0; i < count; i++)
		membership_put(to, i, from[i] < m->count ? membership_get(m, from[i]) : MEMBER_MAYBE);
	return to;
}
