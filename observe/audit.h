/* observe/audit.h - which events are told: each category for success and for failure, as auditpol has it. What is off
 * leaves no trace but in the flow ledger and the counters. That this was changed is always told. Pure. */
#ifndef OBSERVE_AUDIT_H
#define OBSERVE_AUDIT_H
#include "observe/event.h"
#include <jansson.h>

struct diag;

struct audit {
	bool on[CATEGORY_COUNT][EVENT_RESULTS];
};

/* All but connections that may be: of those there are many. */
void audit_default(struct audit *a);
bool audit_wants(const struct audit *a, enum event_id id);
/* Both results if neither is named. Returns whether anything has changed. */
bool audit_set(struct audit *a, enum event_category c, bool success, bool failure, bool on);

/* {"Main Mode": {"success": bool, "failure": bool}, ...}; what is missing is as by default, what is unknown an error.
 */
json_t *audit_json(const struct audit *a);
int audit_from_json(const json_t *j, struct audit *ret, struct diag *d);

#endif
