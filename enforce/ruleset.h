/* enforce/ruleset.h - the table as nft text, in three parts that each are one idea: the frame of hooks (ruleset.c), the
 * way from a packet's addresses to a list of the plan (regions.c), and from a list's conditions to a rule (lists.c).
 * Pure functions of their arguments; gate.c hands the text to nft. */
#ifndef ENFORCE_RULESET_H
#define ENFORCE_RULESET_H
#include "enforce/counters.h"
#include "enforce/gate.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct str;

/* What a new table takes over from the one that it replaces. */
struct ruleset_pair {
	struct addr local, remote;
	uint32_t left_s; /* 0: for good */
};
struct ruleset_count {
	uint64_t packets, octets;
};
/* A program of a firewall rule, as nft and the kernel know it: a control group. */
struct ruleset_program {
	const char *name; /* as the rule has it */
	const char *path; /* below /sys/fs/cgroup */
	unsigned level;   /* in the hierarchy of version 2 */
};
struct ruleset_carry {
	struct ruleset_pair *fallback;
	const struct ruleset_pair *secured; /* not owned */
	struct ruleset_pair *exempted;      /* remote alone counts */
	size_t fallback_count, secured_count, exempted_count;
	const struct identities *identities; /* of the new plan; not owned */
	/* Is there a guard (guard.h), which wants to know what this table has seen? Not yet: once its sets are in
	 * force, ruleset_write_in_force. */
	enum ruleset_guard { RULESET_NO_GUARD, RULESET_GUARDED, RULESET_GUARDED_LATER } guard;
	struct ruleset_count *counts;           /* GATE_COUNTS for each rule of the new plan, and at the end of
						  those together; NULL: all start at 0 */
	struct ruleset_count *firewall_counts;  /* the same of each rule of its firewall sections, by number */
	const struct ruleset_program *programs; /* that firewall rules name and that are there; not owned */
	size_t program_count;
};

enum { RULESET_PAIRS_MOST = 65536 };
/* Of the chains that judge what arrives and what leaves. At their end what passed is marked as seen for the guard,
 * which looks one behind; two behind, the mark is taken away again. Nobody who changes marks may stand between: others
 * do at -150, and of those that stand at one priority the older come last. */
enum { GATE_PRIORITY_IN = -149, GATE_PRIORITY_LAST = 300 };

#define TABLE_NAME "cordon"
#define TABLE_NEXT "cordon_next" /* in force beside the other while that one is replaced, never at rest */

/* plan NULL: the empty table. carry may be NULL. */
void ruleset_write(const struct gate_config *c, const char *table, const struct plan *plan,
		   const struct ruleset_carry *carry, struct str *out);

void ruleset_write_in_force(struct str *out);

/* For the parts. */
struct ruleset {
	const struct gate_config *config;
	const struct plan *plan;
	struct str *out;
	bool guarded;                  /* there is a guard behind the table (seen.h) */
	int ahead;                     /* 1: stands before the other table, which has the last word on what is seen */
	bool *used;                    /* by rule index: some list ends in it */
	struct shows_classes *classes; /* shows.h */
	struct pools *pools;           /* pools.h */
	struct ruleset_lists *lists;   /* lists.c */
	/* Our own addresses, and behind them what we forward through tunnels. */
	struct addr_range *locals;
	size_t local_count, own_count;
	size_t *group; /* of each, the first with the same regions: they share its maps */
};

/* Which way a packet is judged: what arrives, what is about to be routed, what is about to leave. The last two have a
 * form for peers that have fallen back, all a form for addresses that are exempted for a time. The numbers are such
 * that two bits tell what arrives, and two others what is exempted. */
enum ruleset_way {
	WAY_OUT = 1,
	WAY_LAST = 2,
	WAY_OUT_FALLEN = 3,
	WAY_LAST_FALLEN = 4,
	WAY_OUT_EXEMPTED = 5,
	WAY_IN = 6,
	WAY_IN_EXEMPTED = 7,
	WAYS_ARRIVING = 6, /* as bits: in both */
	WAYS_EXEMPTED = 5,
};
uint32_t ruleset_way_mark(const struct gate_config *c, enum ruleset_way way);
/* "meta mark & 0x1c000000 == 0x04000000" */
void ruleset_add_way(struct ruleset *r, enum ruleset_way way);
/* "meta mark & 0x18000000 == 0x18000000" */
void ruleset_add_ways(struct ruleset *r, enum ruleset_way bits);

/* Judge a packet that goes this way. */
void ruleset_add_judge(struct ruleset *r, enum ruleset_way way);
/* First: which local addresses there are. */
void ruleset_locals(struct ruleset *r);
void ruleset_locals_wipe(struct ruleset *r);
/* Sets of our own addresses, maps from the other address to a list, and the chain `judge` that uses them. */
void ruleset_regions(struct ruleset *r);
/* What those maps say of a region of the local address: "goto list_7", "goto rule_3", or false: nothing to be done
 * there. */
enum { RULESET_TARGET = 64 };
bool ruleset_list_target(struct ruleset *r, size_t local, uint32_t list, char buf[RULESET_TARGET]);
/* The chains of all lists, then those of the rules that they use. */
void ruleset_lists(struct ruleset *r);
/* The sets that those ask, which stand before them. */
void ruleset_list_sets(struct ruleset *r);
void ruleset_lists_wipe(struct ruleset *r);
/* Connections of hosts behind us that leave with our address: the sets and chains that find out which address, and
 * give it to them on their way through the TUN. */
void ruleset_masquerade(struct ruleset *r);
/* Who is behind a pair of addresses (identity_sets.h): the sets that the plan asks for. */
void ruleset_identity_sets(struct ruleset *r, const struct ruleset_carry *carry);
/* Addresses that are exempted for a time: their sets, and the chain that lets their packets pass. */
void ruleset_exempted_sets(struct ruleset *r, const struct ruleset_carry *carry);
void ruleset_exempted(struct ruleset *r);
/* The two rules that ask whether the other end, found by `remote` ("ct original %s saddr"), is one of them. */
void ruleset_ask_exempted(struct ruleset *r, const char *remote);
/* A set of pairs of addresses of that family. */
void ruleset_add_pair_set(struct ruleset *r, const char *name, const char *flags, int family,
			  const struct ruleset_pair *pairs, size_t count);
/* The rule that takes everything of this list, or NULL. */
const struct rule *ruleset_only_rule(struct plan_list l);
/* One rule a family and case: is the pair of addresses on the wire in the set `name`? `then` says what follows. */
void ruleset_ask_pair(struct ruleset *r, const char *name, const char *then);
/* Rules that accept AH in IPv6, which conntrack does not track (ruleset.c tells why); ours alone of what leaves. */
void ruleset_add_ah6(struct ruleset *r, bool arriving, const char *then);
/* The chains for addresses of ours that the plan does not know. */
void ruleset_newcomer(struct ruleset *r);

#endif
