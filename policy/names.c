#include "policy/names.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static uint64_t mix(uint64_t x)
{
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93u;
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93u;
	return x ^ x >> 32;
}

uint64_t hash_octets(uint64_t seed, const void *octets, size_t n)
{
	const unsigned char *at = octets;
	uint64_t h = seed ^ 0x9e3779b97f4a7c15u ^ n, word;

	for (; n >= 8; n -= 8, at += 8) {
		memcpy(&word, at, 8);
		h = mix(h ^ word);
	}
	if (n) {
		word = 0;
		memcpy(&word, at, n);
		h = mix(h ^ word);
	}
	return mix(h);
}

static struct name *slot(const struct names *n, const char *text, size_t len, uint64_t hash)
{
	size_t i = hash & (n->cap - 1);

	while (n->slots[i].text &&
	       (n->slots[i].hash != hash || n->slots[i].len != len || memcmp(n->slots[i].text, text, len) != 0))
		i = (i + 1) & (n->cap - 1);
	return &n->slots[i];
}

struct name *names_find(const struct names *n, const char *text, size_t len)
{
	struct name *s = n->cap ? slot(n, text, len, hash_octets(0, text, len)) : NULL;

	return s && s->text ? s : NULL;
}

static void grow(struct names *n)
{
	struct names bigger = { .cap = n->cap ? 2 * n->cap : 64 };

	bigger.slots = mem_new(bigger.cap, sizeof *bigger.slots);
	for (size_t i = 0; i < n->cap; i++)
		if (n->slots[i].text)
			*slot(&bigger, n->slots[i].text, n->slots[i].len, n->slots[i].hash) = n->slots[i];
	bigger.count = n->count;
	free(n->slots);
	*n = bigger;
}

struct name *names_add(struct names *n, const char *text, size_t len, int kind, void *value, struct place place,
		       bool *ret_new)
{
	uint64_t hash = hash_octets(0, text, len);
	struct name *s;

	if (2 * n->count >= n->cap)
		grow(n);
	s = slot(n, text, len, hash);
	*ret_new = !s->text;
	if (s->text)
		return s;
	*s = (struct name){ .text = text, .len = len, .hash = hash, .kind = kind, .value = value, .place = place };
	n->count++;
	return s;
}

void names_wipe(struct names *n)
{
	free(n->slots);
	*n = (struct names){ 0 };
}
