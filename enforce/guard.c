#include "enforce/guard.h"

#include "base/diag.h"
#include "base/mem.h"
#include "base/scope.h"
#include "base/table.h"
#include "enforce/guard_rules.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libnftnl/common.h>
#include <libnftnl/object.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#ifndef NFT_TABLE_F_OWNER /* headers before 5.12 */
#define NFT_TABLE_F_OWNER 2
#endif

enum {
	BATCH_MOST = 1 << 20,
	RANGES_MOST = 2048,       /* of one family; beyond it they become one */
	ELEMENTS_A_MESSAGE = 512, /* an attribute has at most 64 kB */
};

/* ---- whom it guards ---------------------------------------------------------------------------------------------- */

struct ranges {
	struct addr_range *rows;
	size_t count, cap;
};

static bool holds_back(struct plan_list l)
{
	for (size_t i = 0; i < l.count; i++)
		if (l.entries[i].rule->mode != MODE_EXEMPT)
			return true;
	return false;
}

static void collect(const struct plan *plan, size_t local, struct ranges *r)
{
	const struct plan_region *regions;
	size_t n = plan_regions(plan, local, &regions);

	for (size_t i = 0; i < n; i++) {
		if (!holds_back(plan_list(plan, regions[i].list)))
			continue;
		r->rows = mem_grow(r->rows, r->count, &r->cap, sizeof *r->rows);
		r->rows[r->count++] = regions[i].remote;
	}
}

static int by_begin(const void *a, const void *b)
{
	const struct addr_range *x = a, *y = b;

	return addr_compare(&x->lo, &y->lo);
}

/* Those that touch become one: the kernel's intervals may not overlap. */
static void join(struct ranges *r)
{
	size_t n = 0;

	if (r->count == 0)
		return;
	qsort(r->rows, r->count, sizeof *r->rows, by_begin);
	for (size_t i = 1; i < r->count; i++) {
		struct addr_range *last = &r->rows[n];
		struct addr behind = last->hi;
		bool at_end = !addr_next(&behind);

		if (r->rows[i].lo.family != last->lo.family || (!at_end && addr_compare(&r->rows[i].lo, &behind) > 0))
			r->rows[++n] = r->rows[i];
		else if (addr_compare(&r->rows[i].hi, &last->hi) > 0)
			last->hi = r->rows[i].hi;
	}
	r->count = n + 1;
}

/* Too many are not worth their room for the few milliseconds that they serve: guard what is between them as well. */
static void bound(struct ranges *r)
{
	size_t from = 0, to = 0;

	for (size_t i = 0; i < r->count; i = from) {
		while (from < r->count && r->rows[from].lo.family == r->rows[i].lo.family)
			from++;
		if (from - i > RANGES_MOST) {
			r->rows[to] = (struct addr_range){ r->rows[i].lo, r->rows[from - 1].hi };
			to++;
		} else {
			memmove(&r->rows[to], &r->rows[i], (from - i) * sizeof *r->rows);
			to += from - i;
		}
	}
	r->count = to;
}

static void ranges_of(const struct plan *plan, struct ranges *r)
{
	const struct addr_range *behind;
	const struct addr *own;
	size_t n = plan_locals(plan, &own), more = plan_behind(plan, &behind);

	for (size_t i = 0; i < n + more; i++)
		collect(plan, i, r);
	join(r);
	bound(r);
}

static uint64_t hash_of(const struct ranges *r)
{
	uint64_t h = 1;

	for (size_t i = 0; i < r->count; i++)
		h = table_hash(&r->rows[i].hi, sizeof r->rows[i].hi,
			       table_hash(&r->rows[i].lo, sizeof r->rows[i].lo, h));
	return h;
}

/* ---- one transaction --------------------------------------------------------------------------------------------- */

static void begin(struct guard_batch *b, struct netlink *owner)
{
	b->octets = mem_new(1, BATCH_MOST + NETLINK_MESSAGE_MOST);
	b->batch = mnl_nlmsg_batch_start(b->octets, BATCH_MOST);
	b->owner = owner;
	nftnl_batch_begin(mnl_nlmsg_batch_current(b->batch), ++owner->sequence);
	b->failed = !mnl_nlmsg_batch_next(b->batch);
}

struct nlmsghdr *guard_message(struct guard_batch *b, uint16_t type, uint16_t flags)
{
	return nftnl_nlmsg_build_hdr(mnl_nlmsg_batch_current(b->batch), type, NFPROTO_INET,
				     (uint16_t)(flags | NLM_F_ACK), b->last = ++b->owner->sequence);
}

void guard_message_done(struct guard_batch *b)
{
	b->failed |= !mnl_nlmsg_batch_next(b->batch);
}

static int commit(struct guard_batch *b)
{
	int r = -EMSGSIZE;

	nftnl_batch_end(mnl_nlmsg_batch_current(b->batch), ++b->owner->sequence);
	if (mnl_nlmsg_batch_next(b->batch) && !b->failed)
		r = netlink_ask_batch(b->owner, mnl_nlmsg_batch_head(b->batch), mnl_nlmsg_batch_size(b->batch),
				      b->last);
	mnl_nlmsg_batch_stop(b->batch);
	free(b->octets);
	return r;
}

static void put_table(struct guard_batch *b, uint16_t type, uint32_t flags)
{
	struct nlmsghdr *h = guard_message(b, type, type == NFT_MSG_NEWTABLE ? NLM_F_CREATE : 0);

	mnl_attr_put_strz(h, NFTA_TABLE_NAME, TABLE_GUARD);
	if (type == NFT_MSG_NEWTABLE)
		mnl_attr_put_u32(h, NFTA_TABLE_FLAGS, htonl(flags));
	guard_message_done(b);
}

static void put_counter(struct guard_batch *b, struct ruleset_count before)
{
	struct nftnl_obj *o = nftnl_obj_alloc();

	if (!o) {
		b->failed = true;
		return;
	}
	nftnl_obj_set_u32(o, NFTNL_OBJ_FAMILY, NFPROTO_INET);
	nftnl_obj_set_str(o, NFTNL_OBJ_TABLE, TABLE_GUARD);
	nftnl_obj_set_str(o, NFTNL_OBJ_NAME, GUARD_COUNTER);
	nftnl_obj_set_u32(o, NFTNL_OBJ_TYPE, NFT_OBJECT_COUNTER);
	nftnl_obj_set_u64(o, NFTNL_OBJ_CTR_PKTS, before.packets);
	nftnl_obj_set_u64(o, NFTNL_OBJ_CTR_BYTES, before.octets);
	nftnl_obj_nlmsg_build_payload(guard_message(b, NFT_MSG_NEWOBJ, NLM_F_CREATE), o);
	guard_message_done(b);
	nftnl_obj_free(o);
}

static void add_bound(struct nftnl_set *s, const struct addr *a, bool end)
{
	struct nftnl_set_elem *e = nftnl_set_elem_alloc();

	if (!e)
		return;
	nftnl_set_elem_set(e, NFTNL_SET_ELEM_KEY, a->octets, (uint32_t)addr_octets(a));
	if (end)
		nftnl_set_elem_set_u32(e, NFTNL_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
	nftnl_set_elem_add(s, e);
}

static struct nftnl_set *set_of(const struct guard_family *f, uint32_t id)
{
	struct nftnl_set *s = nftnl_set_alloc();

	if (!s)
		return NULL;
	nftnl_set_set_u32(s, NFTNL_SET_FAMILY, NFPROTO_INET);
	nftnl_set_set_str(s, NFTNL_SET_TABLE, TABLE_GUARD);
	nftnl_set_set_str(s, NFTNL_SET_NAME, f->set);
	nftnl_set_set_u32(s, NFTNL_SET_ID, id);
	return s;
}

/* A range is an element where it begins and one that ends it behind it. */
static void put_elements(struct guard_batch *b, const struct guard_family *f, const struct ranges *r)
{
	for (size_t i = 0; i < r->count;) {
		struct nftnl_set *s = set_of(f, f->family);
		size_t added = 0;

		if (!s) {
			b->failed = true;
			return;
		}
		for (; i < r->count && added < ELEMENTS_A_MESSAGE; i++) {
			struct addr behind = r->rows[i].hi;

			if (r->rows[i].lo.family != f->family)
				continue;
			add_bound(s, &r->rows[i].lo, false);
			if (addr_next(&behind))
				add_bound(s, &behind, true);
			added += 2;
		}
		if (added) {
			nftnl_set_elems_nlmsg_build_payload(guard_message(b, NFT_MSG_NEWSETELEM, NLM_F_CREATE), s);
			guard_message_done(b);
		}
		nftnl_set_free(s);
	}
}

static void put_set(struct guard_batch *b, const struct guard_family *f, const struct ranges *r)
{
	enum { TYPE_IPADDR = 7, TYPE_IP6ADDR = 8 }; /* nft's names for them, for `nft list` */
	struct nftnl_set *s = set_of(f, f->family);

	if (!s) {
		b->failed = true;
		return;
	}
	nftnl_set_set_u32(s, NFTNL_SET_FLAGS, NFT_SET_INTERVAL);
	nftnl_set_set_u32(s, NFTNL_SET_KEY_TYPE, f->family == 4 ? TYPE_IPADDR : TYPE_IP6ADDR);
	nftnl_set_set_u32(s, NFTNL_SET_KEY_LEN, f->octets);
	nftnl_set_nlmsg_build_payload(guard_message(b, NFT_MSG_NEWSET, NLM_F_CREATE), s);
	guard_message_done(b);
	nftnl_set_free(s);
	put_elements(b, f, r);
}

/* ---- from beginning to end --------------------------------------------------------------------------------------- */

/* Made and removed in one transaction, which nobody sees. */
static bool kernel_knows_owners(struct guard *g)
{
	struct guard_batch b = { 0 };

	begin(&b, &g->owner);
	put_table(&b, NFT_MSG_NEWTABLE, NFT_TABLE_F_OWNER);
	put_table(&b, NFT_MSG_DELTABLE, 0);
	return commit(&b) == 0;
}

int guard_open(struct guard *g, const struct gate_config *c, struct diag *d)
{
	int size = 2 * BATCH_MOST, r;

	*g = (struct guard){ .config = c };
	if ((r = netlink_open(&g->owner, NETLINK_NETFILTER, d)) < 0)
		return r;
	(void)setsockopt(mnl_socket_get_fd(g->owner.socket), SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
	(void)setsockopt(mnl_socket_get_fd(g->owner.socket), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
	g->works = kernel_knows_owners(g);
	return 0;
}

void guard_close(struct guard *g)
{
	netlink_close(&g->owner);
}

int guard_set(struct guard *g, const struct plan *plan, struct diag *d)
{
	struct guard_batch b = { 0 };
	struct ranges ranges = { 0 };
	uint64_t hash;
	int r;

	if (!g->works)
		return 0;
	ranges_of(plan, &ranges);
	hash = hash_of(&ranges) + (uint64_t)g->config->plane;
	if (g->in_force && hash == g->ranges) {
		free(ranges.rows);
		return 0;
	}
	begin(&b, &g->owner);
	put_table(&b, NFT_MSG_NEWTABLE, NFT_TABLE_F_OWNER); /* so that there is one to remove */
	put_table(&b, NFT_MSG_DELTABLE, 0);
	put_table(&b, NFT_MSG_NEWTABLE, NFT_TABLE_F_OWNER);
	put_counter(&b, guard_count(g));
	for (size_t f = 0; f < GUARD_FAMILIES; f++)
		put_set(&b, &guard_families[f], &ranges);
	guard_rules(&b, g->config, TABLE_GUARD);
	free(ranges.rows);
	if ((r = commit(&b)) < 0)
		return diag_errno(d, -r, "make the table %s", TABLE_GUARD);
	g->in_force = true;
	g->ranges = hash;
	return 0;
}

int guard_remove(struct guard *g, struct diag *d)
{
	struct guard_batch b = { 0 };
	int r;

	if (!g->in_force)
		return 0;
	begin(&b, &g->owner);
	put_table(&b, NFT_MSG_DELTABLE, 0);
	if ((r = commit(&b)) < 0 && r != -ENOENT)
		return diag_errno(d, -r, "remove the table %s", TABLE_GUARD);
	g->in_force = false;
	return 0;
}

static int read_count(const struct nlmsghdr *h, void *context)
{
	struct ruleset_count *n = context;
	struct nftnl_obj *o = nftnl_obj_alloc();

	if (o && nftnl_obj_nlmsg_parse(h, o) == 0)
		*n = (struct ruleset_count){ nftnl_obj_get_u64(o, NFTNL_OBJ_CTR_PKTS),
					     nftnl_obj_get_u64(o, NFTNL_OBJ_CTR_BYTES) };
	if (o)
		nftnl_obj_free(o);
	return MNL_CB_OK;
}

struct ruleset_count guard_count(struct guard *g)
{
	struct ruleset_count n = { 0 };
	char buf[NETLINK_MESSAGE_MOST];
	struct nlmsghdr *h;

	if (!g->in_force)
		return n;
	h = nftnl_nlmsg_build_hdr(buf, NFT_MSG_GETOBJ, NFPROTO_INET, NLM_F_ACK, ++g->owner.sequence);
	mnl_attr_put_strz(h, NFTA_OBJ_TABLE, TABLE_GUARD);
	mnl_attr_put_strz(h, NFTA_OBJ_NAME, GUARD_COUNTER);
	mnl_attr_put_u32(h, NFTA_OBJ_TYPE, htonl(NFT_OBJECT_COUNTER));
	(void)netlink_ask(&g->owner, h, read_count, &n);
	return n;
}
