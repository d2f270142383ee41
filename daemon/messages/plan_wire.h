/* daemon/messages/plan_wire.h - a plan on its way to another process: not the plan itself, which is a web of pointers,
 * but what it is compiled from, the policy's text and what only the host knows. Whoever compiles that gets the same
 * plan, rule by rule; messages call a rule by its name and its place in the policy (policy_rules). One memory file
 * (memfd) for all who need it, sealed, so that none of them can change what another one reads. */
#ifndef DAEMON_MESSAGES_PLAN_WIRE_H
#define DAEMON_MESSAGES_PLAN_WIRE_H
#include "base/scope.h"
#include "policy/plan.h"
#include <stdint.h>

struct diag;
struct report;
struct text;

enum {
	PLAN_WIRE_POLICY_MOST = 256 << 20,
	PLAN_WIRE_ADDRESSES_MOST = 65536, /* of the host's own, with those that the policy gives it */
	PLAN_WIRE_SERVERS_MOST = 64,      /* for each keyword */
};

/* number: counts the plans of the parent; what its children speak of. Returns the descriptor. */
int plan_wire_seal(uint64_t number, const struct text *policy, const struct plan_host *host, struct diag *d);

/* The same, kept for whoever comes later. */
struct plan_file;
int plan_file_new(uint64_t number, const struct text *policy, const struct plan_host *host, struct plan_file **ret,
		  struct diag *d);
struct plan_file *plan_file_ref(struct plan_file *f);
void plan_file_free(struct plan_file *f); /* drops one reference */
SCOPE_FREEP(struct plan_file, plan_file)
int plan_file_fd(const struct plan_file *f);
uint64_t plan_file_number(const struct plan_file *f);

/* What comes of it. The report has the text that the policy's places speak of. */
struct plan_made {
	uint64_t number;
	struct report *report;
	struct policy *policy;
	struct plan *plan;
};
void plan_made_wipe(struct plan_made *m); /* for SCOPED */

/* fd stays the caller's. -ERR_SYNTAX: not what plan_wire_seal makes; -ERR_POLICY: it does not compile, which the parent
 * tried before. */
int plan_wire_open(int fd, struct plan_made *ret, struct diag *d);

/* Between plan_wire_open and its tests. The texts stand in octets[0..len). */
struct plan_parts {
	uint64_t number;
	struct plan_host host; /* its lists are the parts' own */
	const char *path, *policy;
	size_t path_len, policy_len;
	char *name;
	struct host_address *own;
	struct addr *servers;
};
int plan_parts_decode(const void *octets, size_t len, struct plan_parts *ret, struct diag *d);
void plan_parts_wipe(struct plan_parts *p);

#endif
