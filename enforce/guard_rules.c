#include "enforce/guard_rules.h"

#include "base/scope.h"
#include "enforce/ruleset.h"
#include "policy/reqid.h"

#include <arpa/inet.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/xfrm.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

enum { LOOPBACK = 1 /* interface number, everywhere */, IKE = 500, IKE_NAT = 4500 };

const struct guard_family guard_families[GUARD_FAMILIES] = {
	{ 4, 4, NFPROTO_IPV4, 12, 16, "guarded_ip" },
	{ 6, 16, NFPROTO_IPV6, 8, 24, "guarded_ip6" },
};

/* ---- expressions ------------------------------------------------------------------------------------------------- */

struct rule_draft {
	struct guard_batch *b;
	const struct gate_config *config;
	const char *table, *chain;
	struct nftnl_rule *rule;
};

static struct nftnl_expr *add(struct rule_draft *r, const char *name)
{
	struct nftnl_expr *e = r->rule ? nftnl_expr_alloc(name) : NULL;

	if (e)
		nftnl_rule_add_expr(r->rule, e);
	else
		r->b->failed = true;
	return e;
}

static void load_meta(struct rule_draft *r, uint32_t key)
{
	struct nftnl_expr *e = add(r, "meta");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, key);
	nftnl_expr_set_u32(e, NFTNL_EXPR_META_DREG, NFT_REG_1);
}

static void load_payload(struct rule_draft *r, uint32_t base, uint32_t offset, uint32_t len)
{
	struct nftnl_expr *e = add(r, "payload");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_BASE, base);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_LEN, len);
	nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_DREG, NFT_REG_1);
}

static void is(struct rule_draft *r, const void *octets, uint32_t len)
{
	struct nftnl_expr *e = add(r, "cmp");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_SREG, NFT_REG_1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_OP, NFT_CMP_EQ);
	nftnl_expr_set(e, NFTNL_EXPR_CMP_DATA, octets, len);
}

static void match_meta_octet(struct rule_draft *r, uint32_t key, uint8_t value)
{
	load_meta(r, key);
	is(r, &value, sizeof value);
}

/* Of the SA that it came under, or will leave under. */
static void load_reqid(struct rule_draft *r, bool arriving)
{
	struct nftnl_expr *e = add(r, "xfrm");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_XFRM_DREG, NFT_REG_1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_XFRM_KEY, NFT_XFRM_KEY_REQID);
	nftnl_expr_set_u8(e, NFTNL_EXPR_XFRM_DIR, arriving ? XFRM_POLICY_IN : XFRM_POLICY_OUT);
	nftnl_expr_set_u32(e, NFTNL_EXPR_XFRM_SPNUM, 0);
}

static void mask_is(struct rule_draft *r, uint32_t mask, uint32_t value)
{
	static const uint32_t none = 0;
	struct nftnl_expr *e;

	if (!(e = add(r, "bitwise")))
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_SREG, NFT_REG_1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_DREG, NFT_REG_1);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_LEN, sizeof mask);
	nftnl_expr_set(e, NFTNL_EXPR_BITWISE_MASK, &mask, sizeof mask);
	nftnl_expr_set(e, NFTNL_EXPR_BITWISE_XOR, &none, sizeof none);
	is(r, &value, sizeof value);
}

static void match_mark(struct rule_draft *r, uint32_t mask, uint32_t value)
{
	load_meta(r, NFT_META_MARK);
	mask_is(r, mask, value);
}

static void verdict(struct rule_draft *r, uint32_t code)
{
	struct nftnl_expr *e = add(r, "immediate");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
	nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_VERDICT, code);
}

static void count(struct rule_draft *r)
{
	struct nftnl_expr *e = add(r, "objref");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_OBJREF_IMM_TYPE, NFT_OBJECT_COUNTER);
	nftnl_expr_set_str(e, NFTNL_EXPR_OBJREF_IMM_NAME, GUARD_COUNTER);
}

static void look_up(struct rule_draft *r, const struct guard_family *f)
{
	struct nftnl_expr *e = add(r, "lookup");

	if (!e)
		return;
	nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_SREG, NFT_REG_1);
	nftnl_expr_set_str(e, NFTNL_EXPR_LOOKUP_SET, f->set);
	nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_SET_ID, f->family);
}

/* ---- rules ------------------------------------------------------------------------------------------------------- */

static void start(struct rule_draft *r)
{
	r->rule = nftnl_rule_alloc();
	if (!r->rule) {
		r->b->failed = true;
		return;
	}
	nftnl_rule_set_u32(r->rule, NFTNL_RULE_FAMILY, NFPROTO_INET);
	nftnl_rule_set_str(r->rule, NFTNL_RULE_TABLE, r->table);
	nftnl_rule_set_str(r->rule, NFTNL_RULE_CHAIN, r->chain);
}

static void finish(struct rule_draft *r, uint32_t code)
{
	verdict(r, code);
	if (!r->rule)
		return;
	nftnl_rule_nlmsg_build_payload(guard_message(r->b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND), r->rule);
	guard_message_done(r->b);
	nftnl_rule_free(r->rule);
	r->rule = NULL;
}

static void accept_seen(struct rule_draft *r)
{
	start(r);
	match_mark(r, r->config->mark_way, r->config->mark_way);
	finish(r, NF_ACCEPT);
}

/* What the data plane has protected, and loopback. */
static void accept_protected(struct rule_draft *r, bool arriving)
{
	static const uint32_t lo = LOOPBACK;
	char name[IFNAMSIZ] = "";

	start(r);
	load_meta(r, arriving ? NFT_META_IIF : NFT_META_OIF);
	is(r, &lo, sizeof lo);
	finish(r, NF_ACCEPT);

	start(r);
	if (r->config->plane == GATE_PLANE_KERNEL) {
		load_reqid(r, arriving);
		mask_is(r, REQID_MASK, REQID_OURS);
	} else {
		(void)snprintf(name, sizeof name, "%s", r->config->tun);
		load_meta(r, arriving ? NFT_META_IIFNAME : NFT_META_OIFNAME);
		is(r, name, sizeof name);
	}
	finish(r, NF_ACCEPT);
}

/* Without it IPv6 hangs, should the table stay away for longer. */
static void accept_neighbours(struct rule_draft *r)
{
	static const uint8_t types[] = { 135, 136 }, hops = 255;

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		start(r);
		match_meta_octet(r, NFT_META_NFPROTO, NFPROTO_IPV6);
		match_meta_octet(r, NFT_META_L4PROTO, IPPROTO_ICMPV6);
		load_payload(r, NFT_PAYLOAD_NETWORK_HEADER, 7, 1);
		is(r, &hops, 1);
		load_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1);
		is(r, &types[i], 1);
		finish(r, NF_ACCEPT);
	}
}

static void accept_ours(struct rule_draft *r)
{
	static const uint8_t protocols[] = { IPPROTO_ESP, IPPROTO_AH };
	static const uint16_t ports[] = { IKE, IKE_NAT };

	for (size_t i = 0; i < ARRAY_LEN(protocols); i++) {
		start(r);
		match_meta_octet(r, NFT_META_L4PROTO, protocols[i]);
		finish(r, NF_ACCEPT);
	}
	for (size_t i = 0; i < ARRAY_LEN(ports); i++) {
		uint16_t port = htons(ports[i]);

		start(r);
		match_meta_octet(r, NFT_META_L4PROTO, IPPROTO_UDP);
		load_payload(r, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2);
		is(r, &port, sizeof port);
		finish(r, NF_ACCEPT);
	}
}

static void drop_guarded(struct rule_draft *r, bool arriving)
{
	for (size_t i = 0; i < GUARD_FAMILIES; i++) {
		const struct guard_family *f = &guard_families[i];

		start(r);
		match_meta_octet(r, NFT_META_NFPROTO, f->nfproto);
		load_payload(r, NFT_PAYLOAD_NETWORK_HEADER, arriving ? f->source : f->target, f->octets);
		look_up(r, f);
		count(r);
		finish(r, NF_DROP);
	}
}

static void put_chain(struct rule_draft *r, const char *name, uint32_t hook, int32_t priority)
{
	struct nftnl_chain *c = nftnl_chain_alloc();

	r->chain = name;
	if (!c) {
		r->b->failed = true;
		return;
	}
	nftnl_chain_set_u32(c, NFTNL_CHAIN_FAMILY, NFPROTO_INET);
	nftnl_chain_set_str(c, NFTNL_CHAIN_TABLE, r->table);
	nftnl_chain_set_str(c, NFTNL_CHAIN_NAME, name);
	nftnl_chain_set_str(c, NFTNL_CHAIN_TYPE, "filter");
	nftnl_chain_set_u32(c, NFTNL_CHAIN_HOOKNUM, hook);
	nftnl_chain_set_s32(c, NFTNL_CHAIN_PRIO, priority);
	nftnl_chain_set_u32(c, NFTNL_CHAIN_POLICY, NF_ACCEPT);
	nftnl_chain_nlmsg_build_payload(guard_message(r->b, NFT_MSG_NEWCHAIN, NLM_F_CREATE), c);
	guard_message_done(r->b);
	nftnl_chain_free(c);
}

/* Each behind the chain of our table that marks what it has seen (seen.c). */
void guard_rules(struct guard_batch *b, const struct gate_config *c, const char *table)
{
	struct rule_draft r = { .b = b, .config = c, .table = table };

	put_chain(&r, "arriving", NF_INET_PRE_ROUTING, GATE_PRIORITY_IN + 1);
	accept_protected(&r, true);
	accept_seen(&r);
	accept_ours(&r);
	accept_neighbours(&r);
	drop_guarded(&r, true);

	put_chain(&r, "leaving", NF_INET_POST_ROUTING, GATE_PRIORITY_LAST + 1);
	accept_protected(&r, false);
	accept_seen(&r);
	start(&r);
	match_mark(&r, c->mark_mask, c->mark_own);
	finish(&r, NF_ACCEPT);
	accept_neighbours(&r);
	drop_guarded(&r, false);
}
