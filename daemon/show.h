/* daemon/show.h - live state as the JSON that docs/json.md promises. */
#ifndef DAEMON_SHOW_H
#define DAEMON_SHOW_H
#include "daemon/daemon.h"
#include <jansson.h>

json_t *show_status(struct daemon *d);
/* "main-mode" (or "ike-sa"), "quick-mode" ("child-sa"), "rules", "peers", "drops": {"ok":true,"what":…,"rows":[…]};
 * NULL: there is no such table. */
json_t *show_table(struct daemon *d, const char *what);
/* For `why`: the peers, the failures and what was dropped. */
json_t *show_state(struct daemon *d);
json_t *show_history(struct daemon *d);
/* How many rules of the policy in force can concern this host. */
unsigned show_rules_here(const struct daemon *d);

#endif
