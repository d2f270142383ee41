#include "tools/lab/network.h"

#include "base/diag.h"
#include "base/mem.h"
#include "base/str.h"
#include "policy/policy.h"
#include "tools/lab/offload.h"
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
	int *spaces;
	pid_t relay; /* 0: there is none */
};

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

		network_port_name(i, port);
		network_mac(i, m);
		str_addf(&batch,
			 "link add %s type veth peer name eth0 address %02x:%02x:%02x:%02x:%02x:%02x "
			 "netns /proc/%d/fd/%d\n"
			 "link set %s %sup\n",
			 port, m[0], m[1], m[2], m[3], m[4], m[5], (int)getpid(), n->spaces[i], port,
			 faults->bad ? "" : "master wire ");
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
		if ((e = offload_off(n->wire, port, d)) < 0 || (e = offload_off(n->spaces[i], "eth0", d)) < 0)
			return e;
	}
	return 0;
}

int network_new(const struct host *hosts, size_t count, const struct wire_faults *faults, struct network **ret,
		struct diag *d)
{
	SCOPED(network_freep) struct network *n = mem_new(1, sizeof *n);
	int e;

	*n = (struct network){ .hosts = hosts, .count = count, .wire = -1 };
	n->spaces = mem_new(count, sizeof *n->spaces);
	for (size_t i = 0; i < count; i++)
		n->spaces[i] = -1;
	for (size_t i = 0; i < count; i++)
		if ((e = space_new(&n->spaces[i], d)) < 0)
			return diag_wrap(d, e, "host %s", hosts[i].name);
	if ((e = make_wire(n, faults, d)) < 0 || (e = turn_offloads_off(n, d)) < 0)
		return diag_wrap(d, e, "the wire");
	*ret = TAKE(n);
	return 0;
}

void network_free(struct network *n)
{
	if (!n)
		return;
	for (size_t i = 0; i < n->count; i++)
		if (n->spaces[i] >= 0)
			(void)close(n->spaces[i]);
	if (n->wire >= 0)
		(void)close(n->wire);
	if (n->relay > 0) {
		(void)kill(n->relay, SIGKILL);
		(void)waitpid(n->relay, NULL, 0);
	}
	free(n->spaces);
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

/* Each address, and the whole of its family on this link. */
static int plug_in(const struct network *n, size_t i, struct diag *d)
{
	SCOPED(str_wipe) struct str batch = { 0 };
	const struct host *h = &n->hosts[i];
	bool families[2] = { false, false };

	str_add(&batch, "link set eth0 up\n");
	for (size_t a = 0; a < h->address_count; a++) {
		const struct host_address *ha = &h->addresses[a];
		bool six = ha->addr.family == 6;
		char text[ADDR_TEXT];

		families[six] = true;
		str_addf(&batch, "addr add %s/%u dev eth0%s\n", addr_text(&ha->addr, text),
			 ha->prefix >= 0 ? (unsigned)ha->prefix : addr_bits(&ha->addr), six ? " nodad" : "");
	}
	if (families[0])
		str_add(&batch, "route add 0.0.0.0/0 dev eth0 scope link\n");
	if (families[1])
		str_add(&batch, "route add ::/0 dev eth0\n");
	return space_run(n->spaces[i], ip_batch, str_text(&batch), d);
}

int network_up(const struct network *n, struct diag *d)
{
	int e;

	for (size_t i = 0; i < n->count; i++)
		if ((e = plug_in(n, i, d)) < 0)
			return diag_wrap(d, e, "host %s", n->hosts[i].name);
	return 0;
}
