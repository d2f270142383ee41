#include "tests/replay/wires.h"

#include <stdio.h>
#include <string.h>

unsigned wire_mishap(struct world *w, struct datagram *d)
{
	struct mishap *m = w->context;

	if (d->esp)
		return 1;
	if (m->seen++ != m->which) {
		if (m->len == d->len && memcmp(m->octets, d->octets, d->len) == 0)
			m->same_again = true;
		return 1;
	}
	m->len = d->len;
	memcpy(m->octets, d->octets, d->len);
	switch (m->kind) {
	case LOSE:
		return 0;
	case REPEAT:
		return 3;
	case REPEAT_LATE:
		d->due_ms += 700;
		return 2;
	case DAMAGE:
		d->octets[m->octet % d->len] ^= 0x10;
		return 1;
	case DELAY:
		d->due_ms += 400;
		return 1;
	}
	return 1;
}

static uint64_t roll(struct storm *s)
{
	s->state = s->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return s->state >> 33;
}

unsigned wire_storm(struct world *w, struct datagram *d)
{
	struct storm *s = w->context;

	if (s->calm)
		return 1;
	d->due_ms += roll(s) % s->late_ms;
	if (roll(s) % 100 < s->lose_percent)
		return 0;
	return roll(s) % 100 < s->repeat_percent ? 2 : 1;
}

void wires_ride_out(const char *policy, unsigned seed, bool quick_keys)
{
	struct world *w = world_new(policy);
	struct storm s = { .state = seed, .lose_percent = 25, .repeat_percent = 20, .late_ms = 900 };

	w->quick_keys = quick_keys;
	w->wire = wire_storm;
	w->context = &s;
	w->hosts[0].random += seed * 1000;
	w->hosts[1].random += seed * 2000;
	world_packet(w, 0, 6, 40000, 443);
	if (seed % 2)
		world_packet(w, 1, 6, 443, 40000);
	world_run(w, 12000);
	s.calm = true;
	world_run(w, 90000);
	world_packet(w, 0, 6, 40000, 443); /* in case the storm outlasted all patience */
	world_packet(w, 1, 6, 443, 40000);
	world_run(w, 220000);
	for (unsigned host = 0; host < HOSTS; host++)
		if (world_ikes(w, host) != 1 || world_children(w, host) != 1)
			(void)fprintf(stderr, "seed %u\n", seed);
	world_expect_one(w, 1);
	world_free(w);
}
