#include "tests/replay/wires.h"

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
