/* analysis/firewall.h - what the firewall sections say of a connection at one of its ends. Order (design 3):
 * authenticated bypass, block, allow, then the default. Replies follow their connection, so only the opening counts. */
#ifndef ANALYSIS_FIREWALL_H
#define ANALYSIS_FIREWALL_H
#include "analysis/ends.h"
#include "analysis/facts.h"

struct firewall_case {
	struct ends_who local, remote;
	unsigned direction; /* DIRECTION_IN or DIRECTION_OUT, seen from local */
	int16_t protocol;
	uint16_t local_port, remote_port;
	int16_t icmp_type, icmp_code;
	enum outcome arrived;                /* clear, authenticated or encrypted */
	const struct auth_method *proof;     /* by which the remote has proven itself; NULL: it has not */
	const struct facts *facts;           /* NULL: nothing is known */
	const struct known_groups *known;    /* of the remote, instead of what the policy says of it; NULL: that */
	const struct firewall_rule *without; /* as if this one were not there; NULL: all count */
};

/* Why a rule that would have let it in did not. */
enum firewall_miss { MISS_SECURE, MISS_MEMBER, MISS_EXCEPTED, MISS_UNLEARNT };

struct firewall_answer {
	bool ruled; /* some section names this host; else all the rest says nothing */
	bool blocked;
	const struct firewall_rule *rule;       /* that decided; NULL: the default action */
	const struct firewall_rule *overridden; /* the block that a bypass went past */
	/* The allow or bypass rule that would have let it in, had the peer been in its groups or the traffic protected:
	 * for the words. */
	const struct firewall_rule *missed;
	enum firewall_miss miss;
	/* The first rule whose interface, profile or program is not known to be the traffic's, and that would make
	 * another answer of it; NULL: it does not depend on these. The answer is then the one that lets in. */
	const struct firewall_rule *undecided;
	const struct auth_method *proof; /* as asked */
	const struct known_groups *known;
};

struct firewall_answer firewall_judge(const struct policy *p, const struct firewall_case *c);
/* Is the host ruled by the section? One that names one of its addresses rules the host, not that address alone. */
bool firewall_rules_host(const struct policy *p, const struct firewall *f, const struct ends_who *who);

#endif
