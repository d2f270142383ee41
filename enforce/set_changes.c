#include "enforce/set_changes.h"

#include "base/addr.h"
#include "enforce/ruleset.h"

#include <errno.h>
#include <libnftnl/common.h>
#include <libnftnl/set.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

enum { CHANGE_MOST = 512 /* octets of one, with its end of a batch */, CHANGES_OCTETS = 49152 };

void set_changes_begin(struct set_changes *c, struct netlink *nft, bool careful)
{
	c->nft = nft;
	c->careful = careful;
	c->failed = 0;
	c->len = c->count = 0;
}

static char *room(struct set_changes *c)
{
	return c->messages + c->len;
}

/* Errors come whatever is asked for; the last change alone is to be answered, or the answers would not fit. */
static void commit(struct set_changes *c)
{
	struct nlmsghdr *last = (struct nlmsghdr *)(void *)(c->messages + c->last_at), *h;

	if (c->count && !c->failed) {
		last->nlmsg_flags |= NLM_F_ACK;
		h = nftnl_batch_end(room(c), ++c->nft->sequence);
		c->len += NLMSG_ALIGN(h->nlmsg_len);
		c->failed = netlink_ask_batch(c->nft, c->messages, c->len, last->nlmsg_seq);
	}
	c->len = c->count = 0;
}

static struct nftnl_set *element(const char *set, const struct addr *remote, const struct addr *local)
{
	struct nftnl_set *s = nftnl_set_alloc();
	struct nftnl_set_elem *e = s ? nftnl_set_elem_alloc() : NULL;
	uint8_t key[32];
	uint32_t n = (uint32_t)addr_octets(remote);

	if (!e) {
		if (s)
			nftnl_set_free(s);
		return NULL;
	}
	memcpy(key, remote->octets, n);
	memcpy(key + n, local->octets, n);
	nftnl_set_set_u32(s, NFTNL_SET_FAMILY, NFPROTO_INET);
	nftnl_set_set_str(s, NFTNL_SET_TABLE, TABLE_NAME);
	nftnl_set_set_str(s, NFTNL_SET_NAME, set);
	nftnl_set_elem_set(e, NFTNL_SET_ELEM_KEY, key, 2 * n);
	nftnl_set_elem_add(s, e);
	return s;
}

static void put(struct set_changes *c, uint16_t type, uint16_t flags, struct nftnl_set *s)
{
	struct nlmsghdr *h;

	if (c->len == 0) {
		h = nftnl_batch_begin(room(c), ++c->nft->sequence);
		c->len += NLMSG_ALIGN(h->nlmsg_len);
	}
	h = nftnl_nlmsg_build_hdr(room(c), type, NFPROTO_INET, flags, ++c->nft->sequence);
	nftnl_set_elems_nlmsg_build_payload(h, s);
	c->last_at = c->len;
	c->len += NLMSG_ALIGN(h->nlmsg_len);
	c->count++;
}

static void change(struct set_changes *c, const char *set, const struct addr *remote, const struct addr *local,
		   bool add, bool remove)
{
	struct nftnl_set *s;

	if (c->failed)
		return;
	if (c->len + 2 * CHANGE_MOST > CHANGES_OCTETS)
		commit(c);
	if (!(s = element(set, remote, local))) {
		c->failed = -ENOMEM;
		return;
	}
	if (add)
		put(c, NFT_MSG_NEWSETELEM, NLM_F_CREATE, s);
	if (remove)
		put(c, NFT_MSG_DELSETELEM, 0, s);
	nftnl_set_free(s);
}

void set_changes_add(struct set_changes *c, const char *set, const struct addr *remote, const struct addr *local)
{
	change(c, set, remote, local, true, false);
}

void set_changes_remove(struct set_changes *c, const char *set, const struct addr *remote, const struct addr *local)
{
	change(c, set, remote, local, c->careful, true);
}

int set_changes_end(struct set_changes *c)
{
	commit(c);
	return c->failed;
}
