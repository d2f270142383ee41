#include "enforce/routes.h"

#include "base/diag.h"
#include "base/scope.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { OUR_PROTOCOL = 77, TUN_METRIC = 1 }; /* the protocol number marks what is ours in `ip route` and `ip rule` */
static const uint32_t last_metric = UINT32_MAX;
static const int families[] = { AF_INET, AF_INET6 };

/* What comes out of the TUN bears a mark of its own, for rp_filter: its look-up, which asks for the way back, must end
 * in the TUN. The packet's own look-up, on its way to something behind us, must not, or it would be sent back: that one
 * comes from the TUN and jumps over the rule. */
struct our_rule {
	uint8_t action;
	uint8_t behind; /* added to where our rules begin */
	bool target;    /* stands at the configured priority + JUMP_TO, always */
	bool from_tun;  /* looked up for what arrives by the TUN only */
	bool protect;   /* the mark: mark_protect, else mark_from_tun */
};
enum { JUMP_TO = 2, OUR_ROOM = 2 /* priorities that the look-ups take */ };
static const struct our_rule our_rules[] = {
	{ FR_ACT_NOP, 0, true, false, false },
	{ FR_ACT_TO_TBL, 1, false, false, false },
	{ FR_ACT_GOTO, 0, false, true, false },
	{ FR_ACT_TO_TBL, 0, false, false, true },
};

/* begin: where ours begin. */
static int ask_rule(struct netlink *n, const struct gate_config *c, int family, const struct our_rule *rule,
		    uint32_t begin, uint16_t type, uint16_t flags)
{
	char buf[NETLINK_MESSAGE_MOST];
	struct nlmsghdr *h = netlink_start(n, buf, type, (uint16_t)(flags | NLM_F_ACK));
	struct fib_rule_hdr *r = mnl_nlmsg_put_extra_header(h, sizeof *r);

	r->family = (uint8_t)family;
	r->action = rule->action;
	if (rule->action == FR_ACT_TO_TBL) {
		r->table = c->route_table < 256 ? (uint8_t)c->route_table : RT_TABLE_UNSPEC;
		mnl_attr_put_u32(h, FRA_TABLE, c->route_table);
	}
	mnl_attr_put_u32(h, FRA_PRIORITY, rule->target ? c->rule_priority + JUMP_TO : begin + rule->behind);
	mnl_attr_put_u32(h, FRA_FWMARK, rule->protect ? c->mark_protect : c->mark_from_tun);
	mnl_attr_put_u32(h, FRA_FWMASK, c->mark_mask);
	mnl_attr_put_u8(h, FRA_PROTOCOL, OUR_PROTOCOL);
	if (rule->action == FR_ACT_GOTO)
		mnl_attr_put_u32(h, FRA_GOTO, c->rule_priority + JUMP_TO);
	if (rule->from_tun)
		mnl_attr_put_strz(h, FRA_IIFNAME, c->tun);
	return netlink_ask(n, h, NULL, NULL);
}

/* ---- where ours begin -------------------------------------------------------------------------------------------- */

enum { PLACES_MOST = 64 };

struct rules_seen {
	uint32_t first_other;         /* the lowest priority of others, but for 0, where the kernel's own stands */
	uint32_t places[PLACES_MOST]; /* where ours begin or began */
	size_t count;
};

static uint32_t number_of(const struct nlmsghdr *h, uint16_t type)
{
	const struct nlattr *a = netlink_attribute(h, sizeof(struct fib_rule_hdr), type);

	return a && mnl_attr_validate(a, MNL_TYPE_U32) == 0 ? mnl_attr_get_u32(a) : 0;
}

static int see_rule(const struct nlmsghdr *h, void *context)
{
	struct rules_seen *s = context;
	const struct nlattr *protocol = netlink_attribute(h, sizeof(struct fib_rule_hdr), FRA_PROTOCOL);
	uint32_t priority = number_of(h, FRA_PRIORITY);
	const struct fib_rule_hdr *r;

	if (mnl_nlmsg_get_payload_len(h) < sizeof *r)
		return MNL_CB_OK;
	r = mnl_nlmsg_get_payload(h);
	if (protocol && mnl_attr_get_payload_len(protocol) == 1 && mnl_attr_get_u8(protocol) == OUR_PROTOCOL) {
		if (r->action == FR_ACT_GOTO && s->count < PLACES_MOST)
			s->places[s->count++] = priority;
	} else if (priority && priority < s->first_other) {
		s->first_other = priority;
	}
	return MNL_CB_OK;
}

/* A rule that is added without a priority, as by wg-quick, comes before all but the kernel's own. What is marked would
 * go its way, and be dropped at the end of it: ours have to stand before it. */
static uint32_t begin_of_ours(struct netlink *n, const struct gate_config *c, int family, struct rules_seen *s)
{
	char buf[NETLINK_MESSAGE_MOST];
	int tries = 0, r;

	do {
		struct nlmsghdr *h = netlink_start(n, buf, RTM_GETRULE, NLM_F_DUMP);
		struct fib_rule_hdr *f = mnl_nlmsg_put_extra_header(h, sizeof *f);

		*s = (struct rules_seen){ .first_other = UINT32_MAX };
		f->family = (uint8_t)family;
		r = netlink_ask(n, h, see_rule, s);
	} while (r == -EINTR && ++tries < 5);
	if (r < 0 || s->first_other > c->rule_priority + OUR_ROOM)
		return c->rule_priority;
	return s->first_other > OUR_ROOM ? s->first_other - OUR_ROOM : 1;
}

static int ensure_rules(struct netlink *n, const struct gate_config *c, int family, struct routes_made *made,
			struct diag *d)
{
	struct rules_seen seen;
	uint32_t begin = begin_of_ours(n, c, family, &seen);

	for (size_t k = 0; k < ARRAY_LEN(our_rules); k++) {
		int r = ask_rule(n, c, family, &our_rules[k], begin, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL);

		if (r < 0 && r != -EEXIST)
			return diag_errno(d, -r, "routing rule for table %u", c->route_table);
		made->rules |= r == 0;
	}
	for (size_t i = 0; i < seen.count; i++)
		for (size_t k = 0; k < ARRAY_LEN(our_rules) && seen.places[i] != begin; k++)
			if (!our_rules[k].target)
				(void)ask_rule(n, c, family, &our_rules[k], seen.places[i], RTM_DELRULE, 0);
	return 0;
}

/* Ours with that mark, wherever it stands and whatever it does: what is not said does not count. */
static int remove_marked(struct netlink *n, const struct gate_config *c, int family, uint32_t mark)
{
	char buf[NETLINK_MESSAGE_MOST];
	struct nlmsghdr *h = netlink_start(n, buf, RTM_DELRULE, NLM_F_ACK);
	struct fib_rule_hdr *r = mnl_nlmsg_put_extra_header(h, sizeof *r);

	r->family = (uint8_t)family;
	mnl_attr_put_u32(h, FRA_FWMARK, mark);
	mnl_attr_put_u32(h, FRA_FWMASK, c->mark_mask);
	mnl_attr_put_u8(h, FRA_PROTOCOL, OUR_PROTOCOL);
	return netlink_ask(n, h, NULL, NULL);
}

static int remove_rules(struct netlink *n, const struct gate_config *c, int family, struct diag *d)
{
	const uint32_t marks[] = { c->mark_from_tun, c->mark_protect };

	for (size_t k = 0; k < ARRAY_LEN(marks); k++) {
		int r;

		while ((r = remove_marked(n, c, family, marks[k])) == 0)
			;
		if (r != -ENOENT)
			return diag_errno(d, -r, "remove the routing rule for table %u", c->route_table);
	}
	return 0;
}

/* tun 0: the unreachable route behind it. */
static int ask_route(struct netlink *n, const struct gate_config *c, int family, unsigned tun, uint16_t type,
		     uint16_t flags)
{
	char buf[NETLINK_MESSAGE_MOST];
	struct nlmsghdr *h = netlink_start(n, buf, type, (uint16_t)(flags | NLM_F_ACK));
	struct rtmsg *r = mnl_nlmsg_put_extra_header(h, sizeof *r);

	r->rtm_family = (uint8_t)family;
	r->rtm_table = c->route_table < 256 ? (uint8_t)c->route_table : RT_TABLE_UNSPEC;
	r->rtm_protocol = OUR_PROTOCOL;
	r->rtm_scope = tun ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
	r->rtm_type = tun ? RTN_UNICAST : RTN_UNREACHABLE;
	mnl_attr_put_u32(h, RTA_TABLE, c->route_table);
	mnl_attr_put_u32(h, RTA_PRIORITY, tun ? TUN_METRIC : last_metric);
	if (tun)
		mnl_attr_put_u32(h, RTA_OIF, tun);
	return netlink_ask(n, h, NULL, NULL);
}

static bool have_ipv6(void)
{
	return access("/proc/sys/net/ipv6", F_OK) == 0;
}

/* The index of a TUN that is up, or 0. */
static unsigned tun_up(const struct gate_config *c)
{
	struct ifreq q = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool up;

	if (fd < 0)
		return 0;
	snprintf(q.ifr_name, sizeof q.ifr_name, "%s", c->tun);
	up = ioctl(fd, SIOCGIFFLAGS, &q) == 0 && q.ifr_flags & IFF_UP;
	close(fd);
	return up ? if_nametoindex(c->tun) : 0;
}

/* Strict reverse-path filters are content with a TUN that has no address if they look up with the packet's mark. Set on
 * the TUN alone, so that it goes when the TUN goes. */
static int use_mark_for_reverse_path(const struct gate_config *c, struct diag *d)
{
	char path[128];
	int fd, e = 0;

	snprintf(path, sizeof path, "/proc/sys/net/ipv4/conf/%s/src_valid_mark", c->tun);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return diag_errno(d, errno, "open %s", path);
	if (write(fd, "1", 1) != 1)
		e = errno;
	close(fd);
	return e ? diag_errno(d, e, "write %s", path) : 0;
}

static int ensure_tun(struct netlink *n, const struct gate_config *c, struct routes_made *made, struct diag *d)
{
	unsigned tun = tun_up(c);
	int r;

	if (!tun)
		return 0;
	if ((r = use_mark_for_reverse_path(c, d)) < 0)
		return r;
	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		if (families[i] == AF_INET6 && !have_ipv6())
			continue;
		r = ask_route(n, c, families[i], tun, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
		made->routes |= r == 0;
		/* IPv6 may be off on this interface alone; the unreachable route then stops what is marked */
		if (r < 0 && r != -EEXIST && families[i] == AF_INET)
			return diag_errno(d, -r, "route into %s", c->tun);
	}
	return 0;
}

int routes_ensure(struct netlink *n, const struct gate_config *c, struct routes_made *ret_made, struct diag *d)
{
	struct routes_made made = { 0 };
	int r;

	if (c->plane == GATE_PLANE_KERNEL) { /* nothing is led anywhere else; what is left of the other plane goes */
		*ret_made = made;
		return routes_remove(n, c, d);
	}
	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		if (families[i] == AF_INET6 && !have_ipv6())
			continue;
		/* the end of the table first: nothing may be sent there before it */
		r = ask_route(n, c, families[i], 0, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
		if (r < 0 && r != -EEXIST)
			return diag_errno(d, -r, "unreachable route in table %u", c->route_table);
		made.routes |= r == 0;
		if ((r = ensure_rules(n, c, families[i], &made, d)) < 0)
			return r;
	}
	r = ensure_tun(n, c, &made, d);
	*ret_made = made;
	return r;
}

int routes_remove(struct netlink *n, const struct gate_config *c, struct diag *d)
{
	unsigned tun = if_nametoindex(c->tun);

	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		int r = 0;

		if (families[i] == AF_INET6 && !have_ipv6())
			continue;
		if ((r = remove_rules(n, c, families[i], d)) < 0)
			return r;
		if (tun)
			ask_route(n, c, families[i], tun, RTM_DELROUTE, 0);
		while ((r = ask_route(n, c, families[i], 0, RTM_DELROUTE, 0)) == 0)
			;
		if (r != -ESRCH)
			return diag_errno(d, -r, "remove the unreachable route in table %u", c->route_table);
	}
	return 0;
}

static uint32_t table_of(const struct nlmsghdr *h)
{
	const struct rtmsg *r = mnl_nlmsg_get_payload(h);
	const struct nlattr *a = netlink_attribute(h, sizeof *r, RTA_TABLE);

	return a && mnl_attr_validate(a, MNL_TYPE_U32) == 0 ? mnl_attr_get_u32(a) : r->rtm_table;
}

bool routes_concern(const struct gate_config *c, const struct nlmsghdr *h)
{
	switch (h->nlmsg_type) {
	case RTM_NEWRULE:
	case RTM_DELRULE:
		return true;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		return mnl_nlmsg_get_payload_len(h) >= sizeof(struct rtmsg) && table_of(h) == c->route_table;
	case RTM_NEWLINK:
	case RTM_DELLINK:
		return strcmp(netlink_attribute_text(h, sizeof(struct ifinfomsg), IFLA_IFNAME), c->tun) == 0;
	default:
		return false;
	}
}
