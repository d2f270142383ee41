/* keying/life.c - when an SA is renewed, and how the last of it goes. Nothing here knows the protocol. */
#include "keying/engine.h"
#include <stdlib.h>

enum {
	SPREADS = 1000,
	MARGIN_MS = 20000, /* a renewal has so long to be repeated on a bad wire, if the life is long enough */
};

/* Whoever began renews at 80 to 85 % of its life, the other end at 92 to 97 %. A short life has no 8 % to spare: there
 * it is a part of the margin, and of a very short one half, then a quarter. */
uint64_t life_soft_ms(uint64_t life_ms, bool first, unsigned spread)
{
	uint64_t left = life_ms / 100 * (first ? 20 : 8), margin = first ? 2 * MARGIN_MS : MARGIN_MS;

	if (left < margin)
		left = margin;
	if (left > life_ms / (first ? 2 : 4))
		left = life_ms / (first ? 2 : 4);
	return life_ms - left + (first ? left / 4 : left * 5 / 8) * (spread % SPREADS) / SPREADS;
}

void life_idle(struct child *c, uint64_t last_ms)
{
	uint64_t most = c->rule->protection->idle_s * UINT64_C(1000), since = last_ms > c->up_ms ? last_ms : c->up_ms;

	if (most && c->state == CHILD_UP && !c->replaced && since + most <= c->ike->k->now_ms)
		child_delete(c);
}

/* ---- fading ------------------------------------------------------------------------------------------------------ */

struct fade {
	struct keying *k;
	uint64_t pair;
	struct timer timer;
	LIST_ENTRY(fade) entry;
};

static void gone(struct fade *f)
{
	timer_stop(&f->k->timers, &f->timer);
	LIST_REMOVE(f, entry);
	free(f);
}

static void fire(void *owner)
{
	struct fade *f = owner;

	todo_add(f->k, KEYING_REMOVE)->pair = f->pair;
	gone(f);
}

void life_fade(struct keying *k, uint64_t pair)
{
	struct fade *f;

	if (k->closing) {
		todo_add(k, KEYING_REMOVE)->pair = pair;
		return;
	}
	f = mem_new(1, sizeof *f);
	*f = (struct fade){ .k = k, .pair = pair, .timer = { .owner = f, .fire = fire } };
	LIST_INSERT_HEAD(&k->fading, f, entry);
	todo_add(k, KEYING_STOP_SENDING)->pair = pair;
	timer_set(&k->timers, &f->timer, k->now_ms + LINGER_MS);
}

void life_forget_fading(struct keying *k)
{
	struct fade *f;

	while ((f = LIST_FIRST(&k->fading))) {
		todo_add(k, KEYING_REMOVE)->pair = f->pair;
		gone(f);
	}
}

/* ---- at once ----------------------------------------------------------------------------------------------------- */

static size_t renew(struct ike_sa *sa, enum keying_renewal what)
{
	struct child *c, *next;
	size_t n = 0;

	if (what == KEYING_RENEW_DELETE ? sa->state != IKE_ESTABLISHED : !ike_usable(sa))
		return 0;
	if (what == KEYING_RENEW_IKE)
		rekey_start(sa);
	else if (what == KEYING_RENEW_PROOF)
		reauth_start(sa);
	else if (what == KEYING_RENEW_DELETE)
		ike_delete(sa);
	if (what != KEYING_RENEW_CHILD)
		return 1;
	for (c = LIST_FIRST(&sa->children); c; c = next) {
		next = LIST_NEXT(c, entry);
		n += c->state == CHILD_UP && !c->replaced;
		child_rekey(c);
	}
	return n;
}

size_t keying_renew(struct keying *k, enum keying_renewal what, const struct addr *peer, uint64_t now_ms)
{
	struct ike_sa *sa, *following;
	size_t n = 0;

	keying_tick(k, now_ms);
	for (sa = TAILQ_FIRST(&k->ikes); sa; sa = following) {
		following = TAILQ_NEXT(sa, entry);
		if (!peer || addr_equal(&sa->remote, peer))
			n += renew(sa, what);
	}
	keying_settle(k);
	return n;
}
