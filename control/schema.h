/* control/schema.h - what may be asked of cordond over its socket: one table of requests, with the members of each. The
 * server checks a request against it before anybody looks inside, the client before it is sent. */
#ifndef CONTROL_SCHEMA_H
#define CONTROL_SCHEMA_H
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct diag;

enum control_request {
	CONTROL_STATUS,
	CONTROL_SHOW,
	CONTROL_EVENTS,
	CONTROL_STATE,
	CONTROL_APPLY,
	CONTROL_CONFIRM,
	CONTROL_ROLLBACK,
	CONTROL_HISTORY,
	CONTROL_DISABLE,
	CONTROL_ENABLE,
	CONTROL_REFRESH,
	CONTROL_REKEY,
	CONTROL_EXEMPT,
	CONTROL_END_EXEMPTION,
	CONTROL_AUDIT,
	CONTROL_REQUESTS
};

enum { CONTROL_MEMBERS_MOST = 12, CONTROL_FRAME_MOST = 64 << 20, CONTROL_POLICY_MOST = 32 << 20 };

struct control_member {
	const char *name;
	json_type type; /* JSON_TRUE stands for either boolean */
	bool required;
	size_t most; /* octets of a string, or the largest integer; integers are never negative */
};

struct control_row {
	const char *name;
	const char *meaning;
	struct control_member members[CONTROL_MEMBERS_MOST]; /* up to the first without a name */
};
extern const struct control_row control_requests[CONTROL_REQUESTS];

/* Which request this is, if it has all its members and no others. */
int control_check(const json_t *request, enum control_request *ret, struct diag *d);
/* A new request object without members yet. */
json_t *control_request_new(enum control_request r);

#endif
