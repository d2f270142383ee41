#include "dataplane/esp/gather.h"

#include "dataplane/esp/ip.h"

void gather_begin(struct gather *g)
{
	g->taken = 0;
	g->hurries = g->waited = false;
}

void gather_take(struct gather *g, const uint8_t *packet, size_t len)
{
	bool v4 = len > 0 && packet[0] >> 4 == 4;

	g->taken++;
	if (len < IP4_HEADER || len > GATHER_SMALL || packet[v4 ? 9 : 6] != IP_UDP)
		g->hurries = true;
}

bool gather_waits(struct gather *g, uint64_t now_ms)
{
	bool near = g->many_ms && now_ms - g->many_ms <= GATHER_WITHIN_MS;

	if (g->hurries || g->waited || g->taken < (near ? 2 : GATHER_MANY))
		return false;
	g->waited = true;
	return true;
}

void gather_end(struct gather *g, uint64_t now_ms)
{
	if (g->taken >= GATHER_MANY && !g->hurries)
		g->many_ms = now_ms;
}
