/* Policies in front of the plan's: of an SA that they cannot find, and of what passes or is refused for a while. */
#include "dataplane/xfrm/plane.h"

#include "dataplane/xfrm/convert.h"
#include "policy/reqid.h"

#include <errno.h>
#include <string.h>

/* ---- which entry of the plan an SA is for ---- */

static const struct plan_entry *tunnel_between(const struct plan_tunnel *t, const struct sa_spec *spec)
{
	if ((t->local.family && !addr_equal(&t->local, &spec->local)) ||
	    (t->remote.family && !addr_equal(&t->remote, &spec->remote)))
		return NULL;
	return &t->entry;
}

static bool same_rule(const struct rule *a, const struct rule *b, bool by_name)
{
	return by_name ? strcmp(a->name, b->name) == 0 : a == b;
}

/* again: it must speak of all that the SA carries, and the SA must still be good enough. */
static bool takes(const struct plan_entry *e, const struct sa_spec *spec, bool again)
{
	struct addr_range local = sa_selector_locals(&spec->selector), remote = sa_selector_remotes(&spec->selector);
	struct sa_selector whole;

	if (!rule_mode_protects(e->rule->mode) || !same_rule(e->rule, spec->rule, again))
		return false;
	if (!again)
		return true;
	if (!rule_satisfies(spec->rule, &spec->suite, e->rule))
		return false;
	if (spec->tunnel)
		return plan_tunnel_has(e, &local, &remote);
	whole = sa_selector_of(e, &spec->selector.local, &spec->selector.remote);
	return (whole.protocol == PROTOCOL_ANY || whole.protocol == spec->selector.protocol) &&
	       whole.local_port.lo <= spec->selector.local_port.lo &&
	       whole.local_port.hi >= spec->selector.local_port.hi &&
	       whole.remote_port.lo <= spec->selector.remote_port.lo &&
	       whole.remote_port.hi >= spec->selector.remote_port.hi;
}

const struct plan_entry *fronts_entry_of(const struct plan *plan, const struct sa_spec *spec, bool again)
{
	const struct plan_tunnel *tunnels;
	struct plan_list list;
	size_t n;

	if (!plan)
		return NULL;
	list = plan_meet(plan, &spec->selector.local, &spec->selector.remote);
	for (size_t i = 0; i < list.count; i++)
		if (takes(&list.entries[i], spec, again))
			return &list.entries[i];
	n = spec->tunnel ? plan_tunnels(plan, &tunnels) : 0;
	for (size_t i = 0; i < n; i++) {
		const struct plan_entry *e = tunnel_between(&tunnels[i], spec);

		if (e && takes(e, spec, again))
			return e;
	}
	return NULL;
}

/* ---- policies of one SA ---- */

static struct policy_does own_template(const struct sa_spec *spec)
{
	struct state_id id = state_id_of(spec);
	struct policy_does does = { .protects = true };

	does.template.protocol = id.protocol;
	does.template.mode = spec->tunnel ? XFRM_MODE_TUNNEL : XFRM_MODE_TRANSPORT;
	does.template.family = convert_family(spec->local.family);
	does.template.reqid = rule_reqid(spec->rule);
	return does;
}

/* Does the plan's own policy find this SA? */
static bool finds(const struct plan *plan, const struct plan_entry *e, const struct sa_spec *spec)
{
	struct policy_does own = own_template(spec), out, in;

	out = wanted_template(plan, e, &spec->selector.local, &spec->selector.remote, false);
	in = wanted_template(plan, e, &spec->selector.local, &spec->selector.remote, true);
	return out.template.protocol == own.template.protocol && out.template.mode == own.template.mode &&
	       in.template.protocol == own.template.protocol && in.template.mode == own.template.mode &&
	       (!spec->tunnel ||
		(addr_equal(&out.template.to, &spec->remote) && addr_equal(&out.template.from, &spec->local)));
}

static int front_of(const struct xfrm_plane *x, const struct sa_spec *spec, const struct plan_entry *e,
		    struct wanted_list *l, struct diag *d)
{
	struct policy_does out = own_template(spec), in = out;
	struct wanted_front f = { .plan = x->plan,
				  .selector = &spec->selector,
				  .entry = e,
				  .out = &out,
				  .in = &in,
				  .mark = FRONT_MARK_SA,
				  .depth = policies_depth(&x->policies, &spec->selector),
				  .most = FRONT_POLICIES_MOST };

	if (spec->tunnel) {
		out.template.from = spec->local;
		out.template.to = spec->remote;
	}
	if (wanted_add_front(l, &f) < 0)
		return diag_fail(
			d, ERR_UNSUPPORTED,
			"rule '%s': the kernel would need more than %d policies for one SA; give whole prefixes "
			"instead of lists and ranges, or use data-plane: userspace",
			spec->rule->name, FRONT_POLICIES_MOST);
	return 0;
}

int fronts_add(struct xfrm_plane *x, struct state *st, const struct plan_entry *e, struct diag *d)
{
	SCOPED(wanted_wipe) struct wanted_list l = { 0 };
	int r;

	if (finds(x->plan, e, &st->spec))
		return 0;
	if ((r = front_of(x, &st->spec, e, &l, d)) < 0 || (r = policies_add_front(&x->policies, &l, 0, d)) < 0)
		return r;
	st->has_front = true;
	return 0;
}

void fronts_drop(struct xfrm_plane *x, struct state *st)
{
	SCOPED(wanted_wipe) struct wanted_list l = { 0 };
	static const struct plan_entry none = { 0 };

	if (!st->has_front)
		return;
	st->has_front = false;
	if (x->plan && front_of(x, &st->spec, &none, &l, NULL) == 0) /* by what they select, not where they stand */
		policies_drop_front(&x->policies, &l);
}

/* ---- for a while ---- */

/* Of the service between two addresses that was asked for; NULL: the plan has changed. */
static const struct plan_entry *entry_asked_for(const struct plan *plan, const struct sa_selector *s)
{
	struct plan_list list = plan ? plan_meet(plan, &s->local, &s->remote) : (struct plan_list){ 0 };

	for (size_t i = 0; i < list.count; i++) {
		const struct plan_entry *e = &list.entries[i];
		struct sa_selector own = sa_selector_of(e, &s->local, &s->remote);

		if (rule_mode_protects(e->rule->mode) && own.protocol == s->protocol &&
		    own.local_port.lo == s->local_port.lo && own.local_port.hi == s->local_port.hi &&
		    own.remote_port.lo == s->remote_port.lo && own.remote_port.hi == s->remote_port.hi)
			return e;
	}
	return NULL;
}

void fronts_put(struct xfrm_plane *x, const struct sa_selector *selector, const struct policy_does *out,
		const struct policy_does *in, uint64_t ms)
{
	SCOPED(wanted_wipe) struct wanted_list l = { 0 };
	struct wanted_front f = { .plan = x->plan,
				  .selector = selector,
				  .entry = entry_asked_for(x->plan, selector),
				  .out = out,
				  .in = in,
				  .mark = FRONT_MARK_CLEAR,
				  .most = FRONT_POLICIES_MOST };

	if (!f.entry)
		return;
	f.depth = policies_depth(&x->policies, selector);
	if (wanted_add_front(&l, &f) == 0)
		(void)policies_add_front(&x->policies, &l, x->now + ms, NULL);
}
