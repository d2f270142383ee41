/* Packets that wait in the kernel for an SA, as far as we know of them: it asks once, and then not again before it has
 * given up (30 s), an SA has come, or we have put something in the place of what waits, which we do after a second. */
#include "dataplane/xfrm/plane.h"

#include "base/mem.h"
#include "dataplane/xfrm/convert.h"
#include "policy/reqid.h"

#include <stdlib.h>

static bool same_service(const struct sa_selector *a, const struct sa_selector *b)
{
	return addr_equal(&a->local, &b->local) && addr_equal(&a->remote, &b->remote) &&
	       addr_equal(&a->local_last, &b->local_last) && addr_equal(&a->remote_last, &b->remote_last) &&
	       a->protocol == b->protocol && a->local_port.lo == b->local_port.lo &&
	       a->local_port.hi == b->local_port.hi && a->remote_port.lo == b->remote_port.lo &&
	       a->remote_port.hi == b->remote_port.hi;
}

static bool same_selector(const void *value, const void *what)
{
	return same_service(&((const struct wait *)value)->selector, what);
}

/* Whoever sends chooses addresses and ports. */
static uint64_t key_of(const struct sa_selector *s)
{
	const uint16_t ports[] = { s->local_port.lo, s->local_port.hi, s->remote_port.lo, s->remote_port.hi };
	uint64_t key = table_hash_secret(s->local.octets, sizeof s->local.octets, (uint64_t)s->protocol);

	key = table_hash_secret(s->remote.octets, sizeof s->remote.octets, key);
	return table_hash_secret(ports, sizeof ports, key);
}

static struct wait *wait_for(const struct xfrm_plane *x, const struct sa_selector *s)
{
	return table_find(&x->waits.by_selector, key_of(s), same_selector, s);
}

static void forget(struct waits *l, struct wait *w)
{
	table_remove(&l->by_selector, key_of(&w->selector), w);
	l->all[w->place] = l->all[--l->count];
	l->all[w->place]->place = w->place;
	free(w);
}

/* Of the next few the one that nothing waits for any more, and has longest not. */
static bool make_room(struct waits *l)
{
	struct wait *oldest = NULL;

	for (unsigned i = 0; i < WAITS_LOOK; i++) {
		struct wait *w = l->all[l->hand++ % l->count];

		if (w->ended && (!oldest || w->since_ms < oldest->since_ms))
			oldest = w;
	}
	if (oldest)
		forget(l, oldest);
	return oldest;
}

static struct wait *add(struct waits *l, const struct wait *new)
{
	struct wait *w;

	if (l->count >= WAITS_MOST && !make_room(l))
		return NULL;
	w = mem_new(1, sizeof *w);
	*w = *new;
	w->place = l->count;
	l->all = mem_grow(l->all, l->count, &l->cap, sizeof *l->all);
	l->all[l->count++] = w;
	table_add(&l->by_selector, key_of(&w->selector), w);
	return w;
}

void waits_wipe(struct waits *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->all[i]);
	free(l->all);
	table_wipe(&l->by_selector);
	*l = (struct waits){ .acquire = l->acquire };
}

static void ask(struct xfrm_plane *x, struct wait *w)
{
	static const struct limit_rate all = { ACQUIRE_S, ACQUIRE_BURST };
	struct sad_event e = { .kind = SAD_ACQUIRE, .packet = w->packet };

	e.entry = x->plan ? plan_lookup_protecting(x->plan, &w->packet) : NULL;
	if (!e.entry || !rule_mode_protects(e.entry->rule->mode))
		return;
	w->asked_ms = x->now;
	w->unasked = !limit_bucket_take(&x->waits.acquire, &all, x->now);
	if (w->unasked)
		return; /* in a second, then */
	e.selector = w->selector;
	xfrm_tell(x, &e, NULL);
}

/* The state that made its packets give way must not be in the way of the SA. */
static void end_drops(struct xfrm_plane *x, struct wait *w)
{
	_Alignas(8) uint8_t m[MESSAGE_MOST];
	struct state_id id = { w->larval.to, w->drops_spi, w->larval.protocol };

	if (w->drops_spi)
		(void)ask_one(&x->asker, m, message_state_remove(m, sizeof m, &id), NULL); /* or it ended by itself */
	w->drops_spi = 0;
}

void waits_heard(struct xfrm_plane *x, const struct message_in *m)
{
	struct wait new = { .larval = { .seq = m->acquire,
					.reqid = m->reqid,
					.protocol = m->id.protocol,
					.mode = m->mode,
					.from = m->from,
					.to = m->id.to },
			    .index = m->index,
			    .since_ms = x->now };
	const struct plan_entry *e;
	struct wait *w;

	if (!reqid_is_ours(m->reqid) || (m->index & XFRM_INDEX_MASK) != XFRM_INDEX_OURS ||
	    !convert_flow_back(&m->key.selector, &new.packet))
		return;
	e = x->plan ? plan_lookup_protecting(x->plan, &new.packet) : NULL;
	if (!e || !rule_mode_protects(e->rule->mode)) {
		larval_end(&x->asker, &new.larval); /* the plan has changed on the way */
		return;
	}
	new.selector = sa_selector_of(e, &new.packet.local, &new.packet.remote);
	w = wait_for(x, &new.selector);
	if (!w) {
		w = add(&x->waits, &new);
		if (w)
			ask(x, w);
		else
			larval_end(&x->asker, &new.larval); /* else the kernel would not ask again for long */
		return;
	}
	new.asked_ms = w->asked_ms;
	new.place = w->place;
	new.holds = w->holds;
	end_drops(x, w);
	*w = new;
	if (x->now - w->asked_ms >= WAIT_ASK_MS)
		ask(x, w);
	else
		w->unasked = true;
}

/* The kernel has put the SA in the place of what waited for one of the same kind; what waited for another kind (a
 * tunnel whose end nobody knew) is put an end to. */
void waits_served(struct xfrm_plane *x, const struct sa_spec *spec)
{
	uint32_t reqid = rule_reqid(spec->rule);
	struct addr_range locals = sa_selector_locals(&spec->selector), remotes = sa_selector_remotes(&spec->selector);

	for (size_t i = 0; i < x->waits.count; i++) {
		struct wait *w = x->waits.all[i];

		if (w->larval.reqid != reqid || !addr_range_has(&locals, &w->packet.local) ||
		    !addr_range_has(&remotes, &w->packet.remote))
			continue;
		if (!addr_equal(&w->larval.to, &spec->remote) || (w->larval.mode == XFRM_MODE_TUNNEL) != spec->tunnel ||
		    w->larval.protocol != state_id_of(spec).protocol)
			larval_end(&x->asker, &w->larval);
		end_drops(x, w);
		w->served = w->empty = true;
	}
	for (size_t i = 0; i < x->waits.count; i++)
		if (x->waits.all[i]->served)
			crowd_served(x, x->waits.all[i]->index);
	for (size_t i = 0; i < x->waits.count;)
		if (x->waits.all[i]->served)
			forget(&x->waits, x->waits.all[i]);
		else
			i++;
}

/* It stays on the list, with when it was last asked about, so that a peer that is not there is not asked for with each
 * packet. */
void waits_released(struct xfrm_plane *x, const struct sa_selector *selector, bool clear)
{
	struct wait *w = wait_for(x, selector);

	if (!w)
		return;
	larval_end(&x->asker, &w->larval);
	w->ended = true;
	w->unasked = false;
	if (clear || crowd_is_alone(x, w)) {
		w->empty = true;
		crowd_served(x, w->index);
	} else if (w->holds) {
		crowd_look(x, w->index);
	}
}

bool waits_alone(const struct xfrm_plane *x, const struct sa_selector *selector)
{
	const struct wait *w = wait_for(x, selector);

	return !w || crowd_is_alone(x, w);
}

void waits_ask_again(struct xfrm_plane *x)
{
	for (size_t i = 0; i < x->waits.count; i++)
		if (!x->waits.all[i]->ended)
			larval_end(&x->asker, &x->waits.all[i]->larval);
	waits_wipe(&x->waits);
}

void waits_end_all(struct xfrm_plane *x)
{
	for (size_t i = 0; i < x->waits.count; i++) {
		struct wait *w = x->waits.all[i];

		if (!w->ended)
			larval_end(&x->asker, &w->larval);
		w->ended = true;
		w->unasked = false;
	}
}

void waits_tick(struct xfrm_plane *x)
{
	unsigned ended = 0;

	crowd_tick(x);
	for (size_t i = 0; i < x->waits.count;) {
		struct wait *w = x->waits.all[i];

		if (x->now - w->since_ms >= WAIT_MOST_MS) {
			forget(&x->waits, w);
			continue;
		}
		if (w->unasked && x->now - w->asked_ms >= WAIT_ASK_MS)
			ask(x, w);
		if (!w->ended && x->now - w->since_ms >= WAIT_ASK_MS && ended++ < WAITS_EACH) {
			w->ended = true; /* the next packet is asked about, as it is with the userspace plane */
			larval_end(&x->asker, &w->larval);
		}
		i++;
	}
}

uint64_t waits_deadline(const struct xfrm_plane *x)
{
	uint64_t next = UINT64_MAX, at;

	for (size_t i = 0; i < x->waits.count; i++) {
		const struct wait *w = x->waits.all[i];

		at = w->since_ms + (w->ended ? WAIT_MOST_MS : WAIT_ASK_MS);
		if (w->unasked && w->asked_ms + WAIT_ASK_MS < at)
			at = w->asked_ms + WAIT_ASK_MS;
		if (w->holds && w->since_ms + CROWD_MS < at)
			at = w->since_ms + CROWD_MS;
		if (at < next)
			next = at;
	}
	return next;
}
