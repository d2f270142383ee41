/* enforce/shows.h - how a data plane shows which packets it has protected: all that the ruleset has to know of it. The
 * userspace plane's come out of and go into its TUN, and have been compared with their rule; the kernel's bear what SA
 * they came under, which the ruleset compares, and which they will leave under. Inside enforce/ only. */
#ifndef ENFORCE_SHOWS_H
#define ENFORCE_SHOWS_H
#include "enforce/ruleset.h"

enum { SHOWS_TEXT = 96 };

/* "iifname \"cordon0\" ": what came under an SA of ours, where something arrives. */
const char *shows_came(const struct gate_config *c, char buf[SHOWS_TEXT]);
/* The same under one that encrypts for sure; NULL: the rules of the plan have to be asked (firewall_strength.c). */
const char *shows_came_encrypted(const struct gate_config *c);
/* What leaves under an SA, at the last hook. */
const char *shows_leaves(const struct gate_config *c, char buf[SHOWS_TEXT]);

/* "route": packets that are marked find their way anew; "filter": their way has been found already. */
const char *shows_output(const struct ruleset *r);
/* What the output hook does with a packet that is protected for sure. */
const char *shows_protected(const struct ruleset *r, char buf[SHOWS_TEXT]);
/* Do its packets come by a device of its own, so that where they came from is not to be seen? */
bool shows_own_device(const struct gate_config *c);

/* Can this be counted? */
bool shows_counts(const struct gate_config *c, enum gate_count kind);

/* For a plane that does not compare rules: the number (from 1) of the class of rules that the rule belongs to; within a
 * class all SAs do for all rules. 0: there are no classes. */
void shows_classes_make(struct ruleset *r);
uint32_t shows_class(const struct ruleset *r, const struct rule *rule);
void shows_classes_wipe(struct ruleset *r);

/* Of a protected packet that arrives, in the chain of the rule that wins for it: goes back with the class. */
void shows_add_class(struct ruleset *r, const struct rule *rule);
/* The map from a class to a chain that drops what came under no SA of those that do, and the chains. */
void shows_add_classes(struct ruleset *r);
/* Judge what came under an SA, and go on if it may. */
void shows_add_compare(struct ruleset *r);

/* What local programs send, at the output hook. Where the kernel has chosen whether a packet wants an SA, and the rules
 * let it out without one, it is asked once more, with the mark. */
void shows_add_judge_out(struct ruleset *r);
/* " return", after saying that the packet is let in or out in clear though its rule protects. */
void shows_add_clear(struct ruleset *r);

#endif
