/* sad.h's requests and questions, answered by the kernel's plane. */
#include "dataplane/xfrm/plane.h"

#include "policy/reqid.h"

#include <errno.h>
#include <string.h>

static void done(struct xfrm_plane *x, uint64_t request, uint64_t pair, uint32_t spi)
{
	xfrm_tell(x, &(struct sad_event){ .kind = SAD_DONE, .request = request, .pair = pair, .spi = spi }, NULL);
}

static int reserve_spi(struct sad *sad, const struct addr *local, const struct addr *remote, uint64_t request,
		       struct diag *d)
{
	struct xfrm_plane *x = plane_of(sad);
	struct sad_event e = { .kind = SAD_SPI_RESERVED, .request = request };
	int r = states_reserve(&x->states, local, remote, &e.spi, d);

	if (r < 0)
		return r;
	xfrm_enter(x);
	xfrm_tell(x, &e, NULL);
	xfrm_leave(x);
	return 0;
}

static void release_spi(struct sad *sad, uint32_t spi)
{
	struct xfrm_plane *x = plane_of(sad);
	struct state *st = states_reserved(&x->states, spi);

	if (st)
		states_leave(&x->states, st);
}

/* ---- install and remove ---- */

static uint32_t longest_s(const struct sa_spec *spec)
{
	uint32_t s = spec->rule->protection ? spec->rule->protection->lifetime_s : 0;

	/* Keying ends it long before. So does the kernel when keying cannot any more. */
	return s && s < UINT32_MAX / 4 ? 2 * s + 600 : 0;
}

static int in_kernel(struct xfrm_plane *x, const struct sa_spec *spec, bool update, struct diag *d)
{
	_Alignas(8) uint8_t m[MESSAGE_MOST];
	struct xfrm_mark own = { .v = x->config.own_mark, .m = x->config.own_mask };
	size_t len = message_state(m, sizeof m, spec, rule_reqid(spec->rule), own, longest_s(spec), update);
	int r = ask_one(&x->asker, m, len, NULL);

	explicit_bzero(m, sizeof m);
	if (r == 0)
		return 0;
	if (r == -ENOSYS || r == -EPROTONOSUPPORT || r == -ENOENT)
		return diag_errno(d, -r, "the kernel has not all of what this SA needs; data-plane: userspace has");
	if (r == -EEXIST)
		return diag_fail(d, EEXIST, "another program has an SA with this SPI");
	return diag_errno(d, -r, "the kernel does not take it");
}

static void out_of_kernel(struct xfrm_plane *x, struct state *st)
{
	_Alignas(8) uint8_t m[MESSAGE_MOST];
	struct state_id id = state_id_of(&st->spec);

	fronts_drop(x, st);
	(void)ask_one(&x->asker, m, message_state_remove(m, sizeof m, &id), NULL); /* it may have ended by itself */
	states_leave(&x->states, st);
}

static int install(struct sad *sad, const struct sa_spec *spec, uint64_t request, struct diag *d)
{
	struct xfrm_plane *x = plane_of(sad);
	const struct plan_entry *e = fronts_entry_of(x->plan, spec, false);
	struct state *st;
	int r;

	if (!e)
		return diag_fail(d, ESTALE, "SA %08x: its rule is not of the plan in force", spec->spi);
	if ((r = states_check(&x->states, spec, d)) < 0 || (r = in_kernel(x, spec, false, d)) < 0)
		return diag_wrap(d, r, "SA %08x", spec->spi);
	xfrm_enter(x);
	st = states_enter(&x->states, spec);
	st->reqid = rule_reqid(spec->rule);
	st->installed_ms = x->now;
	if ((r = fronts_add(x, st, e, d)) < 0) {
		out_of_kernel(x, st);
		xfrm_leave(x);
		return diag_wrap(d, r, "SA %08x", spec->spi);
	}
	/* The peer has IKE after all. With the inbound half already: what the ruleset lets out in clear ends with it.
	 */
	policies_end_clear(&x->policies, UINT64_MAX, &spec->selector.local, &spec->selector.remote);
	if (spec->inbound)
		watch_first(x, st);
	else {
		waits_served(x, spec);
		watch_sequences(x, st);
	}
	done(x, request, spec->pair, spec->spi);
	xfrm_leave(x);
	return 0;
}

size_t xfrm_remove_pair(struct xfrm_plane *x, uint64_t pair)
{
	size_t n = 0;

	for (unsigned inbound = 0; inbound < 2; inbound++)
		for (struct state *st; (st = states_of_pair(&x->states, pair, inbound)); n++)
			out_of_kernel(x, st);
	return n;
}

static int remove_pair(struct sad *sad, uint64_t pair, uint64_t request, struct diag *d)
{
	struct xfrm_plane *x = plane_of(sad);

	if (xfrm_remove_pair(x, pair) == 0)
		return diag_fail(d, ENOENT, "no SA is of this pair");
	xfrm_enter(x);
	done(x, request, pair, 0);
	xfrm_leave(x);
	return 0;
}

static void stop_sending(struct sad *sad, uint64_t pair)
{
	struct xfrm_plane *x = plane_of(sad);
	struct state *st = states_of_pair(&x->states, pair, false);

	if (st)
		out_of_kernel(x, st);
}

void xfrm_expire_pair(struct xfrm_plane *x, struct state *st)
{
	struct sad_event e = { .kind = SAD_EXPIRE_HARD, .pair = st->spec.pair, .spi = st->spec.spi };

	(void)xfrm_remove_pair(x, e.pair);
	xfrm_tell(x, &e, NULL);
}

void xfrm_expire_soft(struct xfrm_plane *x, struct state *st)
{
	struct state *other = states_of_pair(&x->states, st->spec.pair, !st->spec.inbound);
	struct sad_event e = { .kind = SAD_EXPIRE_SOFT, .pair = st->spec.pair, .spi = st->spec.spi };

	if (st->soft_told)
		return;
	st->soft_told = true;
	if (other)
		other->soft_told = true;
	xfrm_tell(x, &e, NULL);
}

/* Another port is a change to the state. Another address would be another state, for which the keys are no longer here:
 * the pair ends, and keying makes a new one. */
static void move(struct sad *sad, uint64_t pair, const struct addr *remote, uint16_t encap_remote_port)
{
	struct xfrm_plane *x = plane_of(sad);

	xfrm_enter(x);
	for (unsigned inbound = 0; inbound < 2; inbound++) {
		struct state *st = states_of_pair(&x->states, pair, inbound);
		struct sa_spec changed;

		if (!st || !st->spec.encap_local_port || st->spec.remote.family != remote->family)
			continue;
		if (!addr_equal(&st->spec.remote, remote)) {
			xfrm_expire_pair(x, st);
			break;
		}
		changed = st->spec;
		changed.encap_remote_port = encap_remote_port;
		if (in_kernel(x, &changed, true, NULL) == 0)
			st->spec.encap_remote_port = encap_remote_port;
	}
	xfrm_leave(x);
}

/* ---- packets that wait ---- */

static void release_held(struct sad *sad, const struct sa_selector *selector, bool clear)
{
	struct xfrm_plane *x = plane_of(sad);

	static const struct policy_does pass = { .lifetime_s = XFRM_CLEAR_S };
	static const struct policy_does block = { .block = true, .lifetime_s = 1 };

	xfrm_enter(x);
	/* What waits is thrown away when its policy blocks it: all that waits at the same policy of the plan. Where
	 * that is somebody else's, too, it gives way later (crowd.c). */
	if (clear)
		fronts_put(x, selector, &pass, &pass, XFRM_CLEAR_S * UINT64_C(1000));
	else if (waits_alone(x, selector))
		fronts_put(x, selector, &block, NULL, REFUSED_MS);
	waits_released(x, selector, clear);
	xfrm_leave(x);
}

/* ---- a new plan ---- */

/* Both directions have one rule; whichever is met first takes the pair with it. */
static bool expire_one(struct xfrm_plane *x)
{
	for (size_t i = 0; i < x->states.count; i++)
		if (!x->states.all[i]->reserved && !x->states.all[i]->spec.rule) {
			xfrm_expire_pair(x, x->states.all[i]);
			return true;
		}
	return false;
}

static void find_rules_again(struct xfrm_plane *x)
{
	for (size_t i = 0; i < x->states.count; i++) {
		struct state *st = x->states.all[i];
		const struct plan_entry *e;

		if (st->reserved)
			continue;
		st->has_front = false; /* the new plan has taken them away */
		e = fronts_entry_of(x->plan, &st->spec, true);
		if (e && rule_reqid(e->rule) != st->reqid)
			e = NULL; /* its policies would not find it */
		st->spec.rule = e ? e->rule : NULL;
		if (e && fronts_add(x, st, e, NULL) < 0)
			st->spec.rule = NULL;
	}
	while (expire_one(x))
		;
}

static void set_plan(struct sad *sad, struct plan *plan)
{
	struct xfrm_plane *x = plane_of(sad);
	struct plan *old = x->plan;
	struct diag d = { 0 };

	xfrm_enter(x);
	x->plan = plan ? plan_ref(plan) : NULL;
	x->trouble[0] = '\0';
	if (xfrm_put_plan(x, &d) < 0)
		memcpy(x->trouble, d.text, sizeof x->trouble < sizeof d.text ? sizeof x->trouble : sizeof d.text);
	find_rules_again(x);
	waits_ask_again(x);
	plan_free(old);
	xfrm_leave(x);
}

/* ---- questions ---- */

static void usage_row(const struct xfrm_plane *x, const struct state *any, struct sa_usage *row)
{
	const struct state *in = states_of_pair(&x->states, any->spec.pair, true);
	const struct state *out = states_of_pair(&x->states, any->spec.pair, false);

	*row = (struct sa_usage){
		.pair = any->spec.pair, .selector = any->spec.selector, .suite = any->spec.suite, .rule = any->spec.rule
	};
	if (in)
		sad_usage_half(row, &in->spec, in->packets, in->octets, in->last_ms);
	if (out)
		sad_usage_half(row, &out->spec, out->packets, out->octets, out->last_ms);
}

/* Reading the counters changes only what we remember of them. */
static struct xfrm_plane *mutable_plane(const struct sad *sad)
{
	return (struct xfrm_plane *)(uintptr_t)sad;
}

static size_t usage(const struct sad *sad, struct sa_usage *rows, size_t cap)
{
	struct xfrm_plane *x = mutable_plane(sad);
	size_t n = 0;

	if (cap) {
		x->now = x->config.now_ms(x->config.context);
		watch_read_all(x);
	}
	for (size_t i = 0; i < x->states.count; i++) {
		const struct state *st = x->states.all[i];

		if (st->reserved || (!st->spec.inbound && states_of_pair(&x->states, st->spec.pair, true)))
			continue; /* its inbound half makes the row */
		if (n < cap)
			usage_row(x, st, &rows[n]);
		n++;
	}
	return n;
}

static bool usage_of(const struct sad *sad, uint64_t pair, struct sa_usage *ret)
{
	struct xfrm_plane *x = mutable_plane(sad);
	struct state *in = states_of_pair(&x->states, pair, true), *out = states_of_pair(&x->states, pair, false);

	if (!in && !out)
		return false;
	x->now = x->config.now_ms(x->config.context);
	if (in)
		(void)watch_read(x, in);
	if (out)
		(void)watch_read(x, out);
	usage_row(x, in ? in : out, ret);
	return true;
}

static uint64_t dropped(const struct sad *sad, enum sad_drop why)
{
	struct xfrm_plane *x = mutable_plane(sad);

	watch_drops(x);
	return x->drops[why];
}

const struct sad_ops xfrm_ops = { .reserve_spi = reserve_spi,
				  .install = install,
				  .remove = remove_pair,
				  .stop_sending = stop_sending,
				  .move = move,
				  .release_spi = release_spi,
				  .release_held = release_held,
				  .set_plan = set_plan,
				  .usage = usage,
				  .usage_of = usage_of,
				  .dropped = dropped,
				  .free = xfrm_free };
