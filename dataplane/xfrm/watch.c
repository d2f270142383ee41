/* What the kernel does not say, we look at: has the first packet come in, how far are sequence numbers, what was
 * dropped, and who sends to SPIs that are not there. */
#include "dataplane/xfrm/plane.h"

#include "dataplane/xfrm/ears.h"
#include "dataplane/xfrm/stat.h"

enum {
	POLL_EACH = 64,                /* states read in one tick */
	POLL_LAST_MS = 10 * 60 * 1000, /* nobody waits for a first packet any more */
	DUMP_FROM = 64,                /* so many states are read by one list */
	SEQUENCE_MS = 10000,
	SEQUENCE_EACH = 640,
	STAT_MS = 500,
	LISTEN_MS = 3000,
};

#define SEQUENCE_SOFT UINT64_C(0xc0000000) /* of 2^32: time enough to rekey */
#define SEQUENCE_HARD UINT64_C(0xfffffff0)

/* ---- counters ---------------------------------------------------------------------------------------------------- */

static void note(struct xfrm_plane *x, struct state *st, const struct message_in *m)
{
	if (m->packets != st->packets)
		st->last_ms = x->now;
	st->packets = m->packets;
	st->octets = m->octets;
	if (!st->spec.inbound || st->first_told || st->packets == 0)
		return;
	if (x->depth == 0) { /* a question only: told when its time has come, which is now */
		st->poll_ms = x->now;
		x->next_poll_ms = x->now;
		return;
	}
	st->first_told = true;
	st->poll_ms = UINT64_MAX;
	xfrm_tell(x, &(struct sad_event){ .kind = SAD_FIRST_IN, .pair = st->spec.pair }, NULL);
}

static bool get(struct xfrm_plane *x, struct state *st, struct message_in *ret)
{
	_Alignas(8) uint8_t m[MESSAGE_MOST];
	struct state_id id = state_id_of(&st->spec);

	*ret = (struct message_in){ 0 };
	return ask_one(&x->asker, m, message_state_get(m, sizeof m, &id), ret) == 0 && ret->kind == MESSAGE_STATE;
}

bool watch_read(struct xfrm_plane *x, struct state *st)
{
	struct message_in m;

	if (!get(x, st, &m))
		return false;
	note(x, st, &m);
	return true;
}

void watch_listed(struct xfrm_plane *x, const struct message_in *m)
{
	struct state *st = m->kind == MESSAGE_STATE ? states_of_id(&x->states, &m->id) : NULL;

	if (!st)
		return;
	st->listing = x->listing;
	note(x, st, m);
}

static void note_listed(void *context, const struct message_in *m)
{
	watch_listed(context, m);
}

void watch_read_all(struct xfrm_plane *x)
{
	_Alignas(8) uint8_t m[MESSAGE_MOST];
	size_t count = x->states.count;

	if (x->usage_ms && x->now - x->usage_ms < USAGE_CACHED_MS)
		return;
	x->usage_ms = x->now ? x->now : 1;
	if (count - x->states.reserved >= DUMP_FROM) {
		(void)ask_list(&x->asker, m, message_state_list(m, sizeof m), note_listed, x);
		return;
	}
	for (size_t i = 0; i < count; i++)
		if (!x->states.all[i]->reserved)
			(void)watch_read(x, x->states.all[i]);
}

/* ---- the first packet ---- */

static uint64_t patience_ms(uint64_t age_ms)
{
	return age_ms < 1000 ? 20 : age_ms < 10000 ? 100 : age_ms < 60000 ? 1000 : 10000;
}

void watch_first(struct xfrm_plane *x, struct state *st)
{
	st->poll_ms = x->now + patience_ms(0);
	if (st->poll_ms < x->next_poll_ms)
		x->next_poll_ms = st->poll_ms;
}

static void poll_first(struct xfrm_plane *x)
{
	unsigned read = 0;
	uint64_t next = UINT64_MAX;

	for (size_t i = 0; i < x->states.count; i++) {
		struct state *st = x->states.all[i];
		uint64_t age = x->now - st->installed_ms;

		if (st->poll_ms <= x->now && read < POLL_EACH) {
			read++;
			st->poll_ms = age < POLL_LAST_MS ? x->now + patience_ms(age) : UINT64_MAX;
			(void)watch_read(x, st);
		}
		if (st->poll_ms < next)
			next = st->poll_ms;
	}
	x->next_poll_ms = next;
}

/* ---- sequence numbers ---- */

static bool may_run_out(const struct state *st)
{
	return !st->reserved && !st->spec.inbound && !st->spec.esn;
}

static void check_sequence(struct xfrm_plane *x, struct state *st)
{
	struct message_in m;

	if (!get(x, st, &m))
		return;
	note(x, st, &m);
	if (m.sequence >= SEQUENCE_HARD)
		xfrm_expire_pair(x, st);
	else if (m.sequence >= SEQUENCE_SOFT)
		xfrm_expire_soft(x, st);
}

/* A quarter of them is left when it is said; at a million packets a second that is a quarter of an hour. */
static void check_sequences(struct xfrm_plane *x)
{
	size_t count = x->states.count;

	for (size_t i = 0; i < count && i < SEQUENCE_EACH && x->states.count; i++) {
		struct state *st = x->states.all[x->sequence_at++ % x->states.count];

		if (may_run_out(st))
			check_sequence(x, st);
	}
}

void watch_sequences(struct xfrm_plane *x, const struct state *st)
{
	if (may_run_out(st) && x->next_sequence_ms == UINT64_MAX)
		x->next_sequence_ms = x->now + SEQUENCE_MS;
}

static void sequences_tick(struct xfrm_plane *x)
{
	x->next_sequence_ms = UINT64_MAX;
	check_sequences(x);
	for (size_t i = 0; i < x->states.count && x->next_sequence_ms == UINT64_MAX; i++)
		watch_sequences(x, x->states.all[i]);
}

/* ---- drops, and who is not known --------------------------------------------------------------------------------- */

void watch_drops(struct xfrm_plane *x)
{
	uint64_t now[DROP_COUNT] = { 0 };

	if (!stat_read(x->fds.fd[XFRM_FD_STAT], now))
		return;
	for (size_t i = 0; i < DROP_COUNT; i++)
		x->drops[i] = now[i] - x->drops_at_start[i];
}

static void heard(void *context, const struct ears_heard *h)
{
	struct xfrm_plane *x = context;
	struct state_id id = { h->local, h->spi, h->protocol };
	struct sad_event e = { .kind = SAD_UNKNOWN_SPI,
			       .spi = h->spi,
			       .packet = { .local = h->local, .remote = h->remote, .protocol = h->protocol } };

	if (states_of_id(&x->states, &id) || states_reserved(&x->states, h->spi) ||
	    !unknown_take(&x->unknown, &h->remote, x->now))
		return;
	xfrm_tell(x, &e, NULL);
}

void watch_listen(struct xfrm_plane *x)
{
	ears_listen(&x->fds, heard, x);
}

static void stat_tick(struct xfrm_plane *x)
{
	uint64_t before = x->drops[DROP_UNKNOWN_SPI];

	x->stat_ms = x->now + STAT_MS;
	watch_drops(x);
	if (x->drops[DROP_UNKNOWN_SPI] != before) {
		x->listen_until_ms = x->now + LISTEN_MS;
		if (!x->listening)
			ears_open(&x->fds, true);
		x->listening = true;
	} else if (x->listening && x->now >= x->listen_until_ms) {
		ears_open(&x->fds, false);
		x->listening = false;
	}
}

/* ---- time ---- */

void watch_tick(struct xfrm_plane *x)
{
	if (x->now >= x->next_poll_ms)
		poll_first(x);
	if (x->now >= x->next_sequence_ms)
		sequences_tick(x);
	if (x->now >= x->stat_ms && x->fds.fd[XFRM_FD_STAT] >= 0)
		stat_tick(x);
}

uint64_t watch_deadline(const struct xfrm_plane *x)
{
	uint64_t next = x->next_poll_ms < x->next_sequence_ms ? x->next_poll_ms : x->next_sequence_ms;

	return x->fds.fd[XFRM_FD_STAT] >= 0 && x->stat_ms < next ? x->stat_ms : next;
}
