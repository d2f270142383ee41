/* analysis/why.h - the fate of traffic between two hosts, and the reason in words. Each end is judged by its own plan,
 * as it would be on the host itself; the two are then put together. Pure: no host is asked anything. A `why` keeps the
 * plans it has made, so that many questions about one policy are cheap. One thread. */
#ifndef ANALYSIS_WHY_H
#define ANALYSIS_WHY_H
#include "analysis/ends.h"
#include "analysis/firewall.h"
#include "analysis/outcome.h"
#include "base/mem.h"
#include "base/report.h"
#include "policy/plan.h"

struct diag;
struct str;
struct why;

/* r: gets what compiling a host's plan finds (rules of equal rank that differ), each finding once; may be NULL. */
struct why *why_new(const struct policy *p, struct report *r);
void why_free(struct why *w);
SCOPE_FREEP(struct why, why)
/* Which profiles are in force at both ends; before the first question. 0, as from the start: all. */
void why_profiles(struct why *w, unsigned profiles);
const struct policy *why_policy(const struct why *w);

/* The plan of that host (or of that bare address), compiled with contests; NULL if its rules are in conflict. Good
 * until the next call of this module: plans are kept only up to a bound. */
const struct plan *why_plan(struct why *w, const struct ends_who *who);

/* One packet that opens a connection, from `from` to `to`. */
struct why_point {
	struct ends_who from, to;
	int16_t protocol;
	uint16_t port; /* at `to` */
	int16_t icmp_type, icmp_code;
	struct facts facts[2]; /* at `from`, at `to` */
};

enum why_cause {
	WHY_RULES,            /* the two ends' modes decided */
	WHY_SAME_HOST,        /* it never leaves the host */
	WHY_OUTSIDE,          /* loopback, link-local, multicast */
	WHY_NO_COMMON_FAMILY, /* no address family in common */
	WHY_EXEMPTION,        /* a global exemption */
	WHY_FIREWALL          /* protection was fine, a firewall section stopped it */
};

struct why_side {
	struct plan_entry entry; /* that won; entry.rule NULL: none */
	enum stance stance;
	bool agent; /* runs IPsec */
	bool met;   /* some rule speaks of the two addresses, if not of this traffic */
	enum outcome verdict;
	struct firewall_answer firewall;
};

/* The tunnel that the traffic goes through, or would: between whom, and what becomes of it there. Of several, one
 * behind another, the weakest. On the wires behind its ends the traffic is as the two machines themselves make it. */
struct why_tunnel {
	const struct rule *rule; /* NULL: none */
	struct ends_who ends[2]; /* on the side of `from`, of `to` */
	bool behind[2];          /* that end is a gateway, not the machine itself */
	struct negotiation negotiation;
	struct meeting meeting;
};

/* A value; its pointers live as long as the policy. */
struct why_verdict {
	struct why_point point;
	enum why_cause cause;
	enum outcome verdict, guaranteed;
	const struct rule *rule;              /* that decided; NULL: none */
	const struct firewall_rule *firewall; /* that let it in or stopped it; NULL: none, or the default action */
	struct why_side sides[2];
	struct negotiation negotiation;
	struct meeting meeting; /* of the two machines themselves; what a tunnel does is in `tunnel` */
	struct why_tunnel tunnel;
};

/* As what it arrives at the end that accepts it, before that end's firewall. */
enum outcome why_arrives_as(const struct why_verdict *v);
/* The side whose firewall asks what nobody said (firewall_answer.undecided); -1: the verdict does not depend on it. */
int why_undecided(const struct why_verdict *v);

/* The packet as side 0 or 1 would look it up in its plan. */
struct plan_packet why_packet(const struct why_point *k, unsigned side);

/* -ERR_POLICY if an end's rules are in conflict; the report has why. */
int why_judge(struct why *w, const struct why_point *point, struct why_verdict *ret, struct diag *d);
/* The same as the host at side 0 or 1 decides at this moment, by the groups that it knows the other one to be in. */
int why_judge_knowing(struct why *w, const struct why_point *point, unsigned side, const struct known_groups *known,
		      struct why_verdict *ret, struct diag *d);

/* The words for a verdict. advice: what would let it through; nothing is added where nothing is wanted. */
void why_reason(const struct why *w, const struct why_verdict *v, struct str *out);
void why_advice(const struct why *w, const struct why_verdict *v, struct str *out);
/* "exempt, sent clear": what happens at side 0 or 1. */
void why_side_words(const struct why_verdict *v, unsigned side, struct str *out);
/* A host's name, or the address. */
const char *why_name(const struct ends_who *who, char buf[ADDR_TEXT]);

/* Every rule that matched at either end, the winner first, with why it won or lost. */
struct why_contender {
	const struct rule *rule, *winner; /* winner: that it lost to; its own rule if it won */
	bool won;
	const char *reason;   /* as a sentence about this rule */
	const char *contrast; /* lost: the same seen from the winner: "it names dc1 alone, the other any address" */
};
size_t why_contest(struct why *w, const struct why_verdict *v, struct arena *memory, const struct why_contender **ret);

#endif
