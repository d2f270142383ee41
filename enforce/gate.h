/* enforce/gate.h - what the kernel lets through: one nftables table, one routing rule and one routing table, made from
 * the plan and replaced atomically. They outlive the daemon, so that protected traffic stops and exempt traffic flows
 * without it. It never touches what other programs made. Called by daemon/; one thread. */
#ifndef ENFORCE_GATE_H
#define ENFORCE_GATE_H
#include "base/addr.h"
#include "base/scope.h"
#include "policy/plan.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct diag;
struct str;

/* Bits of the packet mark and of the conntrack mark are ours under the mask; others are left as they are. */
enum gate_plane { GATE_PLANE_TUN, GATE_PLANE_KERNEL };
struct gate_config {
	enum gate_plane plane;  /* who protects; the rest is the same for both */
	uint32_t mark_mask;     /* default 0x1f000000; all marks below lie in it */
	uint32_t mark_protect;  /* packet mark: goes to the TUN */
	uint32_t mark_own;      /* packet mark of what is our own: IKE, ESP (also the kernel's), released packets */
	uint32_t mark_from_tun; /* packet mark of what came out of the TUN: satisfies rp_filter, never routed back */
	uint32_t mark_clear;  /* packet mark, with the kernel's plane: let in or out though a policy of XFRM wants an SA
			       */
	uint32_t mark_way;    /* three bits used inside the table only: which way a packet is being judged */
	uint32_t ct_secured;  /* conntrack mark: this flow has been secured and never returns to clear */
	uint32_t route_table; /* default 100 */
	uint32_t rule_priority; /* where ours begin, if nobody's stand before that; default 100 */
	const char *tun;        /* "cordon0" */
	uint16_t nflog_group;   /* dropped clear packets; default 100 */
	uint32_t rules_apart;   /* more rules that do the same share their chains (pools.h); default 64 */
	uint32_t rules_counted; /* and if more than this do, they are counted together; default 20,000 */
	uint16_t mtu;           /* of the links outside: what the MSS is clamped to, less ESP; default 1500 */
};
extern const struct gate_config gate_default;

struct gate;
int gate_new(const struct gate_config *c, struct gate **ret, struct diag *d);
void gate_free(struct gate *g); /* leaves the rules in force */
SCOPE_FREEP(struct gate, gate)

/* The whole ruleset as nft text: a pure function of its arguments. plan NULL: the empty table of `cordon disable`. */
void gate_ruleset(const struct gate_config *c, const struct plan *plan, struct str *out);

/* Put the plan in force: ruleset in one transaction, then routes. On failure the old one stays. Fallback peers and the
 * conntrack marks survive. */
int gate_apply(struct gate *g, const struct plan *plan, struct diag *d);
int gate_disable(struct gate *g, struct diag *d);
/* Another data plane, from the next gate_apply on, which lets through what neither plane's ruleset forbids while it
 * replaces one by the other. */
void gate_set_plane(struct gate *g, enum gate_plane plane);
/* Remove every trace: table, routing rule, routes. Works without a gate (cordond --uninstall-rules). */
int gate_uninstall(const struct gate_config *c, struct diag *d);

/* For the time before the daemon, without a gate: are rules of ours in force; and put a ruleset in force that
 * gate_ruleset has written, with its routes. */
bool gate_is_loaded(void);
int gate_load(const struct gate_config *c, const char *ruleset, size_t len, struct diag *d);

/* A peer that has no IKE: request modes send to it in clear until the time is over. */
int gate_fallback_add(struct gate *g, const struct addr *local, const struct addr *remote, uint32_t timeout_s,
		      struct diag *d);
int gate_fallback_remove(struct gate *g, const struct addr *local, const struct addr *remote, struct diag *d);

/* An address under repair: clear text is accepted from it, and sent to it while there is no SA, until the time is over
 * (until_ms of CLOCK_BOOTTIME; the kernel ends it, daemon or not). What a rule blocks stays blocked. Kept by the gate
 * whatever is in force; again: with the new time. -ENOSPC: there are GATE_EXEMPTED_MOST. */
enum { GATE_EXEMPTED_MOST = 4096 };
int gate_exempt_add(struct gate *g, const struct addr *remote, uint64_t until_ms, struct diag *d);
int gate_exempt_remove(struct gate *g, const struct addr *remote, struct diag *d);

/* Call when the first SA with this peer is up, and when the last has gone: what is sent between is secured for good
 * even if the peer never answers. (What the peer has answered under an SA is so by itself.) */
int gate_secured_add(struct gate *g, const struct addr *local, const struct addr *remote, struct diag *d);
int gate_secured_remove(struct gate *g, const struct addr *local, const struct addr *remote, struct diag *d);

/* Who is behind two addresses, for the sets that firewall rules ask (identity_sets.h): in force in the kernel when this
 * returns. `is` counts plan_groups of the plan in force; NULL: there is no SA with a proven peer any more. Kept by the
 * gate whatever table is in force; a new plan's table has of it what is still the same group, and of other groups
 * nobody for sure. On failure the kernel lets in no more than before or after. -ENOSPC: of those that are new only so
 * many are in force as make GATE_IDENTITIES_MOST; the rest of the changes is. */
struct membership;
struct gate_identity {
	struct addr local, remote;
	const struct membership *is;
};
enum { GATE_IDENTITIES_MOST = 1 << 17 };
int gate_identify(struct gate *g, const struct gate_identity *changes, size_t count, struct diag *d);
void gate_forget_identities(struct gate *g);

/* Routes through the TUN must be made again when it has come up (the unreachable route behind them stays). */
int gate_routes(struct gate *g, struct diag *d);

/* Somebody else may flush our table or routes: poll this descriptor; when it is readable call gate_check, which
 * restores what is missing and says what it had to. Our own changes are not taken for somebody else's. */
struct gate_restored {
	bool table, rules, routes; /* routes: those of our routing table */
	bool others;               /* somebody changed tables that are not ours: nothing was restored */
	char by[64];               /* "nft (process 4711)"; "": not known */
	uint64_t guarded;          /* packets that the second barrier has dropped since it was last asked */
};
int gate_watch_fd(const struct gate *g);
int gate_check(struct gate *g, struct gate_restored *ret, struct diag *d);
/* Is there a second barrier for while the table is gone? It needs Linux 5.12. */
bool gate_guarded(const struct gate *g);

/* Tables of other programs that may drop what comes in, whatever we let in; free() the rows. */
enum { GATE_OTHER_TABLE = 160, GATE_OTHERS_MOST = 64 };
struct gate_other {
	char table[GATE_OTHER_TABLE]; /* "ip filter" */
	bool drops_by_default;
	uint32_t rules; /* 0 or more: are there some that drop? */
};
int gate_others(struct gate *g, struct gate_other **ret, size_t *ret_count, struct diag *d);
/* Is a program there that firewall rules name? Where it is not, or cannot be matched here, its rules match nothing. */
bool gate_has_program(const struct gate *g, const char *program);
/* If such a rule is in force: can programs be told apart here? */
bool gate_tells_programs(const struct gate *g);
/* How many pairs of addresses are surely, or maybe, of that group (plan_groups of the plan in force). */
void gate_group_count(const struct gate *g, size_t group, size_t *ret_sure, size_t *ret_maybe);

/* Packets and octets dropped or passed by rule, for status and why. */
struct gate_counter {
	const struct rule *rule;              /* NULL: not of one rule */
	const struct firewall_rule *firewall; /* or of this one */
	const char *name;                     /* "clear-in", "clear-out", "leak", ... one table in gate.c */
	const char *meaning;
	uint64_t packets, octets;
};
size_t gate_counters(struct gate *g, struct gate_counter *rows, size_t cap, struct diag *d);

#endif
