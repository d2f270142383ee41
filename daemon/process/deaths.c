#include "daemon/process/deaths.h"

#include <string.h>

void deaths_add(struct deaths *d, uint64_t now_ms)
{
	memmove(&d->at_ms[1], &d->at_ms[0], (DEATHS_MANY - 1) * sizeof d->at_ms[0]);
	d->at_ms[0] = now_ms;
}

bool deaths_again(const struct deaths *d, bool ready, uint64_t since_ms, uint64_t now_ms, uint64_t *ret_well_ms)
{
	uint64_t first = d->at_ms[DEATHS_MANY - 1], well = ready ? since_ms + DEATHS_WELL_MS : 0;

	if (!first || d->at_ms[0] > first + DEATHS_WITHIN_MS || (ready && now_ms >= well))
		return false;
	*ret_well_ms = well;
	return true;
}
