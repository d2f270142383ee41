/* policy/names.h - what a name of the policy means: a table by text that keeps who said it first. */
#ifndef POLICY_NAMES_H
#define POLICY_NAMES_H
#include "base/report.h"
#include <stddef.h>
#include <stdint.h>

struct name {
	const char *text; /* NULL: an empty slot; lives longer than the table */
	size_t len;
	uint64_t hash;
	int kind; /* the caller's */
	void *value;
	struct place place;
};

struct names {
	struct name *slots; /* a power of two of them */
	size_t count, cap;
};

struct name *names_find(const struct names *n, const char *text, size_t len);
/* The new name, or the one that was there before (*ret_new false). Pointers are good until the next call. */
struct name *names_add(struct names *n, const char *text, size_t len, int kind, void *value, struct place place,
		       bool *ret_new);
void names_wipe(struct names *n);

/* For other tables by content. */
uint64_t hash_octets(uint64_t seed, const void *octets, size_t n);

#endif
