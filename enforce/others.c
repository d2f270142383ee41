/* Other programs' nftables that may drop what the policy's firewall lets in. A table of iptables' older kind is not
 * seen by netlink; its programs say so themselves (iptables-legacy). */
#include "enforce/others.h"

#include "base/diag.h"
#include "base/mem.h"

#include <errno.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void chain_free(struct nftnl_chain **c)
{
	if (*c)
		nftnl_chain_free(*c);
}

static void rule_free(struct nftnl_rule **r)
{
	if (*r)
		nftnl_rule_free(*r);
}

struct collecting {
	struct gate_other *rows;
	size_t count, cap;
};

static bool ours(const char *table)
{
	return strcmp(table, TABLE_NAME) == 0 || strncmp(table, TABLE_NAME "_", sizeof TABLE_NAME) == 0;
}

static const char *family_name(uint32_t family)
{
	return family == NFPROTO_IPV4 ? "ip" : family == NFPROTO_IPV6 ? "ip6" : family == NFPROTO_INET ? "inet" : NULL;
}

static struct gate_other *row_of(struct collecting *c, const char *family, const char *table)
{
	char name[GATE_OTHER_TABLE];

	(void)snprintf(name, sizeof name, "%s %s", family, table);
	for (size_t i = 0; i < c->count; i++)
		if (strcmp(c->rows[i].table, name) == 0)
			return &c->rows[i];
	return NULL;
}

/* A chain that sees what comes in. */
static int take_chain(const struct nlmsghdr *h, void *context)
{
	SCOPED(chain_free) struct nftnl_chain *chain = nftnl_chain_alloc();
	struct collecting *c = context;
	const char *family, *table;
	struct gate_other *row;

	if (!chain || nftnl_chain_nlmsg_parse(h, chain) < 0 || !nftnl_chain_is_set(chain, NFTNL_CHAIN_HOOKNUM) ||
	    nftnl_chain_get_u32(chain, NFTNL_CHAIN_HOOKNUM) != NF_INET_LOCAL_IN)
		return MNL_CB_OK;
	family = family_name(nftnl_chain_get_u32(chain, NFTNL_CHAIN_FAMILY));
	table = nftnl_chain_get_str(chain, NFTNL_CHAIN_TABLE);
	if (!family || !table || ours(table) || c->count >= GATE_OTHERS_MOST)
		return MNL_CB_OK;
	if (!(row = row_of(c, family, table))) {
		c->rows = mem_grow(c->rows, c->count, &c->cap, sizeof *c->rows);
		row = &c->rows[c->count++];
		*row = (struct gate_other){ 0 };
		(void)snprintf(row->table, sizeof row->table, "%s %s", family, table);
	}
	row->drops_by_default |= nftnl_chain_is_set(chain, NFTNL_CHAIN_POLICY) &&
				 nftnl_chain_get_u32(chain, NFTNL_CHAIN_POLICY) == NF_DROP;
	return MNL_CB_OK;
}

static int look_at(struct nftnl_expr *e, void *context)
{
	const char *name = nftnl_expr_get_str(e, NFTNL_EXPR_NAME);
	bool *drops = context;

	if (strcmp(name, "reject") == 0)
		*drops = true;
	else if (strcmp(name, "immediate") == 0 && nftnl_expr_is_set(e, NFTNL_EXPR_IMM_VERDICT) &&
		 nftnl_expr_get_u32(e, NFTNL_EXPR_IMM_VERDICT) == NF_DROP)
		*drops = true;
	else if (strcmp(name, "target") == 0 && nftnl_expr_is_set(e, NFTNL_EXPR_TG_NAME) &&
		 strcmp(nftnl_expr_get_str(e, NFTNL_EXPR_TG_NAME), "REJECT") == 0)
		*drops = true;
	return 0;
}

/* Whichever chain it is in: where the table's chains lead to is not followed. */
static int take_rule(const struct nlmsghdr *h, void *context)
{
	SCOPED(rule_free) struct nftnl_rule *rule = nftnl_rule_alloc();
	struct gate_other *row;
	const char *family, *table;
	bool drops = false;

	if (!rule || nftnl_rule_nlmsg_parse(h, rule) < 0)
		return MNL_CB_OK;
	family = family_name(nftnl_rule_get_u32(rule, NFTNL_RULE_FAMILY));
	table = nftnl_rule_get_str(rule, NFTNL_RULE_TABLE);
	if (!family || !table || ours(table) || !(row = row_of(context, family, table)) || row->rules)
		return MNL_CB_OK;
	(void)nftnl_expr_foreach(rule, look_at, &drops);
	row->rules += drops;
	return MNL_CB_OK;
}

static int ask(struct netlink *nft, uint16_t type, mnl_cb_t each, struct collecting *c)
{
	char buf[NETLINK_MESSAGE_MOST];
	int r, tries = 0;

	do {
		struct nlmsghdr *h = nftnl_nlmsg_build_hdr(buf, type, NFPROTO_UNSPEC, NLM_F_DUMP, ++nft->sequence);

		r = netlink_ask(nft, h, each, c);
	} while (r == -EINTR && ++tries < 5);
	return r;
}

int others_find(struct netlink *nft, struct gate_other **ret, size_t *ret_count, struct diag *d)
{
	struct collecting c = { 0 };
	size_t kept = 0;
	int r;

	if ((r = ask(nft, NFT_MSG_GETCHAIN, take_chain, &c)) == 0 && c.count)
		r = ask(nft, NFT_MSG_GETRULE, take_rule, &c);
	if (r < 0) {
		free(c.rows);
		return diag_errno(d, -r, "look at other programs' tables");
	}
	for (size_t i = 0; i < c.count; i++)
		if (c.rows[i].drops_by_default || c.rows[i].rules)
			c.rows[kept++] = c.rows[i];
	*ret = c.rows;
	*ret_count = kept;
	return 0;
}
