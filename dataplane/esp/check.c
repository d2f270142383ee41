#include "dataplane/esp/check.h"

#include "dataplane/sad.h"
#include "policy/reqid.h"

bool check_inbound(const struct sa_spec *sa, const struct plan_entry *entry)
{
	if (!entry)
		return !sa->tunnel;
	return entry->rule == sa->rule || rule_satisfies(sa->rule, &sa->suite, entry->rule);
}
