/* sad.h's requests and questions, answered by the userspace plane. */
#include "dataplane/esp/plane.h"
#include "policy/reqid.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void done(struct sad *s, uint64_t request, uint64_t pair, uint32_t spi)
{
	plane_tell(s, &(struct sad_event){ .kind = SAD_DONE, .request = request, .pair = pair, .spi = spi }, NULL);
}

static int plane_reserve_spi(struct sad *s, const struct addr *local, const struct addr *remote, uint64_t request,
			     struct diag *d)
{
	struct sad_event e = { .kind = SAD_SPI_RESERVED, .request = request };
	int r;

	if ((r = sa_reserve(&s->sas, local, remote, &e.spi, d)) < 0)
		return r;
	plane_enter(s);
	plane_tell(s, &e, NULL);
	plane_leave(s);
	return 0;
}

static void plane_release_spi(struct sad *s, uint32_t spi)
{
	sa_release(&s->sas, spi);
}

/* A tunnel between the same two ends; NULL: none. */
static const struct plan_entry *tunnel_between(const struct plan_tunnel *t, const struct sa_spec *spec)
{
	if ((t->local.family && !addr_equal(&t->local, &spec->local)) ||
	    (t->remote.family && !addr_equal(&t->remote, &spec->remote)))
		return NULL;
	return &t->entry;
}

/* A request may have been under way when the plan changed: its rule is then gone, and must not even be looked at. NULL:
 * so it is here. */
static const struct plan_entry *entry_in_force(const struct plan *plan, const struct sa_spec *spec)
{
	struct plan_list list =
		plan ? plan_meet(plan, &spec->selector.local, &spec->selector.remote) : (struct plan_list){ 0 };
	const struct plan_tunnel *tunnels;

	for (size_t i = 0; plan && i < plan_tunnels(plan, &tunnels); i++)
		if (tunnels[i].entry.rule == spec->rule && tunnel_between(&tunnels[i], spec))
			return &tunnels[i].entry;
	for (size_t i = 0; i < list.count; i++)
		if (list.entries[i].rule == spec->rule)
			return &list.entries[i];
	return NULL;
}

unsigned plane_owner_of(const struct sad *s, const struct sa_spec *spec, unsigned count)
{
	const struct plan_entry *e = spec->tunnel ? entry_in_force(s->plan, spec) : NULL;

	if (spec->tunnel && !e)
		return 0; /* which refuses it */
	return e ? plane_owner(e, &spec->selector.local, &spec->selector.remote, count)
		 : share_of_addresses(&spec->selector.local, &spec->selector.remote, count);
}

static int plane_install(struct sad *s, const struct sa_spec *spec, uint64_t request, struct diag *d)
{
	SCOPED(early_freep) struct early *early = NULL;
	struct sa *sa;
	int r;

	if (!entry_in_force(s->plan, spec))
		return diag_fail(d, ESTALE, "SA %08x: its rule is not of the plan in force", spec->spi);
	if (spec->inbound)
		early = sa_take_early(&s->sas, spec->spi);
	if ((r = sa_install(&s->sas, spec, &sa, d)) < 0)
		return diag_wrap(d, r, "SA %08x", spec->spi);
	plane_enter(s);
	flows_forget(s);
	if (!spec->inbound)
		plane_send_held(s, spec->tunnel ? NULL : &spec->selector.local,
				spec->tunnel ? NULL : &spec->selector.remote);
	done(s, request, spec->pair, spec->spi);
	for (size_t i = 0; early && i < early->count; i++)
		plane_receive(s, early->packets[i].octets, early->packets[i].len);
	plane_leave(s);
	return 0;
}

size_t plane_remove_pair(struct sad *s, uint64_t pair)
{
	size_t n = sa_remove_pair(&s->sas, pair);

	if (n)
		flows_forget(s);
	return n;
}

static int plane_remove(struct sad *s, uint64_t pair, uint64_t request, struct diag *d)
{
	if (plane_remove_pair(s, pair) == 0)
		return diag_fail(d, ENOENT, "no SA is of this pair");
	plane_enter(s);
	done(s, request, pair, 0);
	plane_leave(s);
	return 0;
}

static void plane_stop_sending(struct sad *s, uint64_t pair)
{
	if (sa_remove_out(&s->sas, pair))
		flows_forget(s);
}

static void plane_move(struct sad *s, uint64_t pair, const struct addr *remote, uint16_t encap_remote_port)
{
	for (unsigned inbound = 0; inbound < 2; inbound++) {
		struct sa *sa = sa_find_pair(&s->sas, pair, inbound);

		if (!sa || !sa->spec.nat || sa->spec.remote.family != remote->family)
			continue;
		sa->spec.remote = *remote;
		sa->spec.encap_remote_port = encap_remote_port;
	}
}

static void plane_release_held(struct sad *s, const struct sa_selector *selector, bool clear)
{
	struct held_queue *q;

	plane_enter(s);
	q = held_queue_of(&s->held, selector);
	for (struct held_packet *p = q ? held_take(&s->held, q) : NULL, *next; p; p = next) {
		next = p->next;
		if (clear)
			plane_send_clear(s, p->offload, p->octets, p->len);
		else
			plane_refuse(s, p->octets, p->len);
		free(p);
	}
	plane_leave(s);
}

/* The rule of the new plan that goes on with the SA: of the same name, with an entry that still speaks of all that it
 * carries, and for which it is still good enough. */
static const struct rule *tunnel_again(const struct plan *plan, const struct sa_spec *spec)
{
	const struct plan_tunnel *tunnels;
	size_t n = plan_tunnels(plan, &tunnels);

	for (size_t i = 0; i < n; i++) {
		const struct plan_entry *e = tunnel_between(&tunnels[i], spec);
		struct addr_range local = sa_selector_locals(&spec->selector);
		struct addr_range remote = sa_selector_remotes(&spec->selector);

		if (e && strcmp(e->rule->name, spec->rule->name) == 0 && plan_tunnel_has(e, &local, &remote) &&
		    rule_satisfies(spec->rule, &spec->suite, e->rule))
			return e->rule;
	}
	return NULL;
}

static const struct rule *rule_again(const struct plan *plan, const struct sa_spec *spec)
{
	const struct sa_selector *sel = &spec->selector;
	struct plan_list list = plan_meet(plan, &sel->local, &sel->remote);

	for (size_t i = 0; i < list.count; i++) {
		const struct plan_entry *e = &list.entries[i];
		struct sa_selector whole = sa_selector_of(e, &sel->local, &sel->remote);

		if (rule_mode_protects(e->rule->mode) && strcmp(e->rule->name, spec->rule->name) == 0 &&
		    sa_selector_covers(&whole, sel) && rule_satisfies(spec->rule, &spec->suite, e->rule))
			return e->rule;
	}
	return NULL;
}

/* Both directions have one rule; whichever is met first takes the pair with it. */
static bool expire_one(struct sad *s)
{
	size_t bucket = 0;

	for (struct sa *sa = sa_next(&s->sas, &bucket, NULL); sa; sa = sa_next(&s->sas, &bucket, sa))
		if (!sa->spec.rule) {
			plane_expire(s, sa);
			return true;
		}
	return false;
}

static void plane_set_plan(struct sad *s, struct plan *plan)
{
	struct plan *old = s->plan;
	size_t bucket = 0;

	plane_enter(s);
	s->plan = plan ? plan_ref(plan) : NULL;
	for (struct sa *sa = sa_next(&s->sas, &bucket, NULL); sa; sa = sa_next(&s->sas, &bucket, sa))
		sa->spec.rule = !s->plan          ? NULL
				: sa->spec.tunnel ? tunnel_again(s->plan, &sa->spec)
						  : rule_again(s->plan, &sa->spec);
	flows_forget(s);
	while (expire_one(s))
		;
	plane_send_held(s, NULL, NULL);
	plan_free(old);
	plane_leave(s);
}

static void usage_of(const struct sad *s, const struct sa *any, struct sa_usage *row)
{
	const struct sa *in = sa_find_pair(&s->sas, any->spec.pair, true);
	const struct sa *out = sa_find_pair(&s->sas, any->spec.pair, false);

	*row = (struct sa_usage){
		.pair = any->spec.pair, .selector = any->spec.selector, .suite = any->spec.suite, .rule = any->spec.rule
	};
	if (in)
		sad_usage_half(row, &in->spec, in->packets, in->octets, in->last_ms);
	if (out)
		sad_usage_half(row, &out->spec, out->packets, out->octets, out->last_ms);
}

static size_t plane_usage(const struct sad *s, struct sa_usage *rows, size_t cap)
{
	size_t bucket = 0, n = 0;

	for (struct sa *sa = sa_next(&s->sas, &bucket, NULL); sa; sa = sa_next(&s->sas, &bucket, sa)) {
		if (!sa->spec.inbound && sa_find_pair(&s->sas, sa->spec.pair, true))
			continue; /* its inbound half makes the row */
		if (n < cap)
			usage_of(s, sa, &rows[n]);
		n++;
	}
	return n;
}

static bool plane_usage_of(const struct sad *s, uint64_t pair, struct sa_usage *ret)
{
	const struct sa *sa = sa_find_pair(&s->sas, pair, true);

	if (!sa)
		sa = sa_find_pair(&s->sas, pair, false);
	if (sa)
		usage_of(s, sa, ret);
	return sa;
}

static uint64_t plane_dropped(const struct sad *s, enum sad_drop why)
{
	return s->drops[why];
}

const struct sad_ops plane_ops = { .reserve_spi = plane_reserve_spi,
				   .install = plane_install,
				   .remove = plane_remove,
				   .stop_sending = plane_stop_sending,
				   .move = plane_move,
				   .release_spi = plane_release_spi,
				   .release_held = plane_release_held,
				   .set_plan = plane_set_plan,
				   .usage = plane_usage,
				   .usage_of = plane_usage_of,
				   .dropped = plane_dropped,
				   .free = plane_free };
