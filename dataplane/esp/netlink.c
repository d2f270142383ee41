#include "dataplane/esp/netlink.h"

#include "base/diag.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER_MOST = 16384 };

/* ---- what needs the right to change it --------------------------------------------------------------------------- */

static int ask_on(struct mnl_socket *s, struct nlmsghdr *request)
{
	char answer[ANSWER_MOST];
	ssize_t n;

	if (mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) < 0 || mnl_socket_sendto(s, request, request->nlmsg_len) < 0)
		return -errno;
	n = mnl_socket_recvfrom(s, answer, sizeof answer);
	if (n < 0 || mnl_cb_run(answer, (size_t)n, request->nlmsg_seq, mnl_socket_get_portid(s), NULL, NULL) < 0)
		return -errno;
	return 0;
}

/* 0 or a negative errno value. */
static int ask(struct nlmsghdr *request)
{
	struct mnl_socket *s = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	int r;

	if (!s)
		return -errno;
	r = ask_on(s, request);
	(void)mnl_socket_close(s);
	return r;
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
	return ask(h);
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
	r = ask(h);
	return r == -EAFNOSUPPORT || r == -EOPNOTSUPP || r == -EINVAL ? 0 : r; /* a kernel without IPv6 */
}

static int set_up(unsigned index)
{
	char buffer[512];

	return ask(link_request(buffer, index, IFF_UP, IFF_UP));
}

/* One after the other: within one request the kernel would bring the device up first, and give it an address. */
int netlink_link_up(unsigned index, uint32_t mtu, uint32_t queue, struct diag *d)
{
	int r;

	if ((r = set_sizes(index, mtu, queue)) < 0 || (r = set_no_address(index)) < 0 || (r = set_up(index)) < 0)
		return diag_errno(d, -r, "bring the TUN device up");
	return 0;
}

/* ---- news -------------------------------------------------------------------------------------------------------- */

static int open_socket(uint32_t groups)
{
	struct sockaddr_nl of = { .nl_family = AF_NETLINK, .nl_groups = groups };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE), error;

	if (fd < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&of, sizeof of) == 0)
		return fd;
	error = errno;
	(void)close(fd);
	return -error;
}

int netlink_watch_links(struct diag *d)
{
	int fd = open_socket(RTMGRP_LINK);

	return fd < 0 ? diag_errno(d, -fd, "watch the network devices") : fd;
}

void netlink_watch_drain(int fd)
{
	char news[4096];

	while (recv(fd, news, sizeof news, MSG_DONTWAIT) >= 0 || errno == ENOBUFS)
		;
}

bool netlink_link_is_up(const char *name)
{
	struct ifreq request = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool up;

	(void)snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
	up = fd >= 0 && ioctl(fd, SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_UP);
	if (fd >= 0)
		(void)close(fd);
	return up;
}

/* ---- questions --------------------------------------------------------------------------------------------------- */

int netlink_asker_open(struct diag *d)
{
	int fd = open_socket(0);

	return fd < 0 ? diag_errno(d, -fd, "open rtnetlink") : fd;
}

/* The kernel answers before the request's call returns. What an earlier question left, or one of the process that had
 * the socket before, is thrown away. */
static bool question(struct netlink_asker *a, struct nlmsghdr *request, mnl_cb_t read, void *context)
{
	const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	char answer[ANSWER_MOST];
	ssize_t n;

	if (a->fd < 0)
		return false;
	netlink_watch_drain(a->fd);
	request->nlmsg_flags = NLM_F_REQUEST;
	request->nlmsg_seq = ++a->sequence;
	if (sendto(a->fd, request, request->nlmsg_len, 0, (const struct sockaddr *)&kernel, sizeof kernel) < 0)
		return false;
	n = recv(a->fd, answer, sizeof answer, MSG_DONTWAIT);
	return n >= 0 && mnl_cb_run(answer, (size_t)n, a->sequence, 0, read, context) >= 0;
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

static int read_device_mtu(const struct nlattr *a, void *context)
{
	if (mnl_attr_get_type(a) == IFLA_MTU && mnl_attr_get_payload_len(a) == sizeof(uint32_t))
		*(uint32_t *)context = mnl_attr_get_u32(a);
	return MNL_CB_OK;
}

static int read_device(const struct nlmsghdr *h, void *context)
{
	return h->nlmsg_type == RTM_NEWLINK ? mnl_attr_parse(h, sizeof(struct ifinfomsg), read_device_mtu, context)
					    : MNL_CB_OK;
}

/* A thousand peers that begin at once mostly ask for one device. */
static uint32_t device_mtu(struct netlink_asker *a, uint32_t index)
{
	char buffer[512];
	struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);
	struct ifinfomsg *link;
	struct timespec now;
	uint32_t mtu = 0;

	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	if (a->device.index == index && a->device.at_s == (uint64_t)now.tv_sec)
		return a->device.mtu;
	h->nlmsg_type = RTM_GETLINK;
	link = mnl_nlmsg_put_extra_header(h, sizeof *link);
	link->ifi_index = (int)index;
	mnl_attr_put_u32(h, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	if (!question(a, h, read_device, &mtu))
		return 0;
	a->device.index = index;
	a->device.mtu = mtu;
	a->device.at_s = (uint64_t)now.tv_sec;
	return mtu;
}

uint32_t netlink_route_mtu(struct netlink_asker *a, const struct addr *local, const struct addr *remote, uint32_t mark)
{
	char buffer[512];
	struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);
	struct route route = { 0 };
	struct rtmsg *m;
	uint32_t device;

	h->nlmsg_type = RTM_GETROUTE;
	m = mnl_nlmsg_put_extra_header(h, sizeof *m);
	m->rtm_family = remote->family == 4 ? AF_INET : AF_INET6;
	m->rtm_dst_len = m->rtm_src_len = (uint8_t)addr_bits(remote);
	mnl_attr_put(h, RTA_DST, addr_octets(remote), remote->octets);
	mnl_attr_put(h, RTA_SRC, addr_octets(local), local->octets);
	mnl_attr_put_u32(h, RTA_MARK, mark);
	if (!question(a, h, read_route, &route) || (device = device_mtu(a, route.device)) == 0)
		return 0;
	if (remote->family == 4 ? route.expires : route.cloned)
		return device;
	return route.mtu && route.mtu < device ? route.mtu : device;
}
