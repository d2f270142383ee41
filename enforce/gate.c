#include "enforce/gate.h"

#include "base/diag.h"
#include "base/mem.h"
#include "base/str.h"
#include "enforce/carry.h"
#include "enforce/exempted.h"
#include "enforce/firewall.h"
#include "enforce/guard.h"
#include "enforce/identities.h"
#include "enforce/nft.h"
#include "enforce/others.h"
#include "enforce/programs.h"
#include "enforce/routes.h"
#include "enforce/pairs.h"
#include "enforce/sure.h"
#include "enforce/table.h"
#include "enforce/toucher.h"
#include "identity/groups.h"
#include "policy/reqid.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

const struct gate_config gate_default = {
	.mark_mask = 0x1f000000,
	.mark_protect = 0x01000000,
	.mark_own = 0x02000000,
	.mark_from_tun = 0x03000000,
	.mark_clear = 0x03000000, /* there is no TUN then */
	.mark_way = 0x1c000000,
	.ct_secured = 0x01000000,
	.route_table = 100,
	.rule_priority = 100,
	.tun = "cordon0",
	.nflog_group = 100,
	.rules_apart = 64,
	.rules_counted = 20000,
	.mtu = 1500,
};

enum { RETRY_MS = 500, QUIET_FROM = 2000 };

/* What a table's fingerprint may be said to be: none is that of a table that is there. */
#define NO_TABLE UINT64_C(0)
#define UNKNOWN_TABLE UINT64_MAX

enum gate_state { GATE_IDLE, GATE_ENFORCING, GATE_DISABLED };

struct gate {
	struct gate_config config;
	struct netlink nft, route;               /* requests */
	struct netlink nft_events, route_events; /* what everybody does */
	int watch;                               /* epoll on both events, and on retry */
	int retry;                               /* timer: restoring has failed and will be tried again */
	enum gate_state state;
	struct plan *plan;    /* in force, one reference; NULL unless GATE_ENFORCING */
	uint64_t fingerprint; /* of the table as we made it */
	/* Peers that we have SAs with: ours to know, for a table may outlive us and may be taken from us. */
	struct pair_list secured;
	struct exempted exempted;
	struct identities identities; /* of g->plan */
	struct guard guard;
	struct programs programs; /* of the plan in force, or of the one that is being put in force */
	uint64_t guarded_told;
	bool table_touched, routes_touched, others_touched;
	bool table_unnamed; /* its change is heard of, and not yet whose it was */
	bool table_named;   /* `by` is of the table's change, which counts most */
	char by[TOUCHER_WORDS];
};

static int open_watch(struct gate *g, struct diag *d)
{
	static const unsigned nft_groups[] = { NFNLGRP_NFTABLES };
	static const unsigned route_groups[] = { RTNLGRP_LINK, RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE, RTNLGRP_IPV4_ROUTE,
						 RTNLGRP_IPV6_ROUTE };
	struct netlink *const both[] = { &g->nft_events, &g->route_events };
	int r;

	if ((r = netlink_listen(&g->nft_events, NETLINK_NETFILTER, nft_groups, ARRAY_LEN(nft_groups), d)) < 0 ||
	    (r = netlink_listen(&g->route_events, NETLINK_ROUTE, route_groups, ARRAY_LEN(route_groups), d)) < 0)
		return r;
	g->watch = epoll_create1(EPOLL_CLOEXEC);
	g->retry = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (g->watch < 0 || g->retry < 0 ||
	    epoll_ctl(g->watch, EPOLL_CTL_ADD, g->retry, &(struct epoll_event){ .events = EPOLLIN }) < 0 ||
	    epoll_ctl(g->watch, EPOLL_CTL_ADD, g->programs.watch, &(struct epoll_event){ .events = EPOLLIN }) < 0)
		return diag_errno(d, errno, "watch netlink");
	for (size_t i = 0; i < ARRAY_LEN(both); i++) {
		struct epoll_event e = { .events = EPOLLIN };

		if (epoll_ctl(g->watch, EPOLL_CTL_ADD, mnl_socket_get_fd(both[i]->socket), &e) < 0)
			return diag_errno(d, errno, "watch netlink");
	}
	return 0;
}

int gate_new(const struct gate_config *c, struct gate **ret, struct diag *d)
{
	SCOPED(gate_freep) struct gate *g = mem_new(1, sizeof *g);
	int r;

	g->config = c ? *c : gate_default;
	g->watch = g->retry = g->programs.watch = -1;
	if ((r = netlink_open(&g->nft, NETLINK_NETFILTER, d)) < 0 ||
	    (r = netlink_open(&g->route, NETLINK_ROUTE, d)) < 0 || (r = guard_open(&g->guard, &g->config, d)) < 0 ||
	    (r = programs_open(&g->programs, d)) < 0 || (r = open_watch(g, d)) < 0)
		return diag_wrap(d, r, "the gate");
	*ret = TAKE(g);
	return 0;
}

void gate_free(struct gate *g)
{
	if (!g)
		return;
	netlink_close(&g->nft);
	netlink_close(&g->route);
	guard_close(&g->guard);
	programs_close(&g->programs);
	netlink_close(&g->nft_events);
	netlink_close(&g->route_events);
	if (g->watch >= 0)
		close(g->watch);
	if (g->retry >= 0)
		close(g->retry);
	plan_free(g->plan);
	pairs_wipe(&g->secured);
	exempted_wipe(&g->exempted);
	identities_wipe(&g->identities);
	free(g);
}

static bool own(const struct nlmsghdr *h, const struct netlink *requests)
{
	return h->nlmsg_pid == mnl_socket_get_portid(requests->socket);
}

static void take_name(struct gate *g, const struct nlmsghdr *h)
{
	if (!g->table_unnamed || !toucher_of_generation(h, g->by))
		return;
	g->table_named = true;
	g->table_unnamed = false;
}

/* The name of who touched the table may come after the news that made us restore it; our own nft comes later still. */
static int hear_name(const struct nlmsghdr *h, void *context)
{
	struct gate *g = context;

	if (!own(h, &g->nft) && !own(h, &g->guard.owner))
		take_name(g, h);
	return MNL_CB_OK;
}

/* Forget the news of our own change: what comes later is somebody else's, or is told from ours by the fingerprint. */
static int settle(struct gate *g, struct diag *d)
{
	netlink_drain(&g->nft_events, hear_name, g);
	g->table_touched = false;
	return table_fingerprint(&g->nft, &g->fingerprint, d);
}

/* Whoever polls the descriptor would not hear of it again by itself. */
static void try_again_soon(struct gate *g)
{
	const struct itimerspec soon = { .it_value = { .tv_nsec = RETRY_MS * 1000000L } };

	timerfd_settime(g->retry, 0, &soon, NULL);
}

static void look_again(struct gate *g)
{
	g->table_touched = g->routes_touched = true;
	try_again_soon(g);
}

/* Replacing a table is one transaction, but the elements of its new interval sets are seen only some time after its
 * chains (kernels whose sets have a commit step; 1.5 ms and a score of packets were measured on 6.18). So the new
 * ruleset is in force under another name while that happens. Both at once let through what both let through. */
static int load(struct gate *g, const char *table, const struct plan *plan, struct ruleset_carry *carry,
		enum ruleset_guard guard, struct diag *d)
{
	SCOPED(str_wipe) struct str text = { 0 };

	carry->guard = g->guard.works ? guard : RULESET_NO_GUARD;
	ruleset_write(&g->config, table, plan, carry, &text);
	return nft_load(str_text(&text), text.len, d);
}

static int say_in_force(struct gate *g, struct diag *d)
{
	SCOPED(str_wipe) struct str text = { 0 };

	ruleset_write_in_force(&text);
	return g->guard.works ? nft_load(str_text(&text), text.len, d) : 0;
}

static int replace(struct gate *g, const struct plan *plan, struct ruleset_carry *carry, struct diag *d)
{
	int r;

	if (!table_exists(&g->nft)) /* nobody holds back what its sets do not know yet, but the guard */
		return (r = load(g, TABLE_NAME, plan, carry, RULESET_GUARDED_LATER, d)) < 0 ? r : say_in_force(g, d);
	if ((r = load(g, TABLE_NEXT, plan, carry, RULESET_NO_GUARD, d)) == 0)
		r = load(g, TABLE_NAME, plan, carry, RULESET_GUARDED, d);
	if (r == 0)
		return table_delete(&g->nft, TABLE_NEXT, d);
	table_delete(&g->nft, TABLE_NEXT, NULL); /* the old one is in force, alone */
	return r;
}

static int read_carry(struct gate *g, const struct plan *plan, struct ruleset_carry *ret, struct diag *d)
{
	int r = table_pairs(&g->nft, TABLE_FALLBACK, &ret->fallback, &ret->fallback_count, d);

	if (r < 0)
		return r;
	ret->secured = g->secured.pairs;
	ret->secured_count = g->secured.count;
	exempted_carry(&g->exempted, ret);
	return carry_counts(&g->nft, g->plan, plan, ret, d);
}

/* A program's group may go between our look and nft's. */
static int replace_with_programs(struct gate *g, const struct plan *plan, struct ruleset_carry *carry, struct diag *d)
{
	int r;

	for (int tries = 2;; tries--) {
		(void)programs_find(&g->programs, plan);
		carry->programs = g->programs.rows;
		carry->program_count = tries ? g->programs.count : 0;
		if ((r = replace(g, plan, carry, d)) == 0 || !carry->program_count)
			return r;
	}
}

/* The kernel writes a message of some kilobytes for each element that a transaction brings, and keeps them until its
 * end, if there is one who listens: of a large table that is most of the time, and gigabytes. What we are about to do
 * we know, and look at what came of it. */
static bool is_small(const struct plan *plan)
{
	const struct rule *rules;
	size_t n = policy_rules(plan_policy(plan), &rules) + policy_firewall_rule_count(plan_policy(plan));
	const struct plan_region *regions;
	const struct addr *own;

	for (size_t i = plan_locals(plan, &own); i-- > 0;)
		n += plan_regions(plan, i, &regions);
	return n <= QUIET_FROM;
}

/* What others did meanwhile was not heard. */
static void listen_again(struct gate *g, bool loaded)
{
	netlink_hear(&g->nft_events, NFNLGRP_NFTABLES, true);
	g->others_touched = true;
	if (loaded)
		try_again_soon(g);
	else
		look_again(g);
}

/* Somebody has taken the table away between our transaction and the look at it. */
static void miss_table(struct gate *g)
{
	if (g->fingerprint != NO_TABLE)
		return;
	g->fingerprint = UNKNOWN_TABLE;
	look_again(g);
}

static int enforce(struct gate *g, const struct plan *plan, const struct identities *known, struct diag *d)
{
	SCOPED(carry_wipe) struct ruleset_carry carry = { .identities = known };
	struct routes_made made;
	bool quiet = !is_small(plan);
	int r;

	/* routes first: they do nothing until something is marked */
	if ((r = read_carry(g, plan, &carry, d)) < 0 || (r = routes_ensure(&g->route, &g->config, &made, d)) < 0)
		return r;
	if (quiet)
		netlink_hear(&g->nft_events, NFNLGRP_NFTABLES, false);
	if ((r = replace_with_programs(g, plan, &carry, d)) == 0)
		r = guard_set(&g->guard, plan, d);
	if (quiet)
		listen_again(g, r == 0);
	if (r < 0 || (r = settle(g, d)) < 0)
		return r;
	miss_table(g);
	return 0;
}

int gate_apply(struct gate *g, const struct plan *plan, struct diag *d)
{
	struct plan *before = g->plan;
	struct identities known;
	int r;

	identities_renumbered(&g->identities, plan, before, &known);
	if ((r = enforce(g, plan, &known, d)) < 0) {
		identities_wipe(&known);
		return diag_wrap(d, r, "put the policy in force");
	}
	identities_wipe(&g->identities);
	g->identities = known;
	g->plan = plan_ref(plan);
	g->state = GATE_ENFORCING;
	plan_free(before);
	return 0;
}

static int empty(struct gate *g, struct diag *d)
{
	SCOPED(str_wipe) struct str text = { 0 };
	int r;

	ruleset_write(&g->config, TABLE_NAME, NULL, NULL, &text);
	if ((r = guard_remove(&g->guard, d)) < 0 || (r = nft_load(str_text(&text), text.len, d)) < 0 ||
	    (r = table_delete(&g->nft, TABLE_NEXT, d)) < 0 || (r = settle(g, d)) < 0)
		return r;
	return routes_remove(&g->route, &g->config, d);
}

void gate_set_plane(struct gate *g, enum gate_plane plane)
{
	g->config.plane = plane;
}

int gate_disable(struct gate *g, struct diag *d)
{
	int r = empty(g, d);

	if (r < 0)
		return diag_wrap(d, r, "take the policy out of force");
	plan_free(g->plan);
	g->plan = NULL;
	identities_wipe(&g->identities);
	g->state = GATE_DISABLED;
	return 0;
}

int gate_uninstall(const struct gate_config *c, struct diag *d)
{
	struct netlink nft = { 0 }, route = { 0 };
	int r;

	if ((r = netlink_open(&nft, NETLINK_NETFILTER, d)) == 0 && (r = table_delete(&nft, TABLE_NAME, d)) == 0 &&
	    (r = table_delete(&nft, TABLE_NEXT, d)) == 0 && (r = netlink_open(&route, NETLINK_ROUTE, d)) == 0)
		r = routes_remove(&route, c ? c : &gate_default, d);
	netlink_close(&nft);
	netlink_close(&route);
	return r < 0 ? diag_wrap(d, r, "remove the rules") : 0;
}

bool gate_is_loaded(void)
{
	struct netlink nft = { 0 };
	bool there = netlink_open(&nft, NETLINK_NETFILTER, NULL) == 0 && table_exists(&nft);

	netlink_close(&nft);
	return there;
}

int gate_load(const struct gate_config *c, const char *ruleset, size_t len, struct diag *d)
{
	struct netlink route = { 0 };
	struct routes_made made;
	int r = nft_load(ruleset, len, d);

	/* Without them what is marked falls to the last chain: nothing leaves. */
	if (r == 0 && (r = netlink_open(&route, NETLINK_ROUTE, d)) == 0)
		r = routes_ensure(&route, c, &made, d);
	netlink_close(&route);
	return r < 0 ? diag_wrap(d, r, "load the rules") : 0;
}

static int same_family(const struct addr *local, const struct addr *remote, struct diag *d)
{
	return local->family && local->family == remote->family
		       ? 0
		       : diag_fail(d, EINVAL, "a pair of addresses of one family is needed");
}

/* Between them the short way may be taken (sure.h). Where it cannot be, for want of room or because another plane's
 * table is still in force, the long one leads to the same. */
static void add_sure(struct gate *g, const struct addr *local, const struct addr *remote)
{
	const struct rule *rule = sure_under(&g->config, g->plan, local, remote);

	if (rule)
		(void)table_pair_add_under(&g->nft, local, remote, rule_reqid(rule), NULL);
	if (sure_by_plan(g->plan, local, remote) && !table_pair_is_in(&g->nft, TABLE_FALLBACK, local, remote))
		(void)table_pair_add(&g->nft, TABLE_SURE, local, remote, 0, NULL);
}

static int remove_sure(struct gate *g, const struct addr *local, const struct addr *remote, struct diag *d)
{
	const struct rule *rule = sure_under(&g->config, g->plan, local, remote);
	int r = rule ? table_pair_remove_under(&g->nft, local, remote, rule_reqid(rule), d) : 0;

	return r < 0 ? r : table_pair_remove(&g->nft, TABLE_SURE, local, remote, d);
}

int gate_fallback_add(struct gate *g, const struct addr *local, const struct addr *remote, uint32_t timeout_s,
		      struct diag *d)
{
	int r = same_family(local, remote, d);

	timeout_s = timeout_s ? timeout_s : 1;
	if (r < 0 || g->state != GATE_ENFORCING || (r = table_pair_remove(&g->nft, TABLE_SURE, local, remote, d)) < 0 ||
	    (r = table_pair_add(&g->nft, TABLE_FALLBACK, local, remote, timeout_s, d)) < 0)
		return r;
	return table_pair_add(&g->nft, TABLE_FALLEN, local, remote, timeout_s, d);
}

int gate_fallback_remove(struct gate *g, const struct addr *local, const struct addr *remote, struct diag *d)
{
	int r = same_family(local, remote, d);

	if (r < 0 || g->state != GATE_ENFORCING ||
	    (r = table_pair_remove(&g->nft, TABLE_FALLBACK, local, remote, d)) < 0 ||
	    (r = table_pair_remove(&g->nft, TABLE_FALLEN, local, remote, d)) < 0)
		return r;
	if (pairs_has(&g->secured, local, remote))
		add_sure(g, local, remote);
	return 0;
}

int gate_exempt_add(struct gate *g, const struct addr *remote, uint64_t until_ms, struct diag *d)
{
	uint32_t left_s = exempted_left_s(until_ms);

	if (left_s == 0)
		return gate_exempt_remove(g, remote, d);
	if (!exempted_enter(&g->exempted, remote, until_ms))
		return diag_fail(d, ENOSPC, "%d addresses are exempted already", GATE_EXEMPTED_MOST);
	return g->state == GATE_ENFORCING ? table_pair_add(&g->nft, TABLE_EXEMPTED, remote, remote, left_s, d) : 0;
}

int gate_exempt_remove(struct gate *g, const struct addr *remote, struct diag *d)
{
	exempted_leave(&g->exempted, remote);
	return g->state == GATE_ENFORCING ? table_pair_remove(&g->nft, TABLE_EXEMPTED, remote, remote, d) : 0;
}

int gate_secured_add(struct gate *g, const struct addr *local, const struct addr *remote, struct diag *d)
{
	int r = same_family(local, remote, d);

	if (r < 0)
		return r;
	pairs_enter(&g->secured, local, remote);
	if (g->state != GATE_ENFORCING || (r = table_pair_add(&g->nft, TABLE_SECURED, local, remote, 0, d)) < 0)
		return r;
	add_sure(g, local, remote);
	return 0;
}

int gate_secured_remove(struct gate *g, const struct addr *local, const struct addr *remote, struct diag *d)
{
	int r = same_family(local, remote, d);

	if (r < 0)
		return r;
	pairs_leave(&g->secured, local, remote);
	if (g->state != GATE_ENFORCING || (r = remove_sure(g, local, remote, d)) < 0)
		return r;
	return table_pair_remove(&g->nft, TABLE_SECURED, local, remote, d);
}

int gate_identify(struct gate *g, const struct gate_identity *changes, size_t count, struct diag *d)
{
	int r = identities_change(&g->identities, &g->nft, g->plan, changes, count, d);

	if (r < 0 && r != -ENOSPC && r != -EINVAL) {
		g->table_touched = true; /* make it anew, from the list */
		try_again_soon(g);
	}
	return r;
}

void gate_forget_identities(struct gate *g)
{
	if (!g->identities.count)
		return;
	identities_wipe(&g->identities);
	if (g->state == GATE_ENFORCING) {
		g->table_touched = true;
		try_again_soon(g);
	}
}

int gate_routes(struct gate *g, struct diag *d)
{
	struct routes_made made;

	return g->state == GATE_ENFORCING ? routes_ensure(&g->route, &g->config, &made, d) : 0;
}

int gate_watch_fd(const struct gate *g)
{
	return g->watch;
}

static int hear_nft(const struct nlmsghdr *h, void *context)
{
	struct gate *g = context;

	if (own(h, &g->nft) || own(h, &g->guard.owner))
		return MNL_CB_OK;
	g->others_touched |= !table_concerns(h);
	if (table_concerns(h)) {
		g->table_touched = true;
		g->table_unnamed = !g->table_named;
	} else {
		take_name(g, h); /* it comes at the end of a transaction */
	}
	return MNL_CB_OK;
}

static int hear_route(const struct nlmsghdr *h, void *context)
{
	struct gate *g = context;

	if (own(h, &g->route) || !routes_concern(&g->config, h))
		return MNL_CB_OK;
	g->routes_touched = true;
	if (!g->table_named && (!*g->by || h->nlmsg_pid))
		toucher_of_socket(h->nlmsg_pid, g->by);
	return MNL_CB_OK;
}

/* Their sets change all the time, but by us. */
static int identities_sound(struct gate *g, bool *ret, struct diag *d)
{
	uint64_t sum;
	int r;

	if (g->state != GATE_ENFORCING || !plan_asks_who(g->plan))
		return 0;
	if ((r = identities_sum_in_force(&g->nft, g->plan, &sum, d)) == 0)
		*ret = sum == identities_sum(&g->identities, g->plan);
	return r;
}

static int restore_table(struct gate *g, bool *ret_restored, struct diag *d)
{
	bool members = true;
	uint64_t now;
	int r = table_fingerprint(&g->nft, &now, d);

	if (r < 0 || (r = identities_sound(g, &members, d)) < 0)
		return r;
	g->table_touched = false;
	if (now == g->fingerprint && members)
		return 0;
	if ((r = g->state == GATE_ENFORCING ? enforce(g, g->plan, &g->identities, d) : empty(g, d)) < 0)
		g->table_touched = true;
	else
		*ret_restored = true;
	return r;
}

static int restore_routes(struct gate *g, struct gate_restored *ret, struct diag *d)
{
	struct routes_made made = { 0 };
	int r = 0;

	if (g->state == GATE_ENFORCING)
		r = routes_ensure(&g->route, &g->config, &made, d);
	if (r < 0)
		return r;
	ret->rules |= made.rules;
	ret->routes |= made.routes;
	g->routes_touched = false;
	return 0;
}

bool gate_guarded(const struct gate *g)
{
	return g->guard.works;
}

static uint64_t newly_guarded(struct gate *g)
{
	uint64_t now = guard_count(&g->guard).packets, before = g->guarded_told;

	g->guarded_told = now;
	return now > before ? now - before : 0;
}

int gate_check(struct gate *g, struct gate_restored *ret, struct diag *d)
{
	struct gate_restored restored = { 0 };
	uint64_t expired;
	int r = 0;

	(void)!read(g->retry, &expired, sizeof expired);
	if (netlink_drain(&g->nft_events, hear_nft, g))
		g->table_touched = true;
	if (netlink_drain(&g->route_events, hear_route, g))
		g->routes_touched = true;
	if (g->state == GATE_IDLE)
		g->table_touched = g->routes_touched = false;
	if (g->table_touched)
		r = restore_table(g, &restored.table, d);
	if (r == 0 && g->routes_touched)
		r = restore_routes(g, &restored, d);
	programs_drain(&g->programs);
	if (r == 0 && g->state == GATE_ENFORCING && programs_find(&g->programs, g->plan))
		r = enforce(g, g->plan, &g->identities, d);
	if (r < 0) {
		try_again_soon(g);
		return diag_wrap(d, r, "restore our rules, which somebody has changed");
	}
	if (restored.table || restored.rules || restored.routes)
		memcpy(restored.by, g->by, sizeof restored.by);
	if (restored.table)
		restored.guarded = newly_guarded(g);
	restored.others = g->others_touched;
	g->others_touched = false;
	g->by[0] = '\0';
	g->table_named = g->table_unnamed = false;
	*ret = restored;
	return 0;
}

struct listing {
	const struct policy *policy;
	const struct rule *rules;
	size_t rule_count;
	struct gate_counter *rows;
	size_t cap, count;
};

static void list_count(void *context, enum gate_count kind, uint32_t rule, struct ruleset_count n)
{
	struct listing *l = context;
	struct gate_counter row = { .name = gate_counts[kind].name,
				    .meaning = gate_counts[kind].meaning,
				    .packets = n.packets,
				    .octets = n.octets };

	if (gate_counts[kind].modes && rule != GATE_RULE_MANY &&
	    !(row.rule = gate_counted_rule(l->rules, l->rule_count, rule)))
		return;
	if (gate_counts[kind].firewall && !(row.firewall = firewall_rule_numbered(l->policy, rule)))
		return;
	if (l->count < l->cap)
		l->rows[l->count] = row;
	l->count++;
}

size_t gate_counters(struct gate *g, struct gate_counter *rows, size_t cap, struct diag *d)
{
	struct listing l = { .rows = rows, .cap = cap };

	if (g->state != GATE_ENFORCING)
		return 0;
	l.policy = plan_policy(g->plan);
	l.rule_count = policy_rules(l.policy, &l.rules);
	if (table_counters(&g->nft, list_count, &l, d) < 0)
		return 0;
	if (g->guard.in_force)
		list_count(&l, GATE_COUNT_GUARDED, 0, guard_count(&g->guard));
	return l.count;
}

int gate_others(struct gate *g, struct gate_other **ret, size_t *ret_count, struct diag *d)
{
	return others_find(&g->nft, ret, ret_count, d);
}

bool gate_has_program(const struct gate *g, const char *program)
{
	return programs_has(&g->programs, program);
}

bool gate_tells_programs(const struct gate *g)
{
	return g->programs.able;
}

void gate_group_count(const struct gate *g, size_t group, size_t *ret_sure, size_t *ret_maybe)
{
	*ret_sure = *ret_maybe = 0;
	for (size_t i = 0; i < g->identities.count; i++) {
		enum member is = membership_get(g->identities.rows[i]->is, group);

		*ret_sure += is == MEMBER_YES;
		*ret_maybe += is != MEMBER_NO;
	}
}
