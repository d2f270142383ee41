#include "enforce/toucher.h"

#include "enforce/netlink.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <string.h>

static void clean(char *name)
{
	for (; *name; name++)
		if (!isprint((unsigned char)*name))
			*name = '?';
}

bool toucher_of_generation(const struct nlmsghdr *h, char buf[TOUCHER_WORDS])
{
	const size_t head = sizeof(struct nfgenmsg);
	const struct nlattr *pid;

	if (NFNL_SUBSYS_ID(h->nlmsg_type) != NFNL_SUBSYS_NFTABLES || NFNL_MSG_TYPE(h->nlmsg_type) != NFT_MSG_NEWGEN)
		return false;
	pid = netlink_attribute(h, head, NFTA_GEN_PROC_PID);
	(void)snprintf(buf, TOUCHER_WORDS, "%.20s (process %u)", netlink_attribute_text(h, head, NFTA_GEN_PROC_NAME),
		       pid && mnl_attr_validate(pid, MNL_TYPE_U32) == 0 ? ntohl(mnl_attr_get_u32(pid)) : 0);
	clean(buf);
	return true;
}

void toucher_of_socket(uint32_t port, char buf[TOUCHER_WORDS])
{
	char path[64], name[32] = "";
	FILE *f;

	if (port == 0) {
		(void)snprintf(buf, TOUCHER_WORDS, "the kernel");
		return;
	}
	(void)snprintf(path, sizeof path, "/proc/%u/comm", port);
	if ((f = fopen(path, "re"))) {
		if (fgets(name, sizeof name, f))
			name[strcspn(name, "\n")] = '\0';
		(void)fclose(f);
	}
	*buf = '\0';
	if (*name)
		(void)snprintf(buf, TOUCHER_WORDS, "%.20s (process %u)", name, port);
	clean(buf);
}
