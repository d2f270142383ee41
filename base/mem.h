/* base/mem.h - memory that is there: running out of it ends the process with a message. The nftables ruleset stays,
 * so ending is the safe thing to do. Sizes that an outsider chooses are bounded before they come here. */
#ifndef BASE_MEM_H
#define BASE_MEM_H
#include <stddef.h>

void *mem_new(size_t n, size_t size) __attribute__((returns_nonnull, malloc));             /* zeroed; free() it */
void *mem_new_aligned(size_t align, size_t size) __attribute__((returns_nonnull, malloc)); /* size: a multiple */
/* The same for tables of megabytes that are read at random: in huge pages where the system gives them, because a
 * look-up there costs as much for its page's address as for its data. free() it. */
void *mem_new_huge(size_t n, size_t size) __attribute__((returns_nonnull, malloc));
void *mem_resize(void *p, size_t n, size_t size) __attribute__((returns_nonnull));
void *mem_copy(const void *p, size_t n) __attribute__((returns_nonnull));
char *mem_string(const char *text) __attribute__((returns_nonnull));
char *mem_string_n(const char *text, size_t n) __attribute__((returns_nonnull));

/* Make room for one more in an array that doubles: *array has *cap elements of `size` octets, `used` in use. */
void *mem_grow(void *array, size_t used, size_t *cap, size_t size) __attribute__((returns_nonnull));

/* Many small objects freed together: one message, one policy. Aligned for any type, zeroed. */
struct arena {
	struct arena_block *blocks;
	size_t left; /* in the newest block */
	size_t total;
};

void *arena_new(struct arena *a, size_t n, size_t size) __attribute__((returns_nonnull));
char *arena_string(struct arena *a, const char *text, size_t n) __attribute__((returns_nonnull));
void arena_wipe(struct arena *a); /* frees all; for SCOPED */

#endif
