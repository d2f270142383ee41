/* States of ours go, whoever made them. */
#include "dataplane/xfrm/plane.h"

#include "base/crypto.h"
#include "base/diag.h"
#include "base/mem.h"
#include "policy/reqid.h"

#include <errno.h>
#include <stdlib.h>

struct leftovers {
	struct larval *rows; /* of a state: what it is found by */
	size_t count, cap;
};

static void note_ours(void *context, const struct message_in *m)
{
	struct leftovers *l = context;

	if (m->kind != MESSAGE_STATE || !reqid_is_ours(m->reqid))
		return;
	l->rows = mem_grow(l->rows, l->count, &l->cap, sizeof *l->rows);
	l->rows[l->count++] = (struct larval){ .seq = m->acquire,
					       .reqid = m->reqid,
					       .spi = m->id.spi,
					       .protocol = m->id.protocol,
					       .mode = m->mode,
					       .from = m->from,
					       .to = m->id.to };
}

void larval_end(struct asker *a, const struct larval *l)
{
	_Alignas(8) uint8_t m[MESSAGE_MOST];
	struct larval own = *l;
	struct state_id id;

	if (crypto_random(&own.spi, sizeof own.spi, NULL) < 0)
		return;
	own.spi |= STATES_SPI_LEAST;
	id = (struct state_id){ own.to, own.spi, own.protocol };
	if (ask_one(a, m, message_larval_replace(m, sizeof m, &own), NULL) == 0)
		(void)ask_one(a, m, message_state_remove(m, sizeof m, &id), NULL);
}

/* One that waits for an SA has no SPI, and cannot be removed in so many words. */
static void remove_all(struct asker *a, const struct leftovers *l)
{
	struct ask_batch *b = mem_new(1, sizeof *b);
	_Alignas(8) uint8_t m[MESSAGE_MOST];
	int errors[ASK_MANY];

	ask_begin(b, a);
	for (size_t i = 0; i < l->count; i++) {
		struct state_id id = { l->rows[i].to, l->rows[i].spi, l->rows[i].protocol };

		if (id.spi == 0)
			continue;
		if (!ask_has_room(b))
			ask_send(b, errors);
		ask_add(b, m, message_state_remove(m, sizeof m, &id));
	}
	ask_send(b, errors);
	free(b);
	for (size_t i = 0; i < l->count; i++)
		if (l->rows[i].spi == 0)
			larval_end(a, &l->rows[i]);
}

int xfrm_remove_states(struct asker *a, struct diag *d)
{
	_Alignas(8) uint8_t m[MESSAGE_MOST];
	struct leftovers l = { 0 };
	int r = ask_list(a, m, message_state_list(m, sizeof m), note_ours, &l);

	if (r == 0 || r == -EINTR)
		remove_all(a, &l);
	free(l.rows);
	return r < 0 && r != -EINTR ? diag_errno(d, -r, "list the kernel's IPsec states") : 0;
}
