#include "keying/source.h"

#include "keying/engine.h"

enum { AHEAD_MS = 4096 }; /* so many may come at once as are due in so long: 256 without a cookie, 1024 with */

static const uint32_t every_ms[SOURCE_KINDS] = { [SOURCE_UNSEEN] = 16, [SOURCE_SEEN] = 4 };

struct source *source_of(struct keying *k, const struct addr *remote)
{
	size_t octets = remote->family == 4 ? 4 : 8;

	return &k->sources[table_hash_secret(remote->octets, octets, remote->family) % SOURCES];
}

bool source_take(struct keying *k, const struct addr *remote, enum source_kind kind)
{
	uint64_t *due = &source_of(k, remote)->due_ms[kind];

	if (*due < k->now_ms)
		*due = k->now_ms;
	if (*due - k->now_ms >= AHEAD_MS)
		return false;
	*due += every_ms[kind];
	return true;
}

void source_proven(struct keying *k, const struct addr *remote)
{
	struct source *s = source_of(k, remote);

	for (size_t i = 0; i < SOURCE_KINDS; i++)
		s->due_ms[i] = 0;
}
