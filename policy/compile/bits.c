#include "policy/compile/bits.h"

#include "base/mem.h"
#include "base/scope.h"

#include <stdlib.h>

void bits_new(struct bits *b, size_t n)
{
	b->count = n;
	for (size_t level = 0; level < ARRAY_LEN(b->levels); level++) {
		n = (n + 63) / 64;
		b->levels[level] = mem_new(n, 8);
	}
}

void bits_wipe(struct bits *b)
{
	for (size_t level = 0; level < ARRAY_LEN(b->levels); level++)
		free(b->levels[level]);
	*b = (struct bits){ 0 };
}

void bits_set(struct bits *b, size_t i)
{
	for (size_t level = 0; level < ARRAY_LEN(b->levels); level++, i /= 64)
		b->levels[level][i / 64] |= (uint64_t)1 << i % 64;
}

void bits_clear(struct bits *b, size_t i)
{
	for (size_t level = 0; level < ARRAY_LEN(b->levels); level++, i /= 64) {
		b->levels[level][i / 64] &= ~((uint64_t)1 << i % 64);
		if (b->levels[level][i / 64])
			return;
	}
}

size_t bits_next(const struct bits *b, size_t i)
{
	size_t level = 0, sizes[ARRAY_LEN(b->levels)] = { 0 }, n = b->count;

	for (size_t k = 0; k < ARRAY_LEN(sizes); k++)
		sizes[k] = n = (n + 63) / 64;
	for (;;) {
		uint64_t word;

		if (i / 64 >= sizes[level])
			return SIZE_MAX;
		word = b->levels[level][i / 64] & ~(uint64_t)0 << i % 64;
		if (word) {
			i = i / 64 * 64 + (size_t)__builtin_ctzll(word);
			while (level-- > 0)
				i = i * 64 + (size_t)__builtin_ctzll(b->levels[level][i]);
			return i;
		}
		i = i / 64 + 1;
		if (++level == ARRAY_LEN(b->levels)) /* over 64^4 words never happens: USES_MOST is less */
			return SIZE_MAX;
	}
}
