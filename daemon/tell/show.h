/* daemon/tell/show.h - live state as the JSON that docs/json.md promises: what the parent knows, and what keying and
 * the data plane said when they were asked (v; NULL: nothing is protected now). */
#ifndef DAEMON_TELL_SHOW_H
#define DAEMON_TELL_SHOW_H
#include "daemon/daemon.h"
#include <jansson.h>

json_t *show_status(struct daemon *d, const struct engine_view *v);
/* "main-mode" (or "ike-sa"), "quick-mode" ("child-sa"), "rules", "peers", "drops": {"ok":true,"what":…,"rows":[…]};
 * NULL: there is no such table. */
json_t *show_table(struct daemon *d, const struct engine_view *v, const char *what);
bool show_has(const char *what);
/* For `why`: the peers, the failures and what was dropped. */
json_t *show_state(struct daemon *d, const struct engine_view *v);
json_t *show_history(struct daemon *d);
/* How many rules of the policy in force can concern this host. */
unsigned show_rules_here(const struct daemon *d);

#endif
