#include "base/mem.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static void *there(void *p)
{
	if (!p) {
		(void)fputs("cordon: out of memory\n", stderr);
		abort();
	}
	return p;
}

void *mem_new(size_t n, size_t size)
{
	return there(calloc(n ? n : 1, size ? size : 1));
}

void *mem_new_aligned(size_t align, size_t size)
{
	void *p = there(aligned_alloc(align, size));

	memset(p, 0, size);
	return p;
}

void *mem_new_huge(size_t n, size_t size)
{
	const size_t page = (size_t)2 << 20;
	size_t octets;
	void *p;

	if (size == 0 || n < page / size)
		return mem_new(n, size);
	if (n > (SIZE_MAX / 2 - page) / size)
		(void)there(NULL);
	octets = (n * size + page - 1) / page * page;
	p = there(aligned_alloc(page, octets));
	(void)madvise(p, octets, MADV_HUGEPAGE); /* best effort */
	memset(p, 0, octets);
	return p;
}

void *mem_resize(void *p, size_t n, size_t size)
{
	if (n == 0 || size == 0)
		n = size = 1;
	return there(reallocarray(p, n, size));
}

void *mem_copy(const void *p, size_t n)
{
	void *copy = mem_new(n, 1);

	if (n)
		memcpy(copy, p, n);
	return copy;
}

char *mem_string_n(const char *text, size_t n)
{
	char *copy = mem_new(n + 1, 1);

	if (n)
		memcpy(copy, text, n);
	return copy;
}

char *mem_string(const char *text)
{
	return mem_string_n(text, strlen(text));
}

void *mem_grow(void *array, size_t used, size_t *cap, size_t size)
{
	if (used < *cap)
		return array;
	*cap = *cap ? 2 * *cap : 8;
	return mem_resize(array, *cap, size);
}

struct arena_block {
	struct arena_block *older;
	size_t size;
	alignas(max_align_t) unsigned char octets[];
};

enum { ARENA_BLOCK = 64 * 1024 };

void *arena_new(struct arena *a, size_t n, size_t size)
{
	const size_t unit = alignof(max_align_t);
	size_t need;
	void *p;

	if (size && n > (SIZE_MAX / 2 - unit) / size)
		(void)there(NULL);
	need = (n * size + unit - 1) / unit * unit;
	need = need ? need : unit;
	if (need > a->left) {
		size_t room = need > ARENA_BLOCK ? need : ARENA_BLOCK;
		struct arena_block *b = mem_new(1, sizeof *b + room);

		b->older = a->blocks;
		b->size = room;
		a->blocks = b;
		a->left = room;
		a->total += sizeof *b + room;
	}
	p = a->blocks->octets + (a->blocks->size - a->left);
	a->left -= need;
	return p;
}

char *arena_string(struct arena *a, const char *text, size_t n)
{
	char *copy = arena_new(a, n + 1, 1);

	if (n)
		memcpy(copy, text, n);
	return copy;
}

void arena_wipe(struct arena *a)
{
	while (a->blocks) {
		struct arena_block *older = a->blocks->older;

		free(a->blocks);
		a->blocks = older;
	}
	*a = (struct arena){ 0 };
}
