#include "tests/unit/flat_plan.h"

const struct plan_tunnel *flat_tunnels;
size_t flat_tunnel_count;

struct plan *plan_ref(const struct plan *p)
{
	union {
		const struct plan *given;
		struct plan *own;
	} both = { .given = p };

	both.own->references++;
	return both.own;
}

void plan_free(struct plan *p)
{
	if (p)
		p->references--;
}

struct plan_list plan_meet(const struct plan *p, const struct addr *local, const struct addr *remote)
{
	(void)local;
	(void)remote;
	return (struct plan_list){ p->entries, p->count };
}

static bool in(struct port_range r, uint16_t port)
{
	return r.lo <= port && port <= r.hi;
}

const struct plan_entry *plan_lookup_protecting(const struct plan *p, const struct plan_packet *k)
{
	if (addr_is_multicast(&k->remote))
		return NULL; /* outside every plan */
	for (size_t i = 0; i < p->count; i++) {
		const struct plan_entry *e = &p->entries[i];

		if (!rule_mode_protects(e->rule->mode))
			continue;
		if (e->protocol == PROTOCOL_ANY || (e->protocol == k->protocol && in(e->local_port, k->local_port) &&
						    in(e->remote_port, k->remote_port)))
			return e;
	}
	return NULL;
}

size_t plan_tunnels(const struct plan *p, const struct plan_tunnel **ret)
{
	(void)p;
	*ret = flat_tunnels;
	return flat_tunnel_count;
}

struct sa_spec flat_spec(const struct addr *local, const struct addr *remote, const struct child_suite *suite,
			 const struct rule *rule)
{
	struct sa_spec s = { .local = *local,
			     .remote = *remote,
			     .suite = *suite,
			     .replay_window = 64,
			     .selector = { .local = *local,
					   .remote = *remote,
					   .protocol = PROTOCOL_ANY,
					   .local_port = PORT_ANY,
					   .remote_port = PORT_ANY },
			     .rule = rule };

	s.encr_key.len = suite->encr ? (size_t)suite->encr->key + suite->encr->salt : 0;
	s.integ_key.len = suite->integ ? (size_t)suite->integ->key + suite->integ->salt : 0;
	return s;
}
