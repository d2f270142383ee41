#include "tools/cli/first.h"

#include "base/mem.h"
#include "base/str.h"
#include "tools/cli/networks.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ADDRESSES_MOST = 64 };

/* What kinds of interfaces are, as the kernel names them; of others one cannot say more than that they lead somewhere.
 */
static const struct {
	const char *kind;
	enum first_reason reason;
} kinds[] = {
	{ "wireguard", FIRST_TUNNEL },   { "tun", FIRST_TUNNEL },
	{ "ppp", FIRST_TUNNEL },         { "ipip", FIRST_TUNNEL },
	{ "sit", FIRST_TUNNEL },         { "gre", FIRST_TUNNEL },
	{ "ip6gre", FIRST_TUNNEL },      { "ip6tnl", FIRST_TUNNEL },
	{ "vti", FIRST_TUNNEL },         { "vti6", FIRST_TUNNEL },
	{ "xfrm", FIRST_TUNNEL },        { "vxlan", FIRST_CONTAINERS },
	{ "geneve", FIRST_CONTAINERS },  { "openvswitch", FIRST_CONTAINERS },
	{ "dummy", FIRST_OWN_SERVICES }, { "ifb", FIRST_OWN_SERVICES },
	{ "nlmon", FIRST_OWN_SERVICES },
};

/* The host's ends of the cables to containers; a container's own end is a veth as well, but called eth0. */
static const char *const container_cables[] = { "veth", "cali", "lxc", "cilium", "podman", "cni" };

const char *first_reason_name(enum first_reason r)
{
	static const char *const names[FIRST_REASONS] = { "containers", "tunnel", "own-services", "alone" };

	return names[r];
}

/* ---- which interfaces lead to other machines --------------------------------------------------------------------- */

static bool has_default_route(const struct networks *n, const struct network_interface *i)
{
	for (size_t k = 0; k < n->route_count; k++)
		if (n->routes[k].prefix == 0 && n->routes[k].interface == i->number)
			return true;
	return false;
}

static bool kind_of(const struct network_interface *i, enum first_reason *ret)
{
	for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
		if (strcmp(kinds[k].kind, i->kind) == 0) {
			*ret = kinds[k].reason;
			return true;
		}
	return false;
}

/* A bridge with a network card among its ports is the machine's way out; without one it joins guests. */
static bool bridge_leads_out(const struct networks *n, const struct network_interface *bridge)
{
	enum first_reason reason;

	if (has_default_route(n, bridge))
		return true;
	for (size_t k = 0; k < n->interface_count; k++) {
		const struct network_interface *port = &n->interfaces[k];

		if (port->master == bridge->number && strcmp(port->kind, "veth") != 0 && !kind_of(port, &reason))
			return true;
	}
	return false;
}

static bool leads_out(const struct networks *n, const struct network_interface *i, enum first_reason *ret)
{
	if (kind_of(i, ret))
		return false;
	*ret = FIRST_CONTAINERS;
	if (strcmp(i->kind, "bridge") == 0)
		return bridge_leads_out(n, i);
	if (strcmp(i->kind, "veth") == 0 && !has_default_route(n, i))
		for (size_t k = 0; k < ARRAY_LEN(container_cables); k++)
			if (strncmp(i->name, container_cables[k], strlen(container_cables[k])) == 0)
				return false;
	*ret = FIRST_TUNNEL;
	return !i->point_to_point;
}

static bool rules_speak_of(const struct addr *a)
{
	return a->family && !addr_is_loopback(a) && !addr_is_link_local(a) && !addr_is_multicast(a);
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

static bool name_taken(const struct first *f, const char *name)
{
	for (size_t i = 0; i < f->zone_count; i++)
		if (strcmp(f->zones[i].name, name) == 0)
			return true;
	for (size_t i = 0; i < f->host_count; i++)
		if (strcmp(f->hosts[i].name, name) == 0)
			return true;
	return strcmp(f->name, name) == 0;
}

/* "dns", or "dns2" when there is one. */
static void name_new(const struct first *f, const char *want, char ret[FIRST_NAME])
{
	(void)snprintf(ret, FIRST_NAME, "%s", want);
	for (unsigned i = 2; name_taken(f, ret); i++)
		(void)snprintf(ret, FIRST_NAME, "%.50s%u", want, i);
}

/* The host's name as one that YAML, the policy and a file system take for a name and nothing else. */
static void name_of_host(const char *host, char ret[FIRST_NAME])
{
	static const char *const taken[] = {
		"any",  "self",  "local-subnet", "dns-servers", "dhcp-servers", "wins-servers", "default-gateway",
		"true", "false", "null",         "yes",         "no",           "on",           "off"
	};
	size_t len = 0;
	bool plain = isalpha((unsigned char)host[0]) && strcmp(host, "localhost") != 0;

	for (size_t i = 0; i < ARRAY_LEN(taken); i++)
		plain &= strcasecmp(host, taken[i]) != 0;
	if (!plain)
		len = (size_t)snprintf(ret, FIRST_NAME, "%s", "host-");
	for (size_t i = 0; host[i] && len < FIRST_NAME - 8; i++)
		ret[len++] = (char)(isalnum((unsigned char)host[i]) ? host[i] : '-');
	ret[len] = '\0';
	if (!host[0] || strcmp(host, "localhost") == 0)
		(void)snprintf(ret, FIRST_NAME, "this-host");
}

/* ---- zones ------------------------------------------------------------------------------------------------------- */

static void leave(struct first *f, const struct network_interface *i, const struct network_address *a,
		  enum first_reason reason)
{
	struct first_left *l;

	f->left = mem_grow(f->left, f->left_count, &f->left_cap, sizeof *f->left);
	l = &f->left[f->left_count++];
	*l = (struct first_left){ .addr = a->addr, .prefix = a->prefix, .reason = reason };
	(void)snprintf(l->interface, sizeof l->interface, "%s", i->name);
}

/* The network that an address is in. Clouds and DHCPv6 give it alone; then a route may tell what is on the link. */
static bool network_of(const struct networks *n, const struct network_interface *i, const struct network_address *a,
		       struct addr_range *ret)
{
	int best = -1;

	if (a->prefix > 0 && a->prefix < addr_bits(&a->addr)) {
		*ret = addr_prefix_range(&a->addr, a->prefix);
		return true;
	}
	for (size_t k = 0; k < n->route_count; k++) {
		const struct network_route *r = &n->routes[k];
		struct addr_range to;

		if (r->interface != i->number || r->gateway.family || r->to.family != a->addr.family ||
		    r->prefix == 0 || r->prefix == addr_bits(&a->addr) || r->prefix <= best)
			continue;
		to = addr_prefix_range(&r->to, r->prefix);
		if (addr_range_has(&to, &a->addr)) {
			*ret = to;
			best = r->prefix;
		}
	}
	return best > 0;
}

static bool range_equal(const struct addr_range *a, const struct addr_range *b)
{
	return addr_equal(&a->lo, &b->lo) && addr_equal(&a->hi, &b->hi);
}

static bool in_zones(const struct first *f, const struct addr *a)
{
	for (size_t i = 0; i < f->zone_count; i++)
		for (size_t k = 0; k < f->zones[i].count; k++)
			if (addr_range_has(&f->zones[i].prefixes[k], a))
				return true;
	return false;
}

/* A prefix belongs to one zone, even where two cards are in the same network. */
static void zone_put(struct first *f, struct first_zone **zone, const struct network_interface *i,
		     const struct addr_range *prefix)
{
	struct first_zone *z = *zone;
	char want[FIRST_NAME];

	for (size_t k = 0; k < f->zone_count; k++)
		for (size_t p = 0; p < f->zones[k].count; p++)
			if (range_equal(&f->zones[k].prefixes[p], prefix))
				return;
	if (!z) {
		f->zones = mem_grow(f->zones, f->zone_count, &f->zone_cap, sizeof *f->zones);
		z = &f->zones[f->zone_count];
		*z = (struct first_zone){ 0 };
		(void)snprintf(z->interface, sizeof z->interface, "%s", i->name);
		if (f->zone_count == 0) {
			(void)snprintf(want, sizeof want, "lan");
		} else {
			(void)snprintf(want, sizeof want, "net-%s", i->name);
			for (char *c = want; *c; c++)
				*c = (char)(isalnum((unsigned char)*c) ? *c : '-');
		}
		name_new(f, want, z->name);
		f->zone_count++;
		*zone = z;
	}
	z->prefixes = mem_grow(z->prefixes, z->count, &z->cap, sizeof *z->prefixes);
	z->prefixes[z->count++] = *prefix;
}

static void address_put(struct first_host *h, const struct addr *a, int prefix)
{
	for (size_t i = 0; i < h->count; i++)
		if (addr_equal(&h->addresses[i].addr, a))
			return;
	if (h->count == ADDRESSES_MOST)
		return;
	h->addresses = mem_grow(h->addresses, h->count, &h->cap, sizeof *h->addresses);
	h->addresses[h->count++] = (struct host_address){ .addr = *a, .prefix = prefix };
}

static void take_interface(struct first *f, const struct networks *n, const struct network_interface *i,
			   struct first_host *self)
{
	struct first_zone *zone = NULL;
	enum first_reason reason = FIRST_ALONE;
	bool out = leads_out(n, i, &reason);

	for (size_t k = 0; k < i->count; k++) {
		const struct network_address *a = &i->addresses[k];
		struct addr_range prefix;
		int bits = -1;

		if (!rules_speak_of(&a->addr))
			continue;
		if (!out) {
			leave(f, i, a, reason);
			continue;
		}
		if (network_of(n, i, a, &prefix)) {
			zone_put(f, &zone, i, &prefix);
			bits = addr_range_prefix(&prefix);
		} else if (!a->passing) {
			leave(f, i, a, FIRST_ALONE);
		}
		if (!a->passing && in_zones(f, &a->addr))
			address_put(self, &a->addr, bits);
	}
}

/* ---- hosts ------------------------------------------------------------------------------------------------------- */

static bool is_own(const struct networks *n, const struct addr *a)
{
	for (size_t i = 0; i < n->interface_count; i++)
		for (size_t k = 0; k < n->interfaces[i].count; k++)
			if (addr_equal(&n->interfaces[i].addresses[k].addr, a))
				return true;
	return false;
}

static bool host_has(const struct first_host *h, const struct addr *a)
{
	for (size_t i = 0; i < h->count; i++)
		if (addr_equal(&h->addresses[i].addr, a))
			return true;
	return false;
}

/* The host that has the address, made with this name if there is none. NULL: it is this machine, but not in a zone. */
static struct first_host *host_with(struct first *f, const struct networks *n, const struct addr *a, const char *name)
{
	struct first_host *h;

	for (size_t i = 0; i < f->host_count; i++)
		if (host_has(&f->hosts[i], a))
			return &f->hosts[i];
	if (is_own(n, a))
		return NULL;
	f->hosts = mem_grow(f->hosts, f->host_count, &f->host_cap, sizeof *f->hosts);
	h = &f->hosts[f->host_count];
	*h = (struct first_host){ 0 };
	address_put(h, a, -1);
	name_new(f, name, h->name);
	f->host_count++;
	return h;
}

static void take_servers(struct first *f, const struct networks *n, enum server_kind kind, unsigned role,
			 const char *name)
{
	for (size_t i = 0; i < n->servers.counts[kind]; i++) {
		struct first_host *h = host_with(f, n, &n->servers.all[kind][i], name);

		if (h)
			h->roles |= role;
	}
}

/* The gateways of two families on one cable are one machine, as far as one can see from here. */
static struct first_host *router_on(struct first *f, const struct networks *n, const struct network_route *r)
{
	for (size_t i = 0; i < n->route_count && &n->routes[i] != r; i++) {
		const struct network_route *before = &n->routes[i];

		if (before->prefix != 0 || before->interface != r->interface ||
		    before->gateway.family == r->gateway.family)
			continue;
		for (size_t k = 0; k < f->host_count; k++)
			if (f->hosts[k].gateway && host_has(&f->hosts[k], &before->gateway))
				return &f->hosts[k];
	}
	return NULL;
}

static void take_gateways(struct first *f, const struct networks *n)
{
	for (size_t i = 0; i < n->route_count; i++) {
		const struct network_route *r = &n->routes[i];
		struct first_host *h;

		/* One behind a VPN is no neighbour. */
		if (r->prefix != 0 || !rules_speak_of(&r->gateway) || !in_zones(f, &r->gateway) ||
		    is_own(n, &r->gateway))
			continue;
		h = router_on(f, n, r);
		if (h)
			address_put(h, &r->gateway, -1);
		else
			h = host_with(f, n, &r->gateway, "router");
		if (h)
			h->gateway = true;
	}
}

static void take_admin(struct first *f, const struct networks *n)
{
	struct first_host *h;

	if (!n->admin.family || !rules_speak_of(&n->admin) || is_own(n, &n->admin))
		return;
	h = host_with(f, n, &n->admin, "admin");
	if (h)
		h->admin = true;
	f->port = n->admin_port;
}

bool first_has_role(const struct first *f, unsigned role)
{
	for (size_t i = 0; i < f->host_count; i++)
		if ((f->hosts[i].roles & role) && first_meets_zones(f, &f->hosts[i]))
			return true;
	return false;
}

/* Is there an address of its family in a zone? A rule between families would be one that never matches. */
bool first_meets_zones(const struct first *f, const struct first_host *h)
{
	for (size_t i = 0; i < f->zone_count; i++)
		for (size_t k = 0; k < f->zones[i].count; k++)
			for (size_t a = 0; a < h->count; a++)
				if (f->zones[i].prefixes[k].lo.family == h->addresses[a].addr.family)
					return true;
	return false;
}

struct first *first_new(const struct networks *n, const struct first_options *o)
{
	struct first *f = mem_new(1, sizeof *f);
	struct first_host self = { 0 };

	f->options = *o;
	name_of_host(n->host, f->name);
	/* The one that leads to everywhere is `lan`. */
	for (int round = 0; round < 2; round++)
		for (size_t i = 0; i < n->interface_count; i++)
			if (!n->interfaces[i].loopback && has_default_route(n, &n->interfaces[i]) == (round == 0))
				take_interface(f, n, &n->interfaces[i], &self);
	if (self.count) {
		(void)snprintf(self.name, sizeof self.name, "%s", f->name);
		f->hosts = mem_grow(f->hosts, 0, &f->host_cap, sizeof *f->hosts);
		f->hosts[f->host_count++] = self;
		f->own = true;
	}
	take_gateways(f, n);
	take_servers(f, n, SERVER_DNS, ROLE_DNS, "dns");
	take_servers(f, n, SERVER_DHCP, ROLE_DHCP, "dhcp");
	take_servers(f, n, SERVER_WINS, ROLE_WINS, "wins");
	take_admin(f, n);
	return f;
}

void first_free(struct first *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < f->zone_count; i++)
		free(f->zones[i].prefixes);
	for (size_t i = 0; i < f->host_count; i++)
		free(f->hosts[i].addresses);
	free(f->zones);
	free(f->hosts);
	free(f->left);
	free(f);
}
