/* enforce/firewall.h - the policy's firewall as part of the table, for a host that a section rules; nothing for others.
 * Chains of its own at the input and output hooks, behind those of connection security, judge what opens a connection,
 * packet by packet: whoever is no longer let in is out at once. Answers follow their connection. Order: bypass, block,
 * allow, default. Inside enforce/ only. */
#ifndef ENFORCE_FIREWALL_H
#define ENFORCE_FIREWALL_H
#include "enforce/firewall_items.h"
#include "enforce/ruleset.h"

/* Of the chains at input and output: behind filter (0), where most firewalls are, so that theirs count as they did. */
enum { GATE_PRIORITY_FIREWALL = 10 };

void ruleset_firewall(struct ruleset *r, const struct ruleset_carry *carry);

/* For its parts: which way packets go. */
struct firewall_view {
	unsigned direction;         /* DIRECTION_ bit: of the connection */
	bool arriving;              /* the packets come in: what opens one from outside, or answers to what goes out */
	const char *name;           /* of chains: "fwi", "fwo", "fwa" */
	const char *address[SIDES]; /* "saddr" */
	const char *port[SIDES];    /* "sport" */
	const char *interface;      /* "iifname" */
};

/* The chain of one rule, "fwi_7": its conditions that are not of addresses and ports, then what it does. */
void firewall_rule_chain(struct ruleset *r, const struct firewall_view *v, const struct firewall_ruling *rule,
			 const struct ruleset_carry *carry);
/* Can it match here at all? (A program that is not there sends and hears nothing.) */
bool firewall_rule_possible(const struct firewall_rule *rule, const struct ruleset_carry *carry);
/* Log and drop what comes here; NULL: by the default. */
void firewall_add_drop(struct ruleset *r, const struct firewall_view *v, const struct firewall_ruling *rule);

/* Does a rule of this direction ask for encryption? Then a chain finds out for what comes out of (or goes into) the TUN
 * whether it is always encrypted, and sets the way's bits of the mark to WAY_ENCRYPTED. */
enum { WAY_ENCRYPTED = 7 };
bool firewall_asks_encryption(const struct firewall_rulings *f, unsigned direction);
void firewall_strength(struct ruleset *r, const struct firewall_view *v);

#endif
