#include "tools/lab/network.h"

#include "base/diag.h"
#include "base/mem.h"
#include "base/str.h"
#include "policy/policy.h"
#include "tools/lab/behind.h"
#include "tools/lab/offload.h"
#include "tools/lab/inhabitants.h"
#include "tools/lab/space.h"
#include "tools/lab/wire.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct network {
	const struct host *hosts;
	size_t count;
	int wire;
	int *spaces, *routers; /* routers: -1 where the host is not behind one */
	int *behind;           /* the gateway that a host is behind, or BEHIND_NOBODY */
	pid_t relay;           /* 0: there is none */
};

#define ROUTER "fe80::1" /* as the host behind it knows it, for both families */

static const char *const ip_batch[] = { "ip", "-batch", "-", NULL };

void network_port_name(size_t host, char ret[16])
{
	(void)snprintf(ret, 16, "w%u", (unsigned)host);
}

void network_mac(size_t host, uint8_t ret[6])
{
	ret[0] = 0x02; /* administered locally */
	ret[1] = 0xc0;
	ret[2] = 0;
	ret[3] = 0;
	ret[4] = (uint8_t)(host >> 8);
	ret[5] = (uint8_t)host;
}

/* The interface that stands on the wire for a host: its own, or that of the NAT in front of it. */
static int outer_space(const struct network *n, size_t host)
{
	return n->routers[host] >= 0 ? n->routers[host] : n->spaces[host];
}

static const char *outer_name(const struct network *n, size_t host)
{
	return n->routers[host] >= 0 ? "out" : "eth0";
}

static int make_wire(struct network *n, const struct wire_faults *faults, struct diag *d)
{
	SCOPED(str_wipe) struct str batch = { 0 };
	int e;

	if ((e = space_new(&n->wire, d)) < 0)
		return e;
	/* The bridge itself says nothing: what is on the wire comes from the hosts. */
	(void)space_sysctl(n->wire, "ipv6/conf/default/disable_ipv6", "1", NULL);
	str_add(&batch, "link add wire type bridge stp_state 0 forward_delay 0 mcast_snooping 0\n");
	for (size_t i = 0; i < n->count; i++) {
		char port[16];
		uint8_t m[6];

		if (n->behind[i] != BEHIND_NOBODY)
			continue;
		network_port_name(i, port);
		network_mac(i, m);
		str_addf(&batch,
			 "link add %s type veth peer name %s address %02x:%02x:%02x:%02x:%02x:%02x "
			 "netns /proc/%d/fd/%d\n"
			 "link set %s %sup\n",
			 port, outer_name(n, i), m[0], m[1], m[2], m[3], m[4], m[5], (int)getpid(), outer_space(n, i),
			 port, faults->bad ? "" : "master wire ");
	}
	str_add(&batch, "link set wire up\n");
	if ((e = space_run(n->wire, ip_batch, str_text(&batch), d)) < 0 || !faults->bad)
		return e;
	return wire_start(n->wire, n->count, faults, &n->relay, d);
}

static int turn_offloads_off(const struct network *n, struct diag *d)
{
	int e;

	for (size_t i = 0; i < n->count; i++) {
		char port[16];

		network_port_name(i, port);
		if ((e = offload_off(network_port_space(n, i), port, d)) < 0 ||
		    (e = offload_off(n->spaces[i], "eth0", d)) < 0 ||
		    (n->routers[i] >= 0 &&
		     ((e = offload_off(n->routers[i], "out", d)) < 0 || (e = offload_off(n->routers[i], "in", d)) < 0)))
			return e;
	}
	return 0;
}

/* A host with a NAT address stands behind a router of its own. */
static int make_router(struct network *n, size_t i, struct diag *d)
{
	SCOPED(str_wipe) struct str batch = { 0 };
	const struct addr *nat = &n->hosts[i].nat_address;
	int e;

	if (!nat->family)
		return 0;
	for (size_t other = 0; other < i; other++)
		if (addr_equal(&n->hosts[other].nat_address, nat))
			return diag_fail(d, EINVAL,
					 "%s has the same nat-address; the lab puts one host behind each NAT",
					 n->hosts[other].name);
	if ((e = space_new(&n->routers[i], d)) < 0)
		return e;
	str_addf(&batch, "link add in type veth peer name eth0 netns /proc/%d/fd/%d\n", (int)getpid(), n->spaces[i]);
	return space_run(n->routers[i], ip_batch, str_text(&batch), d);
}

/* A cable of its own from the gateway to each host behind it. */
static int make_cables(const struct network *n, const struct wire_faults *faults, struct diag *d)
{
	for (size_t i = 0; i < n->count; i++) {
		SCOPED(str_wipe) struct str batch = { 0 };
		char port[16];
		uint8_t m[6];
		int e;

		if (n->behind[i] == BEHIND_NOBODY)
			continue;
		if (faults->bad || n->routers[i] >= 0 || n->routers[n->behind[i]] >= 0)
			return diag_fail(d, EINVAL,
					 "%s is behind the gateway %s: on a bad wire, or with a NAT at either, the lab "
					 "does not play tunnels",
					 n->hosts[i].name, n->hosts[n->behind[i]].name);
		network_port_name(i, port);
		network_mac(i, m);
		str_addf(&batch,
			 "link add %s type veth peer name eth0 address %02x:%02x:%02x:%02x:%02x:%02x netns "
			 "/proc/%d/fd/%d\n"
			 "link set %s up\n",
			 port, m[0], m[1], m[2], m[3], m[4], m[5], (int)getpid(), n->spaces[i], port);
		if ((e = space_run(n->spaces[n->behind[i]], ip_batch, str_text(&batch), d)) < 0)
			return e;
	}
	return 0;
}

int network_new(const struct host *hosts, size_t count, const int *behind, const struct wire_faults *faults,
		struct network **ret, struct diag *d)
{
	SCOPED(network_freep) struct network *n = mem_new(1, sizeof *n);
	int e;

	*n = (struct network){ .hosts = hosts, .count = count, .wire = -1 };
	n->spaces = mem_new(count, sizeof *n->spaces);
	n->routers = mem_new(count, sizeof *n->routers);
	n->behind = mem_new(count + 1, sizeof *n->behind);
	for (size_t i = 0; i < count; i++)
		n->behind[i] = behind[i];
	for (size_t i = 0; i < count; i++)
		n->spaces[i] = n->routers[i] = -1;
	for (size_t i = 0; i < count; i++)
		if ((e = space_new(&n->spaces[i], d)) < 0 || (e = make_router(n, i, d)) < 0)
			return diag_wrap(d, e, "host %s", hosts[i].name);
	if ((e = make_wire(n, faults, d)) < 0 || (e = make_cables(n, faults, d)) < 0 ||
	    (e = turn_offloads_off(n, d)) < 0)
		return diag_wrap(d, e, "the wire");
	*ret = TAKE(n);
	return 0;
}

static void end_inhabitants(const struct network *n)
{
	int *all = mem_new(2 * n->count + 1, sizeof *all);

	for (size_t i = 0; i < n->count; i++) {
		all[i] = n->spaces[i];
		all[n->count + i] = n->routers[i];
	}
	all[2 * n->count] = n->wire;
	(void)inhabitants_end(all, 2 * n->count + 1);
	free(all);
}

void network_free(struct network *n)
{
	if (!n)
		return;
	end_inhabitants(n);
	for (size_t i = 0; i < n->count; i++) {
		if (n->spaces[i] >= 0)
			(void)close(n->spaces[i]);
		if (n->routers[i] >= 0)
			(void)close(n->routers[i]);
	}
	if (n->wire >= 0)
		(void)close(n->wire);
	if (n->relay > 0) {
		(void)kill(n->relay, SIGKILL);
		(void)waitpid(n->relay, NULL, 0);
	}
	free(n->spaces);
	free(n->routers);
	free(n->behind);
	free(n);
}

size_t network_hosts(const struct network *n)
{
	return n->count;
}

int network_space(const struct network *n, size_t host)
{
	return n->spaces[host];
}

int network_wire(const struct network *n)
{
	return n->wire;
}

bool network_is_behind(const struct network *n, size_t host)
{
	return n->behind[host] != BEHIND_NOBODY;
}

int network_port_space(const struct network *n, size_t host)
{
	return network_is_behind(n, host) ? n->spaces[n->behind[host]] : n->wire;
}

/* The NAT: everything from inside leaves with its address, IKE from a port that nobody could guess; everything for its
 * address goes to the host. Addresses of the other family pass as they are, and it answers for them. */
static int plug_router_in(const struct network *n, size_t i, struct diag *d)
{
	static const char *const nft[] = { "nft", "-f", "-", NULL };
	static const char *const sysctls[] = { "ipv4/ip_forward", "ipv6/conf/all/forwarding", "ipv6/conf/all/proxy_ndp",
					       "ipv6/conf/out/proxy_ndp" };
	SCOPED(str_wipe) struct str batch = { 0 }, rules = { 0 };
	const struct host *h = &n->hosts[i];
	const struct addr *nat = &h->nat_address;
	const char *family = nat->family == 6 ? "ip6" : "ip";
	char text[ADDR_TEXT], outside[ADDR_TEXT];
	const struct addr *inside = NULL;
	int e;

	str_addf(&batch,
		 "link set in up\nlink set out up\n"
		 "addr add " ROUTER "/64 dev in nodad\n"
		 "addr add %s/%u dev out%s\n"
		 "route add 0.0.0.0/0 dev out scope link\nroute add ::/0 dev out\n",
		 addr_text(nat, outside), addr_bits(nat), nat->family == 6 ? " nodad" : "");
	for (size_t a = 0; a < h->address_count; a++) {
		const struct addr *own = &h->addresses[a].addr;

		str_addf(&batch, "route add %s/%u dev in\n", addr_text(own, text), addr_bits(own));
		if (own->family != nat->family)
			str_addf(&batch, "neigh add proxy %s dev out\n", text);
		else if (!inside)
			inside = own;
	}
	if (!inside)
		return diag_fail(d, EINVAL, "its nat-address %s is of a family that it has no address of", outside);
	str_addf(&rules,
		 "table inet nat {\n"
		 "\tchain out {\n\t\ttype nat hook postrouting priority 100\n"
		 "\t\toifname out meta nfproto %s udp sport { 500, 4500 } snat %s to %s random\n"
		 "\t\toifname out meta nfproto %s snat %s to %s\n\t}\n"
		 "\tchain in {\n\t\ttype nat hook prerouting priority -100\n"
		 "\t\tiifname out %s daddr %s dnat %s to %s\n\t}\n}\n",
		 nat->family == 6 ? "ipv6" : "ipv4", family, outside, nat->family == 6 ? "ipv6" : "ipv4", family,
		 outside, family, outside, family, addr_text(inside, text));
	for (size_t s = 0; s < sizeof sysctls / sizeof sysctls[0]; s++)
		if ((e = space_sysctl(n->routers[i], sysctls[s], "1", d)) < 0)
			return e;
	if ((e = space_run(n->routers[i], nft, str_text(&rules), d)) < 0)
		return e;
	return space_run(n->routers[i], ip_batch, str_text(&batch), d);
}

/* Each address, and the whole of its family on this link, or behind the NAT. */
static int plug_in(const struct network *n, size_t i, struct diag *d)
{
	SCOPED(str_wipe) struct str batch = { 0 };
	const struct host *h = &n->hosts[i];
	bool families[2] = { false, false }, behind = n->routers[i] >= 0 || network_is_behind(n, i);

	str_add(&batch, "link set eth0 up\n");
	for (size_t a = 0; a < h->address_count; a++) {
		const struct host_address *ha = &h->addresses[a];
		bool six = ha->addr.family == 6;
		char text[ADDR_TEXT];

		families[six] = true;
		str_addf(&batch, "addr add %s/%u dev eth0%s%s\n", addr_text(&ha->addr, text),
			 ha->prefix >= 0 ? (unsigned)ha->prefix : addr_bits(&ha->addr), six ? " nodad" : "",
			 behind ? " noprefixroute" : "");
	}
	if (families[0])
		str_addf(&batch, "route add 0.0.0.0/0 dev eth0 %s\n", behind ? "via inet6 " ROUTER : "scope link");
	if (families[1])
		str_addf(&batch, "route add ::/0 dev eth0%s\n", behind ? " via " ROUTER : "");
	return space_run(n->spaces[i], ip_batch, str_text(&batch), d);
}

/* The gateway's end of a host's cable: it forwards, and answers for the host on the wire. */
static int plug_gateway_in(const struct network *n, size_t i, struct diag *d)
{
	static const char *const sysctls[] = { "ipv4/ip_forward", "ipv4/conf/eth0/proxy_arp",
					       "ipv6/conf/all/forwarding", "ipv6/conf/all/proxy_ndp",
					       "ipv6/conf/eth0/proxy_ndp" };
	SCOPED(str_wipe) struct str batch = { 0 };
	const struct host *h = &n->hosts[i];
	int e, space = network_port_space(n, i);
	char port[16], text[ADDR_TEXT];

	if (!network_is_behind(n, i))
		return 0;
	network_port_name(i, port);
	str_addf(&batch, "addr add " ROUTER "/64 dev %s nodad\n", port);
	for (size_t a = 0; a < h->address_count; a++) {
		const struct addr *own = &h->addresses[a].addr;

		str_addf(&batch, "route add %s/%u dev %s\n", addr_text(own, text), addr_bits(own), port);
		if (own->family == 6)
			str_addf(&batch, "neigh add proxy %s dev eth0\n", text);
	}
	for (size_t s = 0; s < sizeof sysctls / sizeof sysctls[0]; s++)
		if ((e = space_sysctl(space, sysctls[s], "1", d)) < 0)
			return e;
	return space_run(space, ip_batch, str_text(&batch), d);
}

int network_up(const struct network *n, struct diag *d)
{
	int e;

	for (size_t i = 0; i < n->count; i++)
		if ((n->routers[i] >= 0 && (e = plug_router_in(n, i, d)) < 0) || (e = plug_in(n, i, d)) < 0)
			return diag_wrap(d, e, "host %s", n->hosts[i].name);
	for (size_t i = 0; i < n->count; i++)
		if ((e = plug_gateway_in(n, i, d)) < 0)
			return diag_wrap(d, e, "the gateway of %s", n->hosts[i].name);
	return 0;
}
