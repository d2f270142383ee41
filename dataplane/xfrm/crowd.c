/* Packets of several peers wait at one policy of the plan, and the kernel has one queue for each policy. It looks at
 * the first packet alone: while that one's peer has no SA, those behind it wait too, for minutes, though theirs are
 * there; when it has one, or is refused, the whole queue goes, and what has no SA yet is lost. So who is served waits a
 * moment for the others, since hosts that begin mostly ask for several at once. Then packets of those who have not
 * answered give way: they get a state under which nothing leaves, and are asked about again. */
#include "dataplane/xfrm/plane.h"

#include "base/crypto.h"

enum { GIVE_WAY_MOST = 128 }; /* more packets are not in the kernel's queue */

static bool may_have_packets(const struct wait *w, uint32_t index)
{
	return w->index == index && !w->empty;
}

static bool is_fresh(const struct xfrm_plane *x, const struct wait *w)
{
	return !w->ended && x->now - w->since_ms < CROWD_MS;
}

bool crowd_is_alone(const struct xfrm_plane *x, const struct wait *w)
{
	for (size_t i = 0; i < x->waits.count; i++)
		if (x->waits.all[i] != w && may_have_packets(x->waits.all[i], w->index))
			return false;
	return true;
}

static void give_way(struct xfrm_plane *x, struct wait *w)
{
	_Alignas(8) uint8_t m[MESSAGE_MOST];
	struct larval l = w->larval;

	w->empty = w->ended = true;
	if (crypto_random(&l.spi, sizeof l.spi, NULL) < 0)
		return;
	l.spi |= STATES_SPI_LEAST;
	if (ask_one(&x->asker, m, message_larval_drops(m, sizeof m, &l, &w->selector), NULL) == 0)
		w->drops_spi = l.spi;
}

static void let_go(struct xfrm_plane *x, uint32_t index)
{
	unsigned count = 0;

	for (size_t i = 0; i < x->waits.count; i++) {
		struct wait *w = x->waits.all[i];

		if (w->index != index)
			continue;
		w->holds = false;
		if (!w->empty && count++ < GIVE_WAY_MOST)
			give_way(x, w);
	}
	policies_touch(&x->policies, index);
}

static bool is_held(const struct xfrm_plane *x, uint32_t index)
{
	for (size_t i = 0; i < x->waits.count; i++)
		if (x->waits.all[i]->index == index && x->waits.all[i]->holds)
			return true;
	return false;
}

void crowd_served(struct xfrm_plane *x, uint32_t index)
{
	if (!is_held(x, index)) /* who comes later does not make it longer */
		for (size_t i = 0; i < x->waits.count; i++)
			if (may_have_packets(x->waits.all[i], index) && is_fresh(x, x->waits.all[i]))
				x->waits.all[i]->holds = true;
	crowd_look(x, index);
}

void crowd_look(struct xfrm_plane *x, uint32_t index)
{
	for (size_t i = 0; i < x->waits.count; i++) {
		struct wait *w = x->waits.all[i];

		if (w->index == index && w->holds && (w->empty || !is_fresh(x, w)))
			w->holds = false;
	}
	if (!is_held(x, index))
		let_go(x, index);
}

void crowd_tick(struct xfrm_plane *x)
{
	for (size_t i = 0; i < x->waits.count; i++)
		if (x->waits.all[i]->holds && !is_fresh(x, x->waits.all[i]))
			crowd_look(x, x->waits.all[i]->index);
}
