#include "enforce/table.h"

#include "base/diag.h"
#include "base/mem.h"
#include "enforce/identity_sets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libnftnl/common.h>
#include <libnftnl/object.h>
#include <libnftnl/set.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void set_free(struct nftnl_set **s)
{
	if (*s)
		nftnl_set_free(*s);
}

static const char *set_name(enum table_set set, int family)
{
	static const char *const names[][2] = { [TABLE_FALLBACK] = { "fallback_ip", "fallback_ip6" },
						[TABLE_FALLEN] = { "fallen_ip", "fallen_ip6" },
						[TABLE_SECURED] = { "secured_ip", "secured_ip6" },
						[TABLE_SURE] = { "sure_ip", "sure_ip6" },
						[TABLE_SURE_IN] = { "sure_in_ip", "sure_in_ip6" },
						[TABLE_EXEMPTED] = { "exempted_ip", "exempted_ip6" } };

	return names[set][family == 6];
}

static struct nftnl_set *set_named(const char *name)
{
	struct nftnl_set *s = nftnl_set_alloc();

	if (!s)
		return NULL;
	nftnl_set_set_u32(s, NFTNL_SET_FAMILY, NFPROTO_INET);
	nftnl_set_set_str(s, NFTNL_SET_TABLE, TABLE_NAME);
	nftnl_set_set_str(s, NFTNL_SET_NAME, name);
	return s;
}

static struct nftnl_set *set_with_pair(enum table_set set, const struct addr *local, const struct addr *remote,
				       uint32_t timeout_s, uint32_t reqid)
{
	struct nftnl_set *s = set_named(set_name(set, local->family));
	struct nftnl_set_elem *e = s ? nftnl_set_elem_alloc() : NULL;
	uint8_t key[32 + sizeof reqid];
	uint32_t n = (uint32_t)addr_octets(local);

	if (!e) {
		set_free(&s);
		return NULL;
	}
	memcpy(key, local->octets, n);
	memcpy(key + n, remote->octets, n);
	memcpy(key + 2 * (size_t)n, &reqid, sizeof reqid);
	if (set == TABLE_SURE_IN)
		nftnl_set_elem_set(e, NFTNL_SET_ELEM_KEY, key, 2 * n + (uint32_t)sizeof reqid);
	else if (set == TABLE_FALLEN || set == TABLE_EXEMPTED)
		nftnl_set_elem_set(e, NFTNL_SET_ELEM_KEY, key + n, n);
	else
		nftnl_set_elem_set(e, NFTNL_SET_ELEM_KEY, key, 2 * n);
	if (timeout_s)
		nftnl_set_elem_set_u64(e, NFTNL_SET_ELEM_TIMEOUT, (uint64_t)timeout_s * 1000);
	nftnl_set_elem_add(s, e);
	return s;
}

static struct nlmsghdr *put_elements(struct netlink *nft, struct mnl_nlmsg_batch *batch, uint16_t type, uint16_t flags,
				     struct nftnl_set *s)
{
	struct nlmsghdr *h = nftnl_nlmsg_build_hdr(mnl_nlmsg_batch_current(batch), type, NFPROTO_INET,
						   (uint16_t)(flags | NLM_F_ACK), ++nft->sequence);

	nftnl_set_elems_nlmsg_build_payload(h, s);
	mnl_nlmsg_batch_next(batch);
	return h;
}

/* One transaction on one element: remove it, add it, or both. */
static int change(struct netlink *nft, enum table_set set, const struct addr *local, const struct addr *remote,
		  bool remove, bool add, uint32_t timeout_s, uint32_t reqid)
{
	SCOPED(set_free) struct nftnl_set *s = set_with_pair(set, local, remote, timeout_s, reqid);
	char buf[NETLINK_MESSAGE_MOST];
	struct mnl_nlmsg_batch *batch;
	uint32_t last = 0;
	int r;

	if (!s)
		return -ENOMEM;
	batch = mnl_nlmsg_batch_start(buf, sizeof buf);
	if (!batch)
		return -ENOMEM;
	nftnl_batch_begin(mnl_nlmsg_batch_current(batch), ++nft->sequence);
	mnl_nlmsg_batch_next(batch);
	if (remove)
		last = put_elements(nft, batch, NFT_MSG_DELSETELEM, 0, s)->nlmsg_seq;
	if (add)
		last = put_elements(nft, batch, NFT_MSG_NEWSETELEM, remove ? NLM_F_CREATE : NLM_F_CREATE | NLM_F_EXCL,
				    s)
			       ->nlmsg_seq;
	nftnl_batch_end(mnl_nlmsg_batch_current(batch), ++nft->sequence);
	mnl_nlmsg_batch_next(batch);
	r = netlink_ask_batch(nft, mnl_nlmsg_batch_head(batch), mnl_nlmsg_batch_size(batch), last);
	mnl_nlmsg_batch_stop(batch);
	return r;
}

static int add_pair(struct netlink *nft, enum table_set set, const struct addr *local, const struct addr *remote,
		    uint32_t timeout_s, uint32_t reqid, struct diag *d)
{
	/* adding what is there would leave its old time; mostly it is not, and a transaction that fails takes long */
	int r = change(nft, set, local, remote, false, true, timeout_s, reqid);

	if (r == -EEXIST)
		r = change(nft, set, local, remote, true, true, timeout_s, reqid);
	return r < 0 ? diag_errno(d, -r, "add to the set %s", set_name(set, local->family)) : 0;
}

static int remove_pair(struct netlink *nft, enum table_set set, const struct addr *local, const struct addr *remote,
		       uint32_t reqid, struct diag *d)
{
	int r = change(nft, set, local, remote, true, false, 0, reqid);

	return r < 0 && r != -ENOENT ? diag_errno(d, -r, "remove from the set %s", set_name(set, local->family)) : 0;
}

int table_pair_add(struct netlink *nft, enum table_set set, const struct addr *local, const struct addr *remote,
		   uint32_t timeout_s, struct diag *d)
{
	return add_pair(nft, set, local, remote, timeout_s, 0, d);
}

int table_pair_remove(struct netlink *nft, enum table_set set, const struct addr *local, const struct addr *remote,
		      struct diag *d)
{
	return remove_pair(nft, set, local, remote, 0, d);
}

int table_pair_add_under(struct netlink *nft, const struct addr *local, const struct addr *remote, uint32_t reqid,
			 struct diag *d)
{
	return add_pair(nft, TABLE_SURE_IN, local, remote, 0, reqid, d);
}

int table_pair_remove_under(struct netlink *nft, const struct addr *local, const struct addr *remote, uint32_t reqid,
			    struct diag *d)
{
	return remove_pair(nft, TABLE_SURE_IN, local, remote, reqid, d);
}

bool table_pair_is_in(struct netlink *nft, enum table_set set, const struct addr *local, const struct addr *remote)
{
	SCOPED(set_free) struct nftnl_set *s = set_with_pair(set, local, remote, 0, 0);
	char buf[NETLINK_MESSAGE_MOST];
	struct nlmsghdr *h;

	if (!s)
		return true;
	h = nftnl_nlmsg_build_hdr(buf, NFT_MSG_GETSETELEM, NFPROTO_INET, NLM_F_ACK, ++nft->sequence);
	nftnl_set_elems_nlmsg_build_payload(h, s);
	return netlink_ask(nft, h, NULL, NULL) != -ENOENT;
}

struct pairs {
	struct ruleset_pair *rows;
	size_t count, cap;
	uint8_t family;
};

static int collect_pair(struct nftnl_set_elem *e, void *context)
{
	struct pairs *p = context;
	struct ruleset_pair row = { .local.family = p->family, .remote.family = p->family };
	uint32_t len = 0, n = p->family == 4 ? 4 : 16;
	const uint8_t *key = nftnl_set_elem_get(e, NFTNL_SET_ELEM_KEY, &len);

	if (!key || len != 2 * n || p->count >= RULESET_PAIRS_MOST)
		return 0;
	memcpy(row.local.octets, key, n);
	memcpy(row.remote.octets, key + n, n);
	if (nftnl_set_elem_is_set(e, NFTNL_SET_ELEM_EXPIRATION))
		row.left_s = (uint32_t)(nftnl_set_elem_get_u64(e, NFTNL_SET_ELEM_EXPIRATION) / 1000) + 1;
	p->rows = mem_grow(p->rows, p->count, &p->cap, sizeof *p->rows);
	p->rows[p->count++] = row;
	return 0;
}

static int collect_pairs(const struct nlmsghdr *h, void *context)
{
	SCOPED(set_free) struct nftnl_set *s = nftnl_set_alloc();

	if (s && nftnl_set_elems_nlmsg_parse(h, s) == 0)
		nftnl_set_elem_foreach(s, collect_pair, context);
	return MNL_CB_OK;
}

static struct nlmsghdr *start_dump(struct netlink *nft, char *buf, uint16_t type)
{
	return nftnl_nlmsg_build_hdr(buf, type, NFPROTO_INET, NLM_F_DUMP, ++nft->sequence);
}

int table_pairs(struct netlink *nft, enum table_set set, struct ruleset_pair **ret, size_t *ret_count, struct diag *d)
{
	struct pairs p = { 0 };

	for (p.family = 4; p.family <= 6; p.family = (uint8_t)(p.family + 2)) {
		SCOPED(set_free) struct nftnl_set *s = set_named(set_name(set, p.family));
		char buf[NETLINK_MESSAGE_MOST];
		size_t before = p.count;
		int r, tries = 0;

		if (!s)
			return diag_errno(d, ENOMEM, "read a set");
		do {
			struct nlmsghdr *h = start_dump(nft, buf, NFT_MSG_GETSETELEM);

			p.count = before;
			nftnl_set_elems_nlmsg_build_payload(h, s);
			r = netlink_ask(nft, h, collect_pairs, &p);
		} while (r == -EINTR && ++tries < 5);
		if (r < 0 && r != -ENOENT) {
			free(p.rows);
			return diag_errno(d, -r, "read the set %s", set_name(set, p.family));
		}
	}
	*ret = p.rows;
	*ret_count = p.count;
	return 0;
}

struct telling {
	const char *set;
	table_element_fn each;
	void *context;
};

static int tell_element(struct nftnl_set_elem *e, void *context)
{
	const struct telling *t = context;
	uint32_t len = 0;
	const uint8_t *key = nftnl_set_elem_get(e, NFTNL_SET_ELEM_KEY, &len);

	if (key)
		t->each(t->context, t->set, key, len);
	return 0;
}

static int tell_elements(const struct nlmsghdr *h, void *context)
{
	SCOPED(set_free) struct nftnl_set *s = nftnl_set_alloc();

	if (s && nftnl_set_elems_nlmsg_parse(h, s) == 0)
		nftnl_set_elem_foreach(s, tell_element, context);
	return MNL_CB_OK;
}

int table_elements(struct netlink *nft, const char *set, table_element_fn each, void *context)
{
	SCOPED(set_free) struct nftnl_set *s = set_named(set);
	struct telling t = { set, each, context };
	char buf[NETLINK_MESSAGE_MOST];
	struct nlmsghdr *h;

	if (!s)
		return -ENOMEM;
	h = start_dump(nft, buf, NFT_MSG_GETSETELEM);
	nftnl_set_elems_nlmsg_build_payload(h, s);
	return netlink_ask(nft, h, tell_elements, &t);
}

struct counting {
	table_counter_fn each;
	void *context;
};

static int count_one(const struct nlmsghdr *h, void *context)
{
	struct counting *c = context;
	struct nftnl_obj *o = nftnl_obj_alloc();
	enum gate_count kind;
	uint32_t rule;

	if (o && nftnl_obj_nlmsg_parse(h, o) == 0 && strcmp(nftnl_obj_get_str(o, NFTNL_OBJ_TABLE), TABLE_NAME) == 0 &&
	    gate_counter_parse(nftnl_obj_get_str(o, NFTNL_OBJ_NAME), &kind, &rule))
		c->each(c->context, kind, rule,
			(struct ruleset_count){ nftnl_obj_get_u64(o, NFTNL_OBJ_CTR_PKTS),
						nftnl_obj_get_u64(o, NFTNL_OBJ_CTR_BYTES) });
	if (o)
		nftnl_obj_free(o);
	return MNL_CB_OK;
}

int table_counters(struct netlink *nft, table_counter_fn each, void *context, struct diag *d)
{
	struct counting c = { each, context };
	char buf[NETLINK_MESSAGE_MOST];
	int r, tries = 0;

	do {
		struct nlmsghdr *h = start_dump(nft, buf, NFT_MSG_GETOBJ);

		mnl_attr_put_strz(h, NFTA_OBJ_TABLE, TABLE_NAME);
		mnl_attr_put_u32(h, NFTA_OBJ_TYPE, htonl(NFT_OBJECT_COUNTER));
		r = netlink_ask(nft, h, count_one, &c);
	} while (r == -EINTR && ++tries < 5);
	return r < 0 ? diag_errno(d, -r, "read the counters") : 0;
}

static uint64_t hash(uint64_t h, const void *octets, size_t n)
{
	const uint8_t *at = octets;

	for (size_t i = 0; i < n; i++)
		h = (h ^ at[i]) * 0x100000001b3u;
	return h;
}

enum { SETS_MOST = 65536 };

struct fingerprint {
	uint64_t sum;
	char (*sets)[64]; /* whose elements are ours alone to change */
	size_t set_count, set_cap;
};

/* All kinds of nftables objects have their table's name as attribute 1. */
static bool ours(const struct nlmsghdr *h)
{
	const struct nfgenmsg *g;

	if (NFNL_SUBSYS_ID(h->nlmsg_type) != NFNL_SUBSYS_NFTABLES || mnl_nlmsg_get_payload_len(h) < sizeof *g)
		return false;
	g = mnl_nlmsg_get_payload(h);
	return g->nfgen_family == NFPROTO_INET &&
	       strcmp(netlink_attribute_text(h, sizeof *g, NFTA_TABLE_NAME), TABLE_NAME) == 0;
}

/* The header holds the generation, which every change anywhere moves: only the attributes count. The order in which
 * objects come does not. */
static int add_object(const struct nlmsghdr *h, void *context)
{
	struct fingerprint *f = context;
	const size_t head = sizeof(struct nfgenmsg);

	if (ours(h))
		f->sum += hash(NFNL_MSG_TYPE(h->nlmsg_type), (const char *)mnl_nlmsg_get_payload(h) + head,
			       mnl_nlmsg_get_payload_len(h) - head);
	return MNL_CB_OK;
}

static bool changes_by_itself(const char *set)
{
	return strncmp(set, "fallback_", 9) == 0 || strncmp(set, "fallen_", 7) == 0 ||
	       strncmp(set, "exempted_", 9) == 0 || strncmp(set, "secured_", 8) == 0 || strncmp(set, "sure_", 5) == 0 ||
	       strncmp(set, "masquerade", 10) == 0 || identity_set_named(set);
}

static int add_set(const struct nlmsghdr *h, void *context)
{
	struct fingerprint *f = context;
	const char *name = netlink_attribute_text(h, sizeof(struct nfgenmsg), NFTA_SET_NAME);

	add_object(h, context);
	if (!ours(h) || !*name || strncmp(name, "__", 2) == 0 || changes_by_itself(name) || f->set_count >= SETS_MOST)
		return MNL_CB_OK;
	f->sets = mem_grow(f->sets, f->set_count, &f->set_cap, sizeof *f->sets);
	snprintf(f->sets[f->set_count++], sizeof *f->sets, "%s", name);
	return MNL_CB_OK;
}

static int add_elements(const struct nlmsghdr *h, void *context)
{
	struct fingerprint *f = context;
	const struct nlattr *list = netlink_attribute(h, sizeof(struct nfgenmsg), NFTA_SET_ELEM_LIST_ELEMENTS);
	const char *end;

	if (!list)
		return MNL_CB_OK;
	end = (const char *)mnl_attr_get_payload(list) + mnl_attr_get_payload_len(list);
	for (const struct nlattr *e = mnl_attr_get_payload(list); mnl_attr_ok(e, (int)(end - (const char *)e));
	     e = mnl_attr_next(e))
		f->sum += hash(1, mnl_attr_get_payload(e), mnl_attr_get_payload_len(e));
	return MNL_CB_OK;
}

static int take_fingerprint(struct netlink *nft, struct fingerprint *f)
{
	static const struct {
		uint16_t type;
		mnl_cb_t each;
	} dumps[] = { { NFT_MSG_GETTABLE, add_object },
		      { NFT_MSG_GETCHAIN, add_object },
		      { NFT_MSG_GETRULE, add_object },
		      { NFT_MSG_GETSET, add_set } };
	char buf[NETLINK_MESSAGE_MOST];
	int r;

	f->sum = f->set_count = 0;
	for (size_t i = 0; i < ARRAY_LEN(dumps); i++) {
		struct nlmsghdr *h = start_dump(nft, buf, dumps[i].type);

		if (i > 1) /* the kernel filters these by table */
			mnl_attr_put_strz(h, NFTA_RULE_TABLE, TABLE_NAME);
		r = netlink_ask(nft, h, dumps[i].each, f);
		if (r < 0 && r != -ENOENT)
			return r;
	}
	for (size_t i = 0; i < f->set_count; i++) {
		struct nlmsghdr *h = start_dump(nft, buf, NFT_MSG_GETSETELEM);

		mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_TABLE, TABLE_NAME);
		mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_SET, f->sets[i]);
		r = netlink_ask(nft, h, add_elements, f);
		if (r < 0 && r != -ENOENT)
			return r;
	}
	return 0;
}

int table_fingerprint(struct netlink *nft, uint64_t *ret, struct diag *d)
{
	struct fingerprint f = { 0 };
	int r, tries = 0;

	do
		r = take_fingerprint(nft, &f);
	while (r == -EINTR && ++tries < 5);
	free(f.sets);
	if (r < 0)
		return diag_errno(d, -r, "read the table " TABLE_NAME);
	*ret = f.sum;
	return 0;
}

bool table_concerns(const struct nlmsghdr *h)
{
	return ours(h);
}

bool table_exists(struct netlink *nft)
{
	char buf[NETLINK_MESSAGE_MOST];
	struct nlmsghdr *h = nftnl_nlmsg_build_hdr(buf, NFT_MSG_GETTABLE, NFPROTO_INET, NLM_F_ACK, ++nft->sequence);

	mnl_attr_put_strz(h, NFTA_TABLE_NAME, TABLE_NAME);
	return netlink_ask(nft, h, NULL, NULL) == 0;
}

int table_delete(struct netlink *nft, const char *table, struct diag *d)
{
	char buf[NETLINK_MESSAGE_MOST];
	struct mnl_nlmsg_batch *batch = mnl_nlmsg_batch_start(buf, sizeof buf);
	struct nlmsghdr *h;
	uint32_t last;
	int r;

	if (!batch)
		return diag_errno(d, ENOMEM, "delete the table");
	nftnl_batch_begin(mnl_nlmsg_batch_current(batch), ++nft->sequence);
	mnl_nlmsg_batch_next(batch);
	h = nftnl_nlmsg_build_hdr(mnl_nlmsg_batch_current(batch), NFT_MSG_DELTABLE, NFPROTO_INET, NLM_F_ACK,
				  last = ++nft->sequence);
	mnl_attr_put_strz(h, NFTA_TABLE_NAME, table);
	mnl_nlmsg_batch_next(batch);
	nftnl_batch_end(mnl_nlmsg_batch_current(batch), ++nft->sequence);
	mnl_nlmsg_batch_next(batch);
	r = netlink_ask_batch(nft, mnl_nlmsg_batch_head(batch), mnl_nlmsg_batch_size(batch), last);
	mnl_nlmsg_batch_stop(batch);
	return r < 0 && r != -ENOENT ? diag_errno(d, -r, "delete the table %s", table) : 0;
}
