#include "daemon/host/host.h"
#include "daemon/host/profiles.h"
#include "daemon/host/zones.h"

#include "base/diag.h"
#include "base/mem.h"
#include "base/servers.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { LOWER_UP = 1 << 16 }; /* IFF_LOWER_UP: <linux/if.h> does not go with <net/if.h> */

struct reading {
	struct host_facts *facts;
};

static struct addr addr_from(uint8_t family, const void *octets)
{
	struct addr a = { .family = family == AF_INET ? 4 : 6 };

	memcpy(a.octets, octets, addr_octets(&a));
	return a;
}

static bool speaks_of(const struct addr *a)
{
	return !addr_is_loopback(a) && !addr_is_link_local(a) && !addr_is_multicast(a);
}

static void add_server(struct host_facts *f, enum keyword k, const struct addr *a)
{
	if (!speaks_of(a))
		return;
	for (size_t i = 0; i < f->server_counts[k]; i++)
		if (addr_equal(&f->servers[k][i], a))
			return;
	if (f->server_counts[k] < HOST_SERVERS_MOST)
		f->servers[k][f->server_counts[k]++] = *a;
}

/* ---- rtnetlink --------------------------------------------------------------------------------------------------- */

/* The attributes of a message, by type. */
struct attributes {
	const struct nlattr *by_type[IFLA_MAX + 1];
};

static int take_attribute(const struct nlattr *attr, void *context)
{
	struct attributes *all = context;

	if (mnl_attr_get_type(attr) < ARRAY_LEN(all->by_type))
		all->by_type[mnl_attr_get_type(attr)] = attr;
	return MNL_CB_OK;
}

static bool addr_in(const struct attributes *all, int type, uint8_t family, struct addr *ret)
{
	const struct nlattr *attr = all->by_type[type];

	if ((family != AF_INET && family != AF_INET6) || !attr ||
	    mnl_attr_get_payload_len(attr) < (family == AF_INET ? 4 : 16))
		return false;
	*ret = addr_from(family, mnl_attr_get_payload(attr));
	return true;
}

static int take_address(const struct nlmsghdr *h, void *context)
{
	struct reading *r = context;
	struct host_facts *f = r->facts;
	const struct ifaddrmsg *m = mnl_nlmsg_get_payload(h);
	struct host_address a = { .prefix = m->ifa_prefixlen };
	struct attributes all = { 0 };

	if (h->nlmsg_type != RTM_NEWADDR || (m->ifa_flags & IFA_F_DADFAILED))
		return MNL_CB_OK;
	(void)mnl_attr_parse(h, sizeof *m, take_attribute, &all);
	/* Of a point-to-point link, IFA_ADDRESS is the far end. */
	if (!addr_in(&all, IFA_LOCAL, m->ifa_family, &a.addr) && !addr_in(&all, IFA_ADDRESS, m->ifa_family, &a.addr))
		return MNL_CB_OK;
	if (!speaks_of(&a.addr) || f->own_count == HOST_ADDRESSES_MOST)
		return MNL_CB_OK;
	f->own = mem_grow(f->own, f->own_count, &f->own_cap, sizeof *f->own);
	f->own[f->own_count++] = a;
	f->places = mem_grow(f->places, f->place_count, &f->place_cap, sizeof *f->places);
	f->places[f->place_count] = (struct host_place){ .addr = a.addr, .index = m->ifa_index };
	(void)if_indextoname(m->ifa_index, f->places[f->place_count++].interface);
	return MNL_CB_OK;
}

static int take_link(const struct nlmsghdr *h, void *context)
{
	const struct reading *r = context;
	const struct ifinfomsg *m = mnl_nlmsg_get_payload(h);
	struct attributes all = { 0 };
	const struct nlattr *lost;

	if (h->nlmsg_type != RTM_NEWLINK)
		return MNL_CB_OK;
	(void)mnl_attr_parse(h, sizeof *m, take_attribute, &all);
	lost = all.by_type[IFLA_CARRIER_DOWN_COUNT];
	for (size_t i = 0; i < r->facts->place_count; i++) {
		struct host_place *p = &r->facts->places[i];

		if (m->ifi_index <= 0 || p->index != (unsigned)m->ifi_index)
			continue;
		p->carrier = (m->ifi_flags & IFF_UP) && (m->ifi_flags & LOWER_UP);
		if (lost && mnl_attr_get_payload_len(lost) >= sizeof p->carriers_lost)
			p->carriers_lost = mnl_attr_get_u32(lost);
	}
	return MNL_CB_OK;
}

static int take_route(const struct nlmsghdr *h, void *context)
{
	struct reading *r = context;
	const struct rtmsg *m = mnl_nlmsg_get_payload(h);
	struct attributes all = { 0 };
	struct addr a;

	if (h->nlmsg_type != RTM_NEWROUTE || m->rtm_dst_len != 0 || m->rtm_table != RT_TABLE_MAIN)
		return MNL_CB_OK;
	(void)mnl_attr_parse(h, sizeof *m, take_attribute, &all);
	if (addr_in(&all, RTA_GATEWAY, m->rtm_family, &a))
		add_server(r->facts, KEYWORD_DEFAULT_GATEWAY, &a);
	return MNL_CB_OK;
}

static int dump(struct mnl_socket *nl, uint16_t type, uint8_t family, size_t header, mnl_cb_t take, struct reading *r,
		struct diag *d)
{
	static char buf[32768];
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	unsigned seq = (unsigned)time(NULL);
	ssize_t n;
	int more = MNL_CB_OK;

	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	h->nlmsg_seq = seq;
	*(uint8_t *)mnl_nlmsg_put_extra_header(h, header) = family; /* every such header begins with it */
	if (mnl_socket_sendto(nl, h, h->nlmsg_len) < 0)
		return diag_errno(d, errno, "ask the kernel for its addresses");
	while (more > MNL_CB_STOP) {
		n = mnl_socket_recvfrom(nl, buf, sizeof buf);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return diag_errno(d, errno, "read the kernel's addresses");
		more = mnl_cb_run(buf, (size_t)n, seq, mnl_socket_get_portid(nl), take, r);
		if (more < 0 && errno == EINTR) /* changed while it was told; the watch will say so */
			more = MNL_CB_OK;
	}
	return more < 0 ? diag_errno(d, errno, "read the kernel's addresses") : 0;
}

static int read_kernel(struct reading *r, struct diag *d)
{
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	int code;

	if (!nl)
		return diag_errno(d, errno, "open rtnetlink");
	if (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0)
		code = diag_errno(d, errno, "bind rtnetlink");
	else if ((code = dump(nl, RTM_GETADDR, AF_UNSPEC, sizeof(struct ifaddrmsg), take_address, r, d)) == 0 &&
		 (code = dump(nl, RTM_GETLINK, AF_UNSPEC, sizeof(struct ifinfomsg), take_link, r, d)) == 0 &&
		 (code = dump(nl, RTM_GETROUTE, AF_INET, sizeof(struct rtmsg), take_route, r, d)) == 0)
		code = dump(nl, RTM_GETROUTE, AF_INET6, sizeof(struct rtmsg), take_route, r, d);
	(void)mnl_socket_close(nl);
	return code;
}

int host_watch_open(int *ret_fd, struct diag *d)
{
	struct sockaddr_nl me = { .nl_family = AF_NETLINK,
				  .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd < 0 || bind(fd, (struct sockaddr *)&me, sizeof me) < 0) {
		int error = errno;

		if (fd >= 0)
			(void)close(fd);
		return diag_errno(d, error, "watch addresses by rtnetlink");
	}
	*ret_fd = fd;
	return 0;
}

/* What changed does not matter: everything is read again. An overflow (ENOBUFS) says no more than that, too. */
void host_watch_drain(int fd)
{
	char buf[8192];

	for (;;) {
		ssize_t n = recv(fd, buf, sizeof buf, 0);

		if (n < 0 && errno != EINTR && errno != ENOBUFS)
			return;
	}
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static void read_servers(struct host_facts *f, const char *root)
{
	static const enum keyword keywords[SERVER_KINDS] = {
		[SERVER_DNS] = KEYWORD_DNS_SERVERS,
		[SERVER_DHCP] = KEYWORD_DHCP_SERVERS,
		[SERVER_WINS] = KEYWORD_WINS_SERVERS,
	};
	struct servers *s = mem_new(1, sizeof *s);

	servers_read(root, s);
	for (size_t k = 0; k < SERVER_KINDS; k++)
		for (size_t i = 0; i < s->counts[k]; i++)
			add_server(f, keywords[k], &s->all[k][i]);
	free(s);
}

/* ---- all together ------------------------------------------------------------------------------------------------ */

static int by_address(const void *a, const void *b)
{
	const struct host_address *x = a, *y = b;
	int c = addr_compare(&x->addr, &y->addr);

	return c ? c : x->prefix - y->prefix;
}

int host_facts_read(const struct host_config *config, const struct host_homes *homes, const char *root,
		    struct host_facts **ret, struct diag *d)
{
	SCOPED(host_facts_freep) struct host_facts *f = mem_new(1, sizeof *f);
	struct reading reading = { f };
	int r;

	if ((r = read_kernel(&reading, d)) < 0)
		return r;
	if (config->zone_count)
		zones_read(root, f);
	host_profiles(f, config, homes);
	if (f->own_count)
		qsort(f->own, f->own_count, sizeof *f->own, by_address);
	read_servers(f, root);
	*ret = TAKE(f);
	return 0;
}

void host_facts_free(struct host_facts *f)
{
	if (!f)
		return;
	free(f->own);
	free(f->interfaces);
	free(f->places);
	free(f);
}

bool host_facts_have(const struct host_facts *f, const struct addr *a)
{
	for (size_t i = 0; i < f->own_count; i++)
		if (addr_equal(&f->own[i].addr, a))
			return true;
	return false;
}

bool host_facts_equal(const struct host_facts *a, const struct host_facts *b)
{
	if (a->own_count != b->own_count || a->profiles != b->profiles || a->interface_count != b->interface_count ||
	    (a->interface_count &&
	     memcmp(a->interfaces, b->interfaces, a->interface_count * sizeof *a->interfaces) != 0))
		return false;
	for (size_t i = 0; i < a->own_count; i++)
		if (by_address(&a->own[i], &b->own[i]) != 0)
			return false;
	for (size_t k = 0; k < KEYWORDS; k++) {
		if (a->server_counts[k] != b->server_counts[k])
			return false;
		for (size_t i = 0; i < a->server_counts[k]; i++)
			if (!addr_equal(&a->servers[k][i], &b->servers[k][i]))
				return false;
	}
	return true;
}

static const struct host *host_of(const struct host_facts *f, const struct policy *p, const char *name)
{
	const struct host *h = name ? policy_host_by_name(p, name) : NULL;

	for (size_t i = 0; !h && i < f->own_count; i++)
		h = policy_host_by_address(p, &f->own[i].addr);
	return h;
}

void host_plan(const struct host_facts *f, const struct policy *p, const char *name, struct host_own *own,
	       struct plan_host *ret)
{
	const struct host *h = host_of(f, p, name);
	size_t n = f->own_count, more = h ? h->address_count : 0;

	own->all = mem_new(n + more + 1, sizeof *own->all);
	if (n)
		memcpy(own->all, f->own, n * sizeof *own->all);
	for (size_t i = 0; i < more; i++) {
		bool there = false;

		for (size_t j = 0; j < f->own_count; j++)
			there |= addr_equal(&f->own[j].addr, &h->addresses[i].addr);
		if (!there)
			own->all[n++] = h->addresses[i];
	}
	*ret = (struct plan_host){
		.name = h ? h->name : NULL,
		.own = own->all,
		.own_count = n,
		.profiles = f->profiles,
		.interfaces = f->interfaces,
		.interface_count = f->interface_count,
	};
	for (size_t k = 0; k < KEYWORDS; k++) {
		ret->servers[k] = f->servers[k];
		ret->server_counts[k] = f->server_counts[k];
	}
}

void host_own_free(struct host_own *o)
{
	free(o->all);
	o->all = NULL;
}
