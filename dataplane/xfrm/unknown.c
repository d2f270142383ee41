#include "dataplane/xfrm/unknown.h"

#include "base/table.h"

bool unknown_take(struct unknown *u, const struct addr *remote, uint64_t now_ms)
{
	uint64_t *told = &u->told_ms[table_hash_secret(remote->octets, sizeof remote->octets, 0) % UNKNOWN_ROWS];

	if (*told && now_ms - *told < UNKNOWN_MS)
		return false;
	*told = now_ms ? now_ms : 1;
	return true;
}
