/* policy/compile/bits.h - a set of small numbers in which the next one is found at once, among a hundred thousand too:
 * a bitmap with summaries of itself. For this folder only. */
#ifndef POLICY_COMPILE_BITS_H
#define POLICY_COMPILE_BITS_H
#include <stddef.h>
#include <stdint.h>

struct bits {
	uint64_t *levels[4]; /* each says which words of the one before are not zero; 64^4 numbers at most */
	size_t count;
};

void bits_new(struct bits *b, size_t n); /* numbers below n, none set */
void bits_wipe(struct bits *b);
void bits_set(struct bits *b, size_t i);
void bits_clear(struct bits *b, size_t i);
/* The first that is set at or after i; SIZE_MAX: none. */
size_t bits_next(const struct bits *b, size_t i);

#endif
