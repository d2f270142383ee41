#include "tools/cli/unanswered.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <unistd.h>

enum { ANSWER = 4096 };

static const char table[] = "cordon";

/* The answer's error: 0: it is there. */
static int ask(struct mnl_socket *s)
{
	_Alignas(8) char buf[ANSWER];
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *g = mnl_nlmsg_put_extra_header(h, sizeof *g);
	ssize_t len;

	h->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	h->nlmsg_seq = 1;
	*g = (struct nfgenmsg){ .nfgen_family = NFPROTO_INET, .version = NFNETLINK_V0 };
	mnl_attr_put_strz(h, NFTA_TABLE_NAME, table);
	if (mnl_socket_sendto(s, h, h->nlmsg_len) < 0 || (len = mnl_socket_recvfrom(s, buf, sizeof buf)) < 0)
		return errno;
	return mnl_cb_run(buf, (size_t)len, 1, mnl_socket_get_portid(s), NULL, NULL) < 0 ? errno : 0;
}

enum unanswered unanswered_look(void)
{
	struct mnl_socket *s = geteuid() == 0 ? mnl_socket_open(NETLINK_NETFILTER) : NULL;
	int error = s && mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) == 0 ? ask(s) : EPERM;

	if (s)
		(void)mnl_socket_close(s);
	return error == 0 ? UNANSWERED_RULES : error == ENOENT ? UNANSWERED_NONE : UNANSWERED_NOT_KNOWN;
}

const char *unanswered_words(enum unanswered is)
{
	static const char *const words[] = {
		[UNANSWERED_RULES] =
			"The rules of the last policy stay in force without it: protected traffic is stopped, exempt "
			"traffic flows.\n"
			"  (With the kernel's data plane, what has an SA goes on until that ends.)",
		[UNANSWERED_NONE] = "No rules of Cordon are in force: nothing is protected.",
		[UNANSWERED_NOT_KNOWN] = "Whether rules of Cordon are in force, the kernel tells root only: those of "
					 "the last policy outlive cordond,\n"
					 "  and then protected traffic is stopped and exempt traffic flows.",
	};

	return words[is];
}

void unanswered_say(int error)
{
	if (error == -ENOENT || error == -ECONNREFUSED)
		(void)fprintf(stderr, "  %s\n", unanswered_words(unanswered_look()));
}
