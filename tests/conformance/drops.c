/* What is counted, waited for: the kernel's plane hears of some things a little later. */
#include "tests/conformance/world.h"

#include <inttypes.h>
#include <stdio.h>

enum { STEP_MS = 10, STEPS = 150 };

uint64_t drops_all(const struct world *w)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < DROP_COUNT; i++)
		n += sad_dropped(w->sad, (enum sad_drop)i);
	return n;
}

uint64_t drops_counted(const struct world *w, enum sad_drop why)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < DROP_COUNT; i++) {
		uint64_t one = sad_dropped(w->sad, (enum sad_drop)i);

		n = i == (unsigned)why ? one : n;
	}
	return n;
}

bool drops_rise(struct world *w, enum sad_drop why, uint64_t before, uint64_t by)
{
	for (unsigned i = 0; i < STEPS && drops_counted(w, why) < before + by; i++)
		(void)world_run(w, STEP_MS, -1);
	if (drops_counted(w, why) == before + by)
		return true;
	(void)printf("      %s counts %" PRIu64 " more, not %" PRIu64 "\n", sad_drops[why].name,
		     drops_counted(w, why) - before, by);
	return false;
}

bool drops_all_reach(struct world *w, uint64_t count)
{
	for (unsigned i = 0; i < STEPS && drops_all(w) < count; i++)
		(void)world_run(w, STEP_MS, -1);
	return drops_all(w) == count;
}
