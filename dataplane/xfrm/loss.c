/* Something that the kernel said was lost, and nobody knows what. One list of its states tells which of ours have
 * ended, and what waits for an SA that we have not heard of. */
#include "dataplane/xfrm/plane.h"

#include "base/mem.h"
#include "policy/reqid.h"

#include <stdlib.h>

struct listed {
	struct xfrm_plane *x;
	struct larval *rows;
	size_t count, cap;
};

static void note(void *context, const struct message_in *m)
{
	struct listed *l = context;

	watch_listed(l->x, m);
	if (m->kind != MESSAGE_STATE || !reqid_is_ours(m->reqid) || m->id.spi != 0)
		return;
	l->rows = mem_grow(l->rows, l->count, &l->cap, sizeof *l->rows);
	l->rows[l->count++] = (struct larval){ .seq = m->acquire,
					       .reqid = m->reqid,
					       .protocol = m->id.protocol,
					       .mode = m->mode,
					       .from = m->from,
					       .to = m->id.to };
}

/* A list that changed under way may lack one that is there: so each that it lacks is asked for by itself. */
static bool is_gone(struct xfrm_plane *x, struct state *st)
{
	if (st->reserved || st->listing == x->listing)
		return false;
	st->listing = x->listing;
	return !watch_read(x, st);
}

static void look(struct xfrm_plane *x)
{
	_Alignas(8) uint8_t m[MESSAGE_MOST];
	struct listed l = { .x = x };
	size_t gone = 0;

	x->listing++;
	waits_end_all(x);
	(void)ask_list(&x->asker, m, message_state_list(m, sizeof m), note, &l);
	for (size_t i = 0; i < x->states.count;) {
		struct state *st = x->states.all[i];

		if (is_gone(x, st)) {
			xfrm_expire_pair(x, st);
			gone++;
			i = 0;
		} else {
			i++;
		}
	}
	for (size_t i = 0; i < l.count; i++)
		larval_end(&x->asker, &l.rows[i]);
	free(l.rows);
	mend_lost_states(x, gone);
}

void loss_tick(struct xfrm_plane *x)
{
	if (x->loss_ms == 0 || x->now < x->loss_ms)
		return;
	x->loss_ms = 0;
	look(x);
}

uint64_t loss_deadline(const struct xfrm_plane *x)
{
	return x->loss_ms ? x->loss_ms : UINT64_MAX;
}
