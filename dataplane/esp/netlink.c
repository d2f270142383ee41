#include "dataplane/esp/netlink.h"

#include "base/diag.h"
#include "base/scope.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ANSWER_MOST = 16384 };

void netlink_asker_close(struct netlink_asker *a)
{
	if (a->route)
		(void)mnl_socket_close(a->route);
	if (a->device >= 0)
		(void)close(a->device);
	*a = (struct netlink_asker){ .device = -1 };
}

static int asker_open(struct netlink_asker *a)
{
	if (a->device < 0 && (a->device = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) < 0)
		return -errno;
	if (a->route)
		return 0;
	a->route = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (a->route && mnl_socket_bind(a->route, 0, MNL_SOCKET_AUTOPID) == 0)
		return 0;
	int e = errno;

	netlink_asker_close(a);
	return -e;
}

/* Send one request and hand each answer to `read`. 0 or a negative errno value. */
static int ask_by(struct netlink_asker *a, struct nlmsghdr *request, mnl_cb_t read, void *context)
{
	char answer[ANSWER_MOST];
	struct mnl_socket *s;
	ssize_t n;
	int r = asker_open(a);

	if (r < 0)
		return r;
	s = a->route;
	if (mnl_socket_sendto(s, request, request->nlmsg_len) < 0)
		return -errno;
	n = mnl_socket_recvfrom(s, answer, sizeof answer);
	if (n < 0 || mnl_cb_run(answer, (size_t)n, request->nlmsg_seq, mnl_socket_get_portid(s), read, context) < 0)
		return -errno;
	return 0;
}

static int ask(struct nlmsghdr *request, mnl_cb_t read, void *context)
{
	SCOPED(netlink_asker_close) struct netlink_asker a = { .device = -1 };

	return ask_by(&a, request, read, context);
}

static struct nlmsghdr *link_request(char *buffer, unsigned index, unsigned flags, unsigned change)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);
	struct ifinfomsg *link;

	h->nlmsg_type = RTM_NEWLINK;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	h->nlmsg_seq = 1;
	link = mnl_nlmsg_put_extra_header(h, sizeof *link);
	link->ifi_family = AF_UNSPEC;
	link->ifi_index = (int)index;
	link->ifi_flags = flags;
	link->ifi_change = change;
	return h;
}

static int set_sizes(unsigned index, uint32_t mtu, uint32_t queue)
{
	char buffer[512];
	struct nlmsghdr *h = link_request(buffer, index, 0, IFF_MULTICAST); /* no groups are reported through it */

	mnl_attr_put_u32(h, IFLA_MTU, mtu);
	mnl_attr_put_u32(h, IFLA_TXQLEN, queue);
	return ask(h, NULL, NULL);
}

static int set_no_address(unsigned index)
{
	char buffer[512];
	struct nlmsghdr *h = link_request(buffer, index, 0, 0);
	struct nlattr *spec = mnl_attr_nest_start(h, IFLA_AF_SPEC);
	struct nlattr *inet6 = mnl_attr_nest_start(h, AF_INET6);
	int r;

	mnl_attr_put_u8(h, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(h, inet6);
	mnl_attr_nest_end(h, spec);
	r = ask(h, NULL, NULL);
	return r == -EAFNOSUPPORT || r == -EOPNOTSUPP || r == -EINVAL ? 0 : r; /* a kernel without IPv6 */
}

static int set_up(unsigned index)
{
	char buffer[512];

	return ask(link_request(buffer, index, IFF_UP, IFF_UP), NULL, NULL);
}

/* One after the other: within one request the kernel would bring the device up first, and give it an address. */
int netlink_link_up(unsigned index, uint32_t mtu, uint32_t queue, struct diag *d)
{
	int r;

	if ((r = set_sizes(index, mtu, queue)) < 0 || (r = set_no_address(index)) < 0 || (r = set_up(index)) < 0)
		return diag_errno(d, -r, "bring the TUN device up");
	return 0;
}

struct route {
	uint32_t mtu, device;
	bool expires; /* IPv4: an exception that an ICMP error made; IPv6: maybe a router's word */
	bool cloned;  /* IPv6: an exception */
};

static int read_metric(const struct nlattr *a, void *context)
{
	struct route *route = context;

	if (mnl_attr_get_type(a) == RTAX_MTU && mnl_attr_get_payload_len(a) == sizeof(uint32_t))
		route->mtu = mnl_attr_get_u32(a);
	return MNL_CB_OK;
}

static int read_attribute(const struct nlattr *a, void *context)
{
	struct route *route = context;
	size_t len = mnl_attr_get_payload_len(a);

	switch (mnl_attr_get_type(a)) {
	case RTA_OIF:
		route->device = len == sizeof(uint32_t) ? mnl_attr_get_u32(a) : 0;
		return MNL_CB_OK;
	case RTA_CACHEINFO:
		if (len >= sizeof(struct rta_cacheinfo))
			route->expires = ((const struct rta_cacheinfo *)mnl_attr_get_payload(a))->rta_expires != 0;
		return MNL_CB_OK;
	case RTA_METRICS:
		return mnl_attr_parse_nested(a, read_metric, route);
	default:
		return MNL_CB_OK;
	}
}

static int read_route(const struct nlmsghdr *h, void *context)
{
	struct route *route = context;
	const struct rtmsg *m = mnl_nlmsg_get_payload(h);

	if (h->nlmsg_type != RTM_NEWROUTE)
		return MNL_CB_OK;
	route->cloned = m->rtm_flags & RTM_F_CLONED;
	return mnl_attr_parse(h, sizeof *m, read_attribute, route);
}

static uint32_t device_mtu(const struct netlink_asker *a, uint32_t index)
{
	struct ifreq request = { .ifr_ifindex = (int)index };

	if (ioctl(a->device, SIOCGIFNAME, &request) < 0 || ioctl(a->device, SIOCGIFMTU, &request) < 0 ||
	    request.ifr_mtu < 0)
		return 0;
	return (uint32_t)request.ifr_mtu;
}

bool netlink_link_is_up(const char *name)
{
	SCOPED(netlink_asker_close) struct netlink_asker a = { .device = -1 };
	struct ifreq request = { 0 };

	(void)snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
	return asker_open(&a) == 0 && ioctl(a.device, SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_UP);
}

int netlink_watch_links(struct diag *d)
{
	struct sockaddr_nl of = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&of, sizeof of) < 0) {
		int r = diag_errno(d, errno, "watch the network devices");

		if (fd >= 0)
			(void)close(fd);
		return r;
	}
	return fd;
}

void netlink_watch_drain(int fd)
{
	char news[4096];

	while (recv(fd, news, sizeof news, MSG_DONTWAIT) >= 0 || errno == ENOBUFS)
		;
}

uint32_t netlink_route_mtu(struct netlink_asker *a, const struct addr *local, const struct addr *remote, uint32_t mark)
{
	char buffer[512];
	struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);
	struct route route = { 0 };
	struct rtmsg *m;
	uint32_t device;

	h->nlmsg_type = RTM_GETROUTE;
	h->nlmsg_flags = NLM_F_REQUEST;
	h->nlmsg_seq = 1;
	m = mnl_nlmsg_put_extra_header(h, sizeof *m);
	m->rtm_family = remote->family == 4 ? AF_INET : AF_INET6;
	m->rtm_dst_len = m->rtm_src_len = (uint8_t)addr_bits(remote);
	mnl_attr_put(h, RTA_DST, addr_octets(remote), remote->octets);
	mnl_attr_put(h, RTA_SRC, addr_octets(local), local->octets);
	mnl_attr_put_u32(h, RTA_MARK, mark);
	if (ask_by(a, h, read_route, &route) < 0) {
		netlink_asker_close(a); /* what is still to be read there answers no other question */
		return 0;
	}
	device = device_mtu(a, route.device);
	if (remote->family == 4 ? route.expires : route.cloned)
		return device;
	return route.mtu && route.mtu < device ? route.mtu : device;
}
