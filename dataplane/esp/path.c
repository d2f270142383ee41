#include "dataplane/esp/path.h"

#include <string.h>

static struct path *row_of(struct paths *p, const struct addr *local, const struct addr *remote)
{
	uint64_t words[4], h = 0;
	struct path *row, *oldest;

	memcpy(words, local->octets, 16);
	memcpy(words + 2, remote->octets, 16);
	for (size_t i = 0; i < 4; i++) {
		h = (h ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 32;
	}
	row = oldest = &p->rows[h % PATH_SETS * PATH_WAYS];
	for (size_t i = 0; i < PATH_WAYS; i++)
		if (addr_equal(&row[i].local, local) && addr_equal(&row[i].remote, remote))
			return &row[i];
	for (size_t i = 1; i < PATH_WAYS; i++)
		if (row[i].asked_ms < oldest->asked_ms)
			oldest = &row[i];
	*oldest = (struct path){ .local = *local, .remote = *remote };
	return oldest;
}

static uint32_t least(const struct addr *a)
{
	return a->family == 4 ? PATH_LEAST4 : PATH_LEAST6;
}

size_t path_mtu(struct paths *p, const struct addr *local, const struct addr *remote, uint64_t now_ms)
{
	struct path *row = row_of(p, local, remote);

	if (row->route == 0 || now_ms - row->asked_ms >= PATH_ASK_MS) {
		uint32_t mtu = p->ask ? p->ask(p->context, local, remote) : 0;
		row->route = mtu ? mtu : PATH_DEFAULT;
		row->asked_ms = now_ms;
	}
	if (row->lowered && now_ms - row->lowered_ms >= PATH_LOWERED_MS)
		row->lowered = 0;
	return row->lowered && row->lowered < row->route ? row->lowered : row->route;
}

void path_lower(struct paths *p, const struct addr *local, const struct addr *remote, uint32_t mtu, uint64_t now_ms)
{
	struct path *row = row_of(p, local, remote);

	if (mtu < least(remote))
		mtu = least(remote);
	if (row->lowered && row->lowered < mtu)
		return;
	row->lowered = mtu;
	row->lowered_ms = now_ms;
}

void path_doubt(struct paths *p, const struct addr *local, const struct addr *remote)
{
	row_of(p, local, remote)->route = 0;
}
