#include "dataplane/esp/replay.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>

/* A window touches a word more than it fills. */
void replay_init(struct replay *w, uint32_t bits)
{
	const uint32_t least = (bits + 63) / 64 + 1;

	*w = (struct replay){ .bits = bits, .words = 1 };
	while (w->words < least)
		w->words *= 2;
	w->seen = mem_new(w->words, sizeof *w->seen);
}

void replay_wipe(struct replay *w)
{
	free(w->seen);
	*w = (struct replay){ 0 };
}

static uint64_t *word_of(struct replay *w, uint64_t seq)
{
	return &w->seen[seq / 64 & (w->words - 1)];
}

int replay_check(const struct replay *w, uint64_t seq)
{
	if (seq == 0)
		return -ESTALE;
	if (seq > w->top)
		return 0;
	if (w->top - seq >= w->bits)
		return -ESTALE;
	return w->seen[seq / 64 & (w->words - 1)] >> seq % 64 & 1 ? -EALREADY : 0;
}

/* The words that the window enters are those that it leaves. */
static void advance(struct replay *w, uint64_t seq)
{
	uint64_t words = seq / 64 - w->top / 64;

	if (words > w->words)
		words = w->words;
	for (uint64_t i = 0; i < words; i++)
		*word_of(w, seq - 64 * i) = 0;
	w->top = seq;
}

int replay_accept(struct replay *w, uint64_t seq)
{
	int r = replay_check(w, seq);

	if (r < 0)
		return r;
	if (seq > w->top)
		advance(w, seq);
	*word_of(w, seq) |= UINT64_C(1) << seq % 64;
	return 0;
}

bool replay_extend(const struct replay *w, uint32_t low, uint64_t *ret_seq)
{
	uint32_t top_low = (uint32_t)w->top, high = (uint32_t)(w->top >> 32);
	uint32_t bottom = top_low - w->bits + 1; /* may wrap: then the window spans two values of the high half */

	if (top_low >= w->bits - 1) {
		if (low < bottom) {
			if (high == UINT32_MAX)
				return false;
			high++;
		}
	} else if (low >= bottom) {
		if (high == 0)
			return false;
		high--;
	}
	*ret_seq = (uint64_t)high << 32 | low;
	return true;
}
