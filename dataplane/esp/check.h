/* dataplane/esp/check.h - is what an SA gives as good as what a rule asks? Pure. */
#ifndef DATAPLANE_ESP_CHECK_H
#define DATAPLANE_ESP_CHECK_H
#include "policy/plan.h"
#include <stdbool.h>

struct sa_spec;

/* May a packet whose winning rule is entry's come under this SA? entry NULL: no rule protects it, so any protection is
 * more than is asked, unless it has come by a tunnel, whose far end may send what its rule says and no more. */
bool check_inbound(const struct sa_spec *sa, const struct plan_entry *entry);

#endif
