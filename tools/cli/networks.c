#include "tools/cli/networks.h"

#include "base/diag.h"
#include "base/str.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { INTERFACES_MOST = 65536, ROUTES_MOST = 65536, ANSWER = 65536 };

/* The attributes of a message or of a nest, by type. */
struct attributes {
	const struct nlattr *by_type[128];
};

static int take_attribute(const struct nlattr *attr, void *context)
{
	struct attributes *all = context;

	if (mnl_attr_get_type(attr) < ARRAY_LEN(all->by_type))
		all->by_type[mnl_attr_get_type(attr)] = attr;
	return MNL_CB_OK;
}

static uint32_t number_in(const struct attributes *all, unsigned type)
{
	const struct nlattr *a = all->by_type[type];

	return a && mnl_attr_get_payload_len(a) >= 4 ? mnl_attr_get_u32(a) : 0;
}

static void text_in(const struct attributes *all, unsigned type, char *ret, size_t cap)
{
	const struct nlattr *a = all->by_type[type];

	if (a)
		(void)snprintf(ret, cap, "%.*s", (int)mnl_attr_get_payload_len(a),
			       (const char *)mnl_attr_get_payload(a));
}

static bool addr_in(const struct attributes *all, unsigned type, uint8_t family, struct addr *ret)
{
	const struct nlattr *a = all->by_type[type];
	struct addr found = { .family = family == AF_INET ? 4 : 6 };

	if ((family != AF_INET && family != AF_INET6) || !a || mnl_attr_get_payload_len(a) < addr_octets(&found))
		return false;
	memcpy(found.octets, mnl_attr_get_payload(a), addr_octets(&found));
	*ret = found;
	return true;
}

static int take_link(const struct nlmsghdr *h, void *context)
{
	struct networks *n = context;
	const struct ifinfomsg *m = mnl_nlmsg_get_payload(h);
	struct attributes all = { 0 }, info = { 0 };
	struct network_interface *i;

	if (h->nlmsg_type != RTM_NEWLINK || n->interface_count == INTERFACES_MOST)
		return MNL_CB_OK;
	(void)mnl_attr_parse(h, sizeof *m, take_attribute, &all);
	if (all.by_type[IFLA_LINKINFO])
		(void)mnl_attr_parse_nested(all.by_type[IFLA_LINKINFO], take_attribute, &info);
	n->interfaces = mem_grow(n->interfaces, n->interface_count, &n->interface_cap, sizeof *n->interfaces);
	i = &n->interfaces[n->interface_count++];
	*i = (struct network_interface){ .number = (uint32_t)m->ifi_index,
					 .master = number_in(&all, IFLA_MASTER),
					 .loopback = m->ifi_flags & IFF_LOOPBACK,
					 .point_to_point = m->ifi_flags & IFF_POINTOPOINT };
	text_in(&all, IFLA_IFNAME, i->name, sizeof i->name);
	text_in(&info, IFLA_INFO_KIND, i->kind, sizeof i->kind);
	return MNL_CB_OK;
}

static int take_address(const struct nlmsghdr *h, void *context)
{
	struct networks *n = context;
	const struct ifaddrmsg *m = mnl_nlmsg_get_payload(h);
	struct network_address a = { .prefix = m->ifa_prefixlen };
	struct attributes all = { 0 };
	uint32_t flags;

	if (h->nlmsg_type != RTM_NEWADDR)
		return MNL_CB_OK;
	(void)mnl_attr_parse(h, sizeof *m, take_attribute, &all);
	flags = all.by_type[IFA_FLAGS] ? number_in(&all, IFA_FLAGS) : m->ifa_flags;
	/* Of a point-to-point link, IFA_ADDRESS is the far end. IFA_F_SECONDARY has the number of IFA_F_TEMPORARY. */
	if ((flags & IFA_F_DADFAILED) ||
	    (!addr_in(&all, IFA_LOCAL, m->ifa_family, &a.addr) && !addr_in(&all, IFA_ADDRESS, m->ifa_family, &a.addr)))
		return MNL_CB_OK;
	a.passing = m->ifa_family == AF_INET6 && (flags & (IFA_F_TEMPORARY | IFA_F_DEPRECATED));
	for (size_t k = 0; k < n->interface_count; k++) {
		struct network_interface *i = &n->interfaces[k];

		if (i->number != m->ifa_index)
			continue;
		i->addresses = mem_grow(i->addresses, i->count, &i->cap, sizeof *i->addresses);
		i->addresses[i->count++] = a;
	}
	return MNL_CB_OK;
}

/* Of several ways to one place the first is enough: who is a gateway matters, not which is used. */
static void take_gateway(struct networks *n, const struct network_route *r)
{
	if (n->route_count == ROUTES_MOST)
		return;
	n->routes = mem_grow(n->routes, n->route_count, &n->route_cap, sizeof *n->routes);
	n->routes[n->route_count++] = *r;
}

/* Several next hops in one route. */
static void take_hops(struct networks *n, const struct network_route *r, const struct nlattr *hops)
{
	const uint8_t *at = mnl_attr_get_payload(hops);
	size_t left = mnl_attr_get_payload_len(hops);

	while (left >= sizeof(struct rtnexthop)) {
		const struct rtnexthop *hop = (const void *)at;
		size_t step = ((size_t)hop->rtnh_len + 3) & ~(size_t)3;
		struct network_route one = { .interface = (uint32_t)hop->rtnh_ifindex, .to = r->to };
		struct attributes of = { 0 };

		if (hop->rtnh_len < sizeof *hop || hop->rtnh_len > left)
			return;
		(void)mnl_attr_parse_payload(at + sizeof *hop, hop->rtnh_len - sizeof *hop, take_attribute, &of);
		if (addr_in(&of, RTA_GATEWAY, r->to.family == 4 ? AF_INET : AF_INET6, &one.gateway))
			take_gateway(n, &one);
		if (step > left)
			return;
		at += step;
		left -= step;
	}
}

static int take_route(const struct nlmsghdr *h, void *context)
{
	const struct rtmsg *m = mnl_nlmsg_get_payload(h);
	struct network_route r = { .prefix = m->rtm_dst_len, .to.family = m->rtm_family == AF_INET ? 4 : 6 };
	struct attributes all = { 0 };

	if (h->nlmsg_type != RTM_NEWROUTE || m->rtm_table != RT_TABLE_MAIN || m->rtm_type != RTN_UNICAST)
		return MNL_CB_OK;
	(void)mnl_attr_parse(h, sizeof *m, take_attribute, &all);
	r.interface = number_in(&all, RTA_OIF);
	(void)addr_in(&all, RTA_DST, m->rtm_family, &r.to);
	(void)addr_in(&all, RTA_GATEWAY, m->rtm_family, &r.gateway);
	if (r.prefix == 0 || r.gateway.family == 0)
		take_gateway(context, &r);
	if (r.prefix == 0 && all.by_type[RTA_MULTIPATH])
		take_hops(context, &r, all.by_type[RTA_MULTIPATH]);
	return MNL_CB_OK;
}

struct question {
	uint16_t type;
	uint8_t family;
	size_t header;
	mnl_cb_t take;
};

static int ask(struct mnl_socket *nl, const struct question *q, unsigned sequence, struct networks *n, struct diag *d)
{
	char *buf = mem_new(1, ANSWER);
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	int more = MNL_CB_OK;
	ssize_t got;

	h->nlmsg_type = q->type;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	h->nlmsg_seq = sequence;
	*(uint8_t *)mnl_nlmsg_put_extra_header(h, q->header) = q->family; /* every such header begins with it */
	if (mnl_socket_sendto(nl, h, h->nlmsg_len) < 0)
		more = MNL_CB_ERROR;
	while (more > MNL_CB_STOP) {
		got = mnl_socket_recvfrom(nl, buf, ANSWER);
		if (got < 0 && errno == EINTR)
			continue;
		more = got < 0 ? MNL_CB_ERROR
			       : mnl_cb_run(buf, (size_t)got, sequence, mnl_socket_get_portid(nl), q->take, n);
		if (more < 0 && got > 0 && errno == EINTR) /* changed while it was told: as good as before */
			more = MNL_CB_OK;
	}
	free(buf);
	return more < 0 ? diag_errno(d, errno, "ask the kernel for its networks") : 0;
}

int networks_read(struct networks *ret, struct diag *d)
{
	static const struct question questions[] = {
		{ RTM_GETLINK, AF_UNSPEC, sizeof(struct ifinfomsg), take_link },
		{ RTM_GETADDR, AF_UNSPEC, sizeof(struct ifaddrmsg), take_address },
		{ RTM_GETROUTE, AF_INET, sizeof(struct rtmsg), take_route },
		{ RTM_GETROUTE, AF_INET6, sizeof(struct rtmsg), take_route },
	};
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	int r = 0;

	*ret = (struct networks){ 0 };
	if (!nl)
		return diag_errno(d, errno, "open rtnetlink");
	if (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0)
		r = diag_errno(d, errno, "bind rtnetlink");
	for (unsigned i = 0; r == 0 && i < ARRAY_LEN(questions); i++)
		r = ask(nl, &questions[i], i + 1, ret, d);
	(void)mnl_socket_close(nl);
	if (gethostname(ret->host, sizeof ret->host - 1) < 0)
		ret->host[0] = '\0';
	ret->host[strcspn(ret->host, ".")] = '\0';
	servers_read(NULL, &ret->servers);
	networks_admin(ret, getenv("SSH_CONNECTION"));
	if (r < 0)
		networks_wipe(ret);
	return r;
}

void networks_admin(struct networks *n, const char *ssh_connection)
{
	struct addr from;
	const char *port;
	unsigned long number;

	if (!ssh_connection || addr_parse(ssh_connection, strcspn(ssh_connection, " "), &from, NULL) < 0 ||
	    addr_is_loopback(&from) || addr_is_link_local(&from))
		return;
	port = strrchr(ssh_connection, ' ');
	number = port ? strtoul(port + 1, NULL, 10) : 0;
	if (number == 0 || number > UINT16_MAX)
		return;
	n->admin = from;
	n->admin_port = (uint16_t)number;
}

void networks_wipe(struct networks *n)
{
	for (size_t i = 0; i < n->interface_count; i++)
		free(n->interfaces[i].addresses);
	free(n->interfaces);
	free(n->routes);
	*n = (struct networks){ 0 };
}
