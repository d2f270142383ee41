/* analysis/firewall.h - what the firewall sections say of a connection at one of its ends. Order (design 3):
 * authenticated bypass, block, allow, then the default. Replies follow their connection, so only the opening counts. */
#ifndef ANALYSIS_FIREWALL_H
#define ANALYSIS_FIREWALL_H
#include "analysis/ends.h"

struct firewall_case {
	struct ends_who local, remote;
	unsigned direction; /* DIRECTION_IN or DIRECTION_OUT, seen from local */
	int16_t protocol;
	uint16_t local_port, remote_port;
	int16_t icmp_type, icmp_code;
	enum outcome arrived; /* clear, authenticated or encrypted */
};

struct firewall_answer {
	bool ruled; /* some section names this host; else all the rest says nothing */
	bool blocked;
	const struct firewall_rule *rule;       /* that decided; NULL: the default action */
	const struct firewall_rule *overridden; /* the block that a bypass went past */
	/* The allow or bypass rule that would have let it in, had the peer been in its groups or the traffic protected:
	 * for the words. */
	const struct firewall_rule *missed;
	bool missed_for_machine;
};

struct firewall_answer firewall_judge(const struct policy *p, const struct firewall_case *c);

#endif
