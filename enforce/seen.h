/* enforce/seen.h - what stands above all rules, and how the table says that it has seen a packet, for the guard
 * (guard.h) that stands one behind it. Inside enforce/ only. */
#ifndef ENFORCE_SEEN_H
#define ENFORCE_SEEN_H
#include "enforce/ruleset.h"

/* What lets a packet pass in a chain that the guard stands behind: "accept" does if the guard knows such packets by
 * itself, and all others need this. */
const char *seen_pass(const struct ruleset *r);
/* "\t\tjump exempt\n", for such a chain. */
void seen_add_exempt(struct ruleset *r);
/* The end of such a chain: whoever comes so far has been judged. */
void seen_add_end(struct ruleset *r);

/* The chains for it; and one behind the guard that takes the mark away again. in_force: see RULESET_GUARDED_LATER. */
void seen_add_chains(struct ruleset *r, bool in_force);
void seen_add_unseen(struct ruleset *r);

#endif
