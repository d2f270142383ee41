/* policy/plan.h - what one host does with each packet: the policy's rules that can concern one of its addresses, in an
 * order in which the first that matches wins. Immutable and shared by reference: enforce/ makes the ruleset from it,
 * dataplane/ looks packets up in it, keying/ finds the rule that a negotiation is about, analysis/ asks it why.
 *
 * For each local address the other addresses fall into regions; all addresses of a region meet the same list of
 * entries. An entry is one service of one rule seen from this host. The first entry of the list that a packet matches
 * wins; if none does, no rule speaks of the packet. Order (design 3): the smaller, then the larger of the sizes of the
 * smallest elements that matched at either end, then protocol given, then ports (both, one, none; single before range).
 * Entries behind one that matches everything cannot win and are left out, unless the plan was compiled with `contests`.
 *
 * Outside every plan: loopback, the host's own addresses, link-local, multicast and broadcast. Above it: the global
 * exemptions and IKE itself (enforce/ and analysis/ know them). */
#ifndef POLICY_PLAN_H
#define POLICY_PLAN_H
#include "base/addr.h"
#include "policy/policy.h"

struct plan;

struct plan_interface {
	char name[16];
	unsigned profile; /* PROFILE_ bit */
};

/* What only the host itself knows. Lists may be empty. */
struct plan_host {
	const char *name; /* NULL: not named in the policy */
	const struct host_address *own;
	size_t own_count;
	/* From its own configuration; used for a keyword only if no host of the policy has the role. */
	const struct addr *servers[KEYWORDS];
	size_t server_counts[KEYWORDS];
	unsigned profiles; /* PROFILE_ bits in force; 0 means all */
	/* Interfaces whose profile is known, for firewall rules; any other one is public. None: all profiles
	 * everywhere. */
	const struct plan_interface *interfaces;
	size_t interface_count;
	bool contests; /* keep the entries that can never win, for `why` */
};

/* Who opened the connection. Rules that protect do not ask; an exemption or block with ports does, so that a source
 * port opens nothing, and so does a rule that is not mirrored. */
enum { INITIATOR_LOCAL = 1, INITIATOR_REMOTE = 2, INITIATOR_EITHER = 3 };

struct plan_entry {
	const struct rule *rule;
	int16_t protocol; /* PROTOCOL_ANY: all */
	struct port_range local_port, remote_port;
	int16_t icmp_type, icmp_code; /* -1: any */
	unsigned initiators;          /* INITIATOR_ bits */
	bool local_is_end1;           /* which way round the rule was taken */
	addr_count small, large;      /* sizes that decided its place */
};

struct plan_list {
	const struct plan_entry *entries;
	size_t count;
};

/* A tunnel rule that has one of its ends here. An end of family 0: each machine on that side is its own. The traffic of
 * the host's own addresses meets the rule like any other (entry->rule->tunnel); what it forwards, by plan_behind. */
struct plan_tunnel {
	struct plan_entry entry;
	struct addr local, remote;
};

/* Regions of one local address: sorted, disjoint; both families. Addresses in no region meet no rule. */
struct plan_region {
	struct addr_range remote;
	uint32_t list; /* for plan_list */
};

struct plan_packet {
	struct addr local, remote;
	unsigned initiator; /* INITIATOR_LOCAL, _REMOTE; INITIATOR_EITHER: match an entry that applies to either */
	int16_t protocol;
	uint16_t local_port, remote_port; /* ICMP: type and code in local_port's octets; else 0 */
};

/* Two rules of equal rank that match the same packet and differ in effect are an error in the report (-ERR_POLICY), or,
 * in an imported policy, a warning, and the more protective one wins. */
int plan_compile(const struct policy *p, const struct plan_host *host, struct report *r, struct plan **ret);
struct plan *plan_ref(const struct plan *p);
void plan_free(struct plan *p); /* drops one reference */
SCOPE_FREEP(struct plan, plan)

const struct policy *plan_policy(const struct plan *p);
size_t plan_locals(const struct plan *p, const struct addr **ret);
/* Addresses of others that this host forwards through tunnels: sorted, disjoint. They are `local` in a look-up as the
 * host's own are; rules for them are the host's tunnels, exemptions and blocks. */
size_t plan_behind(const struct plan *p, const struct addr_range **ret);
size_t plan_tunnels(const struct plan *p, const struct plan_tunnel **ret);
/* What a tunnel's SA carries of two addresses that met `e`: the smallest elements of its ends that hold them; the
 * address alone where each machine is its own end. */
bool plan_tunnel_ranges(const struct plan_entry *e, const struct addr *local, const struct addr *remote,
			struct addr_range *ret_local, struct addr_range *ret_remote);
/* The i-th element of its end on this (or the other) side; false: there are no more. */
bool plan_tunnel_element(const struct plan_entry *e, bool local, size_t i, struct addr_range *ret);
/* Does the rule carry all between these two ranges? */
bool plan_tunnel_has(const struct plan_entry *e, const struct addr_range *local, const struct addr_range *remote);
/* Between which two hosts that SA is. false: not of one family. */
bool plan_tunnel_ends(const struct plan_entry *e, const struct addr *local, const struct addr *remote,
		      struct addr *ret_local, struct addr *ret_remote);
/* `local` is an index into plan_locals; behind them follow those of plan_behind. */
size_t plan_regions(const struct plan *p, size_t local, const struct plan_region **ret);
size_t plan_lists(const struct plan *p);
struct plan_list plan_list(const struct plan *p, uint32_t list);
/* The list that two addresses meet; count 0 if none, or local is not ours. */
struct plan_list plan_meet(const struct plan *p, const struct addr *local, const struct addr *remote);

/* Of the firewall sections that rule this host (those that name one of its addresses, or no hosts): do their rules ask
 * whether traffic came protected, or from whom? Only then has anybody to know who is behind a pair of addresses. */
bool plan_firewall_rules(const struct plan *p, const struct firewall *f);
bool plan_asks_who(const struct plan *p);
/* The groups that they name, in the policy's order; the place in this list is the number of a group's sets. A rule that
 * lets in wants who is `sure` to be in a group it allows, and nobody who `may` be in one that it excepts; of a rule
 * that blocks it is the other way round. */
struct plan_group {
	const struct group *group;
	bool sure, maybe; /* which of the two some rule asks for */
};
enum { PLAN_GROUPS_MOST = 1024 };
size_t plan_groups(const struct plan *p, const struct plan_group **ret);
/* Its place in that list; the count of the list if it is not there. */
size_t plan_group_number(const struct plan *p, const struct group *g);

/* What an item of an end means on this host: keywords as it resolved them. KEYWORD_ANY has no elements. */
size_t plan_item(const struct plan *p, const struct end_item *item, const struct addr_range **ret);
/* Its interfaces whose profile is known. */
size_t plan_interfaces(const struct plan *p, const struct plan_interface **ret);

bool plan_entry_matches(const struct plan_entry *e, const struct plan_packet *k);
/* The entry that wins, or NULL: no rule speaks of it. */
const struct plan_entry *plan_lookup(const struct plan *p, const struct plan_packet *k);
/* The same for who cannot tell who opened the connection: exemptions and blocks that ask for it are passed over. NULL
 * also where such an entry does not ask: then nothing protects the packet. */
const struct plan_entry *plan_lookup_protecting(const struct plan *p, const struct plan_packet *k);

#endif
