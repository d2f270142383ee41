#include "identity/directory.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct directory_names {
	struct directory_name *names;
	size_t count, cap;
};

struct directory_names *directory_names_new(void)
{
	return mem_new(1, sizeof(struct directory_names));
}

void directory_names_free(struct directory_names *n)
{
	if (!n)
		return;
	free(n->names);
	free(n);
}

/* Where the text is, or would be. */
static size_t place_of(const struct directory_names *n, const char *text, bool *ret_there)
{
	size_t low = 0, high = n->count;

	*ret_there = false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int c = strcasecmp(n->names[middle].text, text);

		if (c == 0) {
			*ret_there = true;
			return middle;
		}
		if (c < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct directory_name *directory_names_add(struct directory_names *n, const char *text)
{
	size_t len = strlen(text);
	bool there;
	size_t at = place_of(n, text, &there);

	if (there)
		return &n->names[at];
	if (len == 0 || len >= DIRECTORY_NAME || n->count == DIRECTORY_NAMES_MOST)
		return NULL;
	n->names = mem_grow(n->names, n->count, &n->cap, sizeof *n->names);
	memmove(&n->names[at + 1], &n->names[at], (n->count - at) * sizeof *n->names);
	n->names[at] = (struct directory_name){ 0 };
	memcpy(n->names[at].text, text, len);
	n->count++;
	return &n->names[at];
}

const struct directory_name *directory_names_find(const struct directory_names *n, const char *text)
{
	bool there = false;
	size_t at = n ? place_of(n, text, &there) : 0;

	return there ? &n->names[at] : NULL;
}

size_t directory_names_count(const struct directory_names *n)
{
	return n ? n->count : 0;
}

const struct directory_name *directory_names_at(const struct directory_names *n, size_t i)
{
	return &n->names[i];
}

void directory_names_put(struct wire_out *out, const struct directory_names *n)
{
	wire_put_u32(out, (uint32_t)n->count);
	for (size_t i = 0; i < n->count; i++) {
		const struct directory_name *d = &n->names[i];

		wire_put_text(out, d->text, sizeof d->text);
		wire_put_u8(out, (uint8_t)d->state);
		wire_put_u64(out, d->learnt_s);
		if (d->state == DIRECTORY_FOUND)
			sid_put(out, &d->sid);
	}
}

static bool get_name(struct wire_in *in, struct directory_names *n)
{
	char text[DIRECTORY_NAME] = "";
	struct directory_name *d;
	size_t before = n->count;
	uint8_t state;

	wire_text(in, text, sizeof text);
	state = wire_u8(in);
	if (in->failed || state >= DIRECTORY_STATES || !(d = directory_names_add(n, text)) || n->count == before)
		return false;
	d->state = (enum directory_state)state;
	d->learnt_s = wire_u64(in);
	if (d->state == DIRECTORY_FOUND)
		sid_get(in, &d->sid);
	return !in->failed;
}

struct directory_names *directory_names_get(struct wire_in *in)
{
	SCOPED(directory_names_freep) struct directory_names *n = directory_names_new();
	uint32_t count = wire_u32(in);

	for (uint32_t i = 0; i < count; i++)
		if (!get_name(in, n)) {
			in->failed = true;
			break;
		}
	return in->failed ? NULL : TAKE(n);
}
