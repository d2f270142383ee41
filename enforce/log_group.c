#include "enforce/log_group.h"

#include "base/diag.h"
#include "enforce/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	COPIED = 128,           /* of each packet: its headers */
	TIMEOUT_HUNDREDTHS = 5, /* how long the kernel gathers packets before it hands them on */
	AT_ONCE = 32,           /* packets */
	KERNEL_BUFFER = 16384,
	SOCKET_BUFFER = 256 * 1024,
};

static struct nlmsghdr *config_start(struct netlink *n, char *buf, uint16_t group)
{
	struct nlmsghdr *h = netlink_start(n, buf, (uint16_t)(NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG), NLM_F_ACK);
	struct nfgenmsg *g = mnl_nlmsg_put_extra_header(h, sizeof *g);

	g->nfgen_family = AF_UNSPEC;
	g->version = NFNETLINK_V0;
	g->res_id = htons(group);
	return h;
}

static int bind_group(struct netlink *n, uint16_t group)
{
	const struct nfulnl_msg_config_cmd command = { .command = NFULNL_CFG_CMD_BIND };
	char buf[NETLINK_MESSAGE_MOST];
	struct nlmsghdr *h = config_start(n, buf, group);

	mnl_attr_put(h, NFULA_CFG_CMD, sizeof command, &command);
	return netlink_ask(n, h, NULL, NULL);
}

static int set_up(struct netlink *n, uint16_t group)
{
	const struct nfulnl_msg_config_mode mode = { .copy_range = htonl(COPIED), .copy_mode = NFULNL_COPY_PACKET };
	char buf[NETLINK_MESSAGE_MOST];
	struct nlmsghdr *h = config_start(n, buf, group);

	mnl_attr_put(h, NFULA_CFG_MODE, sizeof mode, &mode);
	mnl_attr_put_u32(h, NFULA_CFG_TIMEOUT, htonl(TIMEOUT_HUNDREDTHS));
	mnl_attr_put_u32(h, NFULA_CFG_QTHRESH, htonl(AT_ONCE));
	mnl_attr_put_u32(h, NFULA_CFG_NLBUFSIZ, htonl(KERNEL_BUFFER));
	return netlink_ask(n, h, NULL, NULL);
}

int log_group_open(uint16_t group, struct diag *d)
{
	const int size = SOCKET_BUFFER;
	struct netlink n = { 0 };
	int r, fd, given;

	if ((r = netlink_open(&n, NETLINK_NETFILTER, d)) < 0)
		return r;
	if ((r = bind_group(&n, group)) < 0 || (r = set_up(&n, group)) < 0) {
		netlink_close(&n);
		if (r == -EBUSY)
			return diag_fail(d, EBUSY, "another program reads nflog group %u", group);
		return diag_errno(d, -r, "read nflog group %u", group);
	}
	fd = mnl_socket_get_fd(n.socket);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
	(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	given = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	r = given < 0 ? diag_errno(d, errno, "read nflog group %u", group) : given;
	netlink_close(&n);
	return r;
}
