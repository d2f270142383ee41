/* dataplane/esp/check.h - is what an SA gives as good as what a rule asks? Pure. */
#ifndef DATAPLANE_ESP_CHECK_H
#define DATAPLANE_ESP_CHECK_H
#include "policy/plan.h"
#include <stdbool.h>

struct sa_spec;

/* Would an SA made for the rule `have`, with this suite, do for the rule `want`? It must offer one of the protections
 * that `want` lists, and its peer must have proved itself by the same authentication, to the same machines. The rules
 * may belong to different policies. */
bool check_satisfies(const struct rule *have, const struct child_suite *suite, const struct rule *want);

/* May a packet whose winning rule is entry's come under this SA? entry NULL: no rule protects it, so any protection is
 * more than is asked, unless it has come by a tunnel, whose far end may send what its rule says and no more. */
bool check_inbound(const struct sa_spec *sa, const struct plan_entry *entry);

#endif
