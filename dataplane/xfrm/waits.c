/* Packets that wait in the kernel for an SA, as far as we know of them: it asks once, and then not again before it has
 * given up (30 s), an SA has come, or we have put something in the place of what waits, which we do after a second. */
#include "dataplane/xfrm/plane.h"

#include "dataplane/xfrm/convert.h"
#include "policy/reqid.h"

#include <string.h>

static void forget(struct xfrm_plane *x, size_t i)
{
	x->waits[i] = x->waits[--x->wait_count];
}

static bool same_service(const struct sa_selector *a, const struct sa_selector *b)
{
	return addr_equal(&a->local, &b->local) && addr_equal(&a->remote, &b->remote) &&
	       addr_equal(&a->local_last, &b->local_last) && addr_equal(&a->remote_last, &b->remote_last) &&
	       a->protocol == b->protocol && a->local_port.lo == b->local_port.lo &&
	       a->local_port.hi == b->local_port.hi && a->remote_port.lo == b->remote_port.lo &&
	       a->remote_port.hi == b->remote_port.hi;
}

static struct wait *wait_for(struct xfrm_plane *x, const struct sa_selector *s)
{
	for (size_t i = 0; i < x->wait_count; i++)
		if (same_service(&x->waits[i].selector, s))
			return &x->waits[i];
	return NULL;
}

static void ask(struct xfrm_plane *x, struct wait *w)
{
	struct sad_event e = { .kind = SAD_ACQUIRE, .packet = w->packet };

	e.entry = x->plan ? plan_lookup_protecting(x->plan, &w->packet) : NULL;
	if (!e.entry || !rule_mode_protects(e.entry->rule->mode))
		return;
	e.selector = w->selector = sa_selector_of(e.entry, &w->packet.local, &w->packet.remote);
	w->asked_ms = x->now;
	w->unasked = false;
	xfrm_tell(x, &e, NULL);
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
		if (x->wait_count == WAITS_MOST)
			return;
		w = &x->waits[x->wait_count++];
		*w = new;
		ask(x, w);
		return;
	}
	new.asked_ms = w->asked_ms;
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

	for (size_t i = 0; i < x->wait_count;) {
		struct wait w = x->waits[i];

		if (w.larval.reqid != reqid || !addr_range_has(&locals, &w.packet.local) ||
		    !addr_range_has(&remotes, &w.packet.remote)) {
			i++;
			continue;
		}
		forget(x, i);
		if (!addr_equal(&w.larval.to, &spec->remote) || (w.larval.mode == XFRM_MODE_TUNNEL) != spec->tunnel ||
		    w.larval.protocol != state_id_of(spec).protocol)
			larval_end(&x->asker, &w.larval);
		policies_touch(&x->policies, w.index);
	}
}

/* It stays on the list, with when it was last asked about, so that a peer that is not there is not asked for with each
 * packet. */
void waits_released(struct xfrm_plane *x, const struct sa_selector *selector)
{
	struct wait *w = wait_for(x, selector);

	if (!w)
		return;
	larval_end(&x->asker, &w->larval);
	w->ended = true;
	w->unasked = false;
	policies_touch(&x->policies, w->index);
}

void waits_ask_again(struct xfrm_plane *x)
{
	for (size_t i = 0; i < x->wait_count; i++)
		larval_end(&x->asker, &x->waits[i].larval);
	x->wait_count = 0;
}

void waits_tick(struct xfrm_plane *x)
{
	unsigned ended = 0;

	for (size_t i = 0; i < x->wait_count;) {
		struct wait *w = &x->waits[i];

		if (x->now - w->since_ms >= WAIT_MOST_MS) {
			forget(x, i);
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

	for (size_t i = 0; i < x->wait_count; i++) {
		const struct wait *w = &x->waits[i];

		at = w->since_ms + (w->ended ? WAIT_MOST_MS : WAIT_ASK_MS);
		if (w->unasked && w->asked_ms + WAIT_ASK_MS < at)
			at = w->asked_ms + WAIT_ASK_MS;
		if (at < next)
			next = at;
	}
	return next;
}
