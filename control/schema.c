#include "control/schema.h"

#include "base/diag.h"
#include "base/scope.h"

#include <string.h>

const struct control_row control_requests[CONTROL_REQUESTS] = {
	[CONTROL_STATUS] = { "status", "how this host fares", { { 0 } } },
	[CONTROL_SHOW] = { "show", "one table of live state", { { "what", JSON_STRING, true, 32 } } },
	[CONTROL_EVENTS] = { "events",
			     "the last events, and with `follow` those to come, one reply each",
			     { { "follow", JSON_TRUE, false, 0 },
			       { "last", JSON_INTEGER, false, 100000 },
			       { "category", JSON_STRING, false, 1024 },
			       { "event", JSON_STRING, false, 4096 },
			       { "severity", JSON_STRING, false, 16 },
			       { "peer", JSON_STRING, false, 128 },
			       { "rule", JSON_STRING, false, 127 },
			       { "since_ms", JSON_INTEGER, false, (size_t)1 << 52 } } },
	[CONTROL_STATE] = { "state", "everything that `why` wants to know of the running daemon", { { 0 } } },
	[CONTROL_APPLY] = { "apply",
			    "put this policy in force",
			    { { "policy", JSON_STRING, true, CONTROL_POLICY_MOST },
			      { "path", JSON_STRING, true, 4096 },
			      { "confirm_s", JSON_INTEGER, false, 7 * 86400 },
			      { "force", JSON_TRUE, false, 0 },
			      { "ssh", JSON_STRING, false, 256 },
			      { "colour", JSON_TRUE, false, 0 } } },
	[CONTROL_CONFIRM] = { "confirm", "keep the policy that waits to be confirmed", { { 0 } } },
	[CONTROL_ROLLBACK] = { "rollback",
			       "put an earlier policy in force",
			       { { "version", JSON_INTEGER, false, 1000000000 } } },
	[CONTROL_HISTORY] = { "history", "the policies there have been", { { 0 } } },
	[CONTROL_DISABLE] = { "disable",
			      "break-glass: let everything through",
			      { { "reason", JSON_STRING, false, 256 } } },
	[CONTROL_ENABLE] = { "enable", "put the policy in force again", { { 0 } } },
	[CONTROL_REFRESH] = { "refresh", "look at the policy's source now", { { 0 } } },
	[CONTROL_REKEY] = { "rekey",
			    "renew the SAs with a peer, or all",
			    { { "peer", JSON_STRING, false, 128 },
			      { "main_mode", JSON_TRUE, false, 0 },
			      { "proof", JSON_TRUE, false, 0 } } },
	[CONTROL_EXEMPT] = { "exempt",
			     "let one host speak in clear for a time",
			     { { "host", JSON_STRING, true, 127 },
			       { "for_s", JSON_INTEGER, true, 7 * 86400 },
			       { "reason", JSON_STRING, true, 256 } } },
	[CONTROL_END_EXEMPTION] = { "end-exemption", "end that", { { "host", JSON_STRING, true, 127 } } },
	[CONTROL_AUDIT] = { "audit",
			    "which categories of events are told, and with category and on: change it",
			    { { "category", JSON_STRING, false, 64 },
			      { "on", JSON_TRUE, false, 0 },
			      { "success", JSON_TRUE, false, 0 },
			      { "failure", JSON_TRUE, false, 0 } } },
};

static const struct control_member *member_of(const struct control_row *row, const char *name)
{
	for (size_t i = 0; i < CONTROL_MEMBERS_MOST && row->members[i].name; i++)
		if (strcmp(row->members[i].name, name) == 0)
			return &row->members[i];
	return NULL;
}

static int check_member(const struct control_member *m, const char *request, const json_t *value, struct diag *d)
{
	bool right = m->type == JSON_TRUE ? json_is_boolean(value) : json_typeof(value) == m->type;

	if (!right)
		return diag_fail(d, ERR_SYNTAX, "request '%s': '%s' is of the wrong type", request, m->name);
	if (m->type == JSON_STRING && json_string_length(value) > m->most)
		return diag_fail(d, ERR_SYNTAX, "request '%s': '%s' is over %zu octets", request, m->name, m->most);
	if (m->type == JSON_INTEGER &&
	    (json_integer_value(value) < 0 || json_integer_value(value) > (json_int_t)m->most))
		return diag_fail(d, ERR_SYNTAX, "request '%s': '%s' is not between 0 and %zu", request, m->name,
				 m->most);
	return 0;
}

static int check_members(const struct control_row *row, const json_t *request, struct diag *d)
{
	const char *name;
	json_t *value;
	int r;

	json_object_foreach((json_t *)request, name, value)
	{
		const struct control_member *m = member_of(row, name);

		if (strcmp(name, "request") == 0)
			continue;
		if (!m)
			return diag_fail(d, ERR_SYNTAX, "request '%s' has no member '%.64s'", row->name, name);
		if ((r = check_member(m, row->name, value, d)) < 0)
			return r;
	}
	for (size_t i = 0; i < CONTROL_MEMBERS_MOST && row->members[i].name; i++)
		if (row->members[i].required && !json_object_get(request, row->members[i].name))
			return diag_fail(d, ERR_SYNTAX, "request '%s' lacks '%s'", row->name, row->members[i].name);
	return 0;
}

int control_check(const json_t *request, enum control_request *ret, struct diag *d)
{
	const char *name = json_string_value(json_object_get(request, "request"));

	if (!name)
		return diag_fail(d, ERR_SYNTAX, "not a request: it needs a member 'request'");
	for (size_t i = 0; i < CONTROL_REQUESTS; i++) {
		int r;

		if (strcmp(control_requests[i].name, name) != 0)
			continue;
		if ((r = check_members(&control_requests[i], request, d)) < 0)
			return r;
		*ret = (enum control_request)i;
		return 0;
	}
	return diag_fail(d, ERR_SYNTAX, "no request is called '%.64s'; is cordon newer than cordond?", name);
}

json_t *control_request_new(enum control_request r)
{
	return json_pack("{s:s}", "request", control_requests[r].name);
}
