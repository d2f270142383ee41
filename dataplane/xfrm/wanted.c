#include "dataplane/xfrm/wanted.h"

#include "base/diag.h"
#include "base/mem.h"
#include "base/table.h"
#include "dataplane/xfrm/convert.h"
#include "dataplane/xfrm/cover.h"
#include "policy/reqid.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

void wanted_wipe(struct wanted_list *l)
{
	free(l->rows);
	*l = (struct wanted_list){ 0 };
}

static struct wanted *add(struct wanted_list *l)
{
	l->rows = mem_grow(l->rows, l->count, &l->cap, sizeof *l->rows);
	memset(&l->rows[l->count], 0, sizeof *l->rows);
	return &l->rows[l->count++];
}

/* ---- what stands above every plan -------------------------------------------------------------------------------- */

static const uint8_t directions[] = { XFRM_POLICY_OUT, XFRM_POLICY_IN, XFRM_POLICY_FWD };

void wanted_add_mark(struct wanted_list *l, uint32_t value, uint32_t mask)
{
	for (unsigned family = 4; family <= 6; family += 2)
		for (size_t i = 0; i < sizeof directions; i++) {
			struct wanted *w = add(l);

			w->key.selector.family = convert_family(family);
			w->key.mark = (struct xfrm_mark){ value, mask };
			w->key.dir = directions[i];
			w->does.priority = WANTED_CLEAR_PRIORITY;
			w->above = true;
		}
}

/* As enforce/'s table has them, which also looks at hop limits. And what a router says of packets that are too big: the
 * kernel hears it of its own ESP only if no policy keeps it away; whose it is, enforce/ judges. Type -1: all of the
 * protocol. */
static const struct {
	unsigned exemption; /* 0: always */
	uint8_t family;
	uint8_t protocol;
	int from, to; /* ports, or ICMP's type and -1 */
} exempt[] = {
	{ 0, 6, IPPROTO_ICMPV6, 135, -1 },
	{ 0, 6, IPPROTO_ICMPV6, 136, -1 },
	{ 0, 6, IPPROTO_ICMPV6, 2, -1 },
	{ 0, 4, IPPROTO_ICMP, 3, 4 }, /* type and code */
	{ EXEMPT_ROUTER_DISCOVERY, 6, IPPROTO_ICMPV6, 133, -1 },
	{ EXEMPT_ROUTER_DISCOVERY, 6, IPPROTO_ICMPV6, 134, -1 },
	{ EXEMPT_ROUTER_DISCOVERY, 6, IPPROTO_ICMPV6, 137, -1 },
	{ EXEMPT_ROUTER_DISCOVERY, 4, IPPROTO_ICMP, 9, -1 },
	{ EXEMPT_ROUTER_DISCOVERY, 4, IPPROTO_ICMP, 10, -1 },
	{ EXEMPT_ICMP, 4, IPPROTO_ICMP, -1, -1 },
	{ EXEMPT_ICMP, 6, IPPROTO_ICMPV6, -1, -1 },
	{ EXEMPT_DHCP, 4, IPPROTO_UDP, 67, 67 },
	{ EXEMPT_DHCP, 4, IPPROTO_UDP, 67, 68 },
	{ EXEMPT_DHCP, 4, IPPROTO_UDP, 68, 67 },
	{ EXEMPT_DHCP, 6, IPPROTO_UDP, 546, 547 },
	{ EXEMPT_DHCP, 6, IPPROTO_UDP, 547, 546 },
	{ EXEMPT_DHCP, 6, IPPROTO_UDP, 547, 547 },
};

static void add_exempt(struct wanted_list *l, unsigned exemptions)
{
	for (size_t i = 0; i < ARRAY_LEN(exempt); i++)
		for (size_t k = 0; k < sizeof directions; k++) {
			struct wanted *w;

			if (exempt[i].exemption && !(exemptions & exempt[i].exemption))
				continue;
			w = add(l);
			w->key.selector.family = convert_family(exempt[i].family);
			w->key.selector.proto = exempt[i].protocol;
			if (exempt[i].from >= 0) {
				w->key.selector.sport = htons((uint16_t)exempt[i].from);
				w->key.selector.sport_mask = 0xffff;
			}
			if (exempt[i].to >= 0) {
				w->key.selector.dport = htons((uint16_t)exempt[i].to);
				w->key.selector.dport_mask = 0xffff;
			}
			w->key.dir = directions[k];
			w->does.priority = WANTED_CLEAR_PRIORITY;
			w->above = true;
		}
}

/* ---- one entry --------------------------------------------------------------------------------------------------- */

/* Do SAs of other rules always do for this one? Then the kernel may not ask for its own. */
static bool others_satisfy(const struct policy *p, const struct rule *want)
{
	const struct rule *r;

	for (uint32_t i = 0; (r = policy_rule_at(p, i)); i++)
		if (r != want && rule_mode_protects(r->mode) && rule_always_satisfies(r, want))
			return true;
	return false;
}

struct policy_does wanted_template(const struct plan *plan, const struct plan_entry *e, const struct addr *local,
				   const struct addr *remote, bool inbound)
{
	const struct rule *rule = e->rule;
	struct policy_does does = { .protects = true };
	const struct addr *far_end;
	struct addr near, far;
	bool ah = rule->protection->suites[0].protocol == PROTO_AH;

	does.template.protocol = ah ? IPPROTO_AH : IPPROTO_ESP;
	does.template.mode = rule->tunnel ? XFRM_MODE_TUNNEL : XFRM_MODE_TRANSPORT;
	does.template.family = convert_family(local->family);
	does.template.reqid = inbound && others_satisfy(plan_policy(plan), rule) ? 0 : rule_reqid(rule);
	if (!rule->tunnel)
		return does;
	far_end = e->local_is_end1 ? &rule->tunnel2 : &rule->tunnel1;
	if (!plan_tunnel_ends(e, local, remote, &near, &far))
		near = far = *local; /* found out when there is an SA */
	does.template.family = convert_family(near.family);
	/* What comes in by a tunnel is known by its SA. Outside, the far end has to be given; where each machine is its
	 * own, the policies of its SA say so, and until then the kernel asks as for transport mode. */
	if (inbound)
		return does;
	if (far_end->family) {
		does.template.from = near;
		does.template.to = far;
		return does;
	}
	does.template.mode = XFRM_MODE_TRANSPORT;
	does.template.family = convert_family(local->family);
	return does;
}

/* ---- selectors --------------------------------------------------------------------------------------------------- */

/* Rows of two prefixes and one service: as many as its ports need blocks. */
struct service_rows {
	struct prefix local, remote;
	int16_t protocol;
	struct port_range local_port, remote_port; /* ICMP: types and codes in local_port */
	const struct policy_does *out, *in;
	uint32_t priority, mark;
	bool forwarded, above;
	size_t most; /* of the list */
};

static void add_both_ways(struct wanted_list *l, const struct service_rows *s, const struct convert_ends *e)
{
	for (unsigned inbound = 0; inbound < 2; inbound++) {
		struct wanted *w;

		if (inbound && !s->in)
			return;
		w = add(l);
		w->key.selector = convert_selector(e, inbound);
		w->key.mark.m = s->mark;
		w->key.dir = !inbound ? XFRM_POLICY_OUT : s->forwarded ? XFRM_POLICY_FWD : XFRM_POLICY_IN;
		w->does = inbound ? *s->in : *s->out;
		w->does.priority = s->priority;
		w->above = s->above;
	}
}

static int add_service(struct wanted_list *l, const struct service_rows *s)
{
	struct convert_ends e = { .local = s->local, .remote = s->remote, .protocol = s->protocol };
	struct port_block locals[PORT_BLOCKS_MOST], remotes[PORT_BLOCKS_MOST];
	unsigned local_count, remote_count;

	if (convert_has_types(s->protocol)) {
		convert_icmp(&e, s->local_port);
		add_both_ways(l, s, &e);
		return l->count > s->most ? -E2BIG : 0;
	}
	local_count = convert_ports(s->local_port, locals);
	remote_count = convert_ports(s->remote_port, remotes);
	for (unsigned i = 0; i < local_count; i++)
		for (unsigned k = 0; k < remote_count; k++) {
			if (l->count + 2 > s->most)
				return -E2BIG;
			e.local_port = locals[i];
			e.remote_port = remotes[k];
			add_both_ways(l, s, &e);
		}
	return 0;
}

static struct service_rows service_of(const struct plan_entry *e, const struct prefix *local,
				      const struct prefix *remote)
{
	struct sa_selector whole = sa_selector_of(e, &local->addr, &remote->addr);

	return (struct service_rows){ .local = *local,
				      .remote = *remote,
				      .protocol = e->protocol,
				      .local_port = whole.local_port,
				      .remote_port = whole.remote_port };
}

/* ---- the plan ---------------------------------------------------------------------------------------------------- */

struct walk {
	const struct plan *plan;
	struct wanted_list *rows;
	size_t most;
	struct prefix local;
	bool forwarded;
	const struct rule *at; /* for the error */
};

static bool matches_all(const struct plan_entry *e)
{
	return e->protocol == PROTOCOL_ANY && e->initiators == INITIATOR_EITHER;
}

/* A block that asks who began is the ruleset's alone: here it would block the answers to the other end, too. */
static bool has_policy(const struct plan_entry *e)
{
	return e->rule->mode != MODE_BLOCK || e->initiators == INITIATOR_EITHER;
}

static int add_entry(struct walk *w, const struct plan_entry *e, const struct prefix *remote, uint32_t priority)
{
	struct service_rows s = service_of(e, &w->local, remote);
	struct policy_does out = { .block = e->rule->mode == MODE_BLOCK }, in = out;

	w->at = e->rule;
	if (rule_mode_protects(e->rule->mode)) {
		out = wanted_template(w->plan, e, &w->local.addr, &remote->addr, false);
		in = wanted_template(w->plan, e, &w->local.addr, &remote->addr, true);
	}
	s.out = &out;
	s.in = &in;
	s.priority = priority;
	s.forwarded = w->forwarded;
	s.most = w->most;
	return add_service(w->rows, &s);
}

/* Passes as it is. */
static int add_pass(struct walk *w, const struct prefix *remote, int16_t protocol, uint32_t priority)
{
	static const struct policy_does pass = { 0 };
	struct service_rows s = { .local = w->local,
				  .remote = *remote,
				  .protocol = protocol,
				  .local_port = PORT_ANY,
				  .remote_port = PORT_ANY,
				  .out = &pass,
				  .in = &pass,
				  .priority = priority,
				  .forwarded = w->forwarded,
				  .most = w->most };

	return add_service(w->rows, &s);
}

static uint32_t priority_of(const struct prefix *remote, size_t place)
{
	return (uint32_t)((128 - remote->bits) * WANTED_STEP + place * 2 + 1);
}

/* What machines have sealed themselves goes beside a tunnel whose rule says so. */
static int add_sealed(struct walk *w, const struct plan_entry *e, const struct prefix *remote, uint32_t priority)
{
	if (!e->rule->tunnel || !e->rule->exempt_protected ||
	    (e->protocol != PROTOCOL_ANY && e->protocol != IPPROTO_ESP))
		return 0;
	return add_pass(w, remote, IPPROTO_ESP, priority);
}

static int add_list(struct walk *w, const struct cover_row *row)
{
	struct plan_list list = { 0 };
	size_t i;
	int r = 0;

	if (row->label != COVER_NONE)
		list = plan_list(w->plan, row->label);
	for (i = 0; i < list.count && r == 0; i++) {
		if (i >= WANTED_LIST_MOST)
			return -E2BIG;
		r = add_sealed(w, &list.entries[i], &row->prefix, priority_of(&row->prefix, i) - 1);
		if (r == 0 && has_policy(&list.entries[i]))
			r = add_entry(w, &list.entries[i], &row->prefix, priority_of(&row->prefix, i));
		if (matches_all(&list.entries[i]))
			return r;
	}
	/* Everything else between these two: a shorter prefix around it must not say otherwise. */
	if (r == 0 && row->within)
		r = add_pass(w, &row->prefix, PROTOCOL_ANY, priority_of(&row->prefix, i));
	return r;
}

static int add_regions(struct walk *w, const struct plan_region *regions, size_t count)
{
	struct cover_range *ranges = mem_new(count + 1, sizeof *ranges);
	struct cover_row *rows = NULL;
	size_t row_count = 0;
	int r;

	for (size_t i = 0; i < count; i++)
		ranges[i] = (struct cover_range){ regions[i].remote, regions[i].list };
	r = cover_make(ranges, count, w->local.addr.family, &rows, &row_count);
	for (size_t i = 0; i < row_count && r == 0; i++)
		r = add_list(w, &rows[i]);
	free(rows);
	free(ranges);
	return r;
}

static int add_locals(struct walk *w)
{
	const struct plan_region *regions;
	const struct addr_range *behind;
	const struct addr *locals;
	size_t n = plan_locals(w->plan, &locals), count;
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		w->local = (struct prefix){ locals[i], addr_bits(&locals[i]) };
		count = plan_regions(w->plan, i, &regions);
		r = add_regions(w, regions, count);
	}
	count = plan_behind(w->plan, &behind);
	w->forwarded = true;
	for (size_t i = 0; i < count && r == 0; i++) {
		struct addr_range left = behind[i];
		size_t region_count = plan_regions(w->plan, n + i, &regions);
		bool more;

		do {
			more = convert_prefix_next(&left, &w->local);
			r = add_regions(w, regions, region_count);
		} while (more && r == 0);
	}
	return r;
}

/* ---- one of each ---- */

static bool same_key(const void *value, const void *what)
{
	return policy_key_compare(&((const struct wanted *)value)->key, what) == 0;
}

/* Of those with one selector the first wins; the kernel takes one of each. */
static void drop_doubles(struct wanted_list *l)
{
	struct table seen = { 0 };
	size_t kept = 0;

	for (size_t i = 0; i < l->count; i++) {
		uint64_t hash = policy_key_hash(&l->rows[i].key);

		if (table_find(&seen, hash, same_key, &l->rows[i].key))
			continue;
		l->rows[kept] = l->rows[i];
		table_add(&seen, hash, &l->rows[kept]);
		kept++;
	}
	l->count = kept;
	table_wipe(&seen);
}

static int by_priority(const void *a, const void *b)
{
	const struct wanted *x = a, *y = b;

	if (x->above != y->above)
		return x->above ? -1 : 1;
	if (x->does.priority != y->does.priority)
		return x->does.priority < y->does.priority ? -1 : 1;
	return policy_key_compare(&x->key, &y->key);
}

int wanted_of_plan(const struct plan *plan, size_t most, struct wanted_list *ret, struct diag *d)
{
	struct walk w = { .plan = plan, .rows = ret, .most = most };
	size_t before = ret->count;
	int r;

	add_exempt(ret, policy_exemptions(plan_policy(plan)));
	r = add_locals(&w);
	if (r < 0) {
		ret->count = before;
		return diag_fail(d, ERR_UNSUPPORTED,
				 "rule '%s': the kernel would need more than %zu policies for this plan; give whole "
				 "prefixes instead of lists and ranges, or use data-plane: userspace",
				 w.at ? w.at->name : "", most);
	}
	qsort(ret->rows, ret->count, sizeof *ret->rows, by_priority);
	drop_doubles(ret);
	return 0;
}

/* ---- in front of an entry ---------------------------------------------------------------------------------------- */

static size_t place_of(const struct wanted_front *f)
{
	struct plan_list list = plan_meet(f->plan, &f->selector->local, &f->selector->remote);
	size_t place = 0;

	while (place < list.count && &list.entries[place] != f->entry)
		place++;
	return place;
}

static bool is_forwarded(const struct plan *plan, const struct addr *local)
{
	const struct addr_range *behind;
	size_t n = plan_behind(plan, &behind);

	for (size_t i = 0; i < n; i++)
		if (addr_range_has(&behind[i], local))
			return true;
	return false;
}

int wanted_add_front(struct wanted_list *l, const struct wanted_front *f)
{
	struct addr_range locals = sa_selector_locals(f->selector);
	struct prefix depth = { .bits = f->depth };
	struct service_rows s = { .protocol = f->selector->protocol,
				  .local_port = f->selector->local_port,
				  .remote_port = f->selector->remote_port,
				  .out = f->out,
				  .in = f->in,
				  .priority = priority_of(&depth, place_of(f)) - 1,
				  .mark = f->mark,
				  .forwarded = is_forwarded(f->plan, &f->selector->local),
				  .most = l->count + f->most };
	bool more_locals, more_remotes;
	int r = 0;

	do {
		struct addr_range remotes = sa_selector_remotes(f->selector);

		more_locals = convert_prefix_next(&locals, &s.local);
		do {
			more_remotes = convert_prefix_next(&remotes, &s.remote);
			r = add_service(l, &s);
		} while (more_remotes && r == 0);
	} while (more_locals && r == 0);
	return r;
}
